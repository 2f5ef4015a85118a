/**
 * Folds what scales or shifts channels after a convolution into its weights and bias: BatchNormalization, and Mul, Div,
 * Add, Sub by a per-channel constant. Reassociates, so it does not run under strict math.
 */
import { GraphBuilder, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { elementCount, type TensorValue, tensorValue } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { dropDead, replaceUses, useCounts } from "./rewriting.ts";

/** y = scale[c] · x + shift[c]. */
interface ChannelAffine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

export function foldScalesIntoConvolutions(graph: Graph): Graph {
  const uses = new Map(useCounts(graph));
  const builder = new GraphBuilder(graph);
  const renaming = new Map<ValueId, ValueId>();
  /** The current form of each convolution, by its output. */
  const convs = new Map<ValueId, Node>();
  const nodes: Node[] = [];
  for (const n of graph.nodes) {
    const source = n.inputs
      .map((i) => (i === undefined ? undefined : (renaming.get(i) ?? i)))
      .find((i) => i !== undefined && convs.has(i));
    const conv = source === undefined ? undefined : convs.get(source);
    const used = n.inputs.find((i) => i !== undefined && (renaming.get(i) ?? i) === source);
    const affine =
      conv && used !== undefined && uses.get(used) === 1
        ? channelAffineOf(graph, n, used, channelsOf(builder, conv))
        : undefined;
    if (conv && affine && source !== undefined) {
      const folded = foldInto(builder, conv, affine);
      nodes[nodes.indexOf(conv)] = folded;
      convs.set(source, folded);
      renaming.set(n.outputs[0]!, source);
      uses.set(source, uses.get(n.outputs[0]!) ?? 0);
      continue;
    }
    nodes.push(n);
    if (isFoldable(graph, n)) convs.set(n.outputs[0]!, n);
  }
  if (renaming.size === 0) return graph;
  const outputs = renameKeptOutputs(graph, renaming, nodes);
  const next: Graph = { ...graph, nodes: outputs.nodes, values: builder.values, nextId: builder.ids.next };
  return dropDead(replaceUses(next, outputs.renaming));
}

/** A folded node's output takes the convolution's place; where it is a graph output its own value (and name) must stay. */
function renameKeptOutputs(graph: Graph, renaming: Map<ValueId, ValueId>, nodes: readonly Node[]) {
  const rest = new Map(renaming);
  const swapped = new Map<ValueId, ValueId>();
  for (const o of graph.outputs) {
    const target = renaming.get(o);
    if (target === undefined) continue;
    rest.delete(o);
    for (const [from, to] of rest) if (to === target) rest.set(from, o);
    swapped.set(target, o);
  }
  const rename = (id: ValueId | undefined): ValueId | undefined => (id === undefined ? id : (swapped.get(id) ?? id));
  return {
    renaming: rest,
    nodes: nodes.map((n) =>
      n.outputs.some((o) => o !== undefined && swapped.has(o)) ? { ...n, outputs: n.outputs.map(rename) } : n,
    ),
  };
}

function isFoldable(graph: Graph, n: Node): boolean {
  if (n.domain !== "" || n.op !== "Conv") return false;
  const [, w, b] = n.inputs;
  const weights = w === undefined ? undefined : valueOf(graph, w).constant;
  const bias = b === undefined ? undefined : valueOf(graph, b).constant;
  return weights?.type === "float32" && (b === undefined || bias !== undefined);
}
const channelsOf = (builder: GraphBuilder, conv: Node): number =>
  builder.values.get(conv.inputs[1]!)!.constant!.dims[0]!;

function channelAffineOf(graph: Graph, n: Node, used: ValueId, channels: number): ChannelAffine | undefined {
  if (n.domain !== "") return undefined;
  if (n.op === "BatchNormalization") return used === n.inputs[0] ? batchNormAffine(graph, n) : undefined;
  const [a, b] = n.inputs;
  if (a === undefined || b === undefined || a === b) return undefined;
  const other = valueOf(graph, used === a ? b : a).constant;
  const rank = valueOf(graph, used).type?.dims.length ?? 0;
  const vector = other && perChannel(other, channels, rank);
  if (!vector) return undefined;
  const ones = new Float64Array(channels).fill(1);
  const zeros = new Float64Array(channels);
  if (n.op === "Mul") return { scale: vector, shift: zeros };
  if (n.op === "Add") return { scale: ones, shift: vector };
  if (n.op === "Div" && used === a) return { scale: vector.map((v) => 1 / v), shift: zeros };
  if (n.op === "Sub")
    return used === a ? { scale: ones, shift: vector.map((v) => -v) } : { scale: ones.map(() => -1), shift: vector };
  return undefined;
}
function batchNormAffine(graph: Graph, n: Node): ChannelAffine | undefined {
  const [scale, bias, mean, variance] = n.inputs
    .slice(1, 5)
    .map((i) => (i === undefined ? undefined : valueOf(graph, i).constant));
  if (!scale || !bias || !mean || !variance || n.outputs.slice(1).some((o) => o !== undefined)) return undefined;
  const training = n.attributes.get("training_mode");
  if (training?.kind === "int" && Number(training.value) !== 0) return undefined;
  const eps = n.attributes.get("epsilon");
  const epsilon = eps?.kind === "float" || eps?.kind === "int" ? Number(eps.value) : 1e-5;
  const factor = Float64Array.from(
    scale.data as Float32Array,
    (s, i) => s / Math.sqrt(Number(variance.data[i]) + epsilon),
  );
  return { scale: factor, shift: factor.map((f, i) => Number(bias.data[i]) - Number(mean.data[i]) * f) };
}
/** A constant that broadcasts along the channel axis (1) only, spread to one number a channel. */
function perChannel(c: TensorValue, channels: number, rank: number): Float64Array | undefined {
  if (c.type !== "float32") return undefined;
  if (elementCount(c.dims) === 1 && c.dims.length <= rank) return new Float64Array(channels).fill(Number(c.data[0]));
  const axis = c.dims.length - (rank - 1);
  const matches = axis >= 0 && c.dims.length <= rank && c.dims.every((d, i) => (i === axis ? d === channels : d === 1));
  return matches ? Float64Array.from(c.data as Float32Array) : undefined;
}

function foldInto(builder: GraphBuilder, conv: Node, affine: ChannelAffine): Node {
  const weights = builder.values.get(conv.inputs[1]!)!;
  const oldBias = conv.inputs[2] === undefined ? undefined : builder.values.get(conv.inputs[2])!.constant!;
  const { dims, data } = weights.constant!;
  const per = elementCount(dims) / dims[0]!;
  const scaled = (data as Float32Array).slice();
  for (let c = 0; c < dims[0]!; c++)
    for (let i = c * per; i < (c + 1) * per; i++) scaled[i] = scaled[i]! * affine.scale[c]!;
  const bias = Float32Array.from(
    affine.shift,
    (s, c) => s + affine.scale[c]! * (oldBias ? Number(oldBias.data[c]) : 0),
  );
  const w = builder.constant(`${weights.name}_folded`, tensorValue("float32", dims, scaled));
  const b = builder.constant(`${weights.name}_bias`, tensorValue("float32", [dims[0]!], bias));
  return { ...conv, inputs: [conv.inputs[0], w, b] };
}
