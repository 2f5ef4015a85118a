import type { Program } from "../../../../ir/loop/program.ts";
import { parseProgram } from "../../../../ir/text/parser.ts";
import type { Refused } from "../fixtures.ts";
import { matmul, scale } from "../loop-programs.ts";

/** n tiles of 4 elements: B is filled from A, scaled to D, and summed with E = D + 1 to C. */
export const tiles = (n: number): Program =>
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
export const sums = `program sums(A: int32[8], S: output int32[1], C: output int32[8]):
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
export const diagonal = sums
  .replace("v: spatial 8 = i)", "v: spatial 8 = i, x: spatial 8 = i)")
  .replaceAll("C[v]", "C[v, x]")
  .replaceAll("C[k]", "C[k, k]")
  .replace("C: output int32[8]", "C: output int32[8, 8]");

export const fixtures: Record<string, Refused> = {
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
  "softwarePipeline/statements: storage between the statements": {
    program: () =>
      parseProgram(`program f(A: int32[8], C: output int32[8]):
  for i in 0..8:
    block D(u: spatial 8 = i):
      reads A[u]
      writes C[u]
      C[u] = A[u]
    allocate T: int32[1]
    block C(v: spatial 8 = i):
      reads A[v]
      writes T[0]
      T[0] = A[v]
`),
    steps: (s) => s.softwarePipeline(s.loop("i"), [0, 1]),
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
