/**
 * Joins neighbouring groups of grouped convolutions until the output channels of a group fill blocks of lanes. What a
 * channel does not read has weights of zero: up to four times the multiply-adds, in vectors instead of one by one. Zero
 * times infinity is no zero, so it does not run under strict math.
 */
import { attributesOf, GraphBuilder, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import { type TensorValue, tensorValue } from "../../ir/graph/tensor-value.ts";
import { blockWidths, halfLanes, type Machine } from "../schedule/library/plan.ts";
import { type ConvShape, convShapeOf } from "./contraction-shapes.ts";

/** More zeros cost more than plain loops. */
const mostJoined = 4;

export function mergeGroups(graph: Graph, machine: Machine): Graph {
  const builder = new GraphBuilder(graph);
  let changed = false;
  const nodes = graph.nodes.map((n) => {
    const shape = convShapeOf(graph, n);
    const weights = shape && valueOf(graph, n.inputs[1]!);
    const count = shape && weights?.constant ? groupsToJoin(shape, machine) : 1;
    if (!shape || count === 1) return n;
    changed = true;
    const joined = joinWeights(weights!.constant!, shape.group, count);
    const w = builder.constant(`${weights!.name}_joined`, joined);
    return withGroups(n, w, shape.group / count);
  });
  return changed ? { ...graph, nodes, values: builder.values, nextId: builder.ids.next } : graph;
}

/**
 * The least number of groups whose output channels fill blocks, narrow ones if they are as fast an element or there is no
 * number that fills wide ones; 1 where a group does already, or none does.
 */
function groupsToJoin({ group, depthwise, outputChannels }: ConvShape, machine: Machine): number {
  if (group === 1 || depthwise) return 1;
  for (const lanes of new Set([halfLanes(machine), ...blockWidths(machine)]))
    for (let count = 1; count <= mostJoined; count++)
      if (group % count === 0 && ((outputChannels / group) * count) % lanes === 0) return count;
  return 1;
}

/** From [oc, ic / groups, kh, kw] to [oc, count · ic / groups, kh, kw]. */
function joinWeights({ type, dims, data }: TensorValue, groups: number, count: number): TensorValue {
  const [outputs, inputs, ...kernel] = dims as [number, number, number, number];
  const joined = tensorValue(type, [outputs, inputs * count, ...kernel]);
  const row = data.length / outputs;
  const source = data as Float32Array;
  for (let oc = 0; oc < outputs; oc++) {
    const place = Math.floor(oc / (outputs / groups)) % count;
    (joined.data as Float32Array).set(source.subarray(oc * row, (oc + 1) * row), (oc * count + place) * row);
  }
  return joined;
}

function withGroups(n: Node, weights: Node["inputs"][number], group: number): Node {
  const attributes = new Map([...n.attributes, ...attributesOf({ group })]);
  return { ...n, inputs: [n.inputs[0], weights, ...n.inputs.slice(2)], attributes };
}
