/**
 * Element-wise and data-moving stages: trailing loops that walk all operands linearly are fused into one, which is
 * vectorized; the outer loops run in parallel when there is enough to do.
 */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { visit } from "../../../ir/expr/traverse.ts";
import type { Block } from "../../../ir/loop/program.ts";
import { childExprs, visitStmt } from "../../../ir/loop/traverse.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { toAffine } from "../../analysis/affine.ts";
import type { BlockRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { findBlock } from "../tree.ts";
import { parallelOuter, vectorizeContiguous, vectorizeHalos } from "./common.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { stagesOf } from "./structure.ts";

export const scheduleElementwise: Recipe = { name: "elementwise", applies: () => true, schedule };

function schedule(s: Schedule, context: RecipeContext): void {
  for (const stage of stagesOf(s.program)) {
    if (stage.kind === "elementwise") scheduleElementwiseBlock(s, s.block(stage.block.name), context);
  }
  vectorizeHalos(s, context.machine);
}

/** Schedules one element-wise block that stands in a nest of its own. */
export function scheduleElementwiseBlock(s: Schedule, ref: BlockRef, { machine, threads }: RecipeContext): void {
  const block = findBlock(s.program, ref.id)!;
  if (s.loops(ref).length === 0) return;
  const strides = accessStrides(block);
  const loops = s.loops(ref);
  let inner = loops.at(-1)!;
  let first = loops.length - 1;
  if (strides) {
    while (first > 0 && fusable(block, strides, first)) {
      inner = s.fuse(s.loops(ref)[first - 1]!, inner);
      first--;
    }
  }
  const unit = strides?.every((a) => Math.abs(a.get(block.iterVars.at(-1)!.var.id) ?? 0) <= 1) ?? false;
  const outer = unit ? vectorizeContiguous(s, inner, machine, 4) : undefined;
  const remaining = s.loops(ref).slice(0, first);
  const parallelLoops = remaining.length > 0 ? remaining : outer ? [s.loops(ref)[0]!] : [];
  const total = loops.reduce((p, l) => p * constantExtent(s, l.name, block), 1);
  const iterations = parallelLoops.reduce((p, l) => p * (s.extent(l) ?? 1), 1);
  if (parallelLoops.length > 0) parallelOuter(s, parallelLoops, threads, total / iterations);
}
const constantExtent = (_: Schedule, name: string, block: Block): number =>
  constantValue(block.iterVars.find((v) => v.var.name === name)?.extent ?? block.iterVars[0]!.extent) ?? 1;

/** Elements each access moves by per step of every iteration variable; undefined when an access is not affine. */
function accessStrides(block: Block): ReadonlyMap<VarId, number>[] | undefined {
  const result: ReadonlyMap<VarId, number>[] = [];
  let affine = true;
  const add = (b: Buffer, indices: readonly Expr[]): void => {
    const strides = linearStrides(b, indices);
    if (strides) result.push(strides);
    else affine = false;
  };
  visitStmt(block.body, (st) => {
    if (st.kind === "store") add(st.buffer, st.indices);
    if (st.kind === "if") affine = false;
    for (const e of childExprs(st))
      visit(e, (n) => {
        if (n.kind === "load") add(n.buffer, n.indices);
        if (n.kind === "select" && n.condition.dtype.scalar === "bool") affine &&= !mentionsIndex(n.condition);
      });
  });
  return affine ? result : undefined;
}
/** Whether a condition compares index expressions (a padding guard), which fused loops would complicate. */
function mentionsIndex(condition: Expr): boolean {
  let found = false;
  visit(condition, (n) => {
    if (n.kind === "load") return false;
    if (n.kind === "var") found = true;
    return undefined;
  });
  return found;
}
function linearStrides(b: Buffer, indices: readonly Expr[]): ReadonlyMap<VarId, number> | undefined {
  const strides = new Map<VarId, number>();
  let step = 1;
  for (let k = indices.length - 1; k >= 0; k--) {
    const a = toAffine(indices[k]!);
    const extent = constantValue(b.shape[k]!);
    if (!a || extent === undefined) return undefined;
    for (const [v, c] of a.terms) strides.set(v, (strides.get(v) ?? 0) + c * (b.strides?.[k] ?? step));
    step *= extent;
  }
  return strides;
}
/** Whether loop `first`-1 continues loop `first` in every access: its stride is the inner extent times the inner stride. */
function fusable(block: Block, strides: readonly ReadonlyMap<VarId, number>[], first: number): boolean {
  const outer = block.iterVars[first - 1]!;
  const inner = block.iterVars[first]!;
  const extent = constantValue(inner.extent);
  if (extent === undefined) return false;
  return strides.every((a) => (a.get(outer.var.id) ?? 0) === extent * (a.get(inner.var.id) ?? 0));
}
