/** Matrix products and convolutions of programs written by hand: register tiles, and what surrounds them. */
import { constantValue } from "../../../ir/expr/build.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { Range } from "../../../ir/loop/program.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { parallelOuter, vectorizeHalos } from "./common.ts";
import { variableOf } from "./contiguous.ts";
import { scheduleElementwiseBlock } from "./elementwise.ts";
import { chooseRegisterTile, orderOfTiles, type RegisterTile } from "./plan.ts";
import { contextOf, type Recipe, type RecipeOptions } from "./recipe.ts";
import { ownLoops, reduction } from "./reduction.ts";
import { epilogueOf, registerTile, type TilePlan } from "./register-tile.ts";
import { stagesOf } from "./structure.ts";
import { transpose } from "./transpose.ts";

/** What may be said of a tile; the default has the least modelled cycles (`plan.ts`). */
export interface ContractionOptions extends RecipeOptions, Partial<RegisterTile> {
  /** Reduction steps that are written out; default 8. */
  readonly steps?: number;
}
export interface MatmulOptions extends ContractionOptions {
  /** Whether the right-hand side is first copied into panels; default: where it exceeds the first cache. */
  readonly pack?: boolean;
}

/**
 * Schedules C[…, i, j] = Σ_k A[…, i, k] · B[…, k, j], and the element-wise block that alone reads C, if there is one.
 *
 * A tile of rows × vectors of columns accumulates in registers over all of k (`registerTile`); the rows of a tile share
 * each vector of B, its columns each element of A. B is read along a column of tiles again and again, so a panel of as
 * many columns as a tile has is laid out in the order in which the tile reads it (`cacheRead`, `transformLayout`): then
 * every load is the next line of memory, and the panel stays in the second cache while all rows pass. Tiles run in
 * parallel.
 * @throws ScheduleError with the rule of a primitive
 */
export function matmul(s: Schedule, block: BlockRef | string, options: MatmulOptions = {}): void {
  const ref = typeof block === "string" ? s.block(block) : block;
  const [row, column] = s.loops(ref).slice(-3, -1);
  if (!row || !column) {
    reduction(s, ref, options);
    return;
  }
  const plan = planOf(s, ref, { point: row, lane: column, inRows: true }, options);
  const width = plan.vectors * plan.lanes;
  const [right] = operandsAlong(s, ref, column).filter((name) => !operandsAlong(s, ref, row).includes(name));
  const bytes = 4 * s.extent(column)! * s.extent(s.loops(ref).at(-1)!)!;
  const pack = options.pack ?? bytes > contextOf(options).machine.l1Bytes;
  if (right !== undefined && pack && s.extent(column)! % width === 0) packPanels(s, ref, right, width, options);
  tiled(s, ref, -2, -1, plan, options);
}

/**
 * Schedules a convolution in any layout whose last axis is wide: Y[…, h, w, c] = Σ X[…, h + kh, w + kw, ci] · W[…, c],
 * or Y[…, o, h, w] = Σ X[…, h + kh, w + kw] · W[o, …], and the element-wise block that alone reads Y, if there is one.
 *
 * The last axis makes the lanes. With channels last, the tile's points are pixels of a row, which share the vectors of
 * weights. With pixels last, they are output channels, which share the vectors of input. The reduction runs in the order
 * of its loops: put the axis that is longest, or along which the input is contiguous, last. Padding belongs into a block
 * of its own before (`decomposePadding`, or a padded input), so that no load here has a condition.
 * @throws ScheduleError with the rule of a primitive
 */
export function conv2d(s: Schedule, block: BlockRef | string, options: ContractionOptions = {}): void {
  const ref = typeof block === "string" ? s.block(block) : block;
  const spatial = ownLoops(s, ref, "spatial", 0);
  const lane = spatial.at(-1)!;
  // Which axis the operand that has no lanes is indexed by: pixels for channels last, channels for pixels last.
  const shared = spatial.slice(0, -1).findLast((l) => {
    const along = operandsAlong(s, ref, l);
    return (s.extent(l) ?? 1) > 1 && !operandsAlong(s, ref, lane).some((name) => along.includes(name));
  });
  const point = shared ?? spatial.at(-2) ?? lane;
  const at = spatial.findIndex((l) => l.id === point.id) - spatial.length;
  tiled(s, ref, at, -1, planOf(s, ref, { point, lane }, options), options);
}

/**
 * Schedules a depthwise convolution with channels last, Y[…, h, w, c] = Σ X[…, h + kh, w + kw, c] · W[kh, kw, c], and the
 * element-wise block that alone reads it.
 *
 * Every channel has a window of its own, so nothing is shared between channels: a tile is one vector of channels by
 * some pixels of a row, which share the window's weights; the whole window is written out, so that the compiler loads each
 * vector of input once for all the pixels whose windows overlap in it. More than 14 pixels ran slower on large maps.
 * @throws ScheduleError with the rule of a primitive
 */
export function depthwise(s: Schedule, block: BlockRef | string, options: ContractionOptions = {}): void {
  const ref = typeof block === "string" ? s.block(block) : block;
  const [pixel, channel] = ownLoops(s, ref, "spatial", 0).slice(-2) as [LoopRef, LoopRef];
  const window = ownLoops(s, ref, "reduction", 0);
  const points = Math.min(s.extent(pixel)!, 14);
  const plan = planOf(s, ref, { point: pixel, lane: channel }, { vectors: 1, points, steps: 16, ...options });
  tiled(s, ref, -2, -1, plan, options);
  for (const l of window) if (s.probe("unroll", { loop: l }) === undefined && s.extent(l)! <= 7) s.unroll(l);
}

/** Chooses what of a tile is not given. */
function planOf(
  s: Schedule,
  ref: BlockRef,
  { point, lane, inRows = false }: Pick<TilePlan, "point" | "lane"> & { readonly inRows?: boolean },
  options: ContractionOptions,
): TilePlan {
  const { machine, threads } = contextOf(options);
  const extents = s.describe(ref).iterVars.map((v) => constantValue(v.extent) ?? 1);
  const depth = ownLoops(s, ref, "reduction", 0).reduce((p, l) => p * s.extent(l)!, 1);
  const outputs = extents.reduce((p, n) => p * n, 1) / depth;
  const vectorBlocks = Math.ceil(s.extent(lane)! / machine.lanes);
  const extent = { rows: s.extent(point)!, columns: s.extent(lane)!, depth };
  const problem = { vectorBlocks, ragged: true, extent: extent.rows, depth, outputBytes: 4 * outputs };
  const orderOf = (rows: number) => orderOfTiles(machine, extent, Math.ceil(extent.rows / rows), threads);
  const inRow = chooseRegisterTile(machine, inRows ? { ...problem, columns: extent.columns } : problem);
  // Threads that share strips find more of them where they are narrow.
  const shared = threads > 1 && orderOf(options.points ?? inRow.points) === "points";
  const chosen = shared ? chooseRegisterTile(machine, problem) : inRow;
  const { points = chosen.points, vectors = chosen.vectors, steps = 8 } = options;
  const inner = orderOf(points);
  return { points, vectors, steps, inner, lanes: machine.lanes, point, lane };
}
/** Tiles the block's results along two of its stage's loops, counted from the end, and runs the tiles in parallel. */
function tiled(s: Schedule, ref: BlockRef, point: number, lane: number, plan: TilePlan, options: RecipeOptions): void {
  const work = plan.points * plan.vectors * plan.lanes;
  const depth = ownLoops(s, ref, "reduction", 0).reduce((p, l) => p * s.extent(l)!, 1);
  const stage = epilogueOf(s, ref);
  const loops = s.loops(stage);
  const tiles = registerTile(s, stage, ref, { ...plan, point: loops.at(point)!, lane: loops.at(lane)! });
  const outer: LoopRef[] = [];
  for (const l of tiles) {
    const whole = wholeTiles(s, ref, l);
    // What was cut no longer is the whole body of the loops around it, nor are the loops within it.
    if (whole && outer.length > 0) break;
    if (!whole || s.extent(whole)! > 1) outer.push(whole ?? l);
    if (outer[0] === whole) break;
  }
  if (outer.length > 0) parallelOuter(s, outer, contextOf(options).threads, { multiplyAdds: work * depth });
}
/** The tiles of a loop that need no guard, the others after them; undefined where there is nothing to cut. */
function wholeTiles(s: Schedule, block: BlockRef, tiles: LoopRef): LoopRef | undefined {
  if (s.probe("loopPartition", { loop: tiles }) !== undefined) return undefined;
  const buffer = s.describe(block).writes[0]!.buffer.name;
  if (s.probe("hoistStorage", { block, buffer, loop: tiles }) === undefined) s.hoistStorage(block, buffer, tiles);
  const parts = s.loopPartition(tiles);
  return parts.find((l) => (s.extent(l) ?? 0) > 1) ?? parts[0];
}
/** The operands that a loop of the block moves along, without its own results. */
function operandsAlong(s: Schedule, ref: BlockRef, loop: LoopRef): string[] {
  const block = s.describe(ref);
  const v = variableOf(block, loop);
  const own = new Set(block.writes.map((w) => w.buffer.id));
  const moves = (ranges: readonly Range[]): boolean => ranges.some((r) => v && freeVars(r.min).has(v.var.id));
  return block.reads.filter((r) => !own.has(r.buffer.id) && moves(r.ranges)).map((r) => r.buffer.name);
}
/** The axis of an operand that the reduction runs along, the one that the lanes do, and the others. */
function axesOf(s: Schedule, ref: BlockRef, name: string) {
  const k = s.describe(ref).iterVars.findLast((v) => v.kind === "reduction")!;
  const { ranges } = s.describe(ref).reads.find((r) => r.buffer.name === name)!;
  const depth = ranges.findIndex((r) => freeVars(r.min).has(k.var.id));
  const column = ranges.length - 1 === depth ? depth - 1 : ranges.length - 1;
  const batch = ranges.map((_, axis) => axis).filter((axis) => axis !== depth && axis !== column);
  return { depth, column, batch: batch.map((axis) => ({ axis, divisor: 1 })) };
}
/** Copies the right-hand side into panels of `width` columns, k after k. */
function packPanels(s: Schedule, ref: BlockRef, name: string, width: number, options: RecipeOptions): void {
  const { depth, column, batch } = axesOf(s, ref, name);
  laidOut(s, ref, name, options, [
    ...batch,
    { axis: column, divisor: width },
    { axis: depth, divisor: 1 },
    { axis: column, divisor: 1, modulus: width },
  ]);
}
/** Copies an operand that lies in lines along the reduction so that it lies in lines along the block's lanes. */
export function transposeOperand(s: Schedule, ref: BlockRef, name: string, options: RecipeOptions): BlockRef {
  const { depth, column, batch } = axesOf(s, ref, name);
  return laidOut(s, ref, name, options, [...batch, { axis: depth, divisor: 1 }, { axis: column, divisor: 1 }]);
}
function laidOut(
  s: Schedule,
  ref: BlockRef,
  name: string,
  options: RecipeOptions,
  dims: Parameters<Schedule["transformLayout"]>[2],
): BlockRef {
  const copy = s.cacheRead(ref, name, "global");
  s.transformLayout(copy, s.describe(copy).writes[0]!.buffer.name, dims);
  if (!transpose(s, copy, options)) scheduleElementwiseBlock(s, copy, contextOf(options));
  return copy;
}

/** Convolutions of networks whose maps are not blocked. */
export const schedulePlanar: Recipe = {
  name: "planar convolution",
  applies: (s) => {
    const stages = stagesOf(s.program);
    const reductions = stages.filter((t) => t.kind === "reduction");
    const [r] = reductions;
    const spatial = r?.block.iterVars.filter((v) => v.kind === "spatial").length;
    const others = stages.every((t) => t.kind !== "ordered");
    return others && reductions.length === 1 && r!.block.annotations?.op === "Conv" && spatial === 4;
  },
  schedule: (s, context) => {
    const conv = stagesOf(s.program).find((t) => t.kind === "reduction")!;
    conv2d(s, conv.block.name, context);
    vectorizeHalos(s, context.machine);
  },
};
