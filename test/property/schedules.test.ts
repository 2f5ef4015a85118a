import { expect, test } from "vitest";
import { structurallyEqual } from "../../ir/loop/equality.ts";
import { assertWellFormed } from "../../ir/verify/verify.ts";
import type { PrimitiveName } from "../../passes/schedule/apply.ts";
import { replay, Schedule } from "../../passes/schedule/schedule.ts";
import type { TraceJson } from "../../passes/schedule/trace.ts";
import { drawPrimitive, proposers } from "./support/actions.ts";
import { difference, randomInputs, run, scrambled } from "./support/judge.ts";
import { randomProgram, type Sample } from "./support/programs.ts";
import { Random } from "./support/random.ts";

const pairs = Number(process.env.TILEWRIGHT_PAIRS ?? 2000);
const firstSeed = Number(process.env.TILEWRIGHT_SEED ?? 1);

type Tally = Map<string, { tried: number; accepted: number }>;

/** Tries random steps on the program; the ones that the checks accept are applied. */
function randomSchedule(r: Random, program: Sample["program"], tally: Tally): Schedule {
  const s = new Schedule(program);
  const wanted = r.int(1, 10);
  for (let tries = 0; s.trace.steps.length < wanted && tries < wanted * 4; tries++)
    attempt(r, s, drawPrimitive(r), tally);
  return s;
}
function attempt(r: Random, s: Schedule, name: PrimitiveName, tally: Tally): void {
  const args = proposers[name](r, s);
  if (!args) return;
  const count = tally.get(name) ?? { tried: 0, accepted: 0 };
  tally.set(name, count);
  count.tried++;
  if (s.probe(name, args as never) !== undefined) return;
  count.accepted++;
  s.apply(name, args);
}
/** What is wrong with a schedule of a sample; undefined when nothing is. */
function fault(sample: Sample, s: Schedule, seed: number): string | undefined {
  try {
    assertWellFormed(s.program);
    const inputs = randomInputs(sample.program, new Random(seed));
    const expected = run(sample.program, inputs);
    return (
      difference(expected, run(s.program, inputs), sample.roundings) ??
      difference(expected, run(scrambled(s.program, new Random(seed)), inputs), sample.roundings)
    );
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}
/** The shortest prefix of the trace that is at fault, as text. */
function report(sample: Sample, s: Schedule, seed: number): string {
  const json = s.trace.toJSON();
  for (let n = 0; n <= json.steps.length; n++) {
    const prefix: TraceJson = { ...json, steps: json.steps.slice(0, n) };
    const part = replay(sample.program, prefix);
    const why = fault(sample, part, seed);
    if (why) return [`seed ${seed} (${sample.kind}), step ${n}:`, why, part.trace.toSource()].join("\n");
  }
  return `seed ${seed}: only the whole trace is at fault\n${s.trace.toSource()}`;
}

test(`${pairs} random programs keep their values under random legal schedules`, () => {
  const tally: Tally = new Map();
  const faults: string[] = [];
  let steps = 0;
  let judged = 0;
  for (let seed = firstSeed; judged < pairs && faults.length < 3; seed++) {
    const r = new Random(seed);
    const sample = randomProgram(r);
    let s: Schedule;
    try {
      s = randomSchedule(r, sample.program, tally);
    } catch (e) {
      faults.push(`seed ${seed} (${sample.kind}): ${e instanceof Error ? e.stack : String(e)}`);
      continue;
    }
    if (s.trace.steps.length === 0) continue;
    judged++;
    steps += s.trace.steps.length;
    if (fault(sample, s, seed) !== undefined) faults.push(report(sample, s, seed));
    else if (seed % 10 === 0 && !structurallyEqual(replay(sample.program, s.trace).program, s.program))
      faults.push(`seed ${seed}: a replayed trace gives another program\n${s.trace.toSource()}`);
  }
  const rates = [...tally].map(([n, c]) => `${n} ${c.accepted}/${c.tried}`).join(", ");
  console.log(`${judged} pairs from seed ${firstSeed}, ${steps} steps accepted: ${rates}`);
  expect(faults.join("\n\n")).toBe("");
}, 600_000);
