/** How Winograd products are cut: the register tile, and the rows of tiles whose transforms stay in the second cache. */
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
