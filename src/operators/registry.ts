/** Finding the row of an operator, and reading what a node says: attributes, input types, constants. */

import type { Attribute, Node, Value } from "../../ir/graph/graph.ts";
import { elementCount, type TensorValue } from "../../ir/graph/tensor-value.ts";
import { InputError, UnsupportedError } from "../../ir/support/errors.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { numbersOf } from "./elements.ts";
import type { AttributeReader, NodeContext, OperatorRow, StaticType } from "./row.ts";
import { activationRows } from "./rows/activation.ts";
import { attentionRows } from "./rows/attention.ts";
import { binaryRows } from "./rows/binary.ts";
import { bitRows } from "./rows/bits.ts";
import { col2imRows } from "./rows/col2im.ts";
import { constantRows } from "./rows/constant.ts";
import { convolutionRows } from "./rows/convolution.ts";
import { dataDependentRows } from "./rows/data-dependent.ts";
import { determinantRows } from "./rows/determinant.ts";
import { einsumRows } from "./rows/einsum.ts";
import { gridSampleRows } from "./rows/grid-sample.ts";
import { indexedRows } from "./rows/indexed.ts";
import { integerProductRows } from "./rows/integer-product.ts";
import { lossRows } from "./rows/loss.ts";
import { maskedSoftmaxRows } from "./rows/masked-softmax.ts";
import { matmulRows } from "./rows/matmul.ts";
import { maxRoiPoolRows } from "./rows/max-roi-pool.ts";
import { movementRows } from "./rows/movement.ts";
import { normalizationRows } from "./rows/normalization.ts";
import { padRows } from "./rows/pad.ts";
import { poolRows } from "./rows/pool.ts";
import { quantizeRows } from "./rows/quantize.ts";
import { rearrangeRows } from "./rows/rearrange.ts";
import { recurrentRows } from "./rows/recurrent.ts";
import { recurrentCellRows } from "./rows/recurrent-cells.ts";
import { reduceRows } from "./rows/reduce.ts";
import { refusedRows } from "./rows/refused.ts";
import { resizeRows } from "./rows/resize.ts";
import { roiAlignRows } from "./rows/roi-align.ts";
import { scanRows } from "./rows/scan.ts";
import { scatterRows } from "./rows/scatter.ts";
import { selectRows } from "./rows/select.ts";
import { sequenceModelRows } from "./rows/sequence-model.ts";
import { signalRows } from "./rows/signal.ts";
import { softmaxRows } from "./rows/softmax.ts";
import { softmaxMatmulRows } from "./rows/softmax-matmul.ts";
import { textRows } from "./rows/text.ts";
import { unaryRows } from "./rows/unary.ts";
import { winogradRows } from "./rows/winograd.ts";

const tables: readonly (readonly OperatorRow[])[] = [
  unaryRows,
  activationRows,
  binaryRows,
  matmulRows,
  convolutionRows,
  winogradRows,
  poolRows,
  normalizationRows,
  softmaxRows,
  softmaxMatmulRows,
  reduceRows,
  lossRows,
  constantRows,
  movementRows,
  resizeRows,
  padRows,
  rearrangeRows,
  scanRows,
  indexedRows,
  scatterRows,
  selectRows,
  attentionRows,
  maskedSoftmaxRows,
  sequenceModelRows,
  quantizeRows,
  integerProductRows,
  recurrentCellRows,
  recurrentRows,
  gridSampleRows,
  einsumRows,
  signalRows,
  dataDependentRows,
  bitRows,
  determinantRows,
  textRows,
  refusedRows,
  roiAlignRows,
  col2imRows,
  maxRoiPoolRows,
];

const keyOf = (op: string, domain: string): string => `${domain === "ai.onnx" ? "" : domain}:${op}`;
let byKey: ReadonlyMap<string, readonly OperatorRow[]> | undefined;
/** Rows by operator, newest first. */
function rowsByKey(): ReadonlyMap<string, readonly OperatorRow[]> {
  if (byKey === undefined) {
    const map = new Map<string, OperatorRow[]>();
    for (const r of allRows().toSorted((a, b) => (b.since ?? 1) - (a.since ?? 1))) {
      const key = keyOf(r.op, r.domain ?? "");
      map.set(key, [...(map.get(key) ?? []), r]);
    }
    byKey = map;
  }
  return byKey;
}

/** Every row of every table. */
export const allRows = (): readonly OperatorRow[] => tables.flat();

/** The row for an operator of this opset: the greatest `since` that is not past it. */
export function lookupRow(op: string, domain: string, opset: number): OperatorRow | undefined {
  return rowsByKey()
    .get(keyOf(op, domain))
    ?.find((r) => (r.since ?? 1) <= opset);
}

/** Reads a node's attributes; one of the wrong kind is an InputError. */
export function attributeReader(node: Node): AttributeReader {
  const raw = (name: string): Attribute | undefined => node.attributes.get(name);
  const read = <K extends Attribute["kind"]>(name: string, kind: K): Extract<Attribute, { kind: K }> | undefined => {
    const a = raw(name);
    if (a === undefined) return undefined;
    if (a.kind !== kind)
      throw new InputError(
        "model/attribute-kind",
        `${describeNode(node)}: attribute ${name} is ${a.kind}, not ${kind}`,
      );
    return a as Extract<Attribute, { kind: K }>;
  };
  const float = (name: string): number | undefined => {
    const a = raw(name);
    return a?.kind === "int" ? Number(a.value) : read(name, "float")?.value;
  };
  const optionalInt = (name: string): number | undefined => {
    const a = read(name, "int");
    return a && Number(a.value);
  };
  return {
    has: (name) => node.attributes.has(name),
    raw,
    int: (name, fallback) => optionalInt(name) ?? fallback,
    optionalInt,
    float: (name, fallback) => float(name) ?? fallback,
    string: (name, fallback) => read(name, "string")?.value ?? fallback,
    ints: (name) => (isEmptyList(raw(name)) ? [] : read(name, "ints")?.value.map(Number)),
    floats: (name) => {
      const a = raw(name);
      return a?.kind === "ints" ? a.value.map(Number) : read(name, "floats")?.value;
    },
    strings: (name) => (isEmptyList(raw(name)) ? [] : read(name, "strings")?.value),
    tensor: (name) => read(name, "tensor")?.value,
  };
}
/** An empty list has no kind of its own. */
const isEmptyList = (a: Attribute | undefined): boolean =>
  a !== undefined && (a.kind === "ints" || a.kind === "floats" || a.kind === "strings") && a.value.length === 0;

/** `Conv "stem" (opset 17)`. */
export const describeNode = (n: Node): string =>
  `${n.domain ? `${n.domain}::` : ""}${n.op} "${n.name}" (opset ${n.opset})`;

/** What a context needs of a graph. */
interface GraphValues {
  readonly values: ReadonlyMap<ValueId, Value>;
}
/** Answers for a value that is no constant of the graph, when a rule cannot do without it. */
export type Known = (id: ValueId) => TensorValue | undefined;

/** The view of a node that a row's rules read. `known` answers for values beyond the graph's own constants. */
export function nodeContext(graph: GraphValues, node: Node, known?: Known): NodeContext {
  const valueAt = (i: number): Value | undefined => {
    const id = node.inputs[i];
    return id === undefined ? undefined : graph.values.get(id);
  };
  const type = (i: number): StaticType | undefined => staticType(valueAt(i));
  const requireConstant = (i: number): TensorValue => {
    const v = valueAt(i);
    if (v === undefined) return invalid(`input ${i} is missing`);
    return v.constant ?? known?.(v.id) ?? unsupported(`input ${i} must be known at compile time`);
  };
  const unsupported = (reason: string): never => {
    throw new UnsupportedError("model/unsupported-node", `${describeNode(node)}: ${reason}`, [itemOf(node, reason)]);
  };
  const invalid = (reason: string): never => {
    throw new InputError("model/invalid-node", `${describeNode(node)}: ${reason}`, { node: node.name, op: node.op });
  };
  return {
    node,
    attributes: attributeReader(node),
    type,
    require: (i) => type(i) ?? invalid(`input ${i} is missing`),
    constant: (i) => valueAt(i)?.constant,
    requireConstant,
    constantInts: (i) => {
      if (node.inputs[i] === undefined) return undefined;
      const value = requireConstant(i);
      return elementCount(value.dims) > 1 << 20 ? invalid(`input ${i} has too many elements`) : numbersOf(value);
    },
    unsupported,
    invalid,
  };
}
/** The item of an UnsupportedError for this node. */
export const itemOf = (node: Node, reason: string) => ({
  op: node.op,
  domain: node.domain,
  opset: node.opset,
  node: node.name,
  reason,
});
/** The type of a value when its shape is static. */
export function staticType(v: Value | undefined): StaticType | undefined {
  if (v?.type === undefined) return undefined;
  const dims = v.type.dims.filter((d) => typeof d === "number");
  return dims.length === v.type.dims.length ? { dtype: v.type.dtype, dims } : undefined;
}
