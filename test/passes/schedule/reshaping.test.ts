/** reindex, decomposePadding, padEinsum: what they make, values. */
import { describe, expect, test } from "vitest";
import type { Program } from "../../../ir/loop/program.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues } from "./fixtures.ts";
import * as programs from "./loop-programs.ts";
import { bordered, convolution, padded } from "./must-fail/reshaping.ts";

const { matmul } = programs;

describe("before ⇒ after", () => {
  const cases: Record<string, { program: Program; steps: (s: Schedule) => unknown }> = {
    "reindex what is read": { program: convolution(5, 3), steps: (s) => s.reindex(s.block("C"), "A") },
    "reindex what is written": { program: matmul(2, 3, 4), steps: (s) => s.reindex(s.block("C"), "C") },
    decomposePadding: { program: bordered(3, 4, 1, 2), steps: (s) => s.decomposePadding(s.block("P")) },
    padEinsum: { program: matmul(6, 7, 5), steps: (s) => s.padEinsum(s.block("C"), [4, 8, 1]) },
  };
  for (const [name, c] of Object.entries(cases))
    test(name, () => {
      const s = new Schedule(c.program);
      c.steps(s);
      expect(printProgram(s.program)).toMatchSnapshot();
      keepsValues(c.program, s);
    });
});

describe("values stay", () => {
  for (const n of [1, 2, 5, 7, 8, 13]) {
    test(`a convolution of ${n} over views`, () => {
      const program = convolution(n, 3);
      const s = new Schedule(program);
      const copy = s.reindex(s.block("C"), "A");
      s.reindex(s.block("C"), "C");
      s.parallel(s.loopAt("C", 0));
      s.vectorize(s.loopAt(copy, 1));
      keepsValues(program, s, 8);
    });
    for (const [top, left] of [
      [0, 1],
      [1, 0],
      [2, 3],
    ] as const)
      test(`a border of ${top}, ${left} around ${n}`, () => {
        const program = bordered(n, 3, top, left);
        const s = new Schedule(program);
        s.decomposePadding(s.block("P"));
        expect(s.print()).not.toContain("select");
        for (const b of s.blocks()) s.parallel(s.loopAt(b, 0));
        keepsValues(program, s);
      });
    for (const multiples of [
      [4, 1, 1],
      [1, 1, 8],
      [3, 5, 2],
    ])
      test(`a matmul of ${n} padded to ${multiples}`, () => {
        const program = matmul(n, n, n);
        const s = new Schedule(program);
        s.padEinsum(s.block("C"), multiples);
        const [i, j, k] = s.loops("C");
        const { inner } = s.tile([i!, j!], [multiples[0]!, multiples[1]!], "exact");
        s.split(k!, { factor: multiples[2]!, tail: "exact" });
        s.unroll(inner[0]!);
        keepsValues(program, s, n);
      });
  }
});

test("only the outermost of nested selects is decomposed", () => {
  const program = padded(3, 3, 1, 1);
  const s = new Schedule(program);
  s.decomposePadding(s.block("P"));
  expect(s.print()).toContain("select");
  keepsValues(program, s);
});
