/** Random programs under random schedules, compiled for this machine, against the interpreter. */
import { expect, test } from "vitest";
import { Schedule } from "../../passes/schedule/schedule.ts";
import { drawPrimitive, proposers } from "../property/support/actions.ts";
import { difference, randomInputs, run } from "../property/support/judge.ts";
import { randomProgram } from "../property/support/programs.ts";
import { Random } from "../property/support/random.ts";
import { describeNative, runNative } from "./native-run.ts";

const pairs = Number(process.env.TILEWRIGHT_COMPILED_PAIRS ?? 60);
const firstSeed = Number(process.env.TILEWRIGHT_SEED ?? 1);

/** Up to eight random steps that the checks accept. */
function scheduled(r: Random, s: Schedule): Schedule {
  for (let tries = 0; s.trace.steps.length < 8 && tries < 30; tries++) {
    const name = drawPrimitive(r);
    const args = proposers[name](r, s);
    if (args && s.probe(name, args as never) === undefined) s.apply(name, args);
  }
  return s;
}

describeNative("compiled schedules", () => {
  test(`${pairs} random ones compute what the programs do`, () => {
    const faults: string[] = [];
    for (let seed = firstSeed; seed < firstSeed + pairs && faults.length < 3; seed++) {
      const r = new Random(seed);
      const { program, kind, roundings } = randomProgram(r);
      const s = scheduled(r, new Schedule(program));
      const inputs = randomInputs(program, new Random(seed));
      try {
        const wrong = difference(run(program, inputs), runNative(s.program, inputs as never) as never, 4 * roundings);
        if (wrong) faults.push(`seed ${seed} (${kind}): ${wrong}\n${s.trace.toSource()}`);
      } catch (e) {
        faults.push(`seed ${seed} (${kind}): ${e instanceof Error ? e.message : String(e)}\n${s.trace.toSource()}`);
      }
    }
    expect(faults.join("\n\n")).toBe("");
  }, 600_000);
});
