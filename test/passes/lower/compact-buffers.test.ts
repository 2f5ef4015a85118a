import { describe, expect, it } from "vitest";
import { add, div, mul, sub, unary } from "../../../ir/expr/build.ts";
import { reduce, sum } from "../../../ir/loop/compute.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { compactBuffers } from "../../../passes/lower/compact-buffers.ts";
import { cacheWrite } from "../../../passes/schedule/primitive/cache-write.ts";
import { computeAt } from "../../../passes/schedule/primitive/compute-at.ts";
import { decomposeReduction } from "../../../passes/schedule/primitive/decompose-reduction.ts";
import { parallel } from "../../../passes/schedule/primitive/parallel.ts";
import { reorder } from "../../../passes/schedule/primitive/reorder.ts";
import { reverseComputeAt } from "../../../passes/schedule/primitive/reverse-compute-at.ts";
import { setScope } from "../../../passes/schedule/primitive/set-scope.ts";
import { split, type Tail } from "../../../passes/schedule/primitive/split.ts";
import { unroll } from "../../../passes/schedule/primitive/unroll.ts";
import { vectorize } from "../../../passes/schedule/primitive/vectorize.ts";
import {
  apply,
  build,
  type ConvShape,
  chain,
  convolution,
  expectSame,
  loopOf,
  matmul,
  named,
} from "../schedule/primitive/block-fixtures.ts";

const allocations = (p: Program): string[] =>
  [...printProgram(p).matchAll(/allocate ([^:]+: [^\n:]+)/g)].map((m) => m[1]!.trim());

/** (c_o, h, w_o, ic, kh, kw, c_i, w_i, lane) with the reduction decomposed at ic, lanes vectorized, the tile unrolled. */
function tileConvolution(p: Program, pixels: number, blocks: number, tail: Tail): Program {
  const wide = apply(split, p, { loop: loopOf(p, "conv", 3), factor: pixels, tail }).program;
  const q = apply(split, wide, { loop: loopOf(wide, "conv", 1), factor: blocks, tail }).program;
  const [n, co, ci, h, wo, wi, lane, ic, kh, kw] = Array.from({ length: 10 }, (_, k) => loopOf(q, "conv", k));
  return apply(reorder, q, { loops: [n!, co!, h!, wo!, ic!, kh!, kw!, ci!, wi!, lane!] }).program;
}
function finishTile(p: Program): Program {
  let q = apply(decomposeReduction, p, { block: named(p, "conv"), loop: loopOf(p, "conv", 4) }).program;
  const update = named(q, "conv").name;
  q = apply(vectorize, q, { loop: loopOf(q, update, 9) }).program;
  q = apply(unroll, q, { loop: loopOf(q, update, 8) }).program;
  return apply(unroll, q, { loop: loopOf(q, update, 7) }).program;
}

describe("a register-blocked convolution in NCHW16c", () => {
  const shape: ConvShape = { ci: 5, co: 64, h: 2, w: 28, lanes: 16 };
  it("keeps its accumulators in registers with bias and relu fused", () => {
    const p = convolution(shape);
    const tiled = tileConvolution(p, 14, 2, "guard");
    const moved = apply(reverseComputeAt, tiled, {
      block: named(tiled, "out"),
      loop: loopOf(tiled, "conv", 3),
    }).program;
    const placed = apply(setScope, moved, { block: named(moved, "conv"), buffer: "conv", scope: "register" }).program;
    const done = compactBuffers(finishTile(placed));
    expect(allocations(done)).toEqual(["conv: float32[2, 14, 16] in register"]);
    expect(printProgram(done)).toContain("conv[c_o_i, w_i, c_i] = conv[c_o_i, w_i, c_i] + x[0, ");
    expectSame(p, done);
  });
  it("keeps its accumulators in registers with a separate copy", () => {
    const p = convolution({ ...shape, middle: "halo" });
    const tiled = tileConvolution(p, 14, 2, "guard");
    const cached = apply(cacheWrite, tiled, { block: named(tiled, "conv"), buffer: "conv", scope: "register" });
    const loop = loopOf(cached.program, "conv", 3);
    const moved = apply(reverseComputeAt, cached.program, { block: cached.result, loop }).program;
    const done = compactBuffers(finishTile(moved));
    expect(allocations(done)).toContain("conv_register: float32[2, 14, 16] in register");
    expectSame(p, done);
  });
  it.each<[ConvShape, Tail]>([
    [{ ci: 3, co: 7, h: 1, w: 17, lanes: 4 }, "guard"],
    [{ ci: 3, co: 20, h: 2, w: 15, lanes: 8 }, "shift-inwards"],
    [{ ci: 1, co: 1, h: 1, w: 1, lanes: 4, n: 2 }, "guard"],
    [{ ci: 2, co: 12, h: 3, w: 29, lanes: 4 }, "shift-inwards"],
  ])("keeps its values for %o with tail %s", (s, tail) => {
    const p = convolution(s);
    const width = Math.min(14, s.w);
    const tiled = tileConvolution(p, width, Math.min(2, Math.ceil(s.co / s.lanes!)), tail);
    const moved = apply(reverseComputeAt, tiled, {
      block: named(tiled, "out"),
      loop: loopOf(tiled, "conv", 3),
    }).program;
    const q = apply(decomposeReduction, moved, { block: named(moved, "conv"), loop: loopOf(moved, "conv", 4) }).program;
    const done = compactBuffers(q);
    expectSame(p, q, done);
    const dims = [Math.min(2, Math.ceil(s.co / s.lanes!)), width, s.lanes!].filter((n) => n > 1);
    expect(allocations(done)).toEqual([`conv: float32[${dims.join(", ")}]`]);
  });
});

describe("several stages under one loop", () => {
  it("holds one row of a softmax at a time", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [5, 11], "input");
      const [k, l] = [b.reduceAxis("k", 11), b.reduceAxis("l", 11)];
      const top = b.compute("top", "float32", [5], (i) => reduce("max", x.at(i!, k.var), [k]));
      const e = b.compute("e", "float32", [5, 11], (i, j) => unary("exp", sub(x.at(i!, j!), top.at(i!))));
      const total = b.compute("total", "float32", [5], (i) => sum(e.at(i!, l.var), l));
      return b.compute("y", "float32", [5, 11], (i, j) => div(e.at(i!, j!), total.at(i!)));
    });
    let q = apply(parallel, p, { loop: loopOf(p, "y", 0) }).program;
    for (const name of ["total", "e", "top"])
      q = apply(computeAt, q, { block: named(q, name), loop: loopOf(q, "y", 0) }).program;
    expect(allocations(compactBuffers(q))).toEqual(["top: float32[1]", "e: float32[11]", "total: float32[1]"]);
    expectSame(p, q, compactBuffers(q));
  });
  it.each<Tail>(["guard", "shift-inwards"])("holds one tile of a matmul and its epilogues (tail %s)", (tail) => {
    const p = build((b) => {
      const x = b.param("x", "float32", [9, 7], "input");
      const w = b.param("w", "float32", [7, 10], "constant");
      const residual = b.param("residual", "float32", [9, 10], "input");
      const k = b.reduceAxis("k", 7);
      const y = b.compute("y", "float32", [9, 10], (i, j) => sum(mul(x.at(i!, k.var), w.at(k.var, j!)), k));
      const t = b.compute("t", "float32", [9, 10], (i, j) => add(y.at(i!, j!), residual.at(i!, j!)));
      return b.compute("z", "float32", [10, 9], (j, i) => mul(t.at(i!, j!), y.at(i!, j!)));
    });
    const rows = apply(split, p, { loop: loopOf(p, "y", 0), factor: 4, tail }).program;
    const tiled = apply(split, rows, { loop: loopOf(rows, "y", 2), factor: 4, tail }).program;
    const loops = [0, 2, 4, 1, 3].map((k) => loopOf(tiled, "y", k));
    let q = apply(reorder, tiled, { loops }).program;
    for (const name of ["t", "z"])
      q = apply(reverseComputeAt, q, { block: named(q, name), loop: loopOf(q, "y", 1) }).program;
    expect(allocations(compactBuffers(q))).toEqual(["y: float32[4, 4]", "t: float32[4, 4]"]);
    expectSame(p, q, compactBuffers(q));
  });
});

describe("compactBuffers", () => {
  it("leaves a buffer whole that outlives its nest", () => {
    const p = chain(3, 4);
    expect(allocations(compactBuffers(p))).toEqual(["y: float32[3, 4]"]);
  });
  it("does not sink below a loop that carries values", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [6], "input");
      const s = b.declare("s", "float32", [7]);
      b.write(s, "start", [1], () => ({ at: [0], value: x.at(0) }));
      b.write(s, "step", [6], (i) => ({ at: [add(i!, 1)], value: add(s.at(i!), x.at(i!)) }), { kinds: ["ordered"] });
      return b.compute("z", "float32", [6], (i) => s.at(add(i!, 1)));
    });
    const { program } = { program: compactBuffers(p) };
    expect(allocations(program)).toEqual(["s: float32[7]"]);
    expectSame(p, program);
  });
  it("takes the union of shifted reads", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [20], "input");
      const y = b.compute("y", "float32", [20], (i) => mul(x.at(i!), 2));
      return b.compute("z", "float32", [16], (i) => add(y.at(i!), y.at(add(i!, 4))));
    });
    const q = apply(split, p, { loop: loopOf(p, "z", 0), factor: 4, tail: "exact" }).program;
    const done = compactBuffers(apply(computeAt, q, { block: named(q, "y"), loop: loopOf(q, "z", 0) }).program);
    expect(allocations(done)).toEqual(["y: float32[8]"]);
    expectSame(p, done);
  });
  it("moves a register buffer that stays too large to the stack", () => {
    const p = matmul(80, 80, 2);
    const { program } = apply(cacheWrite, p, { block: named(p, "y"), buffer: "y", scope: "register" });
    expect(allocations(compactBuffers(program))).toContain("y_register: float32[80, 80] in stack");
  });
  it("is idempotent", () => {
    const p = matmul(9, 8, 4);
    const { program } = apply(reverseComputeAt, p, { block: named(p, "z"), loop: loopOf(p, "y", 0) });
    const once = compactBuffers(program);
    expect(printProgram(compactBuffers(once))).toBe(printProgram(once));
  });
});

describe("a producer of rows that its padded reader has more of", () => {
  const padded = parseProgram(`program P(A: float32[8, 3], C: output float32[10]):
  allocate S: float32[8]
  for i in 0..8:
    for k in 0..3:
      block S(vi: spatial 8 = i, vk: reduction 3 = k):
        reads S[vi], A[vi, vk]
        writes S[vi]
        init:
          S[vi] = 0.0
        S[vi] = S[vi] + A[vi, vk]
  for i in 0..10:
    block C(vi: spatial 10 = i):
      reads S[vi - 1]
      writes C[vi]
      C[vi] = select(vi - 1 >= 0 and vi - 1 < 8, S[vi - 1], 0.0)
`);
  it("is set for every row that exists, so one row is kept", () => {
    const moved = apply(computeAt, padded, { block: named(padded, "S"), loop: loopOf(padded, "C", 0) }).program;
    const done = compactBuffers(moved);
    expect(allocations(done)).toEqual(["S: float32[1]"]);
    expectSame(padded, done);
  });
});

describe("a buffer that a grid of stores fills, as transforms of tiles do", () => {
  /** Every tile of three rows and columns is stored point by point, all but the last `missing` ones, then read whole. */
  const tiles = (missing: number): Program => {
    const points = Array.from({ length: 9 - missing }, (_, k) => `[vt, ${Math.floor(k / 3)}, ${k % 3}]`);
    return parseProgram(`program P(A: float32[4, 9], C: output float32[4, 9]):
  allocate S: float32[4, 3, 3]
  for t in 0..4:
    block fill(vt: spatial 4 = t):
      reads A[vt, 0..9]
      writes S[vt, 0..3, 0..3]
${points.map((at, k) => `      S${at} = A[vt, ${k}]`).join("\n")}
    for i in 0..9:
      block C(vt: spatial 4 = t, vi: spatial 9 = i):
        reads S[vt, vi // 3, vi % 3]
        writes C[vt, vi]
        C[vt, vi] = S[vt, vi // 3, vi % 3]
`);
  };
  it("is one tile large", () => {
    expect(allocations(compactBuffers(tiles(0)))).toEqual(["S: float32[3, 3]"]);
    expectSame(tiles(0), compactBuffers(tiles(0)));
  });
  it("stays whole where a point is not stored", () =>
    expect(allocations(compactBuffers(tiles(1)))).toEqual(["S: float32[4, 3, 3]"]));
});
