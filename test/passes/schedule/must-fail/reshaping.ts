import { add, compare, mul, select, sub } from "../../../../ir/expr/build.ts";
import { ComputeBuilder, inRange, sum } from "../../../../ir/loop/compute.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import { parseProgram } from "../../../../ir/text/parser.ts";
import type { Refused } from "../fixtures.ts";
import * as programs from "../loop-programs.ts";

const { matmul, scale, stencil } = programs;

/** C[x] = Σ A[2x + k] W[k]. */
export function convolution(n: number, kernel: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "float32", [2 * n + kernel], "input");
  const W = b.param("W", "float32", [kernel], "input");
  const k = b.reduceAxis("k", kernel);
  const C = b.compute("C", "float32", [n], (x) => sum(mul(A.at(add(mul(x!, 2), k.var)), W.at(k.var)), k));
  return b.finish("convolution", [C]);
}
/** P[y, x] = A[y - top, x - left], 0 at the border. */
export function padded(h: number, w: number, top: number, left: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [h, w], "input");
  const P = b.compute("P", "int32", [h + top + 1, w + 2 * left], (y, x) =>
    select(
      compare("lt", sub(y!, top), h),
      select(compare("ge", y!, top), select(inRange(sub(x!, left), w), A.at(sub(y!, top), sub(x!, left)), 0), 0),
      0,
    ),
  );
  return b.finish("pad", [P]);
}
/** The same with one condition. */
export function bordered(h: number, w: number, top: number, left: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [h, w], "input");
  const P = b.compute("P", "int32", [h + top + 1, w + 2 * left], (y, x) => {
    const within = [inRange(sub(y!, top), h), inRange(sub(x!, left), w)];
    const both = within.reduce((a, c) => ({ kind: "binary", op: "and", a, b: c, dtype: c.dtype }));
    return select(both, A.at(sub(y!, top), sub(x!, left)), 7);
  });
  return b.finish("pad", [P]);
}
/** C[i, j] = Σ A[i, k] b[j]: the second factor does not see the reduction. */
export function outer(n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "float32", [n, n], "input");
  const v = b.param("v", "float32", [n], "input");
  const k = b.reduceAxis("k", n);
  return b.finish("outer", [b.compute("C", "float32", [n, n], (i, j) => sum(mul(A.at(i!, k.var), v.at(j!)), k))]);
}

export const symbolic = `program symbolic(n: int64, A: int32[n], C: output int32[n]):
  for i in 0..n:
    block C(v: spatial n = i):
      reads A[v]
      writes C[v]
      C[v] = A[v]
`;
export const fixtures: Record<string, Refused> = {
  "reindex/uses-buffer": { program: () => scale(4, 4), steps: (s) => s.reindex(s.block("B"), "X"), at: "B" },
  "reindex/alone": {
    program: () => programs.withAllocation(),
    steps: (s) => s.reindex(s.block("C"), "C"),
    at: "C",
  },
  "reindex/single-view": { program: () => stencil(4), steps: (s) => s.reindex(s.block("C"), "B"), at: "C" },
  "reindex/spatial-view": {
    program: () => matmul(4, 4, 4),
    steps: (s) => {
      s.decomposeReduction(s.block("C"), s.loopAt("C", 0));
      s.reindex(s.block("C"), "C");
    },
    at: "C",
  },
  "reindex/static-shape": {
    program: () => parseProgram(symbolic),
    steps: (s) => s.reindex(s.block("C"), "A"),
    at: "C",
  },
  "decomposePadding/alone": {
    program: () => bordered(4, 4, 1, 1),
    steps: (s) => {
      s.parallel(s.loopAt("P", 0));
      s.decomposePadding(s.block("P"));
    },
    at: "P",
  },
  "decomposePadding/guarded-copy": {
    program: () => scale(4, 4),
    steps: (s) => s.decomposePadding(s.block("B")),
    at: "B",
  },
  "decomposePadding/box-condition": {
    program: () => {
      const b = new ComputeBuilder(new IdSource());
      const A = b.param("A", "int32", [4, 4], "input");
      const P = b.compute("P", "int32", [4, 4], (i, j) => select(compare("le", i!, j!), A.at(i!, j!), 0));
      return b.finish("triangle", [P]);
    },
    steps: (s) => s.decomposePadding(s.block("P")),
    at: "P",
  },
  "decomposePadding/has-border": {
    program: () => {
      const b = new ComputeBuilder(new IdSource());
      const A = b.param("A", "int32", [4], "input");
      return b.finish("none", [b.compute("P", "int32", [4], (i) => select(compare("lt", i!, 4), A.at(i!), 0))]);
    },
    steps: (s) => s.decomposePadding(s.block("P")),
    at: "P",
  },
  "padEinsum/alone": {
    program: () => matmul(4, 4, 4),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.padEinsum(s.block("C"), [4, 4, 4]);
    },
    at: "C",
  },
  "padEinsum/multiples": {
    program: () => matmul(4, 4, 4),
    steps: (s) => s.padEinsum(s.block("C"), [4, 4]),
    at: "C",
  },
  "padEinsum/einsum": { program: () => convolution(4, 3), steps: (s) => s.padEinsum(s.block("C"), [4, 4]), at: "C" },
  "padEinsum/zero-absorbs": { program: () => outer(5), steps: (s) => s.padEinsum(s.block("C"), [1, 1, 4]), at: "C" },
  "padEinsum/signed-zero": {
    program: () => matmul(4, 4, 5, "strict"),
    steps: (s) => s.padEinsum(s.block("C"), [1, 1, 4]),
    at: "C",
  },
};
