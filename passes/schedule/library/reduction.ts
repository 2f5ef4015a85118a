/** A reduction on its own: along contiguous data with vectors of partial results, or vectorized along a spatial axis. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Block } from "../../../ir/loop/program.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { loopRef } from "../tree.ts";
import { parallelOuter } from "./common.ts";
import { fuseContiguous, variableOf, walksLine } from "./contiguous.ts";
import { largestDivisor } from "./plan.ts";
import { contextOf, type RecipeOptions } from "./recipe.ts";
import { loopOfAxis } from "./structure.ts";

/**
 * Schedules one reduction (a sum, a maximum …): a block alone in its nest, or what of its nest lies below depth `from`.
 *
 * What lies side by side in memory decides. If these are elements of one result (sums of rows), the reduction loops that
 * walk memory in a line become one, and its iterations become lanes; the lanes' partial results are combined at the end.
 * If they are different results (sums of columns), the lanes are results: a step adds one vector to another, and several
 * steps are written out, so that a vector of results is loaded and stored once for all of them. Where neither fills the
 * threads, one long reduction is cut into parts that are reduced at the same time (`rfactor`), which changes the order of
 * additions and is refused under strict math.
 * @throws ScheduleError with the rule of a primitive
 */
export function reduction(s: Schedule, block: BlockRef | string, options: RecipeOptions = {}, from = 0): void {
  const ref = typeof block === "string" ? s.block(block) : block;
  const { machine, threads } = contextOf(options);
  const spatial = ownLoops(s, ref, "spatial", from);
  const reduced = ownLoops(s, ref, "reduction", from);
  if (reduced.length === 0) return;
  const lane = spatial.at(-1);
  const variable = lane && variableOf(s.describe(ref), lane);
  const columns = variable && s.extent(lane)! >= 4 && walksLine(s.describe(ref), variable);
  const one = spatial.every((l) => s.extent(l) === 1);
  const parts = from === 0 && one && threads > 1 ? partial(s, ref, reduced, threads) : undefined;
  if (columns) reduceColumns(s, ref, spatial, reduced, machine.lanes);
  else reduceRows(s, parts ?? ref, reduced.length);
  if (from > 0) return;
  const outer = s.loops(parts ?? ref).find((l) => s.extent(l) !== 1);
  if (outer && s.probe("parallel", { loop: outer }) === undefined)
    parallelOuter(s, [outer], threads, { elements: workOf(s.describe(parts ?? ref)) / (s.extent(outer) ?? 1) });
}

/** Iterations of a block. */
export const workOf = (b: Block): number => b.iterVars.reduce((p, v) => p * (constantValue(v.extent) ?? 1), 1);

/** The loops of a block, from depth `from` on, that drive its variables of a kind, in the order of the variables. */
export function ownLoops(s: Schedule, ref: BlockRef, kind: string, from: number): LoopRef[] {
  const inner = s.loops(ref).slice(from);
  const block = s.describe(ref);
  const found = block.iterVars.flatMap((v, i) => {
    const l = v.kind === kind ? loopOfAxis(s.program, block, i) : undefined;
    return l && inner.some((x) => x.id === l.var.id) ? [loopRef(l)] : [];
  });
  return [...new Map(found.map((l) => [l.id, l])).values()];
}

/** Lanes are elements of one result: the innermost `count` loops reduce. */
function reduceRows(s: Schedule, ref: BlockRef, count: number): void {
  const at = s.loops(ref).length - count;
  const k = fuseContiguous(s, ref, at);
  s.decomposeReduction(ref, s.loops(ref)[at]!);
  if (s.extent(k)! > 1 && s.probe("vectorize", { loop: k }) === undefined) s.vectorize(k);
}

/** Lanes are results: reduction steps outside, eight of them written out where vectors are whole. */
function reduceColumns(
  s: Schedule,
  ref: BlockRef,
  spatial: readonly LoopRef[],
  reduced: readonly LoopRef[],
  lanes: number,
): void {
  const lane = spatial.at(-1)!;
  const extent = s.extent(lane)!;
  const steps = largestDivisor(s.extent(reduced.at(-1)!)!, 8);
  const blocked = extent > 4 * lanes && extent % lanes === 0 && steps > 1;
  if (!blocked) {
    s.reorder(...spatial.slice(0, -1), ...reduced, lane);
    vectorizeWithInit(s, ref, reduced[0]!, lane);
    return;
  }
  const [vector, inVector] = s.split(lane, { factor: lanes, tail: "exact" });
  const [outer, step] = s.split(reduced.at(-1)!, { factor: steps, tail: "exact" });
  const order = [...reduced.slice(0, -1), outer];
  s.reorder(...spatial.slice(0, -1), ...order, vector, step, inVector);
  vectorizeWithInit(s, ref, order[0]!, inVector);
  s.unroll(step);
}
function vectorizeWithInit(s: Schedule, ref: BlockRef, top: LoopRef, lane: LoopRef): void {
  const init = s.decomposeReduction(ref, top);
  s.vectorize(lane);
  s.vectorize(s.loops(init).at(-1)!);
}

/** Elements below which one thread reduces alone. */
const worthParts = 200_000;

/** Cuts a reduction of everything into a part for each thread; gives their block, undefined where that may not be. */
function partial(s: Schedule, ref: BlockRef, reduced: readonly LoopRef[], threads: number): BlockRef | undefined {
  if (workOf(s.describe(ref)) < worthParts) return undefined;
  const cut = (on: Schedule): LoopRef | undefined => {
    const k = fuseContiguous(on, ref, on.loops(ref).length - reduced.length, Number.POSITIVE_INFINITY);
    const extent = on.extent(k)!;
    return extent % threads === 0 ? on.split(k, { factor: extent / threads, tail: "exact" })[0] : undefined;
  };
  const trial = s.fork();
  const part = cut(trial);
  if (!part || trial.probe("rfactor", { loop: part, factorAxis: 0 }) !== undefined) return undefined;
  return s.rfactor(cut(s)!, 0);
}
