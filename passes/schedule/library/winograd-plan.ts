/** How Winograd products are cut: the register tile, the rows of tiles whose transforms stay in the second cache, and what threads share. */
import { chooseRegisterTile, type Machine, type RegisterTile, type TileProblem } from "./plan.ts";

/** The products of a Winograd convolution of one image. */
export interface WinogradProducts {
  /** Products that a tile takes a channel pair. */
  readonly positions: number;
  readonly tileRows: number;
  readonly tileColumns: number;
  readonly inputChannels: number;
  readonly outputChannels: number;
}

/** Transformed tiles that one register tile may hold, of those of a block. */
const mostPoints = 28;

/** What a register tile of transformed tiles by channel blocks is chosen for; weights are new for every position. */
export function productTiles(m: Machine, vectorBlocks: number, tiles: number, inputChannels: number): TileProblem {
  return { vectorBlocks, extent: tiles, depth: inputChannels, outputBytes: 0, weightsRate: m.reads.l3 };
}
/** The register tile for which weights are packed. */
export function winogradTile(m: Machine, p: Omit<WinogradProducts, "positions">): RegisterTile {
  const tiles = Math.min(p.tileRows * p.tileColumns, mostPoints);
  return chooseRegisterTile(m, productTiles(m, Math.ceil(p.outputChannels / m.lanes), tiles, p.inputChannels));
}

/** Bytes of a block's transformed inputs, and of its products with `vectors` blocks of output channels. */
export const blockBytes = (m: Machine, p: WinogradProducts, rows: number, vectors: number): number =>
  4 * p.positions * rows * p.tileColumns * (p.inputChannels + vectors * m.lanes);

/** Tiles of a block beyond which a larger one only takes room, where weights are read again at a good rate. */
const mostTiles = 36;
/**
 * Tile rows of a block, a divisor of all of them. Each block reads all weights, so that on a mesh, where they come slowly,
 * blocks are as large as the second cache allows.
 */
export function blockRows(m: Machine, p: WinogradProducts, vectors: number, threads: number): number {
  const { tileRows, tileColumns } = p;
  const most = m.reads.interconnect === "mesh" ? Number.POSITIVE_INFINITY : mostTiles;
  let rows = 1;
  for (let r = 1; r <= tileRows; r++) {
    const parallelEnough = threads <= 1 || tileRows / r >= 2 * threads || tileRows < 2 * threads;
    const fits = r * tileColumns <= most && blockBytes(m, p, r, vectors) <= 0.7 * m.l2Bytes;
    if (tileRows % r === 0 && fits && parallelEnough) rows = r;
  }
  return rows;
}

/** By how much products take longer than their multiply-adds (measured). */
const productOverhead = { ring: 1.08, mesh: 1.2 };
/**
 * Cycles of a transformed vector from a window of `alpha` positions a side: about two passes of operations and a store or
 * load each; where the second cache takes a line in four cycles, more for the larger transforms (both measured).
 */
const transformCycles = {
  ring: (_alpha: number): number => 3,
  mesh: (alpha: number): number => 1.5 * alpha - 2,
};
/** Cycles of the products and transforms of one image, `alpha` being the positions of the longer side of a tile. */
export function computingCycles(m: Machine, p: WinogradProducts, alpha = Math.sqrt(p.positions)): number {
  const { interconnect } = m.reads;
  const tiles = p.tileRows * p.tileColumns;
  const multiplyAdds = (p.positions * tiles * p.inputChannels * p.outputChannels) / (m.lanes * m.fmaPerCycle);
  // Whole vectors are transformed, of the inputs at least.
  const transformed = Math.ceil(p.inputChannels / m.lanes) * m.lanes;
  const vectors = (tiles * p.positions * (transformed + 1.2 * p.outputChannels)) / m.lanes;
  return productOverhead[interconnect] * multiplyAdds + vectors * transformCycles[interconnect](alpha);
}

/** What threads share: blocks of tile rows, or in each block first the transforms and then the tiles of output channels. */
export interface Sharing {
  /** Tile rows of a block. */
  readonly rows: number;
  readonly by: "blocks" | "channels";
}
/** How threads share the work of products whose register tiles have `vectors` blocks of output channels. */
export function sharingOf(m: Machine, p: WinogradProducts, vectors: number, threads: number): Sharing {
  if (m.reads.interconnect === "mesh" && threads > 1) return meshSharing(m, p, vectors, threads);
  const rows = blockRows(m, p, vectors, threads);
  return { rows, by: threads === 1 || p.tileRows / rows >= 2 * threads ? "blocks" : "channels" };
}

/** The part of later readings of weights that is waited for. */
export const againWaitedFor = 0.5;
/** Bytes a cycle that a core on a mesh gets of what another has just written, some of it asked for ahead (measured). */
const exchangeRate = 2;
/** Cycles of two parallel regions and the waiting between them. */
const regionCycles = 6000;
/**
 * Where the last cache is slow, every thread that shares rows waits for all weights, and for its share of them where it
 * shares channels; but then it also waits for the inputs that others have transformed.
 */
function meshSharing(m: Machine, p: WinogradProducts, vectors: number, threads: number): Sharing {
  const { tileRows, tileColumns, positions, inputChannels, outputChannels } = p;
  const computing = computingCycles(m, p);
  const weights = 4 * positions * inputChannels * outputChannels;
  const inputs = 4 * positions * tileRows * tileColumns * inputChannels;
  // What does not stay in the second cache while the blocks of a thread use it comes through the last one.
  const waiting = (bytes: number, blocks: number, rows: number): number => {
    const block = blockBytes(m, p, rows, vectors);
    const beyond = Math.max(0, bytes + block - 0.75 * m.l2Bytes);
    const again = beyond > 0 ? againWaitedFor * (blocks - 1) * bytes : 0;
    return (bytes + again + blocks * Math.min(block, beyond)) / m.reads.l3;
  };
  const most = blockRows(m, p, vectors, 1);
  const channelTiles = Math.ceil(outputChannels / m.lanes / vectors);
  const share = Math.ceil(channelTiles / threads) / channelTiles;
  const regions = tileRows / most;
  let best: Sharing = { rows: most, by: "channels" };
  const exchange = (inputs * (1 - 1 / threads)) / exchangeRate + regions * regionCycles;
  let least = computing * share + waiting(weights * share, regions, most) + exchange;
  for (let rows = 1; rows <= most; rows++) {
    if (tileRows % rows !== 0 || tileRows / rows < threads) continue;
    const own = Math.ceil(tileRows / rows / threads);
    const cycles = (computing * own * rows) / tileRows + waiting(weights, own, rows);
    if (cycles <= least) [best, least] = [{ rows, by: "blocks" }, cycles];
  }
  return best;
}
