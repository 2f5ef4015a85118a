/** Groups of a graph that stand beside each other, and merging them. */
import type { GraphBuilder } from "../../ir/graph/build.ts";
import type { FusedGraph, Group, Node } from "../../ir/graph/graph.ts";
import type { ValueId } from "../../ir/support/ids.ts";

/** Which groups stand beside each other. */
export interface Neighbours {
  /** The group that makes a value, and the only group that reads it; absent where several do, or the caller. */
  readonly maker: ReadonlyMap<ValueId, Group>;
  readonly reader: ReadonlyMap<ValueId, Group>;
}
export function neighboursOf({ graph, groups }: FusedGraph): Neighbours {
  const maker = new Map<ValueId, Group>();
  const reader = new Map<ValueId, Group>();
  const shared = new Set<ValueId>(graph.outputs);
  for (const g of groups) {
    for (const v of g.outputs) maker.set(v, g);
    for (const v of g.inputs) {
      if (reader.has(v)) shared.add(v);
      reader.set(v, g);
    }
  }
  for (const v of shared) reader.delete(v);
  return { maker, reader };
}

/** The group of nodes in their order, which reads what none of them makes. */
export function groupOf(nodes: readonly Node[], anchor: Node, outputs: readonly ValueId[]): Group {
  const made = new Set(nodes.flatMap((n) => n.outputs));
  const inputs = nodes.flatMap((n) => n.inputs.filter((v) => v !== undefined && !made.has(v))) as ValueId[];
  return { nodes, anchor, inputs: [...new Set(inputs)], outputs };
}
/** The graph with merged groups in the places of their keys, and without the other groups that are gone into them. */
export function withMerged(
  fused: FusedGraph,
  merged: ReadonlyMap<Group, Group>,
  gone: ReadonlySet<Group>,
  builder: GraphBuilder,
): FusedGraph {
  if (merged.size === 0) return fused;
  const groups = fused.groups.flatMap((g) => merged.get(g) ?? (gone.has(g) ? [] : [g]));
  const nodes = groups.flatMap((g) => g.nodes);
  return { graph: { ...fused.graph, nodes, values: builder.values, nextId: builder.ids.next }, groups };
}
