/** Content keys of groups: equal keys mean equal kernels, whatever the values are called and wherever they stand. */
import { createHash } from "node:crypto";
import type { Graph, Group } from "../../ir/graph/graph.ts";
import { elementCount, type TensorValue } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";

/** float32 constants above this many elements are parameters whatever their values. */
const inlinedAtMost = 16;

/** A SHA-256 over operators, attributes, types, layouts and the constants that code generation looks into. */
export function groupKey(graph: Graph, group: Group, context: string): string {
  const numbers = new Map<ValueId, number>();
  const describe = (v: ValueId | undefined): string => {
    if (v === undefined) return "-";
    const known = numbers.get(v);
    if (known !== undefined) return `#${known}`;
    numbers.set(v, numbers.size);
    const { type, layout, constant } = graph.values.get(v)!;
    const place = layout ? JSON.stringify([layout.dims, layout.halo ?? 0]) : "";
    return `${type?.dtype}[${type?.dims}]${place}${constant ? constantKey(constant) : ""}`;
  };
  const nodes = group.nodes.map((n) => {
    const attributes = [...n.attributes].map(([k, a]) => `${k}:${attributeKey(a)}`).sort();
    return `${n.domain}.${n.op}@${n.opset}(${n.inputs.map(describe)})->(${n.outputs.map(describe)}){${attributes}}${n.id === group.anchor.id ? "*" : ""}`;
  });
  const outputs = group.outputs.map((o) => numbers.get(o));
  return createHash("sha256")
    .update(`${context}\n${nodes.join("\n")}\n${outputs}\n${group.inputs.map((i) => numbers.get(i))}`)
    .digest("hex");
}
function constantKey(c: TensorValue): string {
  const opaque = c.type === "float32" && elementCount(c.dims) > inlinedAtMost;
  return opaque ? "const" : `const(${elementCount(c.dims) > 4096 ? hashOf(c) : c.data})`;
}
const hashOf = (c: TensorValue): string =>
  createHash("sha256")
    .update(new Uint8Array(c.data.buffer, c.data.byteOffset, c.data.byteLength))
    .digest("hex");
function attributeKey(a: { readonly kind: string; readonly value?: unknown; readonly what?: string }): string {
  if (a.kind === "tensor") {
    const t = a.value as TensorValue;
    return `${t.type}[${t.dims}]${hashOf(t)}`;
  }
  return `${a.kind}=${String(a.value ?? a.what)}`;
}
