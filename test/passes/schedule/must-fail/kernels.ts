import { add, mul } from "../../../../ir/expr/build.ts";
import { ComputeBuilder, sum } from "../../../../ir/loop/compute.ts";
import type { MathPolicy, Program } from "../../../../ir/loop/program.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import { parseProgram } from "../../../../ir/text/parser.ts";
import type { LoopRef } from "../../../../passes/schedule/primitive.ts";
import type { Schedule } from "../../../../passes/schedule/schedule.ts";
import type { Refused } from "../fixtures.ts";
import * as programs from "../loop-programs.ts";

const { matmul, scale, stencil } = programs;

/** T and B under one block loop, each in a loop of threads; B reads what its neighbour made. */
export function neighbours(scope: "shared" | "local" | "global"): string {
  return `program neighbours(A: int32[8, 33], B: output int32[8, 32]):
  for i in 0..8:
    allocate T: int32[33]${scope === "global" ? "" : ` in ${scope}`}
    for s in 0..33:
      block T(vi: spatial 8 = i, vs: spatial 33 = s):
        reads A[vi, vs]
        writes T[vs]
        T[vs] = A[vi, vs] * 2i32
    for t in 0..32:
      block B(wi: spatial 8 = i, wt: spatial 32 = t):
        reads T[wt..+2]
        writes B[wi, wt]
        B[wi, wt] = T[wt] + T[wt + 1]
`;
}
/** The same with 33 elements on both sides, each reading its own, and the previous one where that exists. */
export function pairs(scope: "shared" | "local"): string {
  return `program pairs(A: int32[8, 32], B: output int32[8, 32]):
  for i in 0..8:
    allocate T: int32[32] in ${scope}
    for s in 0..32:
      block T(vi: spatial 8 = i, vs: spatial 32 = s):
        reads A[vi, vs]
        writes T[vs]
        T[vs] = A[vi, vs] * 2i32
    for t in 0..32:
      block B(wi: spatial 8 = i, wt: spatial 32 = t):
        reads T[max(wt - 1, 0)..+2]
        writes B[wi, wt]
        B[wi, wt] = T[wt] + T[max(wt - 1, 0)]
`;
}
/** Binds both loops of threads, the loop of blocks first. */
export function bindAll(s: Schedule): void {
  s.bind(s.loop("i"), "blockIdx.x");
  s.bind(s.loop("s"), "threadIdx.x");
  s.bind(s.loop("t"), "threadIdx.x");
}
/** Tiles of B in scope shared, which overlap; the loop over tiles. */
function sharedTiles(s: Schedule): LoopRef {
  const [tiles] = s.split(s.loopAt("C", 0), { factor: 4 });
  s.computeAt(s.block("B"), tiles);
  s.setScope(s.block("C"), "B", "shared");
  return tiles;
}
/** Each row of threads runs a number of steps of its own. */
const ragged = `program ragged(A: int32[8, 8, 32], B: output int32[8, 8, 32]):
  allocate T: int32[8, 32] in shared
  for y in 0..8:
    for k in 0..y + 1:
      for s in 0..32:
        block T(vy: spatial 8 = y, vk: ordered 8 = k, vs: spatial 32 = s):
          reads A[vy, vk, vs]
          writes T[vy, vs]
          T[vy, vs] = A[vy, vk, vs]
      for t in 0..32:
        block B(wy: spatial 8 = y, wk: ordered 8 = k, wt: spatial 32 = t):
          reads T[wy, 0..32]
          writes B[wy, wk, wt]
          B[wy, wk, wt] = T[wy, 31 - wt]
`;
/** B[A[k]] += X[k] behind a block that clears B. */
export function histogram(n: number, bins: number, math: MathPolicy = "default", type = "float32" as const): Program {
  return parseProgram(`program histogram(A: int64[${n}], X: ${type}[${n}], B: output ${type}[${bins}])${math === "strict" ? " math strict" : ""}:
  for i in 0..${bins}:
    block B_init(vi: spatial ${bins} = i):
      writes B[vi]
      B[vi] = 0.0
  for k in 0..${n}:
    block B(vk: reduction ${n} = k):
      reads A[vk], X[vk], B[0..${bins}]
      writes B[0..${bins}]
      B[max(0, min(A[vk], ${bins - 1}))] = B[max(0, min(A[vk], ${bins - 1}))] + X[vk]
`);
}
/** Σ over k of A[i, k] · A[i, k] + C[i], where the updated element is read twice. */
function twice(): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [4, 4], "input");
  const k = b.reduceAxis("k", 4);
  const C = b.declare("C", "int32", [4]);
  b.computeInto(C, "C", (i) => sum(add(mul(A.at(i!, k.var), A.at(i!, k.var)), C.at(i!)), k));
  return b.finish("twice", [C]);
}

/** Every rule of bind and atomic. */
export const fixtures: Record<string, Refused> = {
  "bind/serial-loop": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.unroll(s.loop("i"));
      s.bind(s.loop("i"), "threadIdx.x");
    },
    at: "i",
  },
  "bind/constant-extent": {
    program: programs.symbolic,
    steps: (s) => s.bind(s.loop("j"), "threadIdx.x"),
    at: "j",
  },
  "bind/not-nested": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.bind(s.loop("i"), "threadIdx.x");
      s.bind(s.loop("j"), "threadIdx.x");
    },
    at: "j",
  },
  "bind/not-nested: blocks within threads": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.bind(s.loop("i"), "threadIdx.x");
      s.bind(s.loop("j"), "blockIdx.x");
    },
    at: "j",
  },
  "bind/not-nested: under a parallel loop": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.bind(s.loop("j"), "threadIdx.x");
    },
    at: "i",
  },
  "bind/one-extent": {
    program: () => parseProgram(neighbours("shared")),
    steps: bindAll,
    at: "t",
    twin: { program: () => parseProgram(pairs("shared")) },
  },
  "bind/thread-limit": {
    program: () => scale(64, 32),
    steps: (s) => {
      s.bind(s.loop("i"), "threadIdx.y");
      const [o] = s.split(s.loop("j"), { factor: 1 });
      s.bind(o, "threadIdx.x");
    },
    at: "j_o",
    twin: { program: () => scale(32, 32) },
  },
  "bind/thread-limit: of one axis": {
    program: () => scale(65, 2),
    steps: (s) => s.bind(s.loop("i"), "threadIdx.z"),
    at: "i",
    twin: { program: () => scale(64, 2) },
  },
  "bind/independent-iterations": {
    program: () => matmul(4, 4, 4),
    steps: (s) => s.bind(s.loop("k"), "threadIdx.x"),
    at: "k",
  },
  "bind/independent-iterations: a scan": {
    program: () => programs.scan(4, 8),
    steps: (s) => s.bind(s.loop("j"), "vthread"),
    at: "j",
  },
  "bind/shared-per-block": {
    program: () => stencil(12),
    steps: (s) => s.bind(sharedTiles(s), "threadIdx.x"),
    at: "i0_o",
    twin: { steps: (s) => s.bind(sharedTiles(s), "blockIdx.x") },
  },
  "bind/visible-to-threads": {
    program: () => parseProgram(pairs("local")),
    steps: bindAll,
    at: "B",
    twin: { program: () => parseProgram(pairs("shared")) },
  },
  "bind/visible-to-threads: blocks do not wait for each other": {
    program: () => stencil(12),
    steps: (s) => {
      const [o] = s.split(s.loopAt("C", 0), { factor: 12 });
      s.computeAt(s.block("B"), o);
      s.bind(o, "blockIdx.y");
      s.cutLoop(s.loopAt("B", 1), 12);
      s.bind(s.loopAt("B", 1), "blockIdx.x");
      s.bind(s.loopAt("C", 1), "blockIdx.x");
    },
    at: "C",
  },
  "bind/uniform-barriers": {
    program: () => parseProgram(ragged),
    steps: (s) => {
      s.bind(s.loop("y"), "threadIdx.y");
      s.bind(s.loop("s"), "threadIdx.x");
      s.bind(s.loop("t"), "threadIdx.x");
    },
    at: "B",
    twin: { program: () => parseProgram(ragged.replace("0..y + 1", "0..8")) },
  },
  "setScope/keeps-kernels": {
    program: () => parseProgram(pairs("shared")),
    steps: (s) => {
      bindAll(s);
      s.setScope(s.block("T"), "T", "local");
    },
    at: "B",
  },
  "atomic/reduces": { program: () => scale(4, 4), steps: (s) => s.atomic(s.block("B")), at: "B" },
  "atomic/no-init": { program: () => matmul(4, 4, 4), steps: (s) => s.atomic(s.block("C")), at: "C" },
  "atomic/plain-update": {
    program: twice,
    steps: (s) => {
      s.decomposeReduction(s.block("C"), s.loopAt("C", 1));
      s.atomic(s.block("C"));
    },
    at: "C",
  },
  "atomic/any-order": {
    program: () => histogram(8, 4, "strict"),
    steps: (s) => s.atomic(s.block("B")),
    at: "B",
    twin: { program: () => histogram(8, 4) },
  },
  "atomic/scalar-loops": {
    program: () => matmul(4, 4, 4),
    steps: (s) => {
      s.decomposeReduction(s.block("C"), s.loop("k"));
      s.vectorize(s.loopAt("C", 2));
      s.atomic(s.block("C"));
    },
    at: "k",
  },
  "parallel/independent-iterations: without atomic": {
    program: () => histogram(8, 4),
    steps: (s) => s.parallel(s.loop("k")),
    at: "k",
    twin: {
      steps: (s) => {
        s.atomic(s.block("B"));
        s.parallel(s.loop("k"));
      },
    },
  },
};
