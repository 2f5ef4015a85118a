/** Products of small integers, as products of centred int32 tensors: MatMulInteger, ConvInteger, QLinearMatMul, QLinearConv. */
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import type { Attribute } from "../../../ir/graph/graph.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { intVector } from "../elements.ts";
import { type ExpandContext, type NodeContext, type OperatorRow, ownDomain, type StaticType } from "../row.ts";
import { broadcastDims, checkType } from "../shape-rules.ts";
import { readWindow } from "../window.ts";

const small: readonly ScalarType[] = ["int8", "uint8", "int16", "uint16"];
/** ONNX's number of int32. */
const int32 = 6;

const node = (
  c: ExpandContext,
  op: string,
  inputs: readonly (ValueId | undefined)[],
  attributes: Readonly<Record<string, Attribute | number>> = {},
  domain = "",
): ValueId => c.graph.node(op, inputs, { attributes, domain, opset: domain === "" ? 22 : 1 })[0]!;
const reshape = (c: ExpandContext, x: ValueId, dims: readonly number[]): ValueId =>
  node(c, "Reshape", [x, c.graph.constant("shape", intVector(dims))]);

/** Input `i` as int32, less its zero point, which is reshaped to `zeroDims` when it is a vector of several. */
function centred(c: ExpandContext, i: number, zero: number, zeroDims: (n: number) => readonly number[]): ValueId {
  checkType(c, i, small);
  const x = node(c, "Cast", [c.inputs[i]], { to: int32 });
  const point = c.inputs[zero];
  if (point === undefined) return x;
  const { dims } = c.require(zero);
  const wide = node(c, "Cast", [point], { to: int32 });
  if (dims.length !== 1) return node(c, "Sub", [x, wide]);
  return node(c, "Sub", [x, reshape(c, wide, dims[0] === 1 ? [] : zeroDims(dims[0]!))]);
}
/** The int32 product of inputs `a` and `b`, whose zero points are inputs `aZero` and `bZero`. */
function matmul(c: ExpandContext, [a, aZero, b, bZero]: readonly [number, number, number, number]): ValueId {
  const left = centred(c, a, aZero, (n) => [n, 1]);
  return node(c, "MatMul", [left, centred(c, b, bZero, (n) => [n])]);
}
function convolve(c: ExpandContext, [x, xZero, w, wZero]: readonly [number, number, number, number]): ValueId {
  const rank = c.require(x).dims.length;
  const input = centred(c, x, xZero, () => c.invalid("several zero points of the input"));
  const weights = centred(c, w, wZero, (n) => [n, ...Array<number>(rank - 1).fill(1)]);
  const attributes = Object.fromEntries(c.node.attributes);
  return node(c, "Conv", [input, weights], attributes, ownDomain);
}
function requantize(
  c: ExpandContext,
  total: ValueId,
  [a, b, y, zero]: readonly [number, number, number, number],
  axes: { axisA: number; axisB: number },
): ValueId {
  const fallback = (): ValueId => c.invalid("y_zero_point is missing");
  const inputs = [total, c.inputs[a], c.inputs[b], c.inputs[y], c.inputs[zero] ?? fallback()];
  return node(c, "Requantize", inputs, axes, ownDomain);
}
/** The shape of a product, for rows that always expand. */
function productDims(c: NodeContext, a: number, b: number): number[] {
  const [x, y] = [c.require(a).dims, c.require(b).dims];
  if (x.length < 2 || y.length < 2 || x.at(-1) !== y.at(-2)) c.invalid(`shapes [${x}] and [${y}] do not multiply`);
  return [...broadcastDims(c, [x.slice(0, -2), y.slice(0, -2)]), x.at(-2)!, y.at(-1)!];
}
function convolvedDims(c: NodeContext, x: number, w: number): number[] {
  const [input, weights] = [c.require(x).dims, c.require(w).dims];
  return [input[0]!, weights[0]!, ...readWindow(c, input.slice(2), weights.slice(2)).output];
}
const expanding = (
  op: string,
  infer: (c: NodeContext) => readonly StaticType[],
  expand: (c: ExpandContext) => readonly ValueId[],
): OperatorRow => ({ op, since: 10, pattern: "opaque", infer, expand });

/** The accumulator plus the bias [channels]. */
function withBias(c: ExpandContext, total: ValueId): ValueId {
  const bias = c.inputs[8];
  if (bias === undefined) return total;
  const spatial = Array<number>(c.require(0).dims.length - 2).fill(1);
  return node(c, "Add", [total, reshape(c, bias, [1, -1, ...spatial])]);
}

export const integerProductRows: readonly OperatorRow[] = [
  expanding(
    "MatMulInteger",
    (c) => [{ dtype: "int32", dims: productDims(c, 0, 1) }],
    (c) => [matmul(c, [0, 2, 1, 3])],
  ),
  expanding(
    "QLinearMatMul",
    (c) => [{ dtype: c.require(7).dtype, dims: productDims(c, 0, 3) }],
    (c) => {
      const rank = productDims(c, 0, 3).length;
      return [requantize(c, matmul(c, [0, 2, 3, 5]), [1, 4, 6, 7], { axisA: rank - 2, axisB: rank - 1 })];
    },
  ),
  expanding(
    "ConvInteger",
    (c) => [{ dtype: "int32", dims: convolvedDims(c, 0, 1) }],
    (c) => [convolve(c, [0, 2, 1, 3])],
  ),
  expanding(
    "QLinearConv",
    (c) => [{ dtype: c.require(7).dtype, dims: convolvedDims(c, 0, 3) }],
    (c) => {
      const total = withBias(c, convolve(c, [0, 2, 3, 5]));
      return [requantize(c, total, [1, 4, 6, 7], { axisA: 0, axisB: 1 })];
    },
  ),
];
