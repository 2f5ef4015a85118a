/**
 * Replaces 3×3 convolutions of stride 1 by Winograd's algorithm where the model says it is faster. The tile size is
 * chosen by modelled cycles: multiplications, transforms, and the traffic of the inflated weights. Reassociates, with an
 * error that tests hold below 5e-5 of the largest output, so it does not run under strict math.
 */
import { attributesOf, GraphBuilder, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { tensorValue } from "../../ir/graph/tensor-value.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { type ConvShape, convShapeOf } from "./contraction-shapes.ts";
import { transformWeights, winogradTiles } from "./winograd-transforms.ts";

/** The domain of operators that only passes make. */
const ownDomain = "tilewright";

export function selectWinograd(graph: Graph, machine: Machine): Graph {
  const builder = new GraphBuilder(graph);
  let changed = false;
  const nodes = graph.nodes.map((n) => {
    const shape = convShapeOf(graph, n);
    const m = shape && fits(graph, n, shape, machine) ? fastestTile(shape, machine) : undefined;
    if (!shape || m === undefined) return n;
    changed = true;
    return winogradNode(builder, n, shape, m);
  });
  return changed ? { ...graph, nodes, values: builder.values, nextId: builder.ids.next } : graph;
}

function fits(graph: Graph, n: Node, s: ConvShape, m: Machine): boolean {
  const [, w, b] = n.inputs;
  const constants =
    valueOf(graph, w!).constant !== undefined && (b === undefined || valueOf(graph, b).constant !== undefined);
  const square = [...s.kernel, ...s.strides, ...s.dilations].join() === "3,3,1,1,1,1";
  return (
    constants &&
    square &&
    s.group === 1 &&
    s.inputChannels >= m.lanes &&
    s.outputChannels >= m.lanes &&
    s.outputHeight * s.outputWidth >= 16
  );
}

/** Bytes a cycle that one core reads from the last-level cache and from memory. */
const lastLevelBytesPerCycle = 26;
const memoryBytesPerCycle = 8;
/** Weights above this many bytes come from memory each time. */
const lastLevelBytes = 8 << 20;

/** The tile with the least modelled cycles, or undefined when the direct algorithm has less. */
export function fastestTile(s: ConvShape, machine: Machine): number | undefined {
  const fmas = machine.lanes * machine.fmaPerCycle;
  const direct = (s.batch * 9 * s.inputChannels * s.outputChannels * s.outputHeight * s.outputWidth) / fmas;
  let best: number | undefined;
  let least = 0.95 * direct;
  for (const m of winogradTiles) {
    // A larger tile must win clearly: it rounds more and inflates the weights.
    const cycles = winogradCycles(s, m, machine) * (best === undefined ? 1 : 1.08);
    if (cycles < least) [best, least] = [m, cycles];
  }
  return best;
}
function winogradCycles(s: ConvShape, m: number, machine: Machine): number {
  const alpha = m + 2;
  const tiles = s.batch * Math.ceil(s.outputHeight / m) * Math.ceil(s.outputWidth / m);
  const products = (alpha * alpha * tiles * s.inputChannels * s.outputChannels) / (machine.lanes * machine.fmaPerCycle);
  // About two passes of alpha operations an element, and a store or load each, on whole vectors.
  const transforms = (tiles * alpha * alpha * 3 * (s.inputChannels + 1.2 * s.outputChannels)) / machine.lanes;
  const weightBytes = 4 * alpha * alpha * s.inputChannels * s.outputChannels;
  const rate = weightBytes > lastLevelBytes ? memoryBytesPerCycle : lastLevelBytesPerCycle;
  const streaming = weightBytes > machine.l2Bytes / 4 ? weightBytes / rate : 0;
  return Math.max(1.08 * products, streaming) + transforms;
}

function winogradNode(builder: GraphBuilder, n: Node, s: ConvShape, m: number): Node {
  const weights = builder.values.get(n.inputs[1]!)!;
  const transformed = transformWeights(weights.constant!.data as Float32Array, s.inputChannels * s.outputChannels, m);
  const dims = [(m + 2) ** 2, s.outputChannels, s.inputChannels];
  const u = builder.constant(`${weights.name}_winograd${m}`, tensorValue("float32", dims, transformed));
  const attributes = attributesOf({ tile: m, pads: [...s.pads] });
  return {
    ...n,
    op: "WinogradConv",
    domain: ownDomain,
    opset: 1,
    inputs: [n.inputs[0], u, ...n.inputs.slice(2)],
    attributes,
  };
}
