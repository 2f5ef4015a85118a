import { describe, expect, it } from "vitest";
import { add, compare, load, mul } from "../../../../ir/expr/build.ts";
import { plainLayout } from "../../../../ir/graph/layout.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { compactBuffers } from "../../../../passes/lower/compact-buffers.ts";
import { decomposeReduction } from "../../../../passes/schedule/primitive/decompose-reduction.ts";
import { fuse } from "../../../../passes/schedule/primitive/fuse.ts";
import { reorder } from "../../../../passes/schedule/primitive/reorder.ts";
import { reverseComputeAt } from "../../../../passes/schedule/primitive/reverse-compute-at.ts";
import { split, type Tail } from "../../../../passes/schedule/primitive/split.ts";
import {
  apply,
  build,
  type ConvShape,
  chain,
  convolution,
  deadBlock,
  deadLoop,
  editBlock,
  expectRefused,
  expectTwins,
  loopOf,
  matmul,
  named,
} from "./block-fixtures.ts";

/** Tiles a matmul's producer by m x n, with the reduction innermost but for the tile. */
function tiled(p: Program, m: number, n: number, tail: Tail): Program {
  const rows = apply(split, p, { loop: loopOf(p, "y", 0), factor: m, tail });
  const columns = apply(split, rows.program, { loop: loopOf(rows.program, "y", 2), factor: n, tail });
  const q = columns.program;
  const [io, ii, jo, ji, k] = [0, 1, 2, 3, 4].map((i) => loopOf(q, "y", i));
  return apply(reorder, q, { loops: [io!, jo!, k!, ii!, ji!] }).program;
}

describe("reverseComputeAt", () => {
  it.each<[number, number, number, Tail]>([
    [1, 1, 1, "guard"],
    [8, 8, 4, "guard"],
    [7, 11, 5, "guard"],
    [7, 11, 5, "shift-inwards" as Tail],
    [13, 4, 2, "shift-inwards" as Tail],
  ])("fuses an epilogue into a tiled %i x %i x %i matmul (tail %s)", (m, n, k, tail) => {
    const p = matmul(m, n, k);
    const factors = [Math.min(4, m), Math.min(3, n)] as const;
    const q = tiled(p, factors[0], factors[1], tail);
    const { program } = apply(reverseComputeAt, q, { block: named(q, "z"), loop: loopOf(q, "y", 1) });
    expectTwins(p, program);
    const decomposed = apply(decomposeReduction, program, {
      block: named(program, "y"),
      loop: loopOf(program, "y", 2),
    });
    expectTwins(p, decomposed.program);
    const shape = factors.filter((f) => f > 1).join(", ") || "1";
    expect(printProgram(compactBuffers(decomposed.program))).toContain(`allocate y: float32[${shape}]`);
  });
  it.each<ConvShape>([
    { ci: 3, co: 8, h: 2, w: 28 },
    { ci: 5, co: 7, h: 1, w: 17, n: 2 },
    { ci: 1, co: 1, h: 1, w: 1 },
    { ci: 2, co: 9, h: 3, w: 13, middle: "halo" },
  ])("moves bias and relu of a blocked convolution into its tile (%o)", (shape) => {
    const p = convolution(shape);
    const wide = apply(split, p, { loop: loopOf(p, "conv", 3), factor: 14, tail: "guard" }).program;
    const [n, c, h, wo, wi, ci, ic, kh, kw] = Array.from({ length: 9 }, (_, k) => loopOf(wide, "conv", k));
    const q = apply(reorder, wide, { loops: [n!, c!, h!, wo!, ic!, kh!, kw!, wi!, ci!] }).program;
    const { program } = apply(reverseComputeAt, q, { block: named(q, "out"), loop: wo! });
    expectTwins(p, program);
  });
  it("follows a fused loop of the producer", () => {
    const p = chain(6, 8);
    const fused = apply(fuse, p, { loops: [loopOf(p, "y", 0), loopOf(p, "y", 1)] }).program;
    const q = apply(split, fused, { loop: loopOf(fused, "y", 0), factor: 16, tail: "guard" }).program;
    const { program } = apply(reverseComputeAt, q, { block: named(q, "z"), loop: loopOf(q, "y", 0) });
    expect(printProgram(compactBuffers(program))).toContain("allocate y: float32[2, 8]");
    expectTwins(p, program);
  });
  it("reads a shifted window of the tile", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [5, 9], "input");
      const y = b.compute("y", "float32", [5, 9], (i, j) => mul(x.at(i!, j!), 2));
      return b.compute("z", "float32", [5, 6], (i, j) => add(y.at(i!, add(j!, 2)), 1));
    });
    const q = apply(split, p, { loop: loopOf(p, "y", 1), factor: 4, tail: "guard" }).program;
    expectTwins(p, apply(reverseComputeAt, q, { block: named(q, "z"), loop: loopOf(q, "y", 1) }).program);
  });
  it("converts blocked channels to plain ones on the way out", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [6, 8], "input");
      const dims = [
        { axis: 1, divisor: 4 },
        { axis: 0, divisor: 1 },
        { axis: 1, divisor: 1, modulus: 4 },
      ];
      const y = b.compute("y", "float32", [6, 8], (i, j) => mul(x.at(i!, j!), 2), {
        layout: { name: "b", rank: 2, dims },
      });
      return b.compute("z", "float32", [6, 8], (i, j) => add(y.at(i!, j!), 1), { layout: plainLayout(2) });
    });
    const { program } = apply(reverseComputeAt, p, { block: named(p, "z"), loop: loopOf(p, "y", 1) });
    expect(printProgram(compactBuffers(program))).toContain("allocate y: float32[4]");
    expectTwins(p, program);
  });

  it("refuses a block or a loop that is gone", () => {
    const p = chain(2, 2);
    expectRefused(reverseComputeAt, p, { block: deadBlock, loop: loopOf(p, "y", 0) }, { rule: "found", at: "gone" });
    expectRefused(reverseComputeAt, p, { block: named(p, "z"), loop: deadLoop }, { rule: "found", at: "gone" });
  });
  it("refuses a reduction as consumer", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4, 4], "input");
      const y = b.compute("y", "float32", [4, 4], (i, j) => mul(x.at(i!, j!), 2));
      const k = b.reduceAxis("k", 4);
      return b.compute("z", "float32", [4], (i) => ({
        kind: "reduction",
        op: "add",
        axes: [k],
        value: y.at(i!, k.var),
      }));
    });
    expectRefused(reverseComputeAt, p, { block: named(p, "z"), loop: loopOf(p, "y", 0) }, { rule: "spatial", at: "z" });
  });
  it("refuses to move backwards", () => {
    const p = chain(2, 2);
    expectRefused(
      reverseComputeAt,
      p,
      { block: named(p, "y"), loop: loopOf(p, "z", 0) },
      { rule: "after-loop", at: "y" },
    );
  });
  it("refuses a loop that computes nothing the block reads", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      return [b.compute("y", "float32", [4], (i) => x.at(i!)), b.compute("z", "float32", [4], (i) => x.at(i!))];
    });
    expectRefused(
      reverseComputeAt,
      p,
      { block: named(p, "z"), loop: loopOf(p, "y", 0) },
      { rule: "producer", at: "z" },
    );
  });
  it("refuses when part of the producer stands outside the loop", () => {
    const p = matmul(4, 4, 4);
    const { program } = apply(decomposeReduction, p, { block: named(p, "y"), loop: loopOf(p, "y", 1) });
    const violation = reverseComputeAt.check(program, { block: named(program, "z"), loop: loopOf(program, "y", 1) });
    expect([violation?.rule, violation?.at?.name]).toEqual(["producer-in-loop", "y_init"]);
  });
  it("refuses a loop within the producer's reduction", () => {
    const p = matmul(4, 4, 4);
    expectRefused(
      reverseComputeAt,
      p,
      { block: named(p, "z"), loop: loopOf(p, "y", 2) },
      { rule: "complete", at: "y" },
    );
  });
  it("refuses a tile with gaps", () => {
    const p = chain(4, 8);
    const q = apply(split, p, { loop: loopOf(p, "y", 1), factor: 4, tail: "guard" }).program;
    const { program } = apply(reorder, q, { loops: [loopOf(q, "y", 2), loopOf(q, "y", 1)] });
    const inner = loopOf(program, "y", 1);
    expectRefused(
      reverseComputeAt,
      program,
      { block: named(program, "z"), loop: inner },
      { rule: "exact-tile", at: "y" },
    );
  });
  it("refuses a strided read", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [8], "input");
      const y = b.compute("y", "float32", [8], (i) => mul(x.at(i!), 2));
      return b.compute("z", "float32", [4], (i) => y.at(mul(i!, 2)));
    });
    expectRefused(
      reverseComputeAt,
      p,
      { block: named(p, "z"), loop: loopOf(p, "y", 0) },
      { rule: "point-access", at: "z" },
    );
  });
  it("refuses a read beyond the tile", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [8], "input");
      const y = b.compute("y", "float32", [8], (i) => mul(x.at(i!), 2));
      return b.compute("z", "float32", [7], (i) => add(y.at(i!), y.at(add(i!, 1))));
    });
    expectRefused(reverseComputeAt, p, { block: named(p, "z"), loop: loopOf(p, "y", 0) }, { rule: "covered", at: "z" });
  });
  it("refuses a predicate that is no tail", () => {
    const p = chain(4, 4);
    const cut = editBlock(p, "y", (b) => ({ ...b, predicate: compare("lt", b.bindings[1]!, 3) }));
    expectRefused(
      reverseComputeAt,
      cut,
      { block: named(cut, "z"), loop: loopOf(cut, "y", 0) },
      { rule: "guard", at: "y" },
    );
  });
  it("refuses when another input is written in between", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.compute("y", "float32", [4], (i) => mul(x.at(i!), 2));
      const t = b.compute("t", "float32", [4], (i) => add(x.at(i!), 2));
      return b.compute("z", "float32", [4], (i) => add(y.at(i!), t.at(i!)));
    });
    expectRefused(
      reverseComputeAt,
      p,
      { block: named(p, "z"), loop: loopOf(p, "y", 0) },
      { rule: "inputs-ready", at: "t" },
    );
  });
  it("refuses when the target is touched in between", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const z = b.declare("z", "float32", [4]);
      const y = b.compute("y", "float32", [4], (i) => mul(x.at(i!), 2));
      b.write(z, "clear", [4], (i) => ({ at: [i!], value: load(x.buffer, [i!]) }));
      b.computeInto(z, "z", (i) => y.at(i!));
      return z;
    });
    expectRefused(
      reverseComputeAt,
      p,
      { block: named(p, "z"), loop: loopOf(p, "y", 0) },
      { rule: "no-conflict", at: "clear" },
    );
  });
});
