import { parseProgram } from "../../../../ir/text/parser.ts";
import type { Schedule } from "../../../../passes/schedule/schedule.ts";
import type { Refused } from "../fixtures.ts";
import * as programs from "../loop-programs.ts";

const { matmul, scale, stencil } = programs;

export const rolling = (n: number): string => `program rolling(A: int32[${n + 2}], C: output int32[${n}]):
  allocate B: int32[${n + 2}]
  for h in 0..2:
    block B0(u: spatial 2 = h):
      reads A[u]
      writes B[u]
      B[u] = A[u] * 2i32
  for i in 0..${n}:
    block B(v: spatial ${n} = i):
      reads A[v + 2]
      writes B[v + 2]
      B[v + 2] = A[v + 2] * 2i32
    block C(w: spatial ${n} = i):
      reads B[w], B[w + 2]
      writes C[w]
      C[w] = B[w] + B[w + 2]
`;
/** B is filled and read within each iteration of one loop. */
export const rows = (n: number): string => `program rows(A: int32[${n + 2}], C: output int32[${n}]):
  allocate B: int32[${n + 2}]
  for i in 0..${n}:
    for j in 0..3:
      block B(v: ordered ${n} = i, q: ordered 3 = j):
        reads A[v + q]
        writes B[v + q]
        B[v + q] = A[v + q] * 2i32
    block C(w: spatial ${n} = i):
      reads B[w], B[w + 2]
      writes C[w]
      C[w] = B[w] + B[w + 2]
`;
const _gone = { kind: "block", id: 9999, name: "gone" } as never;
export const fixtures: Record<string, Refused> = {};
const common = {
  hoistStorage: (s: Schedule, b: never, name: string) => s.hoistStorage(b, name),
  storageAlign: (s: Schedule, b: never, name: string) => s.storageAlign(b, name, 0, 8),
  storageFold: (s: Schedule, b: never, name: string) => s.storageFold(b, name, 0, 2),
};
for (const [name, step] of Object.entries(common)) {
  fixtures[`${name}/uses-buffer`] = {
    program: () => stencil(8),
    steps: (s) => step(s, s.block("B") as never, "C"),
    at: "B",
  };
  fixtures[`${name}/not-parameter`] = {
    program: () => stencil(8),
    steps: (s) => step(s, s.block("B") as never, "A"),
    at: "B",
  };
  fixtures[`${name}/static-shape`] = {
    program: () => parseProgram(symbolic),
    steps: (s) => step(s, s.block("B") as never, "B"),
    at: "B",
  };
}
export const symbolic = `program symbolic(n: int64, A: int32[n], C: output int32[n]):
  allocate B: int32[n]
  for i in 0..n:
    block B(v: spatial n = i):
      reads A[v]
      writes B[v]
      B[v] = A[v]
  for j in 0..n:
    block C(w: spatial n = j):
      reads B[w]
      writes C[w]
      C[w] = B[w]
`;
Object.assign(fixtures, {
  "hoistStorage/nested": {
    program: () => programs.withAllocation(),
    steps: (s) => {
      s.cacheRead(s.block("T"), "A", "stack");
      s.hoistStorage(s.block("T"), "T", s.loopAt("A_stack_copy", 0));
    },
    at: "d0",
  },
  "hoistStorage/holds-uses": {
    program: () => stencil(8),
    steps: (s) => s.hoistStorage(s.block("B"), "B", s.loopAt("B", 0)),
    at: "i0",
  },
  "hoistStorage/no-carried-values": {
    program: () => parseProgram(rolling(8).replace(/ {2}for h[\s\S]*?(?= {2}for i)/, "")),
    steps: (s) => s.hoistStorage(s.block("B"), "B", s.loop("i")),
    at: "i",
  },
  "hoistStorage/serial-loops": {
    program: () => programs.withAllocation(),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.hoistStorage(s.block("T"), "T");
    },
    at: "i",
  },
  "storageAlign/outer-dim": {
    program: () => stencil(8),
    steps: (s) => s.storageAlign(s.block("B"), "B", 0, 8),
    at: "B",
  },
  "storageAlign/positive-factor": {
    program: () => matmul(4, 4, 4),
    steps: (s) => {
      s.cacheRead(s.block("C"), "A", "stack");
      s.storageAlign(s.block("C"), "A_stack", 0, 8, 8);
    },
    at: "C",
  },
  "storageFold/dim-range": {
    program: () => stencil(8),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 9),
    at: "B",
  },
  "storageFold/one-loop": {
    program: () => stencil(8),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 4),
    at: "B",
  },
  "storageFold/moving-window": {
    program: () => parseProgram(rows(8).replaceAll("B[w + 2]", "B[0]")),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 4),
    at: "i",
  },
  "storageFold/window-fits": {
    program: () => parseProgram(rows(8)),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 2),
    at: "i",
  },
  "storageFold/spatial-writes": {
    program: () => parseProgram(rows(8).replace("q: ordered 3", "q: reduction 3")),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 4),
    at: "B",
  },
  "prefetch/reads-buffer": {
    program: () => scale(8, 8),
    steps: (s) => s.prefetch(s.block("B"), "B", s.loop("i"), 1),
    at: "B",
  },
  "prefetch/loop-around-block": {
    program: () => stencil(8),
    steps: (s) => s.prefetch(s.block("B"), "A", s.loopAt("C", 0), 1),
    at: "i0",
  },
  "prefetch/ahead-around-loop": {
    program: () => scale(8, 8),
    steps: (s) => s.prefetch(s.block("B"), "A", s.loop("i"), 1, s.loop("j")),
    at: "i",
  },
  "prefetch/positive-distance": {
    program: () => scale(8, 8),
    steps: (s) => s.prefetch(s.block("B"), "A", s.loop("i"), 0),
    at: "i",
  },
  "prefetch/scalar-loop": {
    program: () => scale(8, 8),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      s.prefetch(s.block("B"), "A", s.loop("j"), 1);
    },
    at: "j",
  },
  "prefetch/known-region": {
    program: () => programs.symbolic(),
    steps: (s) => s.prefetch(s.block("C"), "A", s.loop("i"), 1),
    at: "C",
  },
  "prefetch/few-lines": {
    program: () => scale(8, 2000),
    steps: (s) => s.prefetch(s.block("B"), "A", s.loop("i"), 1),
    at: "i",
  },
  "nontemporal/stores-once": {
    program: () => matmul(4, 4, 4),
    steps: (s) => s.nontemporal(s.block("C")),
    at: "C",
  },
  "nontemporal/not-reread": {
    program: () => parseProgram(twice),
    steps: (s) => s.nontemporal(s.block("C")),
    at: "C",
  },
} satisfies Record<string, Refused>);
const twice = `program twice(A: int32[8], C: output int32[8]):
  for i in 0..8:
    block C(v: spatial 8 = i):
      reads A[v], C[v]
      writes C[v]
      C[v] = A[v]
      C[v] = C[v] + A[v]
`;
