/** How the accesses of a block walk memory along its loops. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { freeVars, substitute, visit } from "../../../ir/expr/traverse.ts";
import type { Block, IterVar } from "../../../ir/loop/program.ts";
import { childExprs, visitStmt } from "../../../ir/loop/traverse.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { toAffine } from "../../analysis/affine.ts";
import { rangesOfLoops } from "../../analysis/interval.ts";
import { linearForm } from "../../lower/linear.ts";
import { simplifyIndex } from "../primitive/support-linear.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { findLoop } from "../tree.ts";

export interface Access {
  readonly buffer: Buffer;
  readonly indices: readonly Expr[];
}
/** Every load and store of a block. */
export function accessesOf(block: Block): Access[] {
  const result: Access[] = [];
  visitStmt(block.body, (st) => {
    if (st.kind === "store") result.push(st);
    for (const e of childExprs(st))
      visit(e, (n) => {
        if (n.kind === "load") result.push(n);
      });
  });
  return result;
}
/** Every load and store of a block, with the loops in place of the iteration variables. */
export function accessesInLoops(s: Schedule, ref: BlockRef): Access[] {
  const block = s.describe(ref);
  const map = new Map(block.iterVars.map((v, k) => [v.var.id, block.bindings[k]!]));
  const ranges = rangesOfLoops(s.loops(ref).map((l) => findLoop(s.program, l.id)!));
  return accessesOf(block).map((a) => ({
    buffer: a.buffer,
    indices: a.indices.map((e) => simplifyIndex(substitute(e, map), ranges)),
  }));
}
/** Elements an access moves by when `v` grows by one; undefined when that is no constant. */
export function strideAlong({ buffer, indices }: Access, v: VarId): number | undefined {
  let stride = 0;
  let step = 1;
  for (let k = indices.length - 1; k >= 0; k--) {
    const extent = constantValue(buffer.shape[k]!);
    const index = indices[k]!;
    if (freeVars(index).has(v)) {
      const affine = toAffine(index);
      if (!affine || extent === undefined) return undefined;
      stride += (affine.terms.get(v) ?? 0) * (buffer.strides?.[k] ?? step);
    }
    step *= extent ?? Number.NaN;
  }
  return Number.isNaN(stride) ? undefined : stride;
}
/** Whether a loop along `outer` continues one of `extent` iterations along `inner` in every access. */
function continues(accesses: readonly Access[], outer: IterVar, inner: IterVar, extent: number): boolean {
  return accesses.every((a) => {
    const [o, i] = [strideAlong(a, outer.var.id), strideAlong(a, inner.var.id)];
    return o !== undefined && i !== undefined && o === extent * i;
  });
}
/** Whether values of the variable can be lanes: each operand stands still along it or is walked element by element. */
export function walksLine(block: Block, v: IterVar): boolean {
  const own = new Set(block.writes.map((r) => r.buffer.id));
  const strides = accessesOf(block).flatMap((a) => (own.has(a.buffer.id) ? [] : [strideAlong(a, v.var.id)]));
  const most = Math.max(...strides.map((n) => (n === undefined ? Number.POSITIVE_INFINITY : Math.abs(n))));
  return most === 1;
}
/** The one iteration variable that grows by one with a loop, and with it alone of all variables. */
export function variableOf(block: Block, loop: LoopRef): IterVar | undefined {
  const moved = block.iterVars.filter((_, i) => freeVars(block.bindings[i]!).has(loop.id));
  const [v] = moved;
  if (!v || moved.length > 1) return undefined;
  const { terms } = linearForm(block.bindings[block.iterVars.indexOf(v)]!);
  const own = terms.filter((t) => freeVars(t.atom).has(loop.id));
  return own.length === 1 && own[0]!.atom.kind === "var" && own[0]!.coefficient === 1 ? v : undefined;
}

/** Iterations of a loop that are enough to make vectors of, whatever the rest. */
const longRun = 1024;

/**
 * Fuses the innermost loops of a block, not those above depth `from`, as long as all accesses walk on through them and the
 * loop has less than `enough` iterations.
 */
export function fuseContiguous(s: Schedule, ref: BlockRef, from = 0, enough = longRun): LoopRef {
  const block = s.describe(ref);
  const accesses = accessesOf(block);
  const loops = s.loops(ref);
  const innermost = variableOf(block, loops.at(-1)!);
  let inner: LoopRef = loops.at(-1)!;
  for (const loop of loops.slice(from, -1).reverse()) {
    const outer = variableOf(block, loop);
    const extent = s.extent(inner) ?? enough;
    if (extent >= enough || !outer || !innermost || outer.kind !== innermost.kind) break;
    if (!continues(accesses, outer, innermost, extent)) break;
    inner = s.fuse(loop, inner);
  }
  return inner;
}

/**
 * Splits the innermost loop of a block where an operand lies in blocks of elements along it (an index is the remainder of
 * its variable), of at least `least`: within one, memory is walked in a line.
 */
export function splitBlocks(s: Schedule, ref: BlockRef, least: number): void {
  const block = s.describe(ref);
  const last = s.loops(ref).at(-1);
  const v = last && variableOf(block, last);
  const extent = last && s.extent(last);
  if (!v || !extent) return;
  const sizes = accessesOf(block).flatMap((a) => a.indices.flatMap((e) => remainderBy(e, v) ?? []));
  const factor = Math.min(...sizes);
  if (factor >= least && factor < extent && extent % factor === 0) s.split(last, { factor, tail: "exact" });
}
const remainderBy = (e: Expr, v: IterVar): number | undefined =>
  e.kind === "binary" && e.op === "floormod" && e.a.kind === "var" && e.a.id === v.var.id
    ? constantValue(e.b)
    : undefined;
