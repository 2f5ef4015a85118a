/** softwarePipeline and doubleBuffer: what they make, values. */
import { describe, expect, test } from "vitest";
import type { Program } from "../../../ir/loop/program.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues, outline } from "./fixtures.ts";
import { centre } from "./loop-programs.ts";

import { sums, tiles } from "./must-fail/pipelining.ts";

describe("before ⇒ after", () => {
  const cases: Record<string, { program: Program; steps: (s: Schedule) => unknown }> = {
    peeled: { program: tiles(5), steps: (s) => s.softwarePipeline(s.loop("i"), [0, 1, 2]) },
    guarded: { program: tiles(5), steps: (s) => s.softwarePipeline(s.loop("i"), [0, 1, 1], "guarded") },
    doubleBuffer: { program: tiles(5), steps: (s) => s.doubleBuffer(s.block("B"), "B", s.loop("i"), 0, 4) },
  };
  for (const [name, c] of Object.entries(cases))
    test(name, () => {
      const s = new Schedule(c.program);
      c.steps(s);
      expect(outline(s.program)).toMatchSnapshot();
      keepsValues(c.program, s);
    });
});
describe("values stay", () => {
  for (const n of [2, 3, 5, 8, 13]) {
    for (const stages of [
      [0, 1, 1],
      [0, 0, 1],
      [0, 1, 2],
    ])
      for (const mode of ["peeled", "guarded"] as const)
        if (n > Math.max(...stages))
          test(`${n} tiles in stages ${stages}, ${mode}`, () => {
            const program = tiles(n);
            const s = new Schedule(program);
            const steady = s.softwarePipeline(s.loop("i"), stages, mode);
            expect(s.probe("parallel", { loop: steady })?.rule ?? "independent-iterations").toBe(
              "independent-iterations",
            );
            for (const b of s.blocks()) s.vectorize(s.loops(b).at(-1)!);
            keepsValues(program, s);
          });
    test(`${n} tiles through two halves of a buffer`, () => {
      const program = tiles(n);
      const s = new Schedule(program);
      s.doubleBuffer(s.block("B"), "B", s.loop("i"), 0, 4);
      expect(s.print()).toContain("allocate B: int32[8]");
      keepsValues(program, s);
    });
    test(`${n} rows, a reduction one iteration ahead`, () => {
      const program = centre(n, 4);
      const s = new Schedule(program);
      s.computeAt(s.block("M"), s.loopAt("D", 0));
      s.softwarePipeline(s.loopAt("D", 0), [0, 1]);
      keepsValues(program, s);
    });
  }
  test("a reduction over the pipelined loop, in its own order", () => {
    const program = parseProgram(sums);
    const s = new Schedule(program);
    s.softwarePipeline(s.loop("i"), [0, 1]);
    keepsValues(program, s);
  });
});
