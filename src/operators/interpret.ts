/** Runs graphs and single nodes in the interpreter: how constants are folded, and the reference in tests. */

import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Group, Node, Value } from "../../ir/graph/graph.ts";
import { type TensorValue, tensorValue } from "../../ir/graph/tensor-value.ts";
import { runProgram } from "../../ir/interp/run.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { buildGroupProgram } from "./build-program.ts";

const isValue = (id: ValueId | undefined): id is ValueId => id !== undefined;

/** The group of one node. */
function singleton(node: Node): Group {
  const inputs = [...new Set(node.inputs.filter(isValue))];
  return { nodes: [node], anchor: node, inputs, outputs: node.outputs.filter(isValue) };
}
/** Computes one node of an inferred graph (all layouts plain) from its inputs' values. */
export function evaluateNode(
  values: ReadonlyMap<ValueId, Value>,
  node: Node,
  inputs: ReadonlyMap<ValueId, TensorValue>,
): Map<ValueId, TensorValue> {
  const graph: Graph = {
    kind: "graph",
    name: "node",
    inputs: [],
    outputs: [],
    values,
    nodes: [node],
    nextId: 0,
    metadata: new Map(),
  };
  const { program, params } = buildGroupProgram(graph, singleton(node), { name: "node", math: "strict" });
  const func = program.functions[0]!;
  const arrays = func.params.flatMap((p, i) =>
    p.role === "output" ? [] : [[p.buffer.name, dataOf(params[i]!.value)] as const],
  );
  const results = runProgram(program, Object.fromEntries(arrays));
  return new Map(
    func.params.flatMap((p, i) => {
      if (p.role !== "output") return [];
      const id = params[i]!.value;
      return [[id, tensorValue(p.buffer.dtype.scalar, staticDims(graph, id), results[p.buffer.name]!)] as const];
    }),
  );
  function dataOf(id: ValueId) {
    const value = inputs.get(id) ?? valueOf(graph, id).constant;
    invariant(value, `input ${id} has no value`);
    return value.data;
  }
}
/** Computes every output of an inferred graph, node by node; `inputs` by the names of the graph's inputs. */
export function interpretGraph(
  graph: Graph,
  inputs: Readonly<Record<string, TensorValue>>,
): Readonly<Record<string, TensorValue>> {
  const known = new Map<ValueId, TensorValue>();
  for (const id of graph.inputs) {
    const value = inputs[valueOf(graph, id).name];
    if (value) known.set(id, value);
  }
  for (const node of graph.nodes) for (const [id, v] of evaluateNode(graph.values, node, known)) known.set(id, v);
  return Object.fromEntries(
    graph.outputs.map((id) => {
      const value = known.get(id) ?? valueOf(graph, id).constant;
      invariant(value, `output ${id} was not computed`);
      return [valueOf(graph, id).name, value];
    }),
  );
}
