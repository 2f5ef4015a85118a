/** Matrix products whose operands both lie along the reduction: lanes are parts of each sum. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { BlockRef } from "../primitive.ts";
import type { LoopCursor } from "../query.ts";
import type { Schedule } from "../schedule.ts";
import { parallelOuter, splitPoints } from "./common.ts";
import { fuseContiguous, walksLine } from "./contiguous.ts";
import { fitsDots, rowsOfDots } from "./dots-plan.ts";
import { contextOf, type Recipe, type RecipeOptions } from "./recipe.ts";
import { ownLoops, reduction } from "./reduction.ts";
import { epilogueOf } from "./register-tile.ts";
import { stagesOf } from "./structure.ts";

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
  const { machine, threads } = contextOf(options);
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
  const depth = s.extent(ownLoops(s, ref, "reduction", 0)[0]!)!;
  const [tiles, point] = splitPoints(s, row, rowsOfDots(machine, { rows, columns, depth }));
  s.computeAt(ref, tiles);
  s.setScope(ref, s.describe(ref).writes[0]!.buffer.name, "register");
  const from = around.length + 1;
  // Results of a tile lie in a line, unless an operand of the stage is read otherwise.
  const result = fuseContiguous(s, stage, from);
  if (result.id === column.id) for (const l of [point, column]) s.unroll(l);
  else s.vectorize(result);
  const tile = ownLoops(s, ref, "spatial", from);
  const [k] = ownLoops(s, ref, "reduction", from);
  s.reorder(k!, ...tile);
  const zero = s.decomposeReduction(ref, k!);
  s.vectorize(k!);
  for (const l of tile) s.unroll(l);
  if (tile.length > 1) s.vectorize(fuseContiguous(s, zero, from));
  parallelOuter(s, [...around, tiles], threads, { multiplyAdds: (rows * columns * depth) / s.extent(tiles)! });
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
    const few = columns >= 2 && fitsDots(columns);
    const sums = reduced.length === 1 && constantValue(reduced[0]!.extent) !== 1;
    return spatial.length >= 2 && sums && few && walksLine(r!.block, reduced[0]!);
  },
  schedule: (s, context) => {
    const product = stagesOf(s.program).find((t) => t.kind === "reduction")!;
    dotProducts(s, product.block.name, context);
  },
};
