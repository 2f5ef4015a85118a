/** The value of a Constant node. */
import type { Attribute } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import { InputError } from "../../ir/support/errors.ts";
import { quote } from "./quote.ts";

/**
 * Decodes whichever of value, sparse_value, value_int, value_ints, value_float, value_floats a Constant has; undefined
 * for strings and for tensors whose elements are not supported.
 * @throws InputError [onnx/malformed] unless exactly one attribute is given
 */
export function constantValue(attributes: ReadonlyMap<string, Attribute>, node: string): TensorValue | undefined {
  if (attributes.size !== 1)
    throw new InputError("onnx/malformed", `Constant ${quote(node)} has ${attributes.size} values instead of one`);
  const [name, attribute] = [...attributes][0]!;
  switch (attribute.kind) {
    case "tensor":
      return attribute.value;
    case "int":
      return { type: "int64", dims: [], data: BigInt64Array.of(BigInt(attribute.value)) };
    case "ints":
      return { type: "int64", dims: [attribute.value.length], data: BigInt64Array.from(attribute.value.map(BigInt)) };
    case "float":
      return { type: "float32", dims: [], data: Float32Array.of(attribute.value) };
    case "floats":
      return { type: "float32", dims: [attribute.value.length], data: Float32Array.from(attribute.value) };
    case "string":
    case "strings":
    case "opaque":
      if (!["value", "sparse_value", "value_string", "value_strings"].includes(name))
        throw new InputError("onnx/malformed", `Constant ${quote(node)} has the attribute ${quote(name)}`);
      return undefined;
  }
}
