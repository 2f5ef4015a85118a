/** What graph rewrites share: renaming uses, dropping what nothing needs, single-use queries. */
import { attributesOf } from "../../ir/graph/build.ts";
import type { Graph, Node, Value } from "../../ir/graph/graph.ts";
import type { NodeId, ValueId } from "../../ir/support/ids.ts";

/** Renames every use (node inputs and graph outputs) of the keys of `renaming`, following chains. */
export function replaceUses(graph: Graph, renaming: ReadonlyMap<ValueId, ValueId>): Graph {
  if (renaming.size === 0) return graph;
  const resolve = (id: ValueId): ValueId => {
    let current = id;
    for (let next = renaming.get(current); next !== undefined; next = renaming.get(current)) current = next;
    return current;
  };
  const nodes = graph.nodes.map((n) => ({ ...n, inputs: n.inputs.map((i) => (i === undefined ? i : resolve(i))) }));
  return { ...graph, nodes, outputs: graph.outputs.map(resolve) };
}

/** Drops nodes whose outputs nobody needs, and values that no node, input or output mentions. */
export function dropDead(graph: Graph): Graph {
  const needed = new Set<ValueId>(graph.outputs);
  const kept: Node[] = [];
  for (const n of [...graph.nodes].reverse()) {
    if (!n.outputs.some((o) => o !== undefined && needed.has(o))) continue;
    kept.push(n);
    for (const i of n.inputs) if (i !== undefined) needed.add(i);
  }
  kept.reverse();
  const mentioned = new Set<ValueId>([...graph.inputs, ...needed]);
  for (const n of kept) for (const o of n.outputs) if (o !== undefined) mentioned.add(o);
  const values = new Map<ValueId, Value>();
  for (const [id, v] of graph.values) if (mentioned.has(id)) values.set(id, v);
  return kept.length === graph.nodes.length && values.size === graph.values.size
    ? graph
    : { ...graph, nodes: kept, values };
}

/** The node that copies a value into another one of the same elements, in whatever layout that has. */
export const relayoutNode = (id: NodeId, from: ValueId, to: ValueId): Node => ({
  id,
  name: "relayout",
  op: "Identity",
  domain: "",
  opset: 22,
  inputs: [from],
  outputs: [to],
  attributes: attributesOf({}),
});

/** How often each value is read: by nodes (once per use) and as a graph output. */
export function useCounts(graph: Graph): ReadonlyMap<ValueId, number> {
  const counts = new Map<ValueId, number>();
  const count = (id: ValueId): void => void counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const n of graph.nodes) for (const i of n.inputs) if (i !== undefined) count(i);
  graph.outputs.forEach(count);
  return counts;
}
