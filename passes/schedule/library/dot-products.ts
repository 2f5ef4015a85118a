/** Matrix products whose operands both lie along the reduction: lanes are parts of each sum. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { BlockRef } from "../primitive.ts";
import type { LoopCursor } from "../query.ts";
import type { Schedule } from "../schedule.ts";
import { parallelOuter, splitPoints } from "./common.ts";
import { walksLine } from "./contiguous.ts";
import { contextOf, type Recipe, type RecipeOptions } from "./recipe.ts";
import { ownLoops, reduction } from "./reduction.ts";
import { epilogueOf } from "./register-tile.ts";
import { stagesOf } from "./structure.ts";

/** Vectors of partial sums that a tile keeps in registers, and rows of it. */
const mostSums = 24;
const mostRows = 8;

/**
 * Schedules C[…, i, j] = Σ_k A[…, i, k] · B[…, j, k] for few columns j, and the element-wise block that alone reads C, if
 * there is one.
 *
 * With fewer columns than lanes, a vector of columns would be mostly empty. But both operands are contiguous along k, so a
 * tile of rows × all columns reads a vector of each and keeps a vector of partial sums for each result, whose lanes are
 * added once at the end. That changes the order of additions, and is refused under strict math.
 * @throws ScheduleError with the rule of a primitive
 */
export function dotProducts(s: Schedule, block: BlockRef | string, options: RecipeOptions = {}): void {
  const ref = typeof block === "string" ? s.block(block) : block;
  const { threads } = contextOf(options);
  // A sum of one product has no loop that lanes could run along.
  if ((s.extent(ownLoops(s, ref, "reduction", 0)[0]!) ?? 2) < 2) {
    reduction(s, ref, options);
    return;
  }
  const columns = s.extent(ownLoops(s, ref, "spatial", 0).at(-1)!)!;
  const stage = epilogueOf(s, ref);
  const [row, column] = s.loops(stage).slice(-2) as [LoopCursor, LoopCursor];
  const around = s.loops(stage).slice(0, -2);
  const rows = s.extent(row)!;
  const [tiles, point] = splitPoints(s, row, evenRows(rows, Math.min(mostRows, Math.floor(mostSums / columns))));
  s.computeAt(ref, tiles);
  s.setScope(ref, s.describe(ref).writes[0]!.buffer.name, "register");
  for (const l of [point, column]) s.unroll(l);
  const depth = around.length + 1;
  const tile = ownLoops(s, ref, "spatial", depth);
  const [k] = ownLoops(s, ref, "reduction", depth);
  s.reorder(k!, ...tile);
  const work = rows * columns * s.extent(k!)!;
  s.decomposeReduction(ref, k!);
  s.vectorize(k!);
  for (const l of tile) s.unroll(l);
  parallelOuter(s, [...around, tiles], threads, work / s.extent(tiles)!);
}
/** Rows of a tile, at most `most`, so that as few as possible are computed twice. */
function evenRows(rows: number, most: number): number {
  const limit = Math.max(1, Math.min(rows, most));
  let best = limit;
  for (let n = limit - 1; 2 * n > limit; n--) if (Math.ceil(rows / n) * n < Math.ceil(rows / best) * best) best = n;
  return best;
}

/** Products that layouts made so: see `narrowLayouts`. */
export const scheduleDotProducts: Recipe = {
  name: "dot products",
  applies: (s) => {
    const reductions = stagesOf(s.program).filter((t) => t.kind === "reduction");
    const [r] = reductions;
    if (reductions.length !== 1 || (r!.block.annotations?.op !== "MatMul" && r!.block.annotations?.op !== "Gemm"))
      return false;
    const spatial = r!.block.iterVars.filter((v) => v.kind === "spatial");
    const reduced = r!.block.iterVars.filter((v) => v.kind === "reduction");
    // A single column shares nothing between rows, which are read from memory best one after the other.
    const columns = constantValue(spatial.at(-1)!.extent) ?? 1;
    const few = columns >= 2 && columns <= mostSums / 2;
    const sums = reduced.length === 1 && constantValue(reduced[0]!.extent) !== 1;
    return spatial.length >= 2 && sums && few && walksLine(r!.block, reduced[0]!);
  },
  schedule: (s, context) => {
    const product = stagesOf(s.program).find((t) => t.kind === "reduction")!;
    dotProducts(s, product.block.name, context);
  },
};
