import { parseProgram } from "../../../../ir/text/parser.ts";
import type { Schedule } from "../../../../passes/schedule/schedule.ts";
import type { Refused } from "../fixtures.ts";
import * as programs from "../loop-programs.ts";
import { chain } from "../primitive/block-fixtures.ts";
import { rows } from "./chains.ts";

const { centre, matmul, scale } = programs;

const doubled = `program doubled(n: int64, A: int32[n, 4], B: output int32[n, 4]):
  for i in 0..n:
    for j in 0..4:
      block B(vi: spatial n = i, vj: spatial 4 = j):
        reads A[vi, vj]
        writes B[vi, vj]
        B[vi, vj] = A[vi, vj]
`;
const sparse = `program sparse(A: int32[8], B: output int32[16]):
  for i in 0..8:
    block B(vi: spatial 8 = i):
      reads A[vi]
      writes B[vi * 2]
      B[vi * 2] = A[vi]
`;
const behind = `program behind(A: int32[8], T: output int32[8], B: output int32[8]):
  for i in 0..8:
    block T(vi: spatial 8 = i):
      reads A[vi]
      writes T[vi]
      T[vi] = A[vi]
    block B(vj: spatial 8 = i):
      reads T[max(vj - 1, 0)]
      writes B[vj]
      B[vj] = T[max(vj - 1, 0)]
`;
/** Every second element of T has a value. */
const holes = `program holes(A: int32[8], B: output int32[8]):
  allocate T: int32[16]
  for i in 0..8:
    block T(vi: spatial 8 = i):
      reads A[vi]
      writes T[vi * 2]
      T[vi * 2] = A[vi]
  for j in 0..8:
    block B(vj: spatial 8 = j):
      reads T[vj * 2]
      writes B[vj]
      B[vj] = T[vj * 2]
`;
/** Each row of y is kept until z has read it. */
function folded(s: Schedule): void {
  s.computeAt(s.block("y"), s.loopAt("z", 0));
  s.storageFold(s.block("y"), "y", 0, 2);
}
/** Every rule of cacheReadAt and cacheWriteAt. */
export const fixtures: Record<string, Refused> = {};
const steps = {
  cacheReadAt: (s: Schedule, loop: never, block: never, buffer: string) => s.cacheReadAt(loop, block, buffer, "stack"),
  cacheWriteAt: (s: Schedule, loop: never, block: never, buffer: string) =>
    s.cacheWriteAt(loop, block, buffer, "stack"),
};
for (const [name, step] of Object.entries(steps)) {
  const on = (s: Schedule, block: string, depth: number, buffer: string) =>
    step(s, s.loopAt(block, depth) as never, s.block(block) as never, buffer);
  fixtures[`${name}/loop-around-block`] = {
    program: () => chain(4, 4),
    steps: (s) => step(s, s.loopAt("y", 0) as never, s.block("z") as never, "y"),
    at: "i",
  };
  fixtures[`${name}/scalar-loop`] = {
    program: () => scale(4, 4),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      on(s, "B", 1, name === "cacheReadAt" ? "A" : "B");
    },
    at: "j",
  };
  fixtures[`${name}/uses-buffer`] = { program: () => scale(4, 4), steps: (s) => on(s, "B", 0, "X"), at: "B" };
  fixtures[`${name}/static-shape`] = {
    program: () => parseProgram(doubled),
    steps: (s) => on(s, "B", 0, name === "cacheReadAt" ? "A" : "B"),
    at: "B",
  };
  fixtures[`${name}/lives-outside`] = {
    program: () => programs.withAllocation(),
    steps: (s) => on(s, name === "cacheReadAt" ? "C" : "T", 0, "T"),
    at: "i",
  };
}
Object.assign(fixtures, {
  "cacheReadAt/no-circular-buffer": {
    program: () => chain(6, 4),
    steps: (s) => {
      folded(s);
      s.cacheReadAt(s.loopAt("z", 1), s.block("z"), "y", "stack");
    },
    at: "z",
  },
  "cacheWriteAt/no-circular-buffer": {
    program: () => chain(6, 4),
    steps: (s) => {
      folded(s);
      s.cacheWriteAt(s.loopAt("z", 1), s.block("z"), "z", "stack");
    },
    at: "z",
  },
  "cacheReadAt/not-written-inside": {
    program: () => centre(4, 4),
    steps: (s) => {
      s.computeAt(s.block("M"), s.loopAt("D", 0));
      s.cacheReadAt(s.loopAt("D", 0), s.block("D"), "M", "stack");
    },
    at: "M",
  },
  "cacheReadAt/read-defined": {
    program: () => parseProgram(holes),
    steps: (s) => {
      const [o] = s.split(s.loop("j"), { factor: 4 });
      s.cacheReadAt(o, s.block("B"), "T", "stack");
    },
    at: "B",
  },
  "cacheWriteAt/exact-writes": {
    program: () => parseProgram(sparse),
    steps: (s) => {
      const [o] = s.split(s.loop("i"), { factor: 4 });
      s.cacheWriteAt(o, s.block("B"), "B", "stack");
    },
    at: "B",
  },
  "cacheWriteAt/uses-within": {
    program: () => parseProgram(behind),
    steps: (s) => s.cacheWriteAt(s.loop("i"), s.block("T"), "T", "stack"),
    at: "B",
  },
  "cacheWriteAt/no-carried-values": {
    program: () => matmul(4, 4, 4),
    steps: (s) => s.cacheWriteAt(s.loop("k"), s.block("C"), "C", "stack"),
    at: "k",
  },
  "computeAt/inputs-unchanged: a row that the stage before has staged": {
    program: rows,
    steps: (s) => {
      s.computeAt(s.block("B"), s.loopAt("C", 0));
      const stage = s.doubleBuffer(s.block("B"), "B", s.loopAt("B", 0), 1, 16);
      s.cacheReadAt(stage, s.block("B"), "A", "global");
      s.computeAt(s.block("B"), s.loopAt("C", 1));
    },
    at: "A_global_copy",
    twin: {
      steps: (s) => {
        s.computeAt(s.block("B"), s.loopAt("C", 0));
        s.cacheReadAt(s.loopAt("C", 0), s.block("B"), "A", "global");
        s.computeAt(s.block("B"), s.loopAt("C", 1));
      },
    },
  },
} satisfies Record<string, Refused>);
