/** Random programs under random schedules: the interpreter after is the interpreter before, the trace makes it again. */
import { expect, test } from "vitest";
import { runProgram } from "../../ir/interp/run.ts";
import { structurallyEqual } from "../../ir/loop/equality.ts";
import type { Program } from "../../ir/loop/program.ts";
import { assertWellFormed } from "../../ir/verify/verify.ts";
import { Trace } from "../../passes/schedule/trace.ts";
import { type Case, drawCase, primitivesOf, replayed } from "./support/cases.ts";
import { mismatch } from "./support/expected.ts";
import { scrambled } from "./support/judge.ts";
import { Random } from "./support/random.ts";
import { shrink } from "./support/shrink.ts";
import { addTally } from "./support/soak.ts";

const pairs = Number(process.env.TILEWRIGHT_PAIRS ?? 2000);
const firstSeed = Number(process.env.TILEWRIGHT_SEED ?? 1);

/** What is wrong with a schedule of a case; undefined when nothing is. */
function fault(c: Case, program: Program, names: readonly string[]): string | undefined {
  try {
    assertWellFormed(program);
    for (const want of c.expected)
      for (const p of [program, scrambled(program, new Random(c.seed))]) {
        const actual = runProgram(p, want.inputs, { func: want.func.name, checkUninitialized: true });
        const why = mismatch(want, actual, p === program ? names : [...names, "reorder"]);
        if (why !== undefined) return why;
      }
    return undefined;
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}
/** The smallest traces that are at fault, as text. */
async function report(c: Case): Promise<string> {
  const why = (traces: Case["traces"]): string | undefined => {
    try {
      return fault(c, replayed(c.program, traces), primitivesOf(traces));
    } catch {
      return undefined;
    }
  };
  const small = await shrink(c.traces, async (t) => why(t) !== undefined);
  const source = small.map((t) => new Trace(t.func, t.steps).toSource());
  return [`seed ${c.seed} (${c.kind}):`, why(small), ...source].join("\n");
}

test(`${pairs} random programs keep their values under random legal schedules`, async () => {
  const tally: Case["tally"] = {};
  const faults: string[] = [];
  let steps = 0;
  for (let seed = firstSeed; seed < firstSeed + pairs && faults.length < 3; seed++) {
    let c: Case;
    try {
      c = drawCase(seed);
    } catch (e) {
      faults.push(`seed ${seed}: ${e instanceof Error ? e.stack : String(e)}`);
      continue;
    }
    addTally(tally, c.tally);
    steps += primitivesOf(c.traces).length;
    if (fault(c, c.scheduled, primitivesOf(c.traces)) !== undefined) faults.push(await report(c));
    else if (seed % 10 === 0 && !structurallyEqual(replayed(c.program, c.traces), c.scheduled))
      faults.push(`seed ${seed}: a replayed trace gives another program`);
  }
  const rates = Object.entries(tally).map(([n, c]) => `${n} ${c.accepted}/${c.tried}`);
  console.log(`${pairs} pairs from seed ${firstSeed}, ${steps} steps accepted: ${rates.join(", ")}`);
  expect(faults.join("\n\n")).toBe("");
}, 600_000);
