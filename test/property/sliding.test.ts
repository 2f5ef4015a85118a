/**
 * Random cascades of stencils, their stages slid, computed at loops and folded at random: values stay, nothing is read
 * before it is written, and the shrunk buffers of the lowered program hold all that is live.
 */
import { expect, test } from "vitest";
import { add, floordiv, floormod, mul, sub } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { ComputeBuilder, type Tensor } from "../../ir/loop/compute.ts";
import type { Program } from "../../ir/loop/program.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { assertWellFormed } from "../../ir/verify/verify.ts";
import { compactBuffers } from "../../passes/lower/compact-buffers.ts";
import { Schedule } from "../../passes/schedule/schedule.ts";
import { difference, randomInputs, run, scrambled } from "./support/judge.ts";
import { Random } from "./support/random.ts";

const cases = Number(process.env.TILEWRIGHT_PAIRS ?? 300);
const firstSeed = Number(process.env.TILEWRIGHT_SEED ?? 1);

/** How a stage reads the one before along rows: the rows of it that `n` rows need, and the places of its taps. */
interface Reach {
  readonly rows: (n: number) => number;
  readonly taps: (i: Expr) => Expr[];
}
function drawReach(r: Random): Reach {
  const width = r.int(1, 4);
  const gaps = Array.from({ length: width }, (_, k) => (k === 0 || k === width - 1 ? k : r.int(0, width - 1)));
  if (r.chance(0.25))
    return {
      rows: (n) => Math.ceil(n / 2) + 2,
      taps: (i) => [add(floordiv(i, 2), 1), add(floordiv(i, 2), mul(floormod(i, 2), 2))],
    };
  const step = r.pick([1, 1, 1, 2, 3]);
  return { rows: (n) => step * (n - 1) + width, taps: (i) => gaps.map((g) => add(mul(i, step), g)) };
}
/** x → s0 → s1 → … in two dimensions, the last one `n` rows high; some stages also read the one before the last. */
function drawCascade(r: Random): Program {
  const stages = r.int(1, 3);
  const reaches = Array.from({ length: stages }, () => drawReach(r));
  const columns = r.int(1, 3);
  const heights = [r.int(1, 13)];
  for (const reach of [...reaches].reverse()) heights.unshift(reach.rows(heights[0]!));
  const b = new ComputeBuilder(new IdSource());
  const x = b.param("x", "int32", [heights[0]!, columns], "input");
  let last: Tensor = b.compute("s0", "int32", [heights[0]!, columns], (i, j) => mul(x.at(i!, j!), 3));
  for (const [k, reach] of reaches.entries()) {
    const before = last;
    const mirrored = r.chance(0.2);
    last = b.compute(`s${k + 1}`, "int32", [heights[k + 1]!, columns], (i, j) => {
      const column = mirrored ? sub(columns - 1, j!) : j!;
      return reach
        .taps(i!)
        .map((at) => before.at(at, column))
        .reduce((a, e) => add(a, e));
    });
  }
  return b.finish("cascade", [last]);
}

/** Applies a step when it is legal; whether it was. */
function attempt(step: () => unknown): boolean {
  try {
    step();
    return true;
  } catch {
    return false;
  }
}
function drawSchedule(p: Program, r: Random, tally: Map<string, number>): Schedule {
  const s = new Schedule(p);
  const count = (name: string, step: () => unknown): void => {
    if (attempt(step)) tally.set(name, (tally.get(name) ?? 0) + 1);
  };
  const names = s.blocks().map((b) => b.name);
  if (r.chance(0.2)) count("reorder", () => s.reorder(...s.loops(s.block(names.at(-1)!)).reverse()));
  const top = s.block(names.at(-1)!);
  for (let k = r.int(0, 2); k > 0; k--) {
    const loop = r.pick(s.loops(top));
    const tail = r.pick(["guard", "shift-inwards", "exact"] as const);
    count("split", () => s.split(loop, { factor: r.int(1, 5), tail }));
  }
  if (r.chance(0.4)) count("parallel", () => s.parallel(s.loops(top)[0]!));
  if (r.chance(0.2)) count("unroll", () => s.unroll(r.pick(s.loops(top))));
  for (const name of [...names].reverse().slice(1)) {
    const loops = s.loops(top);
    const at = r.int(0, loops.length - 1);
    const over = r.int(0, at);
    if (r.chance(0.8))
      for (const [inner, outer] of [
        [at, over],
        [at, at],
        [over, over],
      ] as const)
        count("slideAt", () => s.slideAt(s.block(name), loops[inner]!, loops[outer]!));
    else count("computeAt", () => s.computeAt(s.block(name), loops[at]!));
  }
  if (r.chance(0.5)) count("parallel", () => s.parallel(s.loops(top)[0]!));
  for (const name of names.slice(0, -1))
    for (const factor of [2, 3, 4, 6, 8])
      if (r.chance(0.7)) count("storageFold", () => s.storageFold(s.block(name), name, 0, factor));
  if (r.chance(0.3)) count("vectorize", () => s.vectorize(s.loops(top).at(-1)!));
  return s;
}

test(`${cases} random cascades keep their values in sliding windows`, () => {
  const tally = new Map<string, number>();
  const faults: string[] = [];
  for (let seed = firstSeed; seed < firstSeed + cases && faults.length < 3; seed++) {
    const r = new Random(seed);
    const program = drawCascade(r);
    const s = drawSchedule(program, r, tally);
    const inputs = randomInputs(program, new Random(seed));
    const expected = run(program, inputs);
    const fault = (p: Program): string | undefined => {
      try {
        return difference(expected, run(p, inputs), 0);
      } catch (e) {
        return String(e);
      }
    };
    assertWellFormed(s.program);
    const wrong = fault(s.program) ?? fault(scrambled(s.program, r)) ?? fault(compactBuffers(s.program));
    if (wrong) faults.push(`seed ${seed}: ${wrong}\n${s.trace.toSource()}`);
  }
  expect(faults.join("\n\n")).toBe("");
  // Windows slide, slide over several loops and along each other often enough for this to say something.
  expect(tally.get("slideAt") ?? 0).toBeGreaterThan(cases / 8);
  expect(tally.get("storageFold") ?? 0).toBeGreaterThan(cases / 10);
});
