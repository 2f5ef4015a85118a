/**
 * Element-wise and data-moving stages: trailing loops that walk all operands linearly are fused into one, which is
 * vectorized; the outer loops run in parallel when there is enough to do.
 */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { freeVars, visit } from "../../../ir/expr/traverse.ts";
import type { Block, IterVar } from "../../../ir/loop/program.ts";
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
  const loops = s.loops(ref);
  if (loops.length === 0) return;
  const accesses = accessesOf(block);
  const vars = block.iterVars.map((v) => v.var.id);
  let first = loops.length - 1;
  let inner = loops[first]!;
  while (first > 0 && fusable(accesses, block.iterVars[first - 1]!, block.iterVars[first]!)) {
    inner = s.fuse(s.loops(ref)[first - 1]!, inner);
    first--;
  }
  const lane = vars.at(-1)!;
  const unit = accesses.every((a) => Math.abs(strideAlong(a, lane) ?? Number.NaN) <= 1);
  const outer = unit ? vectorizeContiguous(s, inner, machine, 4) : undefined;
  const remaining = s.loops(ref).slice(0, first);
  const parallelLoops = remaining.length > 0 ? remaining : outer ? [s.loops(ref)[0]!] : [];
  const total = block.iterVars.reduce((p, v) => p * (constantValue(v.extent) ?? 1), 1);
  const iterations = parallelLoops.reduce((p, l) => p * (s.extent(l) ?? 1), 1);
  if (parallelLoops.length > 0) parallelOuter(s, parallelLoops, threads, total / iterations);
}

interface Access {
  readonly buffer: Buffer;
  readonly indices: readonly Expr[];
}
/** Every load and store of a block. */
function accessesOf(block: Block): Access[] {
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
/** Elements an access moves by when `v` grows by one; undefined when that is no constant. */
function strideAlong({ buffer, indices }: Access, v: VarId): number | undefined {
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
/** Whether `outer` continues `inner` in every access: its stride is the inner extent times the inner stride. */
function fusable(accesses: readonly Access[], outer: IterVar, inner: IterVar): boolean {
  const extent = constantValue(inner.extent);
  if (extent === undefined) return false;
  return accesses.every((a) => {
    const [o, i] = [strideAlong(a, outer.var.id), strideAlong(a, inner.var.id)];
    return o !== undefined && i !== undefined && o === extent * i;
  });
}
