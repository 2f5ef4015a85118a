/** reindex, decomposePadding, padEinsum: what they make, values, refusals. */
import { describe, expect, test } from "vitest";
import { add, compare, mul, select, sub } from "../../../ir/expr/build.ts";
import { ComputeBuilder, inRange, sum } from "../../../ir/loop/compute.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues, type Refused, refusals } from "./fixtures.ts";
import * as programs from "./loop-programs.ts";

const { matmul, scale, stencil } = programs;

/** C[x] = Σ A[2x + k] W[k]. */
function convolution(n: number, kernel: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "float32", [2 * n + kernel], "input");
  const W = b.param("W", "float32", [kernel], "input");
  const k = b.reduceAxis("k", kernel);
  const C = b.compute("C", "float32", [n], (x) => sum(mul(A.at(add(mul(x!, 2), k.var)), W.at(k.var)), k));
  return b.finish("convolution", [C]);
}
/** P[y, x] = A[y - top, x - left], 0 at the border. */
function padded(h: number, w: number, top: number, left: number): Program {
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
function bordered(h: number, w: number, top: number, left: number): Program {
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
function outer(n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "float32", [n, n], "input");
  const v = b.param("v", "float32", [n], "input");
  const k = b.reduceAxis("k", n);
  return b.finish("outer", [b.compute("C", "float32", [n, n], (i, j) => sum(mul(A.at(i!, k.var), v.at(j!)), k))]);
}

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

const symbolic = `program symbolic(n: int64, A: int32[n], C: output int32[n]):
  for i in 0..n:
    block C(v: spatial n = i):
      reads A[v]
      writes C[v]
      C[v] = A[v]
`;
const fixtures: Record<string, Refused> = {
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
refusals(["reindex", "decomposePadding", "padEinsum"], fixtures, ["no-circular-buffer"]);

test("only the outermost of nested selects is decomposed", () => {
  const program = padded(3, 3, 1, 1);
  const s = new Schedule(program);
  s.decomposePadding(s.block("P"));
  expect(s.print()).toContain("select");
  keepsValues(program, s);
});
