/**
 * Element-wise and data-moving stages: trailing loops that walk all operands linearly are fused into one, which is
 * vectorized; the outer loops run in parallel when there is enough to do.
 */
import type { BlockRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { parallelOuter, vectorizeContiguous, vectorizeHalos } from "./common.ts";
import { accessesOf, fuseContiguous, strideAlong } from "./contiguous.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { workOf } from "./reduction.ts";
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
  const block = s.describe(ref);
  const loops = s.loops(ref);
  if (loops.length === 0) return;
  const lane = block.iterVars.at(-1)!.var.id;
  const inner = fuseContiguous(s, ref);
  const first = s.loops(ref).length - 1;
  const unit = accessesOf(block).every((a) => Math.abs(strideAlong(a, lane) ?? Number.NaN) <= 1);
  const outer = unit ? vectorizeContiguous(s, inner, machine, 4) : undefined;
  const remaining = s.loops(ref).slice(0, first);
  const parallelLoops = remaining.length > 0 ? remaining : outer ? [s.loops(ref)[0]!] : [];
  const iterations = parallelLoops.reduce((p, l) => p * (s.extent(l) ?? 1), 1);
  if (parallelLoops.length > 0) parallelOuter(s, parallelLoops, threads, workOf(block) / iterations);
}
