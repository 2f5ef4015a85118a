/** Sampling primitives: what they draw, how their decisions are recorded, changed and replayed. */
import { describe, expect, test } from "vitest";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { divisorsOf } from "../../../passes/schedule/sampling.ts";
import { replay, Schedule, type ScheduleOptions } from "../../../passes/schedule/schedule.ts";
import type { TraceJson } from "../../../passes/schedule/trace.ts";
import { keepsValues } from "./fixtures.ts";
import { matmul, scale, stencil } from "./loop-programs.ts";

/** A schedule whose every choice is drawn. */
function drawn(program: Program, options: ScheduleOptions): Schedule {
  const s = new Schedule(program, options);
  const [i, j] = s.loops("C");
  const rows = s.split(i!, { factors: s.sampleTile(i!, 3, 8) });
  const columns = s.split(j!, { factors: s.sampleTile(j!, 2, 16) });
  s.reorder(rows[0]!, columns[0]!, rows[1]!, rows[2]!, columns[1]!);
  if (s.sampleCategorical(["unrolled", "plain"], [0.5, 0.5]) === "unrolled") s.unroll(rows[2]!);
  return s;
}
const decisionsOf = (s: Schedule) => s.trace.steps.flatMap((t) => ("decision" in t.args ? [t.args.decision] : []));

describe("draws", () => {
  test("are the same for the same seed, and differ over seeds", () => {
    const program = matmul(24, 60, 5);
    const texts = Array.from({ length: 20 }, (_, seed) => JSON.stringify(decisionsOf(drawn(program, { seed }))));
    const again = Array.from({ length: 20 }, (_, seed) => JSON.stringify(decisionsOf(drawn(program, { seed }))));
    expect(again).toEqual(texts);
    expect(new Set(texts).size).toBeGreaterThan(10);
  });
  for (const n of [1, 7, 12, 64])
    test(`are perfect factors of ${n}, the innermost within its limit`, () => {
      for (let seed = 0; seed < 20; seed++) {
        const s = new Schedule(scale(n, 3), { seed });
        const factors = s.sampleTile(s.loop("i"), 3, 4);
        expect(factors.reduce((a, b) => a * b)).toBe(n);
        expect(factors[2]).toBeLessThanOrEqual(4);
        s.split(s.loop("i"), { factors, tail: "exact" });
        keepsValues(scale(n, 3), s);
      }
    });
  test("of places are loops where the block can be computed", () => {
    const names = new Set<string | undefined>();
    for (let seed = 0; seed < 20; seed++) {
      const s = new Schedule(stencil(12), { seed });
      s.split(s.loopAt("C", 0), { factor: 4 });
      const place = s.sampleComputeLocation(s.block("B"));
      names.add(place?.name);
      if (place) s.computeAt(s.block("B"), place);
      keepsValues(stencil(12), s);
    }
    expect([...names].sort()).toEqual(["i0_i", "i0_o", undefined]);
  });
  test("divisors are all there", () => {
    expect(divisorsOf(36)).toEqual([1, 2, 3, 4, 6, 9, 12, 18, 36]);
  });
});

describe("decisions", () => {
  const program = matmul(24, 60, 5);
  test("stand in the trace and are replayed", () => {
    const s = drawn(program, { seed: 3 });
    const again = replay(program, JSON.parse(JSON.stringify(s.trace)));
    expect(structurallyEqual(again.program, s.program)).toBe(true);
    expect(again.trace.toJSON()).toEqual(s.trace.toJSON());
  });
  test("changed in the trace change the steps that use them", () => {
    const json = JSON.parse(JSON.stringify(drawn(program, { seed: 3 }).trace)) as TraceJson;
    const steps = json.steps.map((t, k) => (k === 0 ? { ...t, args: { ...t.args, decision: [2, 3, 4] } } : t));
    const s = replay(program, { ...json, steps });
    expect(
      s
        .loops("C")
        .filter((l) => l.name.startsWith("i_"))
        .map((l) => s.extent(l)),
    ).toEqual([2, 3, 4]);
    keepsValues(program, s);
  });
  test("given to a schedule are taken instead of drawn", () => {
    const s = drawn(program, { seed: 3, decisions: [[4, 6, 1], undefined, 0] });
    expect(decisionsOf(s)[0]).toEqual([4, 6, 1]);
    expect(decisionsOf(s)[2]).toBe(0);
    expect(s.print()).toContain("unrolled for");
  });
  test("print as source that makes the schedule again", () => {
    const s = drawn(program, { seed: 5 });
    const again = new Schedule(program);
    new Function("s", s.trace.toSource())(again);
    expect(structurallyEqual(again.program, s.program)).toBe(true);
  });
  test("go on alike in a fork", () => {
    const s = new Schedule(program, { seed: 9 });
    const copy = s.fork();
    expect(copy.sampleTile(copy.loop("i"), 2, 8)).toEqual(s.sampleTile(s.loop("i"), 2, 8));
  });
});
