/** What each loop primitive makes, as text, and that values stay on extents of 1, primes and non-multiples. */
import { describe, expect, test } from "vitest";
import type { Program } from "../../../ir/loop/program.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { assertWellFormed } from "../../../ir/verify/verify.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { difference, randomInputs, run, scrambled } from "../../property/support/judge.ts";
import { Random } from "../../property/support/random.ts";
import * as programs from "./loop-programs.ts";

const { matmul, scale } = programs;

/** The loop headers and block headers of a program, without what blocks read and do. */
function outline(p: Program): string {
  const lines = printProgram(p).split("\n").slice(1);
  const kept = lines.filter((l) => /^\s*((parallel |vectorized |unrolled )?for|block|allocate|init)\b/.test(l));
  return kept.map((l) => l.replace(/^ {2}/, "")).join("\n");
}
function keepsValues(before: Program, s: Schedule, roundings = 32): void {
  assertWellFormed(s.program);
  const inputs = randomInputs(before, new Random(7));
  const expected = run(before, inputs);
  expect(difference(expected, run(s.program, inputs), roundings)).toBe(undefined);
  expect(difference(expected, run(scrambled(s.program, new Random(3)), inputs), roundings)).toBe(undefined);
}

describe("before ⇒ after", () => {
  const cases: Record<string, { program: Program; steps: (s: Schedule) => unknown; after: string }> = {
    "split with a guard": {
      program: scale(13, 1),
      steps: (s) => s.split(s.loop("i"), { factor: 4 }),
      after: `for i_o in 0..4:
  for i_i in 0..4:
    for j in 0..1:
      block B(i: spatial 13 = i_o * 4 + i_i, vj: spatial 1 = j) where i_o * 4 + i_i < 13:`,
    },
    "split where the factor divides": {
      program: scale(12, 1),
      steps: (s) => s.split(s.loop("i"), { factor: 4 }),
      after: `for i_o in 0..3:
  for i_i in 0..4:
    for j in 0..1:
      block B(i: spatial 12 = i_o * 4 + i_i, vj: spatial 1 = j):`,
    },
    "split with the last tile shifted inwards": {
      program: scale(13, 1),
      steps: (s) => s.split(s.loop("i"), { factor: 4, tail: "shift-inwards" }),
      after: `for i_o in 0..4:
  for i_i in 0..4:
    for j in 0..1:
      block B(i: spatial 13 = i_i + min(i_o * 4, 9), vj: spatial 1 = j):`,
    },
    "split by several factors": {
      program: scale(30, 1),
      steps: (s) => s.split(s.loop("i"), { factors: [2, null, 5] }),
      after: `for i_0 in 0..2:
  for i_1 in 0..3:
    for i_2 in 0..5:
      for j in 0..1:
        block B(i: spatial 30 = i_0 * 15 + i_1 * 5 + i_2, vj: spatial 1 = j):`,
    },
    fuse: {
      program: scale(4, 6),
      steps: (s) => s.fuse(s.loop("i"), s.loop("j")),
      after: `for i_j_f in 0..24:
  block B(i: spatial 4 = i_j_f // 6, j: spatial 6 = i_j_f % 6):`,
    },
    reorder: {
      program: matmul(4, 6, 5),
      steps: (s) => s.reorder(s.loop("k"), s.loop("i")),
      after: `for k in 0..5:
  for j in 0..6:
    for i in 0..4:
      block C(vi: spatial 4 = i, vj: spatial 6 = j, vk: reduction 5 = k):
        init:`,
    },
    decomposeReduction: {
      program: matmul(4, 6, 5),
      steps: (s) => {
        s.reorder(s.loop("k"), s.loop("j"));
        s.decomposeReduction(s.block("C"), s.loop("k"));
        s.vectorize(s.loop("j", "C"));
        s.unroll(s.loop("j", "C_init"));
        s.parallel(s.loop("i", "C"));
      },
      after: `parallel for i in 0..4:
  unrolled for j in 0..6:
    block C_init(vi: spatial 4 = i, vj: spatial 6 = j):
  for k in 0..5:
    vectorized for j in 0..6:
      block C(vi: spatial 4 = i, vj: spatial 6 = j, vk: reduction 5 = k):`,
    },
    "parallel with overlapping tiles": {
      program: programs.stencil(12),
      steps: (s) => {
        const [o] = s.split(s.loopAt("C", 0), { factor: 4 });
        s.computeAt(s.block("B"), o);
        s.parallel(o);
      },
      after: `parallel for i0_o in 0..3:
  allocate B: int32[13]
  for i0 in 0..5:
    block B(vi0: spatial 13 = i0_o * 4 + i0):
  for i0_i in 0..4:
    block C(i0: spatial 12 = i0_o * 4 + i0_i):`,
    },
  };
  for (const [name, c] of Object.entries(cases))
    test(name, () => {
      const s = new Schedule(c.program);
      c.steps(s);
      expect(outline(s.program)).toBe(c.after);
      keepsValues(c.program, s);
    });
});

describe("values stay", () => {
  for (const n of [1, 2, 7, 8, 12, 13])
    for (const factor of [1, 3, 4, 8]) {
      test(`a tiled matmul of extent ${n} by ${factor}`, () => {
        const program = matmul(n, n, n);
        const s = new Schedule(program);
        const [i, j, k] = s.loops("C");
        const { outer, inner } = s.tile([i!, j!], [factor, factor]);
        const [ko, ki] = s.split(k!, { factor });
        s.reorder(...outer, ko, ki, ...inner);
        s.decomposeReduction(s.block("C"), ko);
        s.unroll(inner[0]!);
        s.vectorize(inner[1]!);
        s.parallel(s.fuse(...outer));
        keepsValues(program, s, n);
      });
      if (n >= factor)
        test(`tiles of a matmul of extent ${n} shifted inwards by ${factor}`, () => {
          const program = matmul(n, n, n);
          const s = new Schedule(program);
          const { outer, inner } = s.tile([s.loop("i"), s.loop("j")], [factor, factor], "shift-inwards");
          s.reorder(...outer, s.loop("k"), ...inner);
          s.decomposeReduction(s.block("C"), s.loop("k", "C"));
          s.vectorize(inner[1]!);
          keepsValues(program, s, n);
        });
      test(`fused and cut loops of extent ${n} by ${factor}`, () => {
        const program = scale(n, 5);
        const s = new Schedule(program);
        const [o, i] = s.split(s.fuse(s.loop("i"), s.loop("j")), { factor });
        s.reorder(i, o);
        s.reorder(o, i);
        s.parallel(o);
        s.vectorize(i);
        keepsValues(program, s);
      });
      test(`a joint reduction of extent ${n} cut by ${factor}`, () => {
        const program = programs.argmax(5, n);
        const s = new Schedule(program);
        const [ko] = s.split(s.loop("k"), { factor });
        s.decomposeReduction(s.block("V_I"), ko);
        s.parallel(s.loopAt("V_I", 0));
        keepsValues(program, s);
      });
    }
  test("an ordered loop stays in order and its rows are independent", () => {
    const program = programs.scan(5, 7);
    const s = new Schedule(program);
    s.split(s.loop("j"), { factor: 3 });
    expect(s.probe("reorder", { loops: [s.loop("j_i"), s.loop("j_o")] })?.rule).toBe("keeps-dependences");
    s.reorder(s.loop("j_o"), s.loop("j_i"), s.loop("i"));
    s.vectorize(s.loop("i"));
    keepsValues(program, s);
  });
  test("a scatter may only be cut", () => {
    const program = programs.scatter(6);
    const s = new Schedule(program);
    const [o, i] = s.split(s.loopAt("B", 0), { factor: 3 });
    expect(s.probe("parallel", { loop: o })?.rule).toBe("independent-iterations");
    expect(s.probe("reorder", { loops: [i, o] })?.rule).toBe("keeps-dependences");
    keepsValues(program, s);
  });
  test("a scatter that hits every element once runs in any order", () => {
    const program = programs.scatter(7);
    const s = new Schedule(program);
    const [o, i] = s.split(s.loopAt("B", 0), { factor: 2 });
    s.reorder(i, o);
    s.parallel(i);
    keepsValues(program, s);
  });
});
