/** Transpositions: what lies in a line in the source and what does in the result are different axes. */

import { constantValue } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { parallelOuter, vectorizeHalos } from "./common.ts";
import { type Access, accessesInLoops, strideAlong } from "./contiguous.ts";
import { scheduleElementwise, scheduleElementwiseBlock } from "./elementwise.ts";
import { contextOf, type Recipe, type RecipeOptions } from "./recipe.ts";
import { workOf } from "./reduction.ts";
import { stagesOf } from "./structure.ts";
import { movesInTiles, transposeTile } from "./transpose-tile.ts";

/**
 * Schedules a block that copies one tensor into another with its axes in another order.
 *
 * Whichever order the loops have, one side is walked in strides, where every element costs a cache line. So both axes are
 * cut into tiles (`split`; the last tile starts earlier instead of being cut, because copying an element twice does no
 * harm), and a tile is transposed in registers (`tensorize`): whole vectors are read from the source's lines and written
 * to the result's. Tiles that follow one another along the source's lines are done together, since their elements share
 * pages and neighbouring cache lines.
 *
 * The loops above `depth` stay as they are, and nothing runs in parallel below them.
 *
 * Gives whether the block is such a copy with tiles of at least 4 × 4; otherwise nothing was changed.
 * @throws ScheduleError with the rule of a primitive
 */
export function transpose(s: Schedule, block: BlockRef | string, options: RecipeOptions = {}, depth = 0): boolean {
  const ref = typeof block === "string" ? s.block(block) : block;
  const { machine, threads } = contextOf(options);
  const n = tileOf(s.fork(), ref, machine.lanes, depth)?.n ?? 0;
  if (n < 4) return false;
  const { from, to, scalar } = tileOf(s, ref, machine.lanes, depth)!;
  const cut = (l: LoopRef, factor: number): [LoopRef, LoopRef] =>
    s.split(l, { factor, tail: s.extent(l)! % factor === 0 ? "exact" : "shift-inwards" });
  const others = s.loops(ref).filter((l, i) => i >= depth && l.id !== from.id && l.id !== to.id);
  const [fromTile, i] = cut(from, n);
  const [toTile, j] = cut(to, n);
  const together = s.extent(fromTile)! % 4 === 0 ? 4 : 1;
  const [fromTiles, next] = s.split(fromTile, { factor: together, tail: "exact" });
  s.reorder(...others, fromTiles, toTile, next, i, j);
  s.tensorize(i, transposeTile(n, scalar));
  if (depth > 0) return true;
  const outer = [...others, fromTiles];
  parallelOuter(s, outer, threads, {
    elements: workOf(s.describe(ref)) / outer.reduce((p, l) => p * (s.extent(l) ?? 1), 1),
  });
  return true;
}

/**
 * The loop along which the source lies in a line, that of the result, and how long a tile is; undefined where the block is
 * no such copy. Splits loops over channels that one side has in blocks.
 */
function tileOf(s: Schedule, ref: BlockRef, lanes: number, depth: number) {
  const { body, writes, predicate } = s.describe(ref);
  if (body.kind !== "store" || body.value.kind !== "load" || body.value.predicate || predicate) return undefined;
  const scalar = body.buffer.dtype.scalar;
  if (writes.length !== 1 || !movesInTiles(scalar) || body.value.dtype !== body.buffer.dtype) return undefined;
  splitDigits(s, ref, [...body.indices, ...body.value.indices]);
  const [store, load] = accessesInLoops(s, ref) as [Access, Access];
  const own = s.loops(ref).slice(depth);
  const lineOf = (a: Access) => own.find((l) => strideAlong(a, l.id) === 1 && (s.extent(l) ?? 0) > 1);
  const [from, to] = [lineOf(load), lineOf(store)];
  if (!from || !to || from.id === to.id) return undefined;
  const least = Math.min(s.extent(from)!, s.extent(to)!, scalar.endsWith("64") ? lanes / 2 : lanes);
  return { from, to, scalar, n: 2 ** Math.floor(Math.log2(least)) };
}
/** Splits loops where an index is the remainder of their variable: blocks of channels. */
function splitDigits(s: Schedule, ref: BlockRef, indices: readonly Expr[]): void {
  for (const e of indices) {
    const digit = remainderOf(s, ref, e);
    if (digit && digit.extent > digit.factor && digit.extent % digit.factor === 0)
      s.split(digit.loop, { factor: digit.factor, tail: "exact" });
  }
}
/** The loop that drives the variable of which an index is the remainder. */
function remainderOf(s: Schedule, ref: BlockRef, index: Expr) {
  if (index.kind !== "binary" || index.op !== "floormod" || index.a.kind !== "var") return undefined;
  const { id } = index.a;
  const block = s.describe(ref);
  const binding = block.bindings[block.iterVars.findIndex((v) => v.var.id === id)];
  const loop = s.loops(ref).find((l) => binding?.kind === "var" && l.id === binding.id);
  const factor = constantValue(index.b);
  return loop && factor !== undefined ? { loop, factor, extent: s.extent(loop)! } : undefined;
}
/**
 * Cuts off the channels that fill no block, where one side has channels in blocks and their number is no multiple of a
 * block's: those of whole blocks are a nest of their own then, without conditions.
 */
function cutWholeBlocks(s: Schedule, ref: BlockRef): void {
  const { body } = s.describe(ref);
  if (body.kind !== "store") return;
  const places = body.value.kind === "load" ? [...body.indices, ...body.value.indices] : [];
  const cut = places.some((e) => cutRemainder(s, ref, e)) || (body.value.kind === "select" && cutCondition(s, ref));
  if (!cut) return;
  const [first, last] = copies(s) as [BlockRef, BlockRef];
  const outside = s.loops(first).filter((l) => s.loops(last).some((o) => o.id === l.id));
  for (const l of outside.toReversed()) s.fission(l, first);
}
/** Cuts the loop of an index that is the remainder of its variable after whole blocks. */
function cutRemainder(s: Schedule, ref: BlockRef, index: Expr): boolean {
  const digit = remainderOf(s, ref, index);
  if (!digit || digit.extent < digit.factor || digit.extent % digit.factor === 0) return false;
  const at = digit.extent - (digit.extent % digit.factor);
  if (s.probe("cutLoop", { loop: digit.loop, at }) !== undefined) return false;
  s.cutLoop(digit.loop, at);
  return true;
}
/** Cuts the loop whose last iteration has lanes without a channel. */
function cutCondition(s: Schedule, ref: BlockRef): boolean {
  const inTwo = (l: LoopRef): boolean =>
    s.probe("loopPartition", { loop: l }) === undefined && s.fork().loopPartition(l).length === 2;
  const loop = s.loops(ref).find(inTwo);
  if (loop) s.loopPartition(loop);
  return loop !== undefined;
}
const copies = (s: Schedule): BlockRef[] =>
  stagesOf(s.program).flatMap((t) => (t.kind === "elementwise" ? [s.block(t.block.name)] : []));

export const scheduleTranspose: Recipe = {
  name: "transpose",
  applies: (s) =>
    stagesOf(s.program).every((t) => t.kind === "elementwise" || t.kind === "halo") && copies(s).length === 1,
  schedule: (s, context) => {
    const trial = s.fork();
    cutWholeBlocks(trial, copies(trial)[0]!);
    if (!transpose(trial, copies(trial)[0]!, context)) {
      scheduleElementwise.schedule(s, context);
      return;
    }
    cutWholeBlocks(s, copies(s)[0]!);
    for (const copy of copies(s)) if (!transpose(s, copy, context)) scheduleElementwiseBlock(s, copy, context);
    vectorizeHalos(s, context.machine);
  },
};
