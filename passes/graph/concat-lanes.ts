/** In which blocks of channels concatenated maps could lie side by side. */
import { staticDims } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import type { Layout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { halfLanes, type Machine } from "../schedule/library/plan.ts";

/** Lanes in which concatenated maps would all be whole blocks, by map, so that their kernels make them so. */
export function joinedLanes(graph: Graph, m: Machine): ReadonlyMap<ValueId, number> {
  const cached = joined.get(graph);
  if (cached?.machine === m) return cached.lanes;
  const lanes = new Map<ValueId, number>();
  for (const n of graph.nodes) {
    if (n.op !== "Concat" || n.inputs.some((v) => staticDims(graph, v!).length !== 4)) continue;
    const fitting = [m.lanes, halfLanes(m)].find((width) => joinsBlocks(graph, n, 1, width));
    if (fitting !== undefined) for (const v of n.inputs) lanes.set(v!, fitting);
  }
  joined.set(graph, { machine: m, lanes });
  return lanes;
}
const joined = new WeakMap<Graph, { readonly machine: Machine; readonly lanes: ReadonlyMap<ValueId, number> }>();

/** The axis of a Concat node. */
export const concatAxis = (graph: Graph, n: Node): number => axisOf(graph, n, 1);
/** The axis that a node names, which is `absent` where it names none; its first result has it. */
export function axisOf(graph: Graph, n: Node, absent: number): number {
  const axis = n.attributes.get("axis");
  const given = axis?.kind === "int" ? Number(axis.value) : absent;
  return given < 0 ? given + staticDims(graph, n.outputs[0]!).length : given;
}
/** Whether a concatenation in `layout` is one of whole blocks: every part but the last fills its own. */
export function keepsBlocks(graph: Graph, n: Node, layout: Layout): boolean {
  const axis = concatAxis(graph, n);
  const split = layout.dims.filter((d) => d.axis === axis && d.modulus !== undefined);
  return split.every((d) => joinsBlocks(graph, n, axis, d.divisor * d.modulus!));
}
const joinsBlocks = (graph: Graph, n: Node, axis: number, block: number): boolean =>
  concatAxis(graph, n) === axis && n.inputs.slice(0, -1).every((i) => staticDims(graph, i!)[axis]! % block === 0);
