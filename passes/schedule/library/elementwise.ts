/**
 * Element-wise and data-moving stages: trailing loops that walk all operands linearly are fused into one, which is
 * vectorized; the outer loops run in parallel when there is enough to do.
 */
import { some } from "../../../ir/expr/traverse.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import type { BlockRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { parallelOuter, vectorizeContiguous, vectorizeHalos } from "./common.ts";
import { accessesInLoops, fuseContiguous, splitBlocks, strideAlong } from "./contiguous.ts";
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
  splitBlocks(s, ref, machine.lanes / 2);
  const lane = s.loops(ref).at(-1)!.id;
  const strides = accessesInLoops(s, ref).map((a) => strideAlong(a, lane));
  const unit = strides.every((stride) => stride !== undefined && Math.abs(stride) <= 1);
  if (unit) walkFewStreams(s, ref);
  const inner = fuseContiguous(s, ref);
  const first = s.loops(ref).length - 1;
  const inVectors = unit || readsNearby(s, ref, lane);
  const outer = inVectors ? vectorizeContiguous(s, inner, machine, 4) : undefined;
  // Written out, divisions and remainders of the lane are numbers.
  if (!inVectors && strides.includes(undefined) && s.extent(inner)! <= machine.lanes) s.unroll(inner);
  const remaining = s.loops(ref).slice(0, first);
  const parallelLoops = remaining.length > 0 ? remaining : outer ? [s.loops(ref)[0]!] : [];
  const iterations = parallelLoops.reduce((p, l) => p * (s.extent(l) ?? 1), 1);
  // One by one, an element takes as long as half a vector of them.
  const elements = (workOf(block) * (inVectors ? 1 : machine.lanes / 2)) / iterations;
  if (parallelLoops.length > 0) parallelOuter(s, parallelLoops, threads, { elements });
}

/** Elements from one lane to the next up to which vectors of all elements and shuffles read the lanes. */
const longestStride = 4;
/** Whether lanes along a loop write a line of results, and read every few elements of their operands, whatever the case. */
function readsNearby(s: Schedule, ref: BlockRef, lane: VarId): boolean {
  const { body, predicate } = s.describe(ref);
  if (predicate || body.kind !== "store" || some(body.value, (n) => n.kind === "select")) return false;
  const [store, ...loads] = accessesInLoops(s, ref).map((a) => strideAlong(a, lane) ?? Number.NaN);
  return store === 1 && loads.every((stride) => stride >= 0 && stride <= longestStride);
}

/**
 * Where whole operands lie in different orders, puts the shortest of the loops innermost along which any of them is walked
 * on: the others then are walked in as many streams as it has iterations, each line after line, and few do best.
 */
function walkFewStreams(s: Schedule, ref: BlockRef): void {
  const loops = s.loops(ref);
  const run = s.extent(loops.at(-1)!)!;
  const moving = loops.slice(0, -1).filter((l) => s.extent(l)! > 1);
  const whole = accessesInLoops(s, ref).filter((a) => moving.every((l) => strideAlong(a, l.id) !== 0));
  const walkedOn = moving.filter((l) => whole.some((a) => strideAlong(a, l.id) === run));
  if (walkedOn.length < 2) return;
  const shortest = walkedOn.reduce((a, b) => (s.extent(b)! <= s.extent(a)! ? b : a));
  const rest = loops.slice(0, -1).filter((l) => l.id !== shortest.id);
  if (shortest.id !== loops.at(-2)!.id) s.reorder(...rest, shortest, loops.at(-1)!);
}
