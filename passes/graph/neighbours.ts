/** Makers and readers of values among the groups of a graph. */
import type { FusedGraph, Group } from "../../ir/graph/graph.ts";
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
