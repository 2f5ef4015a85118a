/**
 * Winograd convolution by blocks of tile rows: the block's transformed inputs stay in L2; for each tile of output channels
 * the products accumulate in registers (tiles × channel blocks), are transformed back, and leave through the epilogue.
 */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Block } from "../../../ir/loop/program.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { LoopCursor } from "../query.ts";
import type { Schedule } from "../schedule.ts";
import { findBlock, loopRef } from "../tree.ts";
import { parallelOuter, vectorizeHalos, zeroHalosWithin } from "./common.ts";
import { bestPoints, type Machine, unrolledChannels } from "./plan.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { loopOfAxis, stagesOf } from "./structure.ts";
import { productTiles, type Sharing, sharingOf } from "./winograd-plan.ts";

const stageNamed = (s: Schedule, op: string): Block | undefined =>
  stagesOf(s.program).find((t) => t.block.annotations?.op === op)?.block;
const applies = (s: Schedule): boolean => stageNamed(s, "WinogradProduct") !== undefined;
const extents = (b: Block): number[] => b.iterVars.map((v) => constantValue(v.extent)!);

export const scheduleWinograd: Recipe = { name: "winograd", applies, schedule };

interface Plan extends Sharing {
  /** Outputs of a tile along height and width, and the products that it takes a channel pair. */
  readonly tile: readonly [height: number, width: number];
  readonly positions: number;
  readonly tileRows: number;
  readonly tileColumns: number;
  /** Strips of tile columns that a block of one tile row is cut into, so that threads share it; 1 for none. */
  readonly strips: number;
  /** The names of the packed weights, and of the transformed inputs. */
  readonly weights: string;
  readonly inputs: string;
  /** Channel blocks of a register tile, as the weights are packed. */
  readonly vectors: number;
  readonly depth: number;
}
function planOf(s: Schedule, machine: Machine, threads: number): Plan {
  const product = stageNamed(s, "WinogradProduct")!;
  const [, positions, tiles, , , depth] = extents(product) as [number, number, number, number, number, number];
  const tile = stageNamed(s, "WinogradOutput")!.annotations!.tile as [number, number];
  const epilogue = stagesOf(s.program)
    .filter((t) => t.kind === "elementwise")
    .at(-1)!.block;
  const [, channelBlocks, height] = extents(epilogue) as [number, number, number];
  const tileRows = Math.ceil(height / tile[0]);
  const tileColumns = tiles / tileRows;
  const inputs = stageNamed(s, "WinogradInput")!.writes[0]!.buffer;
  const made = new Set([inputs.id, ...product.writes.map((r) => r.buffer.id)]);
  const weights = product.reads.find((r) => !made.has(r.buffer.id))!.buffer;
  const vectors = constantValue(weights.shape.at(-1)!)! / machine.lanes;
  const products = {
    positions,
    tileRows,
    tileColumns,
    inputChannels: depth,
    outputChannels: channelBlocks * machine.lanes,
  };
  const { rows, by } = sharingOf(machine, products, vectors, threads);
  const shares = channelBlocks / vectors;
  const strips = tileRows === 1 && shares < threads && tileColumns >= fewestColumns * threads ? threads : 1;
  return {
    tile,
    positions,
    rows,
    by,
    tileRows,
    tileColumns,
    strips,
    weights: weights.name,
    inputs: inputs.name,
    vectors,
    depth,
  };
}

/** Tile columns below which a strip of them makes poor register tiles. */
const fewestColumns = 8;

function schedule(s: Schedule, { machine, threads }: RecipeContext): void {
  const p = planOf(s, machine, threads);
  const input = s.block(stageNamed(s, "WinogradInput")!.name);
  const product = s.block(stageNamed(s, "WinogradProduct")!.name);
  const output = s.block(stageNamed(s, "WinogradOutput")!.name);
  const epilogue = s.block(
    stagesOf(s.program)
      .filter((t) => t.kind === "elementwise")
      .at(-1)!.block.name,
  );
  const collect = s.cacheWrite(product, findBlock(s.program, product.id)!.writes[0]!.buffer.name, "register");
  const [n, co, h, w, lane] = s.loops(epilogue) as [LoopCursor, LoopCursor, LoopCursor, LoopCursor, LoopCursor];
  const [height, width] = p.tile;
  const [block, row] = s.split(h, { factor: p.rows * height, tail: tailOf(s, h, p.rows * height) });
  const [tileRow, i] = s.split(row, { factor: height, tail: "exact" });
  const stripWidth = Math.ceil(p.tileColumns / p.strips) * width;
  const [strip, columns] = p.strips > 1 ? s.split(w, { factor: stripWidth, tail: tailOf(s, w, stripWidth) }) : [];
  const within = columns ?? w;
  const [tileColumn, j] = s.split(within, { factor: width, tail: tailOf(s, within, width) });
  const [coTile, coBlock] = s.split(co, { factor: p.vectors, tail: "exact" });
  const shared = strip ?? block;
  const outer = strip ? [n, block, strip] : [n, block];
  s.reorder(...outer, coTile, tileRow, tileColumn, i, j, coBlock, lane);
  s.vectorize(lane);
  s.computeAt(output, coTile);
  s.vectorize(s.loops(output).at(-1)!);
  s.computeAt(collect, coTile);
  scheduleProducts(s, product, collect, p, machine, outer.length + 1);
  s.computeAt(input, shared);
  s.vectorize(s.loops(input).at(-1)!);
  vectorizeHalos(s, machine);
  zeroHalosWithin(s, [
    { loop: n, dim: 0, each: 1 },
    { loop: block, dim: 2, each: p.rows * height },
    ...(strip ? [{ loop: strip, dim: 3, each: Number.POSITIVE_INFINITY }] : []),
    { loop: coTile, dim: 1, each: p.vectors },
  ]);
  const work = (p.rows * p.tileColumns * p.positions * p.depth * p.vectors * machine.lanes) / p.strips;
  if (strip || p.by === "blocks") parallelOuter(s, outer, threads, { multiplyAdds: work * s.extent(coTile)! });
  else parallelChannels(s, input, coTile, threads, work);
}
const tailOf = (s: Schedule, l: LoopRef, factor: number): "exact" | "guard" =>
  s.extent(l)! % factor === 0 ? "exact" : "guard";

/** Few blocks: the transform runs in parallel over tiles, then the channel tiles do. */
function parallelChannels(s: Schedule, input: BlockRef, coTile: LoopRef, threads: number, work: number): void {
  if (threads <= 1) return;
  const tiles = s
    .loops(input)
    .slice(2)
    .find((l) => s.extent(l)! > 1);
  if (tiles && s.probe("parallel", { loop: tiles }) === undefined) s.parallel(tiles);
  if (s.probe("parallel", { loop: coTile }) === undefined) parallelOuter(s, [coTile], threads, { multiplyAdds: work });
}

/** Splits the transformed tiles into what one register tile holds. */
function splitTiles(s: Schedule, tiles: LoopRef, p: Plan, machine: Machine): [LoopRef, LoopRef] {
  const count = s.extent(tiles)!;
  const problem = productTiles(machine, p.vectors, count, p.depth);
  const points = bestPoints(machine, problem, p.vectors);
  return s.split(tiles, { factor: points, tail: count % points === 0 ? "exact" : "shift-inwards" });
}

/** position → tiles of `points` transformed tiles → input channels, with the register tile unrolled inside. */
function scheduleProducts(
  s: Schedule,
  product: BlockRef,
  collect: BlockRef,
  p: Plan,
  machine: Machine,
  depth: number,
): void {
  const inner = s.loops(collect).slice(depth);
  const byAxis = (b: BlockRef, axis: number, from: number): LoopRef | undefined => {
    const block = findBlock(s.program, b.id)!;
    const l = loopOfAxis(s.program, block, axis);
    return l &&
      s
        .loops(b)
        .slice(from)
        .some((x) => x.id === l.var.id)
      ? loopRef(l)
      : undefined;
  };
  const position = byAxis(collect, 1, depth)!;
  const tiles = byAxis(collect, 2, depth);
  const blocks = byAxis(collect, 3, depth);
  const lane = inner.at(-1)!;
  const [tileOuter, point] = tiles ? splitTiles(s, tiles, p, machine) : [];
  s.reorder(...[position, tileOuter, point, blocks, lane].filter((l) => l !== undefined));
  const at = tileOuter ?? position;
  s.computeAt(product, at);
  const from = s.loops(collect).findIndex((l) => l.id === at.id) + 1;
  const ic = byAxis(product, 5, from)!;
  const rest = [byAxis(product, 2, from), byAxis(product, 3, from)].filter((l) => l !== undefined);
  const ownLane = s
    .loops(product)
    .slice(from)
    .find((l) => l.id === byAxis(product, 4, from)?.id)!;
  const unit = s
    .loops(product)
    .slice(from)
    .filter((l) => ![ic, ownLane, ...rest].some((x) => x.id === l.id));
  const unroll = unrolledChannels(p.depth, machine.lanes);
  const [icOuter, icInner] = s.split(ic, { factor: unroll, tail: "exact" });
  s.reorder(...unit, icOuter, icInner, ...rest, ownLane);
  const init = s.decomposeReduction(product, icOuter);
  if (machine.reads.interconnect === "mesh") {
    prefetchNext(s, product, p.weights, icInner, position);
    if (p.by === "channels") prefetchNext(s, product, p.inputs, icOuter, position);
  }
  s.unroll(icInner);
  s.annotate(icInner, "schedule_barrier", true);
  for (const l of rest) s.unroll(l);
  s.vectorize(ownLane);
  const initLoops = s.loops(init).slice(from);
  for (const l of initLoops.slice(0, -1)) s.unroll(l);
  s.vectorize(initLoops.at(-1)!);
  for (const l of [point, blocks]) if (l) s.unroll(l);
  s.vectorize(lane);
}

/**
 * Fetches what the next position reads of a buffer meanwhile, where the last cache is slow: weights, and inputs that other
 * threads have transformed. On a ring that only takes room: products of 7×7 maps took 5.5 ms for 3.8 on Zen 4; on a mesh a
 * network takes 0.9 of the time.
 */
function prefetchNext(s: Schedule, product: BlockRef, buffer: string, step: LoopRef, position: LoopRef): void {
  const args = { block: product, buffer, loop: step, distance: 1, ahead: position };
  if (s.probe("prefetch", args) === undefined) s.prefetch(product, buffer, step, 1, position);
}
