/**
 * Register-blocked matrix product: `points` rows × `vectors` vectors of columns accumulate in registers over the whole
 * depth; the right-hand side is packed in panels of one tile's columns. Loop order: (batch →) column tile → (matrices that share
 * the right-hand side →) row tile → depth; the column tiles within the row tiles where that pays (`orderOfTiles`).
 */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { Block, Region } from "../../../ir/loop/program.ts";
import type { BufferId } from "../../../ir/support/ids.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { findBlock } from "../tree.ts";
import { copyOut, parallelOuter, prefetchPanels, splitPoints } from "./common.ts";
import { accessesInLoops } from "./contiguous.ts";
import { matmul as scheduleProduct } from "./contraction.ts";
import { accumulateAt, accumulatorsOf, resultLoops } from "./partial-sums.ts";
import {
  bestPoints,
  chooseRegisterTile,
  largestDivisor,
  type Machine,
  orderOfTiles,
  type ProductExtents,
} from "./plan.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { ownLoops } from "./reduction.ts";
import { isConstant, isParam, stagesOf } from "./structure.ts";

export const scheduleMatmul: Recipe = { name: "matmul", applies, schedule };

function applies(s: Schedule): boolean {
  const reductions = stagesOf(s.program).filter((t) => t.kind === "reduction");
  const [r] = reductions;
  if (reductions.length !== 1 || !r) return false;
  const { op, m, n } = r.block.annotations ?? {};
  if (op !== "MatMul" && op !== "Gemm") return false;
  const spatial = r.block.iterVars.filter((v) => v.kind === "spatial").map((v) => constantValue(v.extent));
  // Vectors (a 1-d operand, a single column) have no row × column tile.
  const matrix = spatial.length >= 2 && typeof m === "number" && typeof n === "number" && n >= 2;
  return matrix && r.block.iterVars.filter((v) => v.kind === "reduction").length === 1;
}

function schedule(s: Schedule, { machine, threads }: RecipeContext): void {
  const stage = stagesOf(s.program).find((t) => t.kind === "reduction")!;
  const matmul = s.block(stage.block.name);
  if (keepsPlainColumns(stage.block, machine)) {
    scheduleProduct(s, matmul, { machine, threads, pack: false });
    return;
  }
  const epilogue = isParam(s.func, stage.writes[0]!) ? copyOut(s, matmul) : s.consumers(matmul).at(-1)!;
  const loops = inAxisOrder(s, epilogue, stage.block.writes[0]!.buffer.id);
  const [row, column] = loops.slice(-2) as [LoopRef, LoopRef];
  const batch = loops.slice(0, -2);
  const shared = sharedRight(stage.block) !== undefined;
  const alike = shared ? batch.at(-1) : undefined;
  const extents = { rows: s.extent(row)!, columns: s.extent(column)!, depth: depthOf(stage.block) };
  const problem = { ...extents, alike: alike ? s.extent(alike)! : 1 };
  const tile = tileOf(stage.block, machine, problem);
  const { lanes } = machine;
  const rows = splitRows(s, row, alike, tile.points);
  const [columnTile, inTile] = splitColumns(s, column, tile.vectors * lanes);
  const [columnBlock, lane] = splitColumns(s, inTile, lanes);
  const rowTiles = [...batch.slice(0, alike ? -1 : undefined), ...rows.tiles];
  const count = rows.tiles.reduce((product, l) => product * s.extent(l)!, 1);
  const order = orderOfTiles(machine, { ...problem, packed: tile.panels !== undefined }, count, threads);
  const below = order === "lanes" ? rowTiles.length : shared ? 0 : batch.length;
  const outer = [...rowTiles.slice(0, below), columnTile, ...rowTiles.slice(below)];
  s.reorder(...outer, ...rows.points, columnBlock, lane);
  const wanted = accumulatorsOf(machine, tile.points * tile.vectors, problem.depth);
  const { block } = accumulateAt(s, matmul, outer.at(-1)!, wanted);
  const steps = scheduleAccumulation(s, block, outer.length);
  // Weights are read from afar at first; what a kernel has just packed is in the second cache, where it stays in this order.
  const packed = tile.panels && (order === "points" || isConstant(s.func, tile.panels.id)) ? tile.panels : undefined;
  if (steps && packed) prefetchPanels(s, block, packed, { steps: [steps], panels: columnTile, machine });
  s.vectorize(lane);
  s.unroll(columnBlock);
  for (const l of rows.points.toReversed()) s.unroll(l);
  const work = problem.depth * tile.points * s.extent(columnBlock)! * lanes;
  // A single row waits for the right-hand side, not for its multiply-adds.
  parallelOuter(s, outer, threads, tile.points > 1 ? { multiplyAdds: work } : { elements: work });
}
/**
 * The right-hand side where all matrices of a batch are multiplied by one: then they are more rows of one product, and each
 * of its panels is read for all of them in turn.
 */
function sharedRight({ iterVars, reads, writes }: Block): Region | undefined {
  const axes = iterVars.filter((v) => v.kind === "spatial").map((v) => v.var.id);
  const [result] = writes;
  // Rows, which it does not have, and columns; or blocks of columns and the columns within one.
  const columns = new Set(result!.ranges.slice(-2).flatMap((r) => [...freeVars(r.min)]));
  return reads.find(({ buffer, ranges }) => {
    const used = new Set(ranges.flatMap((r) => [...freeVars(r.min)]));
    const isRight = buffer.id !== result!.buffer.id && used.has(axes.at(-1)!);
    return isRight && axes.every((v) => columns.has(v) || !used.has(v));
  });
}
/** Loops over tiles of rows, and those over a tile's rows: part of a matrix, or several whole ones of those `alike`. */
function splitRows(s: Schedule, row: LoopRef, alike: LoopRef | undefined, points: number) {
  const rows = s.extent(row)!;
  if (alike && points > rows) {
    const [tile, matrix] = splitPoints(s, alike, points / rows);
    return { tiles: [tile], points: [matrix, row] };
  }
  const [tile, point] = splitPoints(s, row, points);
  return { tiles: alike ? [alike, tile] : [tile], points: [point] };
}
/** The loops of the epilogue in the order of the axes of the product, which its result need not have. */
function inAxisOrder(s: Schedule, epilogue: BlockRef, product: BufferId): LoopRef[] {
  const loops = s.loops(epilogue);
  const read = accessesInLoops(s, epilogue).find((a) => a.buffer.id === product)!;
  const axes = read.indices.flatMap((e) => loops.filter((l) => freeVars(e).has(l.id)));
  const ordered = [...new Map(axes.map((l) => [l.id, l])).values()];
  return [...loops.filter((l) => !ordered.includes(l)), ...ordered];
}
/** Columns that are no whole vectors, in a layout without padding: a narrower last vector costs less than a masked one. */
function keepsPlainColumns(b: Block, m: Machine): boolean {
  const columns = constantValue(b.writes[0]!.buffer.shape.at(-1)!)!;
  return columns % m.lanes !== 0 && columns === b.annotations?.n;
}
export function splitColumns(s: Schedule, loop: LoopRef, factor: number): [LoopRef, LoopRef] {
  return s.split(loop, { factor, tail: s.extent(loop)! % factor === 0 ? "exact" : "guard" });
}

const depthOf = (b: Block): number => constantValue(b.iterVars.find((v) => v.kind === "reduction")!.extent)!;

function tileOf(b: Block, m: Machine, { rows, columns, depth, alike }: ProductExtents & { alike: number }) {
  const vectorBlocks = Math.ceil(columns / m.lanes);
  const problem = { vectorBlocks, extent: rows, alike, depth, outputBytes: 4 * alike * rows * columns };
  const panels = panelsOf(b, m.lanes);
  if (!panels) return { ...chooseRegisterTile(m, { ...problem, columns }), panels };
  const vectors = constantValue(panels.shape[2]!)! / m.lanes;
  return { points: bestPoints(m, problem, vectors), vectors, panels };
}
/** The right-hand side, where it lies in panels `[column tile][depth][column in tile]`. */
function panelsOf(b: Block, lanes: number): Buffer | undefined {
  const right = sharedRight(b);
  const depth = b.iterVars.find((v) => v.kind === "reduction")!.var.id;
  if (right?.ranges.length !== 3 || !freeVars(right.ranges[1]!.min).has(depth)) return undefined;
  return (constantValue(right.buffer.shape[2]!) ?? 0) % lanes === 0 ? right.buffer : undefined;
}

/** Gives the outermost loop of the reduction; undefined at a depth of 1. */
export function scheduleAccumulation(s: Schedule, matmul: BlockRef, outer: number): LoopRef | undefined {
  const block = findBlock(s.program, matmul.id)!;
  const spatial = resultLoops(s, matmul, outer);
  const [k] = ownLoops(s, matmul, "reduction", outer);
  const lane = spatial.at(-1)!;
  const depth = k ? s.extent(k)! : 1;
  const unroll = largestDivisor(depth, 8);
  // A product of depth 1 has no loop over its depth.
  let top = k;
  if (k && unroll > 1 && unroll < depth) {
    const [kOuter, kInner] = s.split(k, { factor: unroll, tail: "exact" });
    s.reorder(kOuter, kInner, ...spatial);
    s.unroll(kInner);
    s.annotate(kInner, "schedule_barrier", true);
    top = kOuter;
  } else if (k) s.reorder(k, ...spatial);
  const init = top && s.decomposeReduction(matmul, top);
  for (const l of spatial.slice(0, -1)) s.unroll(l);
  s.vectorize(lane);
  const initLoops = init ? s.loops(init).slice(outer) : [];
  for (const l of initLoops.slice(0, -1)) s.unroll(l);
  if (init) s.vectorize(initLoops.at(-1)!);
  s.setScope(matmul, block.writes[0]!.buffer.name, "register");
  return top;
}
