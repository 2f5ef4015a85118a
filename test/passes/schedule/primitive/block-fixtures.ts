/** What the tests of block and buffer primitives share: small programs, application, numeric twins, refusals. */
import { expect } from "vitest";
import { add, compare, constantValue, max, mul, scalarLike, select, sub } from "../../../../ir/expr/build.ts";
import type { Expr } from "../../../../ir/expr/expr.ts";
import { channelBlocked, type Layout, plainLayout } from "../../../../ir/graph/layout.ts";
import { runProgram } from "../../../../ir/interp/run.ts";
import { ComputeBuilder, sum, type Tensor } from "../../../../ir/loop/compute.ts";
import type { Block, Program } from "../../../../ir/loop/program.ts";
import { mapBodies, rewriteStmt } from "../../../../ir/loop/traverse.ts";
import { type BlockId, IdSource, type VarId } from "../../../../ir/support/ids.ts";
import { invariant } from "../../../../ir/support/invariant.ts";
import { compactBuffers } from "../../../../passes/lower/compact-buffers.ts";
import type { BlockRef, LoopRef, Primitive } from "../../../../passes/schedule/primitive.ts";
import { blockRef, blocksIn, loopRef, loopsAround } from "../../../../passes/schedule/tree.ts";

/** A program whose outputs are what `define` gives back. */
export function build(
  define: (b: ComputeBuilder) => Tensor | Tensor[],
  math: "strict" | "default" = "default",
): Program {
  const b = new ComputeBuilder(new IdSource());
  const outputs = define(b);
  return b.finish("f", Array.isArray(outputs) ? outputs : [outputs], { math });
}
/** x → y = 2x → z = y + 1, element-wise over [rows, columns]. */
export function chain(rows: number, columns: number): Program {
  return build((b) => {
    const x = b.param("x", "float32", [rows, columns], "input");
    const y = b.compute("y", "float32", [rows, columns], (i, j) => mul(x.at(i!, j!), 2));
    return b.compute("z", "float32", [rows, columns], (i, j) => add(y.at(i!, j!), 1));
  });
}
/** y = x · w, z = y + 1. */
export function matmul(m: number, n: number, k: number, math: "strict" | "default" = "default"): Program {
  return build((b) => {
    const x = b.param("x", "float32", [m, k], "input");
    const w = b.param("w", "float32", [k, n], "constant");
    const axis = b.reduceAxis("k", k);
    const y = b.compute("y", "float32", [m, n], (i, j) => sum(mul(x.at(i!, axis.var), w.at(axis.var, j!)), axis));
    return b.compute("z", "float32", [m, n], (i, j) => add(y.at(i!, j!), 1));
  }, math);
}
/** y[i, t] = y[i, t - 1] + x[i, t], t in order; z[i, t] = y[i, t] - y[i, t - `back`]. */
export function running(n: number, back = 1): Program {
  return build((b) => {
    const x = b.param("x", "float32", [3, n], "input");
    const y = b.declare("y", "float32", [3, n]);
    const from = (t: Expr, k: number, then: Expr): Expr => select(compare("ge", t, k), then, scalarLike(then.dtype, 0));
    b.computeInto(y, "y", (i, t) => add(from(t!, 1, y.at(i!, sub(t!, 1))), x.at(i!, t!)), {
      kinds: ["spatial", "ordered"],
    });
    return b.compute("z", "float32", [3, n], (i, t) => sub(y.at(i!, t!), from(t!, back, y.at(i!, sub(t!, back)))));
  });
}
export interface ConvShape {
  readonly n?: number;
  readonly ci: number;
  readonly co: number;
  readonly h: number;
  readonly w: number;
  readonly lanes?: number;
  /** Where the convolution itself is stored. */
  readonly middle?: "blocked" | "halo" | "plain";
}
/** A halo of one element around the spatial axes of [n, c, h, w]. */
export const halo = [0, 0, 1, 1].map((k) => ({ before: k, after: k }));
/** 3x3 convolution over a blocked, haloed input; then bias and relu into a blocked, haloed output. */
export function convolution(s: ConvShape): Program {
  const { n = 1, ci, co, h, w, lanes = 4, middle = "blocked" } = s;
  const haloed = channelBlocked(4, lanes, halo);
  const layouts: Record<string, Layout> = { halo: haloed, blocked: channelBlocked(4, lanes), plain: plainLayout(4) };
  const padded = Math.ceil(co / lanes) * lanes;
  return build((b) => {
    const x = b.param("x", "float32", [n, ci, h, w], "input", haloed);
    const weight = b.param("weight", "float32", [padded, ci, 3, 3], "constant");
    const bias = b.param("bias", "float32", [padded], "constant");
    const [ic, kh, kw] = [b.reduceAxis("ic", ci), b.reduceAxis("kh", 3), b.reduceAxis("kw", 3)];
    const at = (v: Expr, k: Expr): Expr => sub(add(v, k), 1);
    const conv = b.compute(
      "conv",
      "float32",
      [n, co, h, w],
      (b0, c, y, v) =>
        sum(mul(x.at(b0!, ic.var, at(y!, kh.var), at(v!, kw.var)), weight.at(c!, ic.var, kh.var, kw.var)), ic, kh, kw),
      { layout: layouts[middle]! },
    );
    return b.compute(
      "out",
      "float32",
      [n, co, h, w],
      (b0, c, y, v) => max(add(conv.at(b0!, c!, y!, v!), bias.at(c!)), 0),
      {
        layout: haloed,
      },
    );
  });
}

export const named = (p: Program, name: string): BlockRef => {
  const found = blocksIn(p).find((b) => b.name === name);
  invariant(found, `the program has a block ${name}`);
  return blockRef(found);
};
/** The k-th loop around a block, outermost first. */
export const loopOf = (p: Program, name: string, k: number): LoopRef => loopRef(loopsAround(p, named(p, name).id)[k]!);
export const deadBlock: BlockRef = { kind: "block", id: 99_999 as BlockId, name: "gone" };
export const deadLoop: LoopRef = { kind: "loop", id: 99_999 as VarId, name: "gone" };

/** Checks, then rewrites. */
export function apply<Args extends object, Result, Rule extends string>(
  primitive: Primitive<string, Args, Result, Rule>,
  p: Program,
  args: Args,
): { program: Program; result: Result } {
  expect(primitive.check(p, args)).toBeUndefined();
  return primitive.rewrite(p, args);
}
/** Asserts the rule and the name of the place that a refusal points at. */
export function expectRefused<Args extends object, Result, Rule extends string>(
  primitive: Primitive<string, Args, Result, Rule>,
  p: Program,
  args: Args,
  expected: { rule: Rule; at: string },
): void {
  const violation = primitive.check(p, args);
  expect({ rule: violation?.rule, at: violation?.at?.name }).toEqual(expected);
}
/** Changes one block by hand. */
export const editBlock = (p: Program, name: string, edit: (b: Block) => Block): Program =>
  mapBodies(p, (body) => rewriteStmt(body, (s) => (s.kind === "block" && s.name === name ? edit(s) : s)));

function inputsOf(p: Program): Record<string, Float32Array> {
  let seed = 12_345;
  const inputs: Record<string, Float32Array> = {};
  for (const { buffer, role } of p.functions[0]!.params) {
    if (role !== "input" && role !== "constant") continue;
    const length = buffer.shape.reduce((n, e) => n * constantValue(e)!, 1);
    inputs[buffer.name] = Float32Array.from({ length }, () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return (seed % 17) - 8;
    });
  }
  return inputs;
}
/** Small integers, so that every order of summation gives the same float32: outputs must be equal bit for bit. */
export function expectSame(before: Program, ...after: Program[]): void {
  const inputs = inputsOf(before);
  const expected = runProgram(before, inputs);
  for (const p of after) expect(runProgram(p, inputs)).toEqual(expected);
}
/** The program and its compacted lowering both compute what `before` does. */
export const expectTwins = (before: Program, after: Program): void => expectSame(before, after, compactBuffers(after));
