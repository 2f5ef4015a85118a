/** Makes single nodes for the operator tests. */
import { type AttributeRecord, attributesOf } from "../../../ir/graph/build.ts";
import type { Node } from "../../../ir/graph/graph.ts";
import type { TensorValue } from "../../../ir/graph/tensor-value.ts";
import type { NodeId, ValueId } from "../../../ir/support/ids.ts";
import { numbersOf, tensorOf } from "../../../src/operators/elements.ts";
import { interpretNode } from "../../../src/operators/interpret-node.ts";

export interface NodeOptions {
  readonly opset?: number;
  readonly outputs?: number;
}
/** A node whose inputs are values 1, 2, … (absent where `inputs` says so) and whose outputs follow. */
export function makeNode(
  op: string,
  inputs: readonly (TensorValue | undefined)[],
  attributes: AttributeRecord = {},
  { opset = 22, outputs = 1 }: NodeOptions = {},
): Node {
  const id = (n: number): ValueId => n as ValueId;
  return {
    id: 1000 as NodeId,
    name: "node",
    op,
    domain: "",
    opset,
    inputs: inputs.map((t, i) => (t === undefined ? undefined : id(i + 1))),
    outputs: Array.from({ length: outputs }, (_, i) => id(100 + i)),
    attributes: attributesOf(attributes),
  };
}
/** The first output of a node. */
export const run = (
  op: string,
  inputs: readonly (TensorValue | undefined)[],
  attributes: AttributeRecord = {},
  options: NodeOptions = {},
): TensorValue => interpretNode(makeNode(op, inputs, attributes, options), inputs)[0]!;
/** The elements of a node's first output. */
export const runNumbers = (...args: Parameters<typeof run>): number[] => numbersOf(run(...args));

export const f32 = (dims: readonly number[], values: readonly number[]): TensorValue =>
  tensorOf("float32", dims, values);
export const i64 = (...values: readonly number[]): TensorValue => tensorOf("int64", [values.length], values);
