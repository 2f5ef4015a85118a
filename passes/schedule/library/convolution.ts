/**
 * Direct convolution in channel blocks, `NCHW[lanes]c`: a tile of `points` pixels × `vectors` channel blocks accumulates in
 * registers over input channels and window, and leaves through the fused epilogue. Depthwise convolutions and pools are
 * the same with one channel block a tile. Loop order: (each thread's strip of rows →) channel tile → row → pixel tile →
 * (channels, window, unrolled channels).
 */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import type { Block } from "../../../ir/loop/program.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { LoopCursor } from "../query.ts";
import type { Schedule } from "../schedule.ts";
import { findBlock, loopRef } from "../tree.ts";
import {
  bufferBytes,
  copyOut,
  parallelOuter,
  prefetchPanels,
  splitPoints,
  vectorizeHalos,
  zeroHalosWithin,
} from "./common.ts";
import { accumulateAt, accumulatorsOf } from "./partial-sums.ts";
import { bestPoints, largestDivisor, type Machine, unrolledChannels, withLanes } from "./plan.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { isParam, loopOfAxis, stagesOf } from "./structure.ts";

const windowed: ReadonlySet<string> = new Set(["Conv", "MaxPool", "AveragePool", "LpPool", "GlobalPool"]);

export const scheduleConvolution: Recipe = { name: "convolution", applies, schedule };

/** One reduction over a window, iterating (n, c block, h, w, lane). */
function applies(s: Schedule): boolean {
  const reductions = stagesOf(s.program).filter((t) => t.kind === "reduction");
  const [r] = reductions;
  if (reductions.length !== 1 || !r || !windowed.has(String(r.block.annotations?.op))) return false;
  if (r.block.iterVars.filter((v) => v.kind === "spatial").length !== 5) return false;
  // Row-major maps of three spatial axes have five axes too, but a longer window and no packed weights.
  const window = r.block.iterVars.filter((v) => v.kind === "reduction").length;
  return window === 2 || (window === 3 && r.block.reads.some((read) => read.buffer.shape.length === 6));
}

function schedule(s: Schedule, { machine, threads }: RecipeContext): void {
  const stage = stagesOf(s.program).find((t) => t.kind === "reduction")!;
  const conv = s.block(stage.block.name);
  const epilogue = isParam(s.func, stage.writes[0]!) ? copyOut(s, conv) : consumerOf(s, conv);
  const [n, co, h, w] = s.loops(epilogue) as [LoopCursor, LoopCursor, LoopCursor, LoopCursor];
  const [blocks, height, width] = [s.extent(co)!, s.extent(h)!, s.extent(w)!];
  // Every thread reads all weights of a strip, which must not come from beyond its own caches.
  const strip =
    weightBytes(stage.block) <= machine.l2Bytes
      ? (stripWithinCache(s, { conv: stage.block, h, machine, threads }) ?? shareRows(s, h, threads))
      : undefined;
  if (strip) s.reorder(n, strip, co);
  const outer = strip ? [n, strip] : [n];
  const tiles = tileConvolution(s, conv, epilogue, outer.length, { machine, threads });
  const [coTile, row] = tiles.outer;
  vectorizeHalos(s, machine);
  const rows = [...outer, ...tiles.outer];
  const iterations = rows.reduce((p, l) => p * s.extent(l)!, 1);
  const even = iterations % threads === 0 || iterations >= evenIterations * threads;
  const shared = even ? rows : [...rows, tiles.inRow];
  // Of one pixel, a sum takes as long as its operands take to come, which are read once.
  const { lanes, fmaPerCycle, reads } = machine;
  const waiting = height === 1 && width === 1 ? (4 * lanes * fmaPerCycle) / reads.l3 : 1;
  const work = tiles.work * (even ? s.extent(tiles.inRow)! : 1) * waiting;
  if (coTile && row)
    zeroHalosWithin(s, [
      { loop: n, dim: 0, each: 1 },
      ...(strip ? [{ loop: strip, dim: 2, each: height / s.extent(strip)! }] : []),
      { loop: coTile, dim: 1, each: blocks / s.extent(coTile)! },
      { loop: row, dim: 2, each: 1 },
      ...(even ? [] : [{ loop: tiles.inRow, dim: 3, each: Number.POSITIVE_INFINITY }]),
    ]);
  parallelOuter(s, shared, threads, { multiplyAdds: work });
}
/** Bytes of the weights that a convolution block [n, c block, h, w, lane, reductions…] reads. */
function weightBytes(conv: Block): number {
  const [, blocks, , , lanes] = conv.iterVars.map((v) => constantValue(v.extent)!);
  return 4 * reductionLength(conv) * blocks! * lanes!;
}
/** Products that a block sums up for each result. */
export const reductionLength = (b: Block): number =>
  b.iterVars.filter((v) => v.kind === "reduction").reduce((p, v) => p * constantValue(v.extent)!, 1);

/**
 * Cuts the loops of `stage` below `depth`, of [c block, h, w, lane] all that are longer than one, into register tiles, each
 * of which sums up its convolution first. Gives the loops over channel tiles and rows and that over the tiles of a row, the
 * block that sums up, and the multiply-adds of a tile.
 */
export function tileConvolution(
  s: Schedule,
  conv: BlockRef,
  stage: BlockRef,
  depth: number,
  { machine: whole, threads }: Pick<RecipeContext, "machine" | "threads">,
) {
  const described = s.describe(conv);
  const machine = withLanes(whole, constantValue(described.iterVars[4]!.extent)!);
  const facts = convFacts(described, machine);
  const [co, h, w, ci] = tileLoops(s, stage, depth);
  const [blocks, width] = [co ? s.extent(co)! : 1, s.extent(w)!];
  const problem = { ...facts.problem, extent: width, vectorBlocks: blocks };
  const points = Math.min(bestPoints(machine, problem, facts.vectors), facts.dense ? 32 : longestWindowedTile);
  // Nothing to tile along a row of one pixel: channel blocks give the independent accumulators.
  const vectors = facts.dense || width > 1 ? facts.vectors : blocksAtOnce(blocks, threads);
  const [wTile, wPoint] = splitPoints(s, w, points);
  const [coTile, coBlock] = co ? s.split(co, { factor: vectors, tail: "exact" }) : [];
  const outer = [coTile, h].filter((l) => l !== undefined);
  const inner = [coBlock, wPoint].filter((l) => l !== undefined);
  s.reorder(...outer, wTile, ...inner, ci);
  const wanted = facts.dense ? accumulatorsOf(machine, points * vectors, facts.channelUnroll) : 1;
  const { block, parts } = accumulateAt(s, conv, wTile, wanted);
  const inParts = { ...facts, channelUnroll: facts.channelUnroll / parts };
  const steps = scheduleAccumulation(s, block, inParts, depth + outer.length + 1);
  // Where the tile has a guard, what stands beside it in the loop would keep the guard there.
  const ahead = s.describe(block).predicate === undefined ? facts.weights : undefined;
  if (steps.length > 0 && coTile && ahead) prefetchPanels(s, block, ahead, { steps, panels: coTile, machine });
  s.vectorize(ci);
  for (const l of inner.toReversed()) s.unroll(l);
  const work = facts.problem.depth * s.extent(ci)! * points * vectors;
  return { outer, inRow: wTile, sums: block, work };
}
/** Independent sums that hide the latency of one, with a load each. */
const fewestSums = 3;
/** Channel blocks that one thread sums up at once: a divisor of all for which the thread with most has least to do. */
function blocksAtOnce(blocks: number, threads: number): number {
  const cost = (at: number): number => Math.ceil(blocks / at / threads) * Math.max(at, fewestSums);
  let best = largestDivisor(blocks, 8);
  for (let at = best - 1; at >= 1; at--) {
    const shared = cost(at) === cost(best) && blocks / best < threads;
    if (blocks % at === 0 && (cost(at) < cost(best) || shared)) best = at;
  }
  return best;
}
/** The loops of a stage [n, c block, h, w, lane] below `depth`; those of one iteration may be absent, but for w and lane. */
function tileLoops(s: Schedule, stage: BlockRef, depth: number) {
  const own = s.loops(stage).slice(depth);
  const block = s.describe(stage);
  const [, co, h, w, ci] = block.iterVars.map((_, axis) => {
    const id = loopOfAxis(s.program, block, axis)?.var.id;
    return own.find((l) => l.id === id);
  });
  return [co, h, w!, ci!] as const;
}

/** Iterations a thread from which on one more or less hardly matters. */
const evenIterations = 8;

/**
 * A strip of rows whose map stays in the second cache while all channel tiles read it: the whole map would come through the
 * last cache for each of them, which on a mesh is slow.
 */
function stripWithinCache(s: Schedule, { conv, h, machine, threads }: Striped): LoopRef | undefined {
  if (machine.reads.interconnect !== "mesh") return undefined;
  const rows = s.extent(h)!;
  const tiled = packedWeights(conv);
  const map = conv.reads.find((r) => r.buffer.shape.length === 5 && r.buffer.id !== conv.writes[0]!.buffer.id)?.buffer;
  if (!tiled || !map || constantValue(tiled.shape[0]!)! < 2) return undefined;
  const bytes = bufferBytes(map) / constantValue(map.shape[0]!)!;
  if (bytes + weightBytes(conv) <= 0.75 * machine.l2Bytes) return undefined;
  const most = Math.floor((rows * machine.l2Bytes) / 4 / bytes);
  const strip = largestDivisor(rows % threads === 0 ? rows / threads : rows, most);
  return strip >= fewestRows ? s.split(h, { factor: strip, tail: "exact" })[0] : undefined;
}
interface Striped {
  readonly conv: Block;
  readonly h: LoopRef;
  readonly machine: Machine;
  readonly threads: number;
}
/** Weights in tiles of output channels, where they are packed so. */
const packedWeights = (conv: Block): Buffer | undefined => conv.reads.find((r) => r.buffer.shape.length === 6)?.buffer;

/** Rows below which a thread's share is too uneven to be worth it. */
const fewestRows = 4;
/**
 * A strip of rows for each thread, where rows can be shared evenly: then a thread reads what it wrote in the kernel before,
 * but for the rows at the strip's ends.
 */
function shareRows(s: Schedule, h: LoopRef, threads: number): LoopRef | undefined {
  const rows = s.extent(h)!;
  if (threads < 2 || rows % threads !== 0 || rows / threads < fewestRows) return undefined;
  return s.split(h, { factor: rows / threads, tail: "exact" })[0];
}

/** The block that reads the accumulators; recipes run after inlining, so there is one. */
function consumerOf(s: Schedule, conv: BlockRef): BlockRef {
  return s.consumers(conv).at(-1)!;
}

/** Pixels of a depthwise or pooling tile at most: longer ones ran at a third of the speed on maps beyond L2. */
const longestWindowedTile = 14;

interface ConvFacts {
  readonly dense: boolean;
  readonly vectors: number;
  readonly channelUnroll: number;
  /** Packed weights, where there are any. */
  readonly weights: Buffer | undefined;
  readonly problem: { readonly depth: number; readonly outputBytes: number };
}
function convFacts(b: Block, m: Machine): ConvFacts {
  const extents = b.iterVars.map((v) => constantValue(v.extent)!);
  const reductions = b.iterVars.flatMap((v, i) => (v.kind === "reduction" ? [extents[i]!] : []));
  const depth = reductionLength(b);
  const outputBytes = 4 * extents.filter((_, i) => b.iterVars[i]!.kind === "spatial").reduce((p, e) => p * e, 1);
  const dense = reductions.length === 3;
  const weights = packedWeights(b);
  const vectors = dense && weights ? constantValue(weights.shape[5]!)! / m.lanes : 1;
  return {
    dense,
    vectors,
    weights,
    channelUnroll: dense ? unrolledChannels(reductions[0]!, m.lanes) : 1,
    problem: { depth, outputBytes },
  };
}

/** Inside a tile: reductions outermost, the tile unrolled into registers within. Gives the loops of the reduction. */
function scheduleAccumulation(s: Schedule, conv: BlockRef, facts: ConvFacts, outer: number): LoopRef[] {
  const block = findBlock(s.program, conv.id)!;
  const axes = block.iterVars.map((v, i) => ({ kind: v.kind, loop: loopOfAxis(s.program, block, i) }));
  const inner = s.loops(conv).slice(outer);
  const isInner = (l: LoopRef): boolean => inner.some((i) => i.id === l.id);
  const of = (kind: string): LoopRef[] =>
    axes.flatMap((a) => (a.kind === kind && a.loop ? [loopRef(a.loop)] : [])).filter(isInner);
  const spatial = of("spatial");
  const reductions = of("reduction");
  // No lanes where one number serves all: one channel of one pixel.
  const channel = axes[4]!.loop?.var.id;
  const lane = spatial.filter((l) => l.id === channel);
  // Channel blocks innermost: each broadcast pixel serves all of them and is dead afterwards.
  const blocks = axes[1]!.loop?.var.id;
  const tile = spatial
    .filter((l) => l.id !== channel)
    .sort((a, b) => Number(a.id === blocks) - Number(b.id === blocks));
  // Under a guard a short reduction is written out whole: accumulators of a loop there were spilled.
  const dense = facts.channelUnroll > 1 && facts.dense && block.predicate === undefined;
  let steps = reductions;
  if (dense) {
    const [icOuter, icInner] = s.split(reductions[0]!, { factor: facts.channelUnroll, tail: "exact" });
    s.reorder(icOuter, ...reductions.slice(1), icInner, ...tile, ...lane);
    s.decomposeReduction(conv, icOuter);
    s.unroll(icInner);
    s.annotate(icInner, "schedule_barrier", true);
    steps = [icOuter, ...reductions.slice(1)];
  } else {
    const nest = [...reductions, ...tile, ...lane];
    if (nest.length > 1) s.reorder(...nest);
    if (reductions[0]) s.decomposeReduction(conv, reductions[0]);
    const window = reductions.reduce((p, l) => p * s.extent(l)!, 1);
    if (reductions.length > 0 && window <= 64) {
      for (const l of reductions) s.unroll(l);
      s.annotate(reductions.at(-1)!, "schedule_barrier", true);
    }
  }
  unrollTile(s, conv, tile, lane, outer);
  s.setScope(conv, block.writes[0]!.buffer.name, "register");
  return steps;
}
/** Unrolls the tile loops and vectorizes the lane loop of the accumulation and of its initialisation. */
function unrollTile(
  s: Schedule,
  conv: BlockRef,
  tile: readonly LoopRef[],
  lane: readonly LoopRef[],
  outer: number,
): void {
  for (const l of tile) s.unroll(l);
  for (const l of lane) s.vectorize(l);
  const init = s.blocks().find((b) => b.name === `${conv.name}_init`);
  if (!init) return;
  const loops = s.loops(init).slice(outer);
  for (const l of loops.slice(0, -1)) s.unroll(l);
  if (lane.length > 0) s.vectorize(loops.at(-1)!);
}
