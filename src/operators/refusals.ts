/** The error that names everything unsupported in a model at once. */
import type { Attribute, Node, TensorType, Value } from "../../ir/graph/graph.ts";
import { UnsupportedError, type UnsupportedItem } from "../../ir/support/errors.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { describeNode } from "./registry.ts";

/** A node that cannot be compiled, and why. */
export interface Refusal {
  readonly node: Node;
  readonly item: UnsupportedItem;
}
/** One error for all refusals: each with its opset, reason, attributes and input shapes. */
export function unsupportedNodes(refusals: readonly Refusal[], values: ReadonlyMap<ValueId, Value>): UnsupportedError {
  const lines = refusals.map(({ node, item }) => `  ${describeNode(node)}: ${item.reason}\n    ${facts(node, values)}`);
  const count = lines.length === 1 ? "1 operator is" : `${lines.length} operators are`;
  return new UnsupportedError(
    "model/unsupported",
    `${count} not supported:\n${lines.join("\n")}`,
    refusals.map((r) => r.item),
  );
}
function facts(node: Node, values: ReadonlyMap<ValueId, Value>): string {
  const inputs = node.inputs.map((i) => (i === undefined ? "-" : showType(values.get(i)?.type)));
  const attributes = [...node.attributes].map(([name, a]) => `${name}=${showAttribute(a)}`);
  return `inputs ${inputs.join(", ") || "none"}; attributes ${attributes.join(", ") || "none"}`;
}
const showType = (t: TensorType | undefined): string =>
  t ? `${t.dtype}[${t.dims.map((d) => (typeof d === "number" ? d : d.symbol)).join(",")}]` : "unknown";
function showAttribute(a: Attribute): string {
  switch (a.kind) {
    case "tensor":
      return `${a.value.type}[${a.value.dims}]`;
    case "opaque":
      return a.what;
    case "ints":
    case "floats":
    case "strings":
      return `[${a.value.slice(0, 16).join(",")}${a.value.length > 16 ? ",…" : ""}]`;
    default:
      return JSON.stringify(typeof a.value === "bigint" ? Number(a.value) : a.value);
  }
}
