/**
 * Scales the weights of a pointwise convolution instead of the map it reads: conv(s ⊙ x, W) = conv(x, s ⊙ W) where `s` is
 * one factor a channel, as squeeze-and-excite computes it (Hu et al. 2018). Done where the weights are fewer bytes than
 * the map. Changes how products are rounded, so it does not run under strict math.
 */
import { consumers, GraphBuilder, staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { elementCount } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { convShapeOf } from "./contraction-shapes.ts";
import { streamCycles } from "./layout-costs.ts";
import { dropDead } from "./rewriting.ts";

export function scaleWeights(graph: Graph, machine: Machine): Graph {
  const builder = new GraphBuilder(graph);
  const readers = consumers(graph);
  /** Products that scale weights instead, by the product they replace. */
  const products = new Map<Node, Node>();
  const convolutions = new Map<Node, Node>();
  for (const product of graph.nodes) {
    const scaled = scaledMap(graph, product);
    const [conv, ...others] = readers.get(product.outputs[0]!) ?? [];
    if (!scaled || !conv || others.length > 0 || graph.outputs.includes(product.outputs[0]!)) continue;
    if (conv.inputs[0] !== product.outputs[0] || !isPointwise(graph, conv)) continue;
    const weights = valueOf(graph, conv.inputs[1]!);
    const [few, many] = [weights.id, scaled.map].map((v) => 8 * elementCount(staticDims(graph, v))) as [number, number];
    if (weights.constant === undefined || streamCycles(machine, few) >= streamCycles(machine, many)) continue;
    const w = builder.value(`${weights.name}_scaled`, weights.type!);
    products.set(product, { ...product, inputs: [weights.id, scaled.factors], outputs: [w] });
    convolutions.set(conv, { ...conv, inputs: [scaled.map, w, ...conv.inputs.slice(2)] });
  }
  if (products.size === 0) return graph;
  const nodes = graph.nodes.map((n) => products.get(n) ?? convolutions.get(n) ?? n);
  return dropDead({ ...graph, nodes, values: builder.values, nextId: builder.ids.next });
}

/** What a product multiplies: a map of one image, [1, C, H, W], by computed factors [1, C, 1, 1]. */
function scaledMap(graph: Graph, n: Node): { readonly map: ValueId; readonly factors: ValueId } | undefined {
  if (n.op !== "Mul" || n.domain !== "") return undefined;
  const dims = staticDims(graph, n.outputs[0]!);
  const [map, factors] = n.inputs.toSorted((a, b) => elements(graph, b!) - elements(graph, a!)) as [ValueId, ValueId];
  if (dims.length !== 4 || dims[0] !== 1 || staticDims(graph, map).join() !== dims.join()) return undefined;
  const wanted = [1, dims[1], 1, 1];
  const given = staticDims(graph, factors);
  const computed = valueOf(graph, factors).constant === undefined;
  return computed && given.join() === wanted.join() ? { map, factors } : undefined;
}
const elements = (graph: Graph, v: ValueId): number => elementCount(staticDims(graph, v));

function isPointwise(graph: Graph, n: Node): boolean {
  const s = convShapeOf(graph, n);
  return s?.group === 1 && s.kernel[0] === 1 && s.kernel[1] === 1;
}
