/** Chains of stencils (blurs, gradients, pyramids' levels): each stage reads a few rows of the one before. */
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { scheduleElementwiseBlock } from "./elementwise.ts";
import { contextOf, type RecipeOptions } from "./recipe.ts";
import { reduction } from "./reduction.ts";
import { stagesBefore } from "./rows.ts";

export interface StencilOptions extends RecipeOptions {
  /** Rows of a strip; default: what gives every thread four strips, but at least 16 rows. */
  readonly rows?: number;
}

/**
 * Schedules a block that reads neighbourhoods of earlier stages, with these stages; its first loop runs over rows.
 *
 * Run one after the other, the stages would send whole pictures through memory. Computed where they are needed, each row
 * of an earlier stage would be computed once for every row that reads it. So the stages run together and windows slide:
 * for each row of the last stage, every earlier one computes only the rows that are new (`slideAt`), and keeps no more of
 * them than a window is high, in a buffer that wraps around (`storageFold`, a power of two, so that wrapping is one and).
 * What slides must run in order; so the picture is cut into strips that run in parallel, each of which starts its windows
 * anew: a few rows more for every strip. Within a row, lanes are pixels. Stages whose windows do not move by whole rows
 * are computed row by row (`computeAt`) or, where that is not possible either, before all others.
 * @throws ScheduleError with the rule of a primitive
 */
export function stencil(s: Schedule, last: BlockRef | string, options: StencilOptions = {}): void {
  const ref = typeof last === "string" ? s.block(last) : last;
  const context = contextOf(options);
  const stages = stagesBefore(s, ref);
  const height = s.extent(s.loops(ref)[0]!)!;
  const rows = options.rows ?? Math.max(16, Math.ceil(height / (4 * context.threads)));
  const [strip, row] = stripsOf(s, s.loops(ref)[0]!, rows);
  const inside: BlockRef[] = [ref];
  const slid: BlockRef[] = [];
  for (const stage of stages.toReversed()) {
    if (s.probe("slideAt", { block: stage, loop: row }) === undefined) {
      inside.push(s.slideAt(stage, row), stage);
      slid.push(stage);
    } else if (s.probe("computeAt", { block: stage, loop: row }) === undefined) {
      s.computeAt(stage, row);
      inside.push(stage);
    } else if (reduces(s, stage)) reduction(s, stage, context);
    else scheduleElementwiseBlock(s, stage, context);
  }
  if (strip && context.threads > 1 && s.probe("parallel", { loop: strip }) === undefined) s.parallel(strip);
  for (const stage of slid) wrapAround(s, stage);
  for (const block of inside) lanesAreNeighbours(s, block, row, context);
}
function stripsOf(s: Schedule, loop: LoopRef, rows: number): [LoopRef | undefined, LoopRef] {
  const height = s.extent(loop)!;
  if (height <= rows) return [undefined, loop];
  return s.split(loop, { factor: rows, tail: height % rows === 0 ? "exact" : "shift-inwards" });
}
const reduces = (s: Schedule, block: BlockRef): boolean =>
  s.describe(block).iterVars.some((v) => v.kind === "reduction");

/** Keeps as few rows of a stage as its window has, rounded up to a power of two. */
function wrapAround(s: Schedule, stage: BlockRef): void {
  const { buffer } = s.describe(stage).writes[0]!;
  for (const dim of buffer.shape.keys())
    for (let factor = 2; factor <= 16; factor *= 2) {
      if (s.probe("storageFold", { block: stage, buffer: buffer.name, dim, factor }) !== undefined) continue;
      s.storageFold(stage, buffer.name, dim, factor);
      return;
    }
}
function lanesAreNeighbours(s: Schedule, block: BlockRef, row: LoopRef, options: RecipeOptions): void {
  const depth = s.loops(block).findIndex((l) => l.id === row.id) + 1;
  const lane = s.loops(block).at(-1);
  if (reduces(s, block)) reduction(s, block, options, depth);
  else if (lane && s.extent(lane)! > 1 && s.probe("vectorize", { loop: lane }) === undefined) s.vectorize(lane);
}
