/** Operator graphs as text: one line a node. For people; it is not read back. */
import type { Attribute, Dim, Graph, Node, TensorType, Value } from "../graph/graph.ts";
import { isPlain } from "../graph/layout.ts";
import type { TensorValue } from "../graph/tensor-value.ts";
import type { ValueId } from "../support/ids.ts";
import { assertNever } from "../support/invariant.ts";
import { colorize } from "./color.ts";
import { quoteName } from "./names.ts";

/** `float32[1, 3, n]`, or `?` before inference. */
export const tensorTypeText = (t: TensorType | undefined): string =>
  t ? `${t.dtype}[${t.dims.map(dimText).join(", ")}]` : "?";
const dimText = (d: Dim): string => (typeof d === "number" ? String(d) : quoteName(d.symbol));

/** Constants with at most this many elements are printed with their values. */
const shownElements = 8;

/** A graph as text, ending in a line break: its inputs and outputs, its constants, its nodes in order. */
export function printGraph(graph: Graph, options: { colors?: boolean } = {}): string {
  const declare = (id: ValueId): string => declaration(graph.values.get(id), id);
  const head = `graph ${quoteName(graph.name)}(${graph.inputs.map(declare).join(", ")}) -> (${graph.outputs.map(declare).join(", ")}):`;
  const constants = [...graph.values.values()].filter((v) => v.constant !== undefined);
  const lines = [
    head,
    ...constants.map((v) => `  constant ${declaration(v, v.id)}${valueText(v.constant!)}`),
    ...graph.nodes.map((n) => `  ${printNode(graph, n)}`),
  ];
  const text = lines.map((l) => `${l}\n`).join("");
  return options.colors ? colorize(text) : text;
}
/** One node: `y: float32[1, 8] = Gemm(x, w) {transB: 1}`. Absent inputs and outputs are `_`. */
export function printNode(graph: Graph, n: Node): string {
  const outputs = n.outputs.map((o) => (o === undefined ? "_" : declaration(graph.values.get(o), o)));
  const inputs = n.inputs.map((i) => (i === undefined ? "_" : nameOf(graph.values.get(i), i)));
  const attributes = [...n.attributes].map(([name, a]) => `${quoteName(name)}: ${attributeText(a)}`);
  const op = quoteName(n.domain === "" ? n.op : `${n.domain}.${n.op}`);
  return `${outputs.join(", ")} = ${op}(${inputs.join(", ")})${attributes.length > 0 ? ` {${attributes.join(", ")}}` : ""}`;
}
const nameOf = (v: Value | undefined, id: ValueId): string => quoteName(v?.name ?? `#${id}`);
function declaration(v: Value | undefined, id: ValueId): string {
  const layout = isPlain(v?.layout) ? "" : ` ${v?.layout?.name}`;
  return `${nameOf(v, id)}: ${tensorTypeText(v?.type)}${layout}`;
}
const valueText = (t: TensorValue): string =>
  t.data.length <= shownElements ? ` = [${Array.from(t.data, String).join(", ")}]` : "";
function attributeText(a: Attribute): string {
  switch (a.kind) {
    case "int":
      return String(a.value);
    case "float":
      return floatText(a.value);
    case "ints":
      return `[${a.value.join(", ")}]`;
    case "floats":
      return `[${a.value.map(floatText).join(", ")}]`;
    case "string":
      return JSON.stringify(a.value);
    case "strings":
      return `[${a.value.map((s) => JSON.stringify(s)).join(", ")}]`;
    case "tensor":
      return `${a.value.type}[${a.value.dims.join(", ")}]${valueText(a.value)}`;
    case "opaque":
      return `<${a.what}>`;
    default:
      return assertNever(a);
  }
}
const floatText = (v: number): string => (Number.isInteger(v) ? v.toFixed(1) : String(v));
