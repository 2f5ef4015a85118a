/** Folds a constant zero Pad over spatial axes into the padding of the convolution that reads it. */
import { attributesOf, GraphBuilder, staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { dropDead } from "./rewriting.ts";

export function foldPadsIntoConvolutions(graph: Graph): Graph {
  const pads = new Map<ValueId, { readonly source: ValueId; readonly amounts: readonly number[] }>();
  let changed = false;
  const nodes = graph.nodes.map((n) => {
    const amounts = zeroPadAmounts(graph, n);
    if (amounts) pads.set(n.outputs[0]!, { source: n.inputs[0]!, amounts });
    const pad = n.inputs[0] === undefined ? undefined : pads.get(n.inputs[0]);
    if (!pad || n.op !== "Conv" || n.domain !== "") return n;
    const merged = mergePads(n, pad.amounts);
    if (!merged) return n;
    changed = true;
    return { ...n, inputs: [pad.source, ...n.inputs.slice(1)], attributes: merged };
  });
  return changed ? dropDead({ ...graph, nodes, nextId: new GraphBuilder(graph).ids.next }) : graph;
}
/** The pads attribute or input of a constant-mode, zero-valued Pad of spatial axes (rank ≥ 3); undefined otherwise. */
function zeroPadAmounts(graph: Graph, n: Node): readonly number[] | undefined {
  if (n.op !== "Pad" || n.domain !== "" || n.inputs[0] === undefined) return undefined;
  const mode = n.attributes.get("mode");
  if (mode?.kind === "string" && mode.value !== "constant") return undefined;
  if (n.inputs[3] !== undefined) return undefined;
  const given = n.attributes.get("pads");
  const input = n.inputs[1] === undefined ? undefined : valueOf(graph, n.inputs[1]).constant;
  const amounts = given?.kind === "ints" ? given.value.map(Number) : input ? Array.from(input.data, Number) : undefined;
  const rank = staticDims(graph, n.inputs[0]).length;
  if (!amounts || rank < 3 || amounts.length !== 2 * rank || amounts.some((a) => a < 0)) return undefined;
  const value = n.inputs[2] === undefined ? n.attributes.get("value") : undefined;
  if (value && (value.kind !== "float" || value.value !== 0)) return undefined;
  if (n.inputs[2] !== undefined && Number(valueOf(graph, n.inputs[2]).constant?.data[0] ?? Number.NaN) !== 0)
    return undefined;
  const outer = [amounts[0], amounts[1], amounts[rank], amounts[rank + 1]];
  return outer.every((a) => a === 0) ? amounts : undefined;
}
function mergePads(conv: Node, amounts: readonly number[]): Node["attributes"] | undefined {
  const auto = conv.attributes.get("auto_pad");
  if (auto?.kind === "string" && auto.value !== "NOTSET" && auto.value !== "VALID") return undefined;
  const rank = amounts.length / 2;
  const spatial = rank - 2;
  const own = conv.attributes.get("pads");
  const base = own?.kind === "ints" ? own.value.map(Number) : new Array<number>(2 * spatial).fill(0);
  const merged = base.map((p, i) => p + (i < spatial ? amounts[i + 2]! : amounts[rank + 2 + i - spatial]!));
  const attributes = new Map(conv.attributes);
  attributes.delete("auto_pad");
  attributes.set("pads", attributesOf({ pads: merged }).get("pads")!);
  return attributes;
}
