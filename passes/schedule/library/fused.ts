/** Several products and what stands between them, tile by tile: attention, inverted residual blocks. */
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { parallelOuter } from "./common.ts";
import { accessesOf, fuseContiguous, strideAlong, variableOf, walksLine } from "./contiguous.ts";
import { transposeOperand } from "./contraction.ts";
import { scheduleElementwiseBlock } from "./elementwise.ts";
import { chooseRegisterTile } from "./plan.ts";
import { contextOf, type RecipeContext, type RecipeOptions } from "./recipe.ts";
import { ownLoops, reduction, workOf } from "./reduction.ts";
import { epilogueOf, registerTile } from "./register-tile.ts";
import { stagesBefore } from "./rows.ts";

export interface FusedOptions extends RecipeOptions {
  /** Rows of a tile; default: as many as a register tile has, or two strips a thread for pictures (three axes). */
  readonly rows?: number;
}

/**
 * Schedules a whole group of stages that ends in one element-wise block or product: a tile of rows of the last stage goes
 * through all stages before the next tile begins, so that what lies between them (attention's scores, the wide tensors of
 * an inverted residual block) never leaves the second cache.
 *
 * From the last stage to the first, each moves under the loop over tiles (`computeAt`): it then computes exactly the rows
 * that its readers need there, which for windows are some more than the tile has, computed twice. A product first gets a
 * block that takes its results over (an element-wise reader, else a copy), because that is what is cut into register tiles
 * (`registerTile`), of which each sums up its product just before. Other reductions and element-wise stages are vectorized
 * where they stand. An operand that lies in lines along the reduction (K in Q·Kᵀ) is transposed first, once for all tiles.
 * @throws ScheduleError with the rule of a primitive
 */
export function fused(s: Schedule, last: BlockRef | string, options: FusedOptions = {}): void {
  const ref = typeof last === "string" ? s.block(last) : last;
  const context = contextOf(options);
  const products = new Map<BlockRef["id"], BlockRef>();
  const laidOut = new Set<BlockRef["id"]>();
  for (const b of [...stagesBefore(s, ref), ref]) {
    const crossed = crossedOperand(s, b);
    if (crossed !== undefined) laidOut.add(transposeOperand(s, b, crossed, context).id);
  }
  for (const b of [...stagesBefore(s, ref), ref]) if (isProduct(s, b)) products.set(epilogueOf(s, b).id, b);
  const end = s.blocks().find((b) => products.get(b.id)?.id === ref.id) ?? ref;
  const tiled = new Set([...products.values()].map((b) => b.id));
  const stages = stagesBefore(s, end).filter((b) => !tiled.has(b.id) && !laidOut.has(b.id));
  const work = [...stagesBefore(s, end), end].reduce((sum, b) => sum + workOf(s.describe(b)), 0);
  const tile = rowsOf(s, end, options.rows ?? defaultRows(s, end, context));
  for (const stage of [...stages, end].toReversed()) {
    const moves = stage.id !== end.id && s.probe("computeAt", { block: stage, loop: tile }) === undefined;
    if (moves) s.computeAt(stage, tile);
    const depth = moves || stage.id === end.id ? 1 : 0;
    const product = products.get(stage.id);
    if (product) tileProduct(s, stage, product, depth, context);
    else if (s.describe(stage).iterVars.some((v) => v.kind === "reduction")) reduction(s, stage, context, depth);
    else if (depth === 0) scheduleElementwiseBlock(s, stage, context);
    else vectorizeRows(s, stage, depth);
  }
  parallelOuter(s, [tile], context.threads, { multiplyAdds: work / (s.extent(tile) ?? 1) });
}
/** Whether a block reduces products of two operands and has a spatial axis to make lanes of. */
function isProduct(s: Schedule, ref: BlockRef): boolean {
  const block = s.describe(ref);
  const own = new Set(block.writes.map((w) => w.buffer.id));
  const operands = new Set(block.reads.filter((r) => !own.has(r.buffer.id)).map((r) => r.buffer.id));
  const lane = ownLoops(s, ref, "spatial", 0).at(-1);
  const variable = lane && variableOf(block, lane);
  const reduces = block.iterVars.some((v) => v.kind === "reduction");
  return reduces && operands.size >= 2 && s.loops(ref).length >= 3 && !!variable && walksLine(block, variable);
}
/** The operand of a product that could have lanes but for lying in lines along the reduction. */
function crossedOperand(s: Schedule, ref: BlockRef): string | undefined {
  const block = s.describe(ref);
  const own = new Set(block.writes.map((w) => w.buffer.id));
  const k = block.iterVars.findLast((v) => v.kind === "reduction");
  const lane = block.iterVars.findLast((v) => v.kind === "spatial");
  const operands = accessesOf(block).filter((a) => !own.has(a.buffer.id));
  if (!k || !lane || operands.length < 2) return undefined;
  const [crossed, ...others] = operands.filter((a) => strideAlong(a, lane.var.id) !== 0);
  const inLine = crossed && others.length === 0 && strideAlong(crossed, k.var.id) === 1;
  return inLine && (strideAlong(crossed, lane.var.id) ?? 0) > 1 ? crossed.buffer.name : undefined;
}
function defaultRows(s: Schedule, end: BlockRef, { machine, threads }: RecipeContext): number {
  const loops = s.loops(end);
  const height = s.extent(loops[0]!)!;
  if (loops.length > 2) return Math.ceil(height / (2 * threads));
  const vectorBlocks = Math.ceil(s.extent(loops.at(-1)!)! / machine.lanes);
  return chooseRegisterTile(machine, { vectorBlocks, extent: height, depth: 64, outputBytes: 0 }).points;
}
/** The loop over tiles of rows. */
function rowsOf(s: Schedule, end: BlockRef, rows: number): LoopRef {
  const [loop] = s.loops(end);
  const height = s.extent(loop!)!;
  const factor = Math.min(rows, height);
  return s.split(loop!, { factor, tail: height % factor === 0 ? "exact" : "shift-inwards" })[0];
}
/** Cuts the last two of a stage's loops below `depth` into register tiles, each of which sums up its product first. */
export function tileProduct(
  s: Schedule,
  stage: BlockRef,
  product: BlockRef,
  depth: number,
  { machine }: RecipeContext,
): void {
  const loops = s.loops(stage).slice(depth);
  const lane = loops.at(-1);
  if (!lane) {
    // One result a tile: the product is a reduction like others.
    const around = s.loops(stage).at(-1);
    if (around) s.computeAt(product, around);
    reduction(s, product, { machine }, depth);
    return;
  }
  const point = loops.at(-2) ?? lane;
  const reduced = ownLoops(s, product, "reduction", 0);
  const steps = reduced.reduce((p, l) => p * s.extent(l)!, 1);
  const vectorBlocks = Math.ceil(s.extent(lane)! / machine.lanes);
  const shape = { vectorBlocks, extent: s.extent(point)!, depth: steps, outputBytes: 0 };
  registerTile(s, stage, product, {
    ...chooseRegisterTile(machine, shape),
    point,
    lane,
    lanes: machine.lanes,
    steps: 4,
    depth,
  });
}
/** Vectorizes an element-wise stage below `depth`. */
export function vectorizeRows(s: Schedule, stage: BlockRef, depth: number): void {
  if (s.loops(stage).length <= depth) return;
  const lane = fuseContiguous(s, stage, depth);
  if (s.extent(lane)! > 1 && s.probe("vectorize", { loop: lane }) === undefined) s.vectorize(lane);
}
