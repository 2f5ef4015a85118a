/**
 * The analytical model behind the default schedules: how large a register tile, how deep an unrolled reduction. Sizes
 * follow from lanes and vector registers of the target alone, so layouts (packed weights) and schedules agree.
 */
import type { ReadRates } from "../../../ir/target/target.ts";

/** What the model needs to know of a target. */
export interface Machine {
  /** float32 lanes of a vector. */
  readonly lanes: number;
  /** Architectural vector registers. */
  readonly registers: number;
  /** Bytes of the first- and second-level data caches of a core. */
  readonly l1Bytes: number;
  readonly l2Bytes: number;
  /** Vector FMAs a cycle. */
  readonly fmaPerCycle: number;
  /** Loads a cycle beside FMAs. */
  readonly loadsPerCycle: number;
  /** Bytes a cycle that a core reads from each level of the memory hierarchy. */
  readonly reads: ReadRates;
}

/** A processor with AVX-512, for recipes that are told of no machine. */
export const genericMachine: Machine = {
  lanes: 16,
  registers: 32,
  l1Bytes: 32 << 10,
  l2Bytes: 1 << 20,
  fmaPerCycle: 2,
  loadsPerCycle: 2,
  reads: { l2: 32, l3: 26, memory: 8, interconnect: "ring" },
};

/**
 * The machine as kernels over blocks of `lanes` channels see it. Of half vectors two are multiplied a cycle: where whole
 * ones run in two halves, they are as fast an element.
 */
export function withLanes(m: Machine, lanes: number): Machine {
  return lanes * 2 === m.lanes ? { ...m, lanes, fmaPerCycle: Math.max(2, m.fmaPerCycle) } : m;
}
/** Blocks of channels for which there are vectors, the wider ones first. */
export const blockWidths = (m: Machine): number[] => (m.lanes >= 8 ? [m.lanes, m.lanes / 2] : [m.lanes]);

/** Whether the last, partial vector of a row costs no more than a whole one: AVX and AVX-512 mask loads and stores. */
export const hasMasks = (m: Machine): boolean => m.lanes >= 8;

/** Half vectors, where they compute as many elements a cycle as whole ones; else whole ones. */
export const halfLanes = (m: Machine): number => (m.lanes > 8 && m.fmaPerCycle === 1 ? m.lanes / 2 : m.lanes);

/** Lanes of channel blocks: half vectors where whole ones would compute a tenth more channels than there are. */
export function channelLanes(m: Machine, channels: number): number {
  const half = halfLanes(m);
  const blocks = (lanes: number) => Math.ceil(channels / lanes) * lanes;
  return blocks(m.lanes) >= 1.1 * blocks(half) ? half : m.lanes;
}

/** A register tile: `points` pixels or rows by `vectors` vectors of channels or columns. */
export interface RegisterTile {
  readonly points: number;
  readonly vectors: number;
}

/** The work a tile is chosen for. */
export interface TileProblem {
  /** Vectors along the vectorized axis (output-channel blocks); the tile's `vectors` divides it unless it is ragged. */
  readonly vectorBlocks: number;
  /** The last tile along the vectorized axis may be cut off. */
  readonly ragged?: boolean;
  /** Extent of the axis the points run along (output width, matmul rows). */
  readonly extent: number;
  /** How many such axes read the same weights, of which a tile may span several whole ones; 1 if absent. */
  readonly alike?: number;
  /** Length of the reduction. */
  readonly depth: number;
  /** Output bytes; on a ring thin reductions over large outputs prefer one store stream. */
  readonly outputBytes: number;
  /** Bytes a cycle at which weights arrive when they are first read; as fast as the later times if absent. */
  readonly weightsRate?: number;
  /** Columns of the output, where the vectors of a point lie side by side in a row of it; else in blocks of channels. */
  readonly columns?: number;
}

/** Cycles from issuing an FMA to its result, the least distance between two uses of one accumulator. */
export const fmaLatency = 4;

/** Chooses the tile with the least modelled cycles: FMA rate, load ports, weight traffic from L2, start-up of a tile. */
export function chooseRegisterTile(m: Machine, problem: TileProblem): RegisterTile {
  let best: RegisterTile = { points: 1, vectors: 1 };
  let bestCost = Number.POSITIVE_INFINITY;
  for (let vectors = 1; vectors <= Math.min(problem.vectorBlocks, 8); vectors++) {
    if (problem.vectorBlocks % vectors !== 0 && !problem.ragged) continue;
    for (const points of pointsOf(m, problem, vectors)) {
      // Wide tiles need a register for each broadcast too, which several vectors share.
      if (problem.ragged && vectors > 4 && points * (vectors + 1) + vectors > m.registers - 2) break;
      const cost = tileCost(m, problem, { points, vectors });
      if (cost < bestCost) [best, bestCost] = [{ points, vectors }, cost];
    }
  }
  return best;
}

/** How many points a tile of so many vectors may have: accumulators, and a register for each vector of weights, must fit. */
function pointsOf(m: Machine, { extent, alike = 1 }: TileProblem, vectors: number): number[] {
  const most = Math.floor((m.registers - 1 - vectors) / vectors);
  const several = Math.min(alike, Math.floor(most / extent));
  return [...range(Math.min(extent, most), 1), ...range(several, extent).slice(1)];
}
/** `step`, 2·`step`, … `count`·`step`. */
const range = (count: number, step: number): number[] => Array.from({ length: count }, (_, i) => (i + 1) * step);

/** Modelled cycles of computing the whole problem with this tile. */
export function tileCost(m: Machine, problem: TileProblem, tile: RegisterTile): number {
  const { points, vectors } = tile;
  const rest = problem.vectorBlocks % vectors;
  const strips = Math.floor(problem.vectorBlocks / vectors);
  const cutOff =
    rest > 0 && problem.ragged ? tileCost(m, { ...problem, vectorBlocks: rest }, { points, vectors: rest }) : 0;
  const { extent, alike = 1 } = problem;
  const along = points > extent ? Math.ceil(alike / (points / extent)) : alike * Math.ceil(extent / points);
  const tiles = along * (strips + (rest > 0 && !problem.ragged ? 1 : 0));
  const fmas = (points * vectors) / m.fmaPerCycle;
  const loads = problem.columns
    ? points / m.loadsPerCycle + (1.5 * vectors) / m.fmaPerCycle
    : (points + vectors) / m.loadsPerCycle;
  const weightBytes = vectors * m.lanes * 4;
  const weights = problem.depth * weightBytes > m.l1Bytes / 2 ? weightBytes : 0;
  const stepAt = (cyclesOfWeights: number): number => together(fmas, loads, fmaLatency, cyclesOfWeights) + 0.02 * loads;
  const later = stepAt(weights / (besideSums * m.reads.l2));
  const first = problem.weightsRate === undefined ? later : Math.max(later, stepAt(weightBytes / problem.weightsRate));
  const step = later + (first - later) / along;
  if (problem.columns) {
    const masked = rest === 0 && vectors > 1 ? alike * extent * maskedStore(m, problem.columns) : 0;
    return tiles * (problem.depth * step + storesOfRows(m, tile, problem)) + cutOff + masked;
  }
  const oneStream = m.reads.interconnect === "ring" && problem.depth <= 16 && problem.outputBytes > m.l2Bytes;
  const thin = oneStream && vectors > 1 ? 2 : 1;
  return tiles * (problem.depth * step * thin + 1.5 * points * vectors + 24) + cutOff;
}

/**
 * Cycles by which storing the rest of `columns` with a mask is slower than storing it as a narrower vector, which a strip
 * of its own does where such a vector exists: AVX2 needs microcode for masks on Zen 4, AVX-512 does not.
 */
function maskedStore(m: Machine, columns: number): number {
  const rest = columns % m.lanes;
  return m.lanes <= 8 && rest > 0 && (rest & (rest - 1)) === 0 ? 16 : 0;
}

/** Stored vectors of a tile beside which the sums of the next one go on. */
const storesBeside = 16;
/**
 * Cycles that a tile takes longer than its sums where vectors of a row lie side by side: its stores hardly count as long as
 * they fit into the queue, and every row begins within a line of the cache (measured on Zen 4, depths of 1 to 40). Servers
 * with a mesh store results beyond the first cache faster line after line, where sums are too short to be done meanwhile
 * (measured on Granite Rapids, depths of 1 to 8).
 */
function storesOfRows(m: Machine, { points, vectors }: RegisterTile, { depth, outputBytes }: TileProblem): number {
  const stores = points * vectors;
  const waits = m.reads.interconnect === "mesh" && depth <= 4 && outputBytes > m.l1Bytes;
  if (waits) return stores * (points === 1 ? 4.3 : 7.2);
  return 0.7 * stores + 0.5 * points + 3 * Math.max(0, stores - storesBeside);
}

/**
 * Cycles of a step from the cycles that each resource needs: those that are nearly as busy as the busiest make each other
 * wait (with this norm, tiles of AVX2 and AVX-512 take what was measured on Zen 4 within a few percent).
 */
const together = (...cycles: readonly [number, number, number, number]): number => {
  let sum = 0;
  for (const c of cycles) {
    const square = c * c;
    sum += square * square * (square * square);
  }
  return Math.sqrt(Math.sqrt(Math.sqrt(sum)));
};

/** The part of its rate that the second-level cache gives beside multiply-adds. */
const besideSums = 0.75;

/** How many consecutive input channels are unrolled: the largest divisor of `channels` up to `lanes`. */
export function unrolledChannels(channels: number, lanes: number): number {
  for (let u = Math.min(lanes, channels); u > 1; u--)
    if (channels % u === 0 && (lanes % u === 0 || u === channels)) return u;
  return 1;
}

/** The largest divisor of `n` not above `limit`. */
export function largestDivisor(n: number, limit: number): number {
  for (let d = Math.min(n, limit); d > 1; d--) if (n % d === 0) return d;
  return 1;
}

/** A matrix product of `rows` × `columns` sums over `depth`. */
export interface ProductExtents {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}
/**
 * Whether the tiles of a row of them come one after the other ("lanes"), or those of a column ("points"), if there are rows
 * for all threads. In rows, results are written in the order in which they lie, but all of the right-hand side is read for
 * each row of tiles: it has to stay in the first cache, or, packed, in the second one where the results do not.
 */
export function orderOfTiles(
  m: Machine,
  { rows, columns, depth, alike = 1, packed = false }: ProductExtents & Packed,
  rowTiles: number,
  threads: number,
): "lanes" | "points" {
  const right = 4 * depth * columns;
  const leaves = 4 * alike * rows * columns > m.l2Bytes;
  const stays = packed ? leaves && right <= m.l2Bytes / 2 : right <= m.l1Bytes / 2;
  return stays && (threads === 1 || rowTiles >= 4 * threads) ? "lanes" : "points";
}
interface Packed {
  /** Matrices that share the right-hand side. */
  readonly alike?: number;
  /** Whether the right-hand side lies in panels of one tile's columns. */
  readonly packed?: boolean;
}

/** The best number of points when the vectors of a tile are given (weights are packed for them). */
export function bestPoints(m: Machine, problem: TileProblem, vectors: number): number {
  let best = 1;
  for (const points of pointsOf(m, problem, vectors))
    if (tileCost(m, problem, { points, vectors }) < tileCost(m, problem, { points: best, vectors })) best = points;
  return best;
}
