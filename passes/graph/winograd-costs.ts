/** The model behind the choice of Winograd's tiles: multiplications, transforms, and the traffic of inflated weights. */
import type { Machine } from "../schedule/library/plan.ts";
import {
  againWaitedFor,
  blockBytes,
  blockRows,
  computingCycles,
  type WinogradProducts,
  winogradTile,
} from "../schedule/library/winograd-plan.ts";
import type { ConvShape } from "./contraction-shapes.ts";
import { alphaOf, tileSizes, type WinogradAxis } from "./winograd-transforms.ts";

/** What is known of the network around a convolution. */
export interface Around {
  /**
   * They share the computation, but on a ring not the memory that weights come from. On a mesh they share both, and what is
   * chosen for one thread serves any number.
   */
  readonly threads: number;
  /** Bytes of all constants: those of a large network are gone from the last cache when it runs again. */
  readonly constantBytes: number;
}
type Axes = readonly [WinogradAxis, WinogradAxis];

/**
 * The tile along height and width with the least modelled cycles; undefined when the direct algorithm of `instead` has less,
 * which is the same convolution, or one whose phases are the channels of `s`.
 */
export function fastestTile(
  s: ConvShape,
  machine: Machine,
  around: Around,
  instead = s,
): [WinogradAxis, WinogradAxis] | undefined {
  const threads = machine.reads.interconnect === "mesh" ? 1 : around.threads;
  let best: [WinogradAxis, WinogradAxis] | undefined;
  let least = 0.95 * directCycles(s, machine, threads, instead);
  for (const axes of candidates(s)) {
    // A larger tile must win clearly: it rounds more and inflates the weights.
    const cycles = winogradCycles(s, axes, machine, { ...around, threads }) * (best === undefined ? 1 : 1.08);
    if (cycles < least) [best, least] = [axes, cycles];
  }
  return best;
}
/** Tiles with the same number of outputs along both axes, or along the one that has more than one tap; small ones first. */
function candidates(s: ConvShape): [WinogradAxis, WinogradAxis][] {
  const sizes = [0, 1].map((i) => tileSizes(s.kernel[i]!, s.strides[i]!)) as [number[], number[]];
  const axis = (i: 0 | 1, outputs: number): WinogradAxis => ({ outputs, taps: s.kernel[i], stride: s.strides[i] });
  const longer = sizes[0].length > 1 || s.kernel[1] === 1 ? sizes[0] : sizes[1];
  return longer
    .map((m): [number, number] => [s.kernel[0] === 1 ? 1 : m, s.kernel[1] === 1 ? 1 : m])
    .filter(([h, w]) => sizes[0].includes(h) && sizes[1].includes(w))
    .map(([h, w]) => [axis(0, h), axis(1, w)]);
}

/** Cycles that an element takes on its way into its phase. */
const rearrangedAfter = 0.5;
/** By how much direct convolutions take longer than their multiply-adds (measured). */
const directOverhead = { ring: 1, mesh: 1.25 };

function directCycles(s: ConvShape, machine: Machine, threads: number, instead: ConvShape): number {
  const window = instead.kernel[0] * instead.kernel[1] * instead.inputChannels;
  const rearranging = instead === s ? 0 : s.batch * s.inputChannels * s.inputHeight * s.inputWidth;
  const pixels = s.batch * s.outputHeight * s.outputWidth;
  const multiplyAdds = (window * s.outputChannels * pixels) / (machine.lanes * machine.fmaPerCycle);
  return (directOverhead[machine.reads.interconnect] * multiplyAdds - rearrangedAfter * rearranging) / threads;
}

function winogradCycles(s: ConvShape, axes: Axes, machine: Machine, around: Around): number {
  const products = productsOf(s, axes);
  const { interconnect } = machine.reads;
  const computing = (s.batch * computingCycles(machine, products, Math.max(...axes.map(alphaOf)))) / around.threads;
  const weightBytes = 4 * products.positions * s.inputChannels * s.outputChannels;
  const parts = { s, products, weightBytes, computing };
  return interconnect === "ring" ? onRing(parts, machine) : onMesh(parts, machine, around);
}
function productsOf(s: ConvShape, [rows, columns]: Axes): WinogradProducts {
  return {
    positions: alphaOf(rows) * alphaOf(columns),
    tileRows: Math.ceil(s.outputHeight / rows.outputs),
    tileColumns: Math.ceil(s.outputWidth / columns.outputs),
    inputChannels: s.inputChannels,
    outputChannels: s.outputChannels,
  };
}
const tilesOf = (s: ConvShape, p: WinogradProducts): number => s.batch * p.tileRows * p.tileColumns;
/** What a choice of tiles computes and reads. */
interface Parts {
  readonly s: ConvShape;
  readonly products: WinogradProducts;
  readonly weightBytes: number;
  /** Cycles of multiplications and transforms. */
  readonly computing: number;
}
/** Weights above this many bytes come from memory each time. */
const lastLevelBytes = 8 << 20;
/**
 * Strided convolutions have up to twice the positions for each output, so weights come in faster than they are multiplied.
 * Where they were measured within networks, they came from memory however few they were, and were waited for.
 */
const isStrided = (s: ConvShape): boolean => Math.max(...s.strides) > 1;
/**
 * The part of the reading from memory that products wait for; the rest is done ahead. Weights that are used for all tiles
 * at once are read in one stream: accumulators of two channel blocks fill the registers beside two weights and a pixel.
 */
function waitedFor(s: ConvShape, tiles: number, { registers }: Machine): number {
  return !isStrided(s) && tiles <= (registers - 3) >> 1 ? 0.1 : 0.4;
}
/** A core on a ring reads the last cache so fast that only weights beyond it are waited for (Zen 4). */
function onRing({ s, products, weightBytes, computing }: Parts, machine: Machine): number {
  const { l3, memory } = machine.reads;
  if (weightBytes > lastLevelBytes) {
    const streaming = weightBytes / memory;
    return Math.max(computing + waitedFor(s, tilesOf(s, products), machine) * streaming, streaming);
  }
  const streaming = weightBytes > machine.l2Bytes / 4 ? weightBytes / (isStrided(s) ? memory : l3) : 0;
  return Math.max(computing, streaming);
}

/** Bytes of constants that a core on a mesh finds again in the last cache. */
const keptByMesh = 48 << 20;
/**
 * A core on a mesh waits for weights, the map and the result, all of which come and go through the last cache; for the
 * weights again in every block unless they stay in the second cache beside it (Granite Rapids).
 */
function onMesh({ s, products, weightBytes, computing }: Parts, m: Machine, around: Around): number {
  const { l3, memory } = m.reads;
  const { vectors } = winogradTile(m, products);
  const rows = blockRows(m, products, vectors, 1);
  const near = weightBytes + blockBytes(m, products, rows, vectors) <= 0.75 * m.l2Bytes;
  const first = weightBytes / (around.constantBytes > keptByMesh ? memory : l3);
  const blocks = s.batch * (products.tileRows / rows);
  const again = near ? 0 : ((blocks - 1) * weightBytes) / l3;
  const inputs = s.inputChannels * s.inputHeight * s.inputWidth;
  const maps = 4 * s.batch * (inputs + s.outputChannels * s.outputHeight * s.outputWidth);
  return computing + first + againWaitedFor * again + maps / l3;
}
