/** Operators whose value follows from shapes, attributes and constants: Constant, Shape, Size, ConstantOfShape, Range. */
import { add, cast, mul } from "../../../ir/expr/build.ts";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import { elementCount, type TensorValue, tensorValue } from "../../../ir/graph/tensor-value.ts";
import { elementAt, filled, intVector, tensorOf } from "../elements.ts";
import { literal } from "../expressions.ts";
import type { NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, product } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

/** Beyond this many elements a constant is computed at run time instead of stored. */
const foldLimit = 1 << 20;
const typeOf = (t: TensorValue): StaticType => ({ dtype: t.type, dims: t.dims });

/** The value of a Constant node, whichever attribute holds it. */
function constantAttribute(c: NodeContext): TensorValue {
  const { attributes: a } = c;
  const scalar = (name: string, type: ScalarType): TensorValue[] => {
    const raw = a.raw(name);
    return raw?.kind === "int" || raw?.kind === "float" ? [tensorOf(type, [], [raw.value])] : [];
  };
  const list = (name: string, type: ScalarType, values: readonly number[] | undefined): TensorValue[] =>
    values && a.has(name) ? [tensorOf(type, [values.length], values)] : [];
  const found = [
    ...(a.has("value") ? [a.tensor("value")!] : []),
    ...scalar("value_float", "float32"),
    ...scalar("value_int", "int64"),
    ...list("value_floats", "float32", a.floats("value_floats")),
    ...list("value_ints", "int64", a.ints("value_ints")),
  ];
  return found[0] ?? c.unsupported("a constant that is sparse or of strings");
}
/** The dimensions that Shape gives, between its start and end. */
function shapeSlice(c: NodeContext): number[] {
  const { dims } = c.require(0);
  const at = (name: string, fallback: number): number => {
    const i = c.attributes.int(name, fallback);
    return Math.min(Math.max(i < 0 ? i + dims.length : i, 0), dims.length);
  };
  const start = at("start", 0);
  return dims.slice(start, Math.max(start, at("end", dims.length)));
}
function fillValue(c: NodeContext): TensorValue {
  const value = c.attributes.tensor("value") ?? tensorValue("float32", [1]);
  return value.data.length === 1 ? value : c.invalid(`a fill value of shape [${value.dims}]`);
}
function fillDims(c: NodeContext): readonly number[] {
  const dims = c.constantInts(0) ?? c.invalid("input 0 is missing");
  if (dims.some((n) => n < 0)) c.invalid(`a negative extent in [${dims}]`);
  return dims;
}
/** start, step and how many. */
function rangeOf(c: NodeContext): { start: number; delta: number; count: number } {
  const [start, limit, delta] = [0, 1, 2].map((i) => {
    const t = c.requireConstant(i);
    return t.data.length === 1 ? Number(elementAt(t, 0)) : c.invalid(`input ${i} is not a scalar`);
  }) as [number, number, number];
  if (delta === 0) c.invalid("a step of 0");
  return { start, delta, count: Math.max(Math.ceil((limit - start) / delta), 0) };
}

export const constantRows: readonly OperatorRow[] = [
  {
    op: "Constant",
    pattern: "opaque",
    infer: (c) => [typeOf(constantAttribute(c))],
    fold: (c) => [constantAttribute(c)],
  },
  {
    op: "Shape",
    pattern: "opaque",
    infer: (c) => [{ dtype: "int64", dims: [shapeSlice(c).length] }],
    fold: (c) => [intVector(shapeSlice(c))],
  },
  {
    op: "Size",
    pattern: "opaque",
    infer: () => [{ dtype: "int64", dims: [] }],
    fold: (c) => [tensorOf("int64", [], [product(c.require(0).dims)])],
  },
  {
    op: "ConstantOfShape",
    pattern: "elementwise",
    infer: (c) => [{ dtype: fillValue(c).type, dims: fillDims(c) }],
    fold: (c) => (elementCount(fillDims(c)) <= foldLimit ? [filled(fillValue(c), fillDims(c))] : undefined),
    compute: (c) => {
      const value = fillValue(c);
      return [outputStage(c, "fill", () => literal(value.type, elementAt(value, 0)))];
    },
  },
  {
    op: "Range",
    pattern: "elementwise",
    infer: (c) => {
      checkType(c, 0, ["float32", "float64", "int16", "int32", "int64", "float16", "bfloat16"]);
      return [{ dtype: c.require(0).dtype, dims: [rangeOf(c).count] }];
    },
    fold: (c) => {
      const { start, delta, count } = rangeOf(c);
      if (count > foldLimit) return undefined;
      const values = Array.from({ length: count }, (_, i) => start + i * delta);
      return [tensorOf(c.require(0).dtype, [count], values)];
    },
    compute: (c) => {
      const { start, delta } = rangeOf(c);
      return [
        outputStage(c, "range", (i) =>
          add(literal("float64", start), mul(cast("float64", i!), literal("float64", delta))),
        ),
      ];
    },
  },
];
