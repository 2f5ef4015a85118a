/**
 * Replaces convolutions of strides 1 and 2 by Winograd's algorithm where the model of costs says it is faster.
 * Reassociates, with an error that tests hold below 5e-5 of the largest output, so it does not run under strict math.
 */
import { attributesOf, GraphBuilder, valueOf } from "../../ir/graph/build.ts";
import { type Graph, type Node, ownDomain } from "../../ir/graph/graph.ts";
import { tensorValue } from "../../ir/graph/tensor-value.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { type ConvShape, convShapeOf } from "./contraction-shapes.ts";
import { phasesAsChannels, phasesOfMap, phasesOfWeights } from "./phases-as-channels.ts";
import { type Around, fastestTile } from "./winograd-costs.ts";
import { transformWeights, type WinogradAxis } from "./winograd-transforms.ts";

/** Chooses for a run on so many threads. */
export function selectWinograd(graph: Graph, machine: Machine, threads = 1): Graph {
  const around: Around = { threads, constantBytes: constantBytesOf(graph) };
  const builder = new GraphBuilder(graph);
  let changed = false;
  const nodes = graph.nodes.flatMap((n) => {
    const shape = convShapeOf(graph, n);
    if (!shape || !hasConstants(graph, n)) return [n];
    const made = directly(builder, n, shape, machine, around) ?? inPhases(builder, n, shape, machine, around);
    changed ||= made !== undefined;
    return made ?? [n];
  });
  return changed ? { ...graph, nodes, values: builder.values, nextId: builder.ids.next } : graph;
}

type Choice = (builder: GraphBuilder, n: Node, s: ConvShape, machine: Machine, around: Around) => Node[] | undefined;
const directly: Choice = (builder, n, s, machine, around) => {
  const axes = fits(s, machine) ? fastestTile(s, machine, around) : undefined;
  return axes && [winogradNode(builder, n, s, { shape: s, axes, weights: weightsOf(builder, n) })];
};
/** Images have too few channels; their phases may have enough. */
const inPhases: Choice = (builder, n, s, machine, around) => {
  const phases = s.inputChannels < machine.lanes ? phasesAsChannels(s) : undefined;
  if (!phases || !fits(phases.shape, machine)) return undefined;
  const axes = fastestTile(phases.shape, machine, around, s);
  if (!axes) return undefined;
  const map = phasesOfMap(builder, n, s, phases);
  const weights = phasesOfWeights(weightsOf(builder, n), s, phases);
  const inputs = [map.at(-1)!.outputs[0], ...n.inputs.slice(1)];
  return [...map, winogradNode(builder, { ...n, inputs }, s, { shape: phases.shape, axes, weights })];
};
function constantBytesOf(graph: Graph): number {
  let bytes = 0;
  for (const { constant } of graph.values.values()) bytes += constant?.data?.byteLength ?? 0;
  return bytes;
}
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
