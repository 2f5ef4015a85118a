/** Infers, builds and interprets one node: the reference of the operator tests. */
import type { Node, Value } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { inferGraph } from "./infer.ts";
import { interpretGraph } from "./interpret.ts";

/** The outputs of `node` (those it asks for) given a value for each input that is present. */
export function interpretNode(node: Node, inputs: readonly (TensorValue | undefined)[]): TensorValue[] {
  const values = new Map<ValueId, Value>();
  const offered: Record<string, TensorValue> = {};
  node.inputs.forEach((id, i) => {
    const value = inputs[i];
    if (id === undefined || value === undefined) return;
    offered[`v${id}`] = value;
    values.set(id, { id, name: `v${id}`, type: { dtype: value.type, dims: value.dims } });
  });
  const graphInputs = [...values.keys()];
  const outputs = node.outputs.filter((id) => id !== undefined);
  for (const id of outputs) values.set(id, { id, name: `v${id}` });
  const nextId = Math.max(0, node.id, ...values.keys()) + 1;
  const graph = inferGraph(
    { kind: "graph", name: node.op, inputs: graphInputs, outputs, values, nodes: [node], nextId, metadata: new Map() },
    {},
    offered,
  );
  const results = interpretGraph(graph, offered);
  return outputs.map((id) => results[`v${id}`]!);
}
