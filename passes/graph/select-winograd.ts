/**
 * Replaces convolutions of strides 1 and 2 by Winograd's algorithm where the model says it is faster. The tile is chosen
 * by modelled cycles: multiplications, transforms, and the traffic of the inflated weights. Reassociates, with an error
 * that tests hold below 5e-5 of the largest output, so it does not run under strict math.
 */
import { attributesOf, GraphBuilder, valueOf } from "../../ir/graph/build.ts";
import { type Graph, type Node, ownDomain } from "../../ir/graph/graph.ts";
import { tensorValue } from "../../ir/graph/tensor-value.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { type ConvShape, convShapeOf } from "./contraction-shapes.ts";
import { phasesAsChannels, phasesOfMap, phasesOfWeights } from "./phases-as-channels.ts";
import { alphaOf, tileSizes, transformWeights, type WinogradAxis } from "./winograd-transforms.ts";

/** `threads` share the computation, but not the memory that weights come from. */
export function selectWinograd(graph: Graph, machine: Machine, threads = 1): Graph {
  const builder = new GraphBuilder(graph);
  let changed = false;
  const nodes = graph.nodes.flatMap((n) => {
    const shape = convShapeOf(graph, n);
    if (!shape || !hasConstants(graph, n)) return [n];
    const made = directly(builder, n, shape, machine, threads) ?? inPhases(builder, n, shape, machine, threads);
    changed ||= made !== undefined;
    return made ?? [n];
  });
  return changed ? { ...graph, nodes, values: builder.values, nextId: builder.ids.next } : graph;
}

type Choice = (builder: GraphBuilder, n: Node, s: ConvShape, machine: Machine, threads: number) => Node[] | undefined;
const directly: Choice = (builder, n, s, machine, threads) => {
  const axes = fits(s, machine) ? fastestTile(s, machine, threads) : undefined;
  return axes && [winogradNode(builder, n, s, { shape: s, axes, weights: weightsOf(builder, n) })];
};
/** Images have too few channels; their phases may have enough. */
const inPhases: Choice = (builder, n, s, machine, threads) => {
  const phases = s.inputChannels < machine.lanes ? phasesAsChannels(s) : undefined;
  if (!phases || !fits(phases.shape, machine)) return undefined;
  const axes = fastestTile(phases.shape, machine, threads, s);
  if (!axes) return undefined;
  const map = phasesOfMap(builder, n, s, phases);
  const weights = phasesOfWeights(weightsOf(builder, n), s, phases);
  const inputs = [map.at(-1)!.outputs[0], ...n.inputs.slice(1)];
  return [...map, winogradNode(builder, { ...n, inputs }, s, { shape: phases.shape, axes, weights })];
};
const weightsOf = (builder: GraphBuilder, n: Node): Float32Array =>
  builder.values.get(n.inputs[1]!)!.constant!.data as Float32Array;

/** Whether weights and bias are known. */
function hasConstants(graph: Graph, { inputs: [, w, b] }: Node): boolean {
  return valueOf(graph, w!).constant !== undefined && (b === undefined || valueOf(graph, b).constant !== undefined);
}
function fits(s: ConvShape, m: Machine): boolean {
  return (
    Math.max(...s.kernel) > 1 &&
    Math.max(...s.kernel) <= 7 &&
    Math.max(...s.strides) <= 2 &&
    Math.max(...s.dilations) === 1 &&
    s.group === 1 &&
    s.inputChannels >= fewestChannels * m.lanes &&
    s.outputChannels >= m.lanes &&
    s.outputHeight * s.outputWidth >= 16
  );
}
/** How much of a vector input channels must fill: the rest of it is transformed in vain. */
const fewestChannels = 0.7;

/** Bytes a cycle that one core reads from the last-level cache and from memory. */
const lastLevelBytesPerCycle = 26;
const memoryBytesPerCycle = 8;
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

/**
 * The tile along height and width with the least modelled cycles; undefined when the direct algorithm of `instead` has less,
 * which is the same convolution, or one whose phases are the channels of `s`.
 */
export function fastestTile(
  s: ConvShape,
  machine: Machine,
  threads = 1,
  instead = s,
): [WinogradAxis, WinogradAxis] | undefined {
  const fmas = machine.lanes * machine.fmaPerCycle * threads;
  const window = instead.kernel[0] * instead.kernel[1] * instead.inputChannels;
  const rearranging = instead === s ? 0 : s.batch * s.inputChannels * s.inputHeight * s.inputWidth;
  const pixels = s.batch * s.outputHeight * s.outputWidth;
  const direct = (window * s.outputChannels * pixels) / fmas - (rearrangedAfter * rearranging) / threads;
  let best: [WinogradAxis, WinogradAxis] | undefined;
  let least = 0.95 * direct;
  for (const axes of candidates(s)) {
    // A larger tile must win clearly: it rounds more and inflates the weights.
    const cycles = winogradCycles(s, axes, machine, threads) * (best === undefined ? 1 : 1.08);
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
function winogradCycles(
  s: ConvShape,
  axes: readonly [WinogradAxis, WinogradAxis],
  machine: Machine,
  threads: number,
): number {
  const [rows, columns] = axes;
  const positions = alphaOf(rows) * alphaOf(columns);
  const tiles = s.batch * Math.ceil(s.outputHeight / rows.outputs) * Math.ceil(s.outputWidth / columns.outputs);
  const products = (positions * tiles * s.inputChannels * s.outputChannels) / (machine.lanes * machine.fmaPerCycle);
  // About two passes of alpha operations an element, and a store or load each, on whole vectors.
  const transformed = Math.ceil(s.inputChannels / machine.lanes) * machine.lanes;
  const transforms = (tiles * positions * 3 * (transformed + 1.2 * s.outputChannels)) / machine.lanes;
  const weightBytes = 4 * positions * s.inputChannels * s.outputChannels;
  const multiplying = (1.08 * products + transforms) / threads;
  if (weightBytes > lastLevelBytes) {
    const streaming = weightBytes / memoryBytesPerCycle;
    return Math.max(multiplying + waitedFor(s, tiles, machine) * streaming, streaming);
  }
  const bytesPerCycle = isStrided(s) ? memoryBytesPerCycle : lastLevelBytesPerCycle;
  const streaming = weightBytes > machine.l2Bytes / 4 ? weightBytes / bytesPerCycle : 0;
  return Math.max(multiplying, streaming);
}

interface Form {
  /** The convolution that is computed, with its filters. */
  readonly shape: ConvShape;
  readonly weights: Float32Array;
  readonly axes: readonly [WinogradAxis, WinogradAxis];
}
/** `direct` is the convolution as the model has it, whose operations reports count. */
function winogradNode(builder: GraphBuilder, n: Node, direct: ConvShape, { shape: s, axes, weights }: Form): Node {
  const { name } = builder.values.get(n.inputs[1]!)!;
  const filters = s.inputChannels * s.outputChannels;
  const transformed = transformWeights(weights, filters, axes);
  const tile = axes.map((a) => a.outputs);
  const dims = [transformed.length / filters, s.outputChannels, s.inputChannels];
  const u = builder.constant(`${name}_winograd${tile.join("x")}`, tensorValue("float32", dims, transformed));
  const attributes = attributesOf({
    tile,
    kernel: [...s.kernel],
    strides: [...s.strides],
    pads: [...s.pads],
    direct_channels: direct.inputChannels,
    direct_kernel: [...direct.kernel],
    direct_strides: [...direct.strides],
  });
  return {
    ...n,
    op: "WinogradConv",
    domain: ownDomain,
    opset: 1,
    inputs: [n.inputs[0], u, ...n.inputs.slice(2)],
    attributes,
  };
}
