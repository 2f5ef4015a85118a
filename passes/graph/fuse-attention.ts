/**
 * Puts attention into one kernel: a product (scores), what is done with its elements (scale, mask), a softmax along its
 * rows and the product with the values become one group, which computes a strip of queries at a time, so that scores
 * stay in the caches of a core. Transpositions of operands and result join, where they are read by it alone.
 *
 * The softmax and the second product become one node, SoftmaxMatMul, which divides by the sum of weights at the end and
 * may go through the keys tile by tile. This changes how results round, so it does not run under strict math.
 */
import { attributesOf, GraphBuilder, staticDims, valueOf } from "../../ir/graph/build.ts";
import { type FusedGraph, type Graph, type Group, type Node, ownDomain } from "../../ir/graph/graph.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { type AttentionShape, keysAtATime } from "../schedule/library/attention-plan.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { matmulShapeOf } from "./contraction-shapes.ts";
import { groupOf, type Neighbours, neighboursOf, withMerged } from "./neighbours.ts";
import { relayoutNode } from "./rewriting.ts";

/** Merges the groups of each attention that `machine` computes faster as one kernel. */
export function fuseAttention(fused: FusedGraph, machine: Machine): FusedGraph {
  const neighbours = neighboursOf(fused);
  const builder = new GraphBuilder(fused.graph);
  const merged = new Map<Group, Group>();
  const gone = new Set<Group>();
  for (const mix of fused.groups) {
    const parts = partsOf(fused.graph, mix, neighbours);
    const tile = parts && keysAtATime(shapeOf(fused.graph, parts), machine);
    if (!parts || tile === undefined) continue;
    const whole = [parts.scores, parts.softmax, parts.mix, ...parts.before, ...parts.after];
    if (whole.some((g) => gone.has(g))) continue;
    for (const g of whole) gone.add(g);
    merged.set(mix, mergedGroup(builder, parts, tile));
  }
  return withMerged(fused, merged, gone, builder);
}

/** The groups of one attention. */
interface Parts {
  readonly scores: Group;
  readonly softmax: Group;
  readonly mix: Group;
  /** Transpositions of operands. */
  readonly before: readonly Group[];
  /** The transposition of the result, if there is one. */
  readonly after: readonly Group[];
}
function partsOf(graph: Graph, mix: Group, n: Neighbours): Parts | undefined {
  if (mix.anchor.op !== "MatMul" || mix.outputs.length !== 1) return undefined;
  const [weights, values] = mix.anchor.inputs as [ValueId, ValueId];
  const softmax = n.maker.get(weights);
  if (!softmax || n.reader.get(weights) !== mix || !normalizesRows(graph, softmax.anchor)) return undefined;
  if (softmax.outputs.length !== 1 || softmax.nodes.at(-1) !== softmax.anchor) return undefined;
  const dims = staticDims(graph, weights).join();
  const scores = softmax.inputs
    .filter((v) => n.reader.get(v) === softmax && staticDims(graph, v).join() === dims)
    .flatMap((v) => n.maker.get(v) ?? [])
    .find((g) => g.outputs.length === 1 && matmulShapeOf(graph, g.anchor) && g.anchor.op === "MatMul");
  if (!scores || values === weights || !sameBatch(graph, weights, values)) return undefined;
  const result = n.reader.get(mix.outputs[0]!);
  return {
    scores,
    softmax,
    mix,
    before: [...new Set([...scores.anchor.inputs, values])].flatMap((v) => {
      const g = n.maker.get(v!);
      return g && isTransposition(g) && [scores, mix].includes(n.reader.get(v!)!) ? [g] : [];
    }),
    after: result && isTransposition(result) ? [result] : [],
  };
}
const isTransposition = (g: Group): boolean => g.nodes.length === 1 && g.anchor.op === "Transpose";

/** Softmax along the last axis of float32 values. */
function normalizesRows(graph: Graph, n: Node): boolean {
  const { dtype, dims } = valueOf(graph, n.outputs[0]!).type!;
  if (dtype !== "float32" || dims.length < 2) return false;
  if (n.op === "MaskedSoftmax") return !n.attributes.has("precision");
  if (n.op !== "Softmax" || n.domain !== "") return false;
  const given = n.attributes.get("axis");
  const axis = given?.kind === "int" ? Number(given.value) : n.opset < 13 ? 1 : -1;
  return axis === -1 || axis === dims.length - 1;
}
/** Whether each matrix of weights [batch…, queries, keys] has values [batch…, keys, size] of its own. */
function sameBatch(graph: Graph, weights: ValueId, values: ValueId): boolean {
  const [w, v] = [staticDims(graph, weights), staticDims(graph, values)];
  return v.length === w.length && w.slice(0, -2).join() === v.slice(0, -2).join();
}

function shapeOf(graph: Graph, { scores, mix }: Parts): AttentionShape {
  const { rows: queries, columns: keys, depth } = matmulShapeOf(graph, scores.anchor)!;
  return { queries, keys, depth, size: staticDims(graph, mix.anchor.outputs[0]!).at(-1)! };
}

function mergedGroup(b: GraphBuilder, { scores, softmax, mix, before, after }: Parts, tile: number): Group {
  const [, values] = mix.anchor.inputs;
  const others = (g: Group): Node[] => g.nodes.filter((n) => n !== g.anchor);
  const masked = softmax.anchor.op === "MaskedSoftmax" ? 1 : 0;
  const anchor: Node = {
    ...mix.anchor,
    op: "SoftmaxMatMul",
    domain: ownDomain,
    opset: 1,
    inputs: [softmax.anchor.inputs[0], values],
    attributes: attributesOf({ tile, masked }),
  };
  const nodes = [
    ...before.flatMap((g) => g.nodes),
    ...scoresOf(b, scores, before, softmax.anchor.inputs[0]!),
    ...others(scores),
    ...others(softmax),
    anchor,
    ...others(mix),
    ...after.flatMap((g) => g.nodes),
  ];
  return groupOf(nodes, anchor, (after[0] ?? mix).outputs);
}
/** The product of the scores: of keys that a node of the group lays out, into a value that another one reads. */
function scoresOf(b: GraphBuilder, scores: Group, before: readonly Group[], used: ValueId): Node[] {
  const product = scores.anchor;
  const [queries, keys] = product.inputs as [ValueId, ValueId];
  const own = before.some((g) => g.outputs[0] === keys);
  const panels = own ? keys : copyOf(b, keys);
  const raw = product.outputs[0] === used ? copyOf(b, used) : product.outputs[0]!;
  return [
    ...(own ? [] : [identity(b, keys, panels)]),
    { ...product, inputs: [queries, panels], outputs: [raw] },
    ...(raw === product.outputs[0] ? [] : [identity(b, raw, used)]),
  ];
}
function copyOf(b: GraphBuilder, v: ValueId): ValueId {
  const { name, type } = b.values.get(v)!;
  return b.value(`${name}_raw`, type);
}
const identity = (b: GraphBuilder, from: ValueId, to: ValueId): Node => relayoutNode(b.ids.fresh<"node">(), from, to);
