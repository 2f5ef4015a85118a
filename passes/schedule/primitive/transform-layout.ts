/** transformLayout: an intermediate buffer's dimensions are split, reordered and blocked; all accesses follow. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { type Layout, type LayoutDim, physicalIndex, physicalShape } from "../../../ir/graph/layout.ts";
import { range } from "../../../ir/loop/build.ts";
import type { Program, Region, Stmt } from "../../../ir/loop/program.ts";
import { mapBodies, mapChildStmts } from "../../../ir/loop/traverse.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { pathToBlock } from "../tree.ts";
import { iterRanges, merged, rangesOf } from "./support-access.ts";
import { bufferNamed, remapBuffer, roleOf } from "./support-buffer.ts";
import { type Ranges, simplifyIndex } from "./support-linear.ts";

export interface TransformLayoutArgs {
  readonly block: BlockRef;
  /** Name of a buffer the block reads or writes. */
  readonly buffer: string;
  /** The new dimensions, in terms of the buffer's present ones; `indexMap` writes them as a function. */
  readonly dims: readonly LayoutDim[];
}
const rules = {
  found: "the block is part of the program",
  "uses-buffer": "the block reads or writes a buffer of that name",
  "not-parameter": "the buffer is no parameter of the function",
  "static-shape": "the buffer's shape is constant",
  bijective:
    "the parts of each dimension are the digits of a mixed-radix number: each divisor is the modulus times the divisor of the next finer part, the finest divisor is 1, only the coarsest has no modulus",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;
interface Plan {
  readonly buffer: Buffer;
  readonly layout: Layout;
  readonly shape: readonly number[];
}

function plan(program: Program, args: TransformLayoutArgs): Plan | Refusal {
  const at = args.block;
  const path = pathToBlock(program, at.id);
  const block = path?.stmts.at(-1);
  if (!path || block?.kind !== "block") return { rule: "found", because: `there is no block ${at.name}`, at };
  const buffer = bufferNamed(block, args.buffer, "store") ?? bufferNamed(block, args.buffer, "load");
  if (!buffer) return { rule: "uses-buffer", because: `${block.name} does not use ${args.buffer}`, at };
  const role = roleOf(path.func, buffer.id);
  if (role) {
    const copy = role === "output" ? "cacheWrite" : "cacheRead";
    const instead = `callers know how it lies: ${copy} it, and lay out the copy`;
    return { rule: "not-parameter", because: `${buffer.name} is a parameter`, instead, at };
  }
  const shape = buffer.shape.map(constantValue);
  if (!shape.every((n) => n !== undefined))
    return { rule: "static-shape", because: `a dimension of ${buffer.name} is not constant`, at };
  const broken = shape.findIndex((_, axis) => !isMixedRadix(args.dims.filter((d) => d.axis === axis)));
  const foreign = args.dims.some((d) => d.axis < 0 || d.axis >= shape.length);
  if (broken >= 0 || foreign)
    return {
      rule: "bijective",
      because: foreign
        ? `${buffer.name} has ${shape.length} dimensions`
        : `the parts of dimension ${broken} lose elements`,
      at,
    };
  return { buffer, layout: { name: "transformed", rank: shape.length, dims: args.dims }, shape };
}
function isMixedRadix(parts: readonly LayoutDim[]): boolean {
  const fineFirst = [...parts].sort((a, b) => a.divisor - b.divisor);
  let divisor = 1;
  for (const [k, d] of fineFirst.entries()) {
    if (d.divisor !== divisor || (d.modulus === undefined) !== (k === fineFirst.length - 1)) return false;
    if (d.modulus !== undefined && !(Number.isInteger(d.modulus) && d.modulus > 1)) return false;
    divisor *= d.modulus ?? 1;
  }
  return fineFirst.length > 0;
}

/** Redirects accesses; indices are simplified with the ranges known where they stand. */
function redirect(root: Stmt, p: Plan, to: Buffer): Stmt {
  const within = (s: Stmt, ranges: Ranges): Stmt => {
    const indices = (old: readonly Expr[]): Expr[] => physicalIndex(p.layout, old).map((e) => simplifyIndex(e, ranges));
    const region = (r: Region): Region => transformRegion(r, p, to, indices);
    return remapBuffer(s, { from: p.buffer.id, to, indices, region });
  };
  const go = (s: Stmt, ranges: Ranges): Stmt => {
    if (s.kind === "block") return within(s, merged(ranges, iterRanges(s)));
    if (s.kind === "for") return mapChildStmts(s, (c) => go(c, merged(ranges, rangesOf([s]))));
    if (s.kind === "allocate" && s.buffer.id === p.buffer.id) return { ...s, buffer: to, body: go(s.body, ranges) };
    if (s.kind === "seq" || s.kind === "allocate") return mapChildStmts(s, (c) => go(c, ranges));
    return within(s, ranges);
  };
  return go(root, new Map());
}
/** Points stay points; of other regions only dimensions that stay whole keep their bounds. */
function transformRegion(r: Region, p: Plan, to: Buffer, indices: (old: readonly Expr[]) => Expr[]): Region {
  if (r.ranges.every((q) => constantValue(q.extent) === 1))
    return { buffer: to, ranges: indices(r.ranges.map((q) => q.min)).map((e) => range(e, 1)) };
  const ranges = p.layout.dims.map((d, k) =>
    d.divisor === 1 && d.modulus === undefined ? r.ranges[d.axis]! : range(0, to.shape[k]!),
  );
  return { buffer: to, ranges };
}

export const transformLayout = definePrimitive({
  name: "transformLayout",
  doc: "Stores an intermediate buffer in another layout; where a part does not divide its dimension the buffer grows, and what is added is never read.",
  before: "B[i, j] = …\nC[i, j] = B[i, j]",
  after: "B[j // 16, i, j % 16] = …\nC[i, j] = B[j // 16, i, j % 16]",
  rules,
  check: (program: Program, args: TransformLayoutArgs): Refusal | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: TransformLayoutArgs) => {
    const p = plan(program, args);
    invariant(!("rule" in p), "transformLayout was checked");
    const { strides: _s, offset: _o, ...rest } = p.buffer;
    const shape = physicalShape(p.layout, p.shape).map((n) => range(0, n).extent);
    const to: Buffer = { ...rest, shape };
    return { program: mapBodies(program, (body) => redirect(body, p, to)), result: undefined };
  },
});
