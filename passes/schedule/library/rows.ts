/** Softmax and normalizations: reductions and what is done with their results, one slice of the tensor at a time. */

import { constantValue } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { IterVar } from "../../../ir/loop/program.ts";
import type { BufferId } from "../../../ir/support/ids.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { parallelOuter } from "./common.ts";
import { accessesOf, fuseContiguous, variableOf, walksLine } from "./contiguous.ts";
import { contextOf, type RecipeContext, type RecipeOptions } from "./recipe.ts";
import { reduction, workOf } from "./reduction.ts";

/**
 * Schedules an element-wise block together with the reductions it needs, as in softmax (maximum, exponentials, sum, scale)
 * or layer normalization (mean, variance, scale): all stages of one slice, then those of the next, so that a slice is read
 * from memory once and its intermediate values never leave the first cache.
 *
 * The last block decides what a slice is: the loops that choose the results of reductions are put outside (`reorder`), and
 * every earlier stage moves under them (`computeAt`, from the last to the first, because each must see its consumer). If
 * slices lie side by side, a vector of them is done at once: their innermost loop is cut into a few vectors, and lanes are
 * slices; otherwise lanes run along the slice. Every stage is then vectorized where it stands.
 *
 * Gives the number of loops around a slice; 0 when the stages cannot run slice by slice, and nothing was changed.
 * @throws ScheduleError with the rule of a primitive
 */
export function softmax(s: Schedule, last: BlockRef | string, options: RecipeOptions = {}): number {
  const ref = typeof last === "string" ? s.block(last) : last;
  const context = contextOf(options);
  const stages = stagesBefore(s, ref);
  const order = stages.length > 0 ? sliceLoops(s, ref, context, stages) : undefined;
  const depth = order && gather(s, ref, stages, order);
  if (!depth) return 0;
  const work = [...stages, ref].reduce((total, b) => total + workOf(s.describe(b)), 0);
  for (const stage of [...stages, ref]) {
    if (s.describe(stage).iterVars.some((v) => v.kind === "reduction")) reduction(s, stage, context, depth);
    else vectorizeSlice(s, stage, depth);
  }
  const outer = s.loops(ref).slice(0, depth);
  parallelOuter(s, outer, context.threads, { elements: work / outer.reduce((p, l) => p * (s.extent(l) ?? 1), 1) });
  return depth;
}

/** The blocks that a block's operands come from, directly or not, in order of execution. */
export function stagesBefore(s: Schedule, last: BlockRef): BlockRef[] {
  const found = new Set<BlockRef["id"]>();
  const visit = (b: BlockRef): void => {
    for (const p of s.producers(b)) {
      if (found.has(p.id)) continue;
      found.add(p.id);
      visit(p);
    }
  };
  visit(last);
  return s.blocks().filter((b) => found.has(b.id));
}

interface SliceLoops {
  readonly outer: readonly LoopRef[];
  readonly inner: readonly LoopRef[];
}
/** The loops over slices and those within one, in the order in which they are wanted; undefined without slices. */
function sliceLoops(
  s: Schedule,
  last: BlockRef,
  { machine }: RecipeContext,
  stages: readonly BlockRef[],
): SliceLoops | undefined {
  const block = s.describe(last);
  const made = new Set(stages.flatMap((b) => s.describe(b).writes.map((w) => w.buffer.id)));
  const outer: LoopRef[] = [];
  const inner: LoopRef[] = [];
  for (const loop of s.loops(last)) {
    const v = variableOf(block, loop);
    const step = v && sliceStep(accessesOf(block), made, v);
    if (step === undefined) inner.push(loop);
    else if (step === 1) outer.push(loop);
    else {
      const [group, member] = s.split(loop, { factor: step, tail: "exact" });
      outer.push(group);
      inner.push(member);
    }
  }
  const lane = outer.at(-1);
  if (!lane || inner.length === 0) return undefined;
  const v = variableOf(block, lane);
  if (s.loops(last).at(-1)!.id !== lane.id || !v || !walksLine(block, v)) return { outer, inner };
  const slice = inner.reduce((p, l) => p * (s.extent(l) ?? 1), 1);
  const [tile, lanes] = vectorsOfSlices(
    s,
    lane,
    machine.lanes,
    slice * 4 * machine.lanes * 2 <= machine.l1Bytes ? 4 : 1,
  );
  return { outer: [...outer.slice(0, -1), ...(tile ? [tile] : [])], inner: [...inner, lanes] };
}
/** A tile of a few vectors of slices, and the loop over it. */
function vectorsOfSlices(s: Schedule, loop: LoopRef, lanes: number, most: number): [LoopRef | undefined, LoopRef] {
  const extent = s.extent(loop)!;
  const width = lanes * Math.max(1, Math.min(most, Math.floor(extent / lanes)));
  if (extent <= width) return [undefined, loop];
  return s.split(loop, { factor: width, tail: extent % width === 0 ? "exact" : "shift-inwards" });
}
/** 1: each value of the variable has its own results of reductions; n: each n values do; undefined: all share them. */
function sliceStep(accesses: ReturnType<typeof accessesOf>, made: ReadonlySet<BufferId>, v: IterVar) {
  const steps = accesses
    .filter((a) => made.has(a.buffer.id))
    .map((a) => Math.min(...a.indices.filter((e) => freeVars(e).has(v.var.id)).map((e) => stepOf(e, v))));
  const step = Math.max(...steps);
  const extent = constantValue(v.extent) ?? Number.NaN;
  return extent > 1 && Number.isFinite(step) && extent % step === 0 ? step : undefined;
}
const stepOf = (e: Expr, v: IterVar): number =>
  e.kind === "var" && e.id === v.var.id
    ? 1
    : e.kind === "binary" && e.op === "floordiv" && e.a.kind === "var"
      ? (constantValue(e.b) ?? Number.POSITIVE_INFINITY)
      : Number.POSITIVE_INFINITY;

/** Computes the stages inside the slice loops of the last block; gives how many loops these are. */
function gather(s: Schedule, last: BlockRef, stages: readonly BlockRef[], { outer, inner }: SliceLoops): number {
  const at = outer.at(-1);
  if (!at) return 0;
  if (s.loops(last).some((l, i) => l.id !== [...outer, ...inner][i]!.id)) s.reorder(...outer, ...inner);
  for (const block of stages.toReversed()) s.computeAt(block, at);
  return s.loops(last).findIndex((l) => l.id === at.id) + 1;
}

/** Vectorizes an element-wise stage inside its slice. */
function vectorizeSlice(s: Schedule, stage: BlockRef, depth: number): void {
  if (s.loops(stage).length <= depth) return;
  const inner = fuseContiguous(s, stage, depth);
  if (s.extent(inner)! > 1 && s.probe("vectorize", { loop: inner }) === undefined) s.vectorize(inner);
}
