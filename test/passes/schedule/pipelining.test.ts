/** softwarePipeline and doubleBuffer: what they make, values, refusals. */
import { describe, expect, test } from "vitest";
import type { Program } from "../../../ir/loop/program.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues, outline, type Refused, refusals } from "./fixtures.ts";
import { centre, matmul, scale } from "./loop-programs.ts";

/** n tiles of 4 elements: B is filled from A, scaled to D, and summed with E = D + 1 to C. */
const tiles = (n: number): Program =>
  parseProgram(`program tiles(A: int32[${4 * n}], C: output int32[${4 * n}]):
  allocate B: int32[${4 * n}]
  allocate D: int32[${4 * n}]
  for i in 0..${n}:
    for j in 0..4:
      block B(v: spatial ${4 * n} = i * 4 + j):
        reads A[v]
        writes B[v]
        B[v] = A[v] * 2i32
    for k in 0..4:
      block D(w: spatial ${4 * n} = i * 4 + k):
        reads B[w]
        writes D[w]
        D[w] = B[w] + 1i32
    for l in 0..4:
      block C(u: spatial ${4 * n} = i * 4 + l):
        reads D[u], B[u]
        writes C[u]
        C[u] = D[u] * B[u]
`);
/** The sum over i in two statements. */
const sums = `program sums(A: int32[8], S: output int32[1], C: output int32[8]):
  for i in 0..8:
    block C(v: spatial 8 = i):
      reads A[v]
      writes C[v]
      C[v] = A[v]
    block S(k: reduction 8 = i):
      reads S[0], C[k]
      writes S[0]
      init:
        S[0] = 0i32
      S[0] = S[0] + C[k]
`;

/** The same, with C on a diagonal. */
const diagonal = sums
  .replace("v: spatial 8 = i)", "v: spatial 8 = i, x: spatial 8 = i)")
  .replaceAll("C[v]", "C[v, x]")
  .replaceAll("C[k]", "C[k, k]")
  .replace("C: output int32[8]", "C: output int32[8, 8]");

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

const fixtures: Record<string, Refused> = {
  "softwarePipeline/serial-loop": {
    program: () => tiles(4),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.softwarePipeline(s.loop("i"), [0, 1, 1]);
    },
    at: "i",
  },
  "softwarePipeline/constant-bounds": {
    program: () =>
      parseProgram(`program f(n: int64, A: int32[n], C: output int32[n]):
  for i in 0..n:
    block C(v: spatial n = i):
      reads A[v]
      writes C[v]
      C[v] = A[v]
`),
    steps: (s) => s.softwarePipeline(s.loop("i"), [0]),
    at: "i",
  },
  "softwarePipeline/statements": {
    program: () => scale(4, 4),
    steps: (s) => s.softwarePipeline(s.loop("i"), [0]),
    at: "i",
  },
  "softwarePipeline/whole-stages": {
    program: () => tiles(4),
    steps: (s) => s.softwarePipeline(s.loop("i"), [1, 1, 2]),
    at: "i",
  },
  "softwarePipeline/long-enough": {
    program: () => tiles(2),
    steps: (s) => s.softwarePipeline(s.loop("i"), [0, 1, 2]),
    at: "i",
  },
  "softwarePipeline/keeps-dependences": {
    program: () => tiles(4),
    steps: (s) => s.softwarePipeline(s.loop("i"), [1, 0, 1]),
    at: "i",
  },
  "softwarePipeline/reduction-start": {
    program: () => parseProgram(sums),
    steps: (s) => s.softwarePipeline(s.loop("i"), [0, 1], "guarded"),
    at: "S",
  },
  "softwarePipeline/known-domain": {
    program: () => parseProgram(diagonal),
    steps: (s) => s.softwarePipeline(s.loop("i"), [0, 1]),
    at: "C",
  },
  "doubleBuffer/fills-in-loop": {
    program: () => matmul(4, 4, 4),
    steps: (s) => s.doubleBuffer(s.block("C"), "C", s.loop("i"), 0, 1),
    at: "i",
  },
  "doubleBuffer/pipelines": {
    program: () => tiles(1),
    steps: (s) => s.doubleBuffer(s.block("B"), "B", s.loop("i"), 0, 4),
    at: "i",
  },
  "doubleBuffer/two-tiles": {
    program: () => tiles(4),
    steps: (s) => s.doubleBuffer(s.block("B"), "B", s.loop("i"), 0, 2),
    at: "B",
  },
};
refusals(["softwarePipeline", "doubleBuffer"], fixtures, ["no-circular-buffer"]);
