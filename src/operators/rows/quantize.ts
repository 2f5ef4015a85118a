/** Between floats and small integers: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, and rounding of accumulators. */
import {
  add,
  binary,
  cast,
  compare,
  div,
  floordiv,
  max,
  maxOf,
  min,
  minOf,
  mul,
  select,
  sub,
  unary,
} from "../../../ir/expr/build.ts";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { like, literal } from "../expressions.ts";
import { type ComputeContext, type NodeContext, type OperatorRow, ownDomain, type StaticType } from "../row.ts";
import { checkType, floats, normalizeAxis, range, scalarOfOnnx } from "../shape-rules.ts";
import { outputStage, reduceStage } from "../stages.ts";

const quantized: readonly ScalarType[] = ["int8", "uint8", "int16", "uint16"];

/** `x` (float32) limited to an integer type's range and rounded down to it; NaN becomes 0. */
function saturate(x: Expr, type: ScalarType): Expr {
  const limited = max(like(x, Number(minOf(type))), min(like(x, Number(maxOf(type))), x));
  return cast(type, select(unary("isnan", x), like(x, 0), limited));
}

/** Which parameter belongs to an element: one for all, one a slice along an axis, or one a block along it. */
interface Granularity {
  readonly kind: "tensor" | "axis" | "block";
  readonly axis: number;
  readonly block: number;
}
/** Checks scale (input 1) and zero point (input 2). */
function granularity(c: NodeContext): Granularity {
  const x = c.require(0);
  const scale = checkType(c, 1, floats);
  const zero = c.type(2);
  const block = c.attributes.int("block_size", 0);
  const elements = scale.dims.reduce((a, b) => a * b, 1);
  const zeroFits = !zero || zero.dims.join() === scale.dims.join() || (elements === 1 && zero.dims.join("") === "");
  if (!zeroFits) c.invalid(`a zero point [${zero?.dims}] beside a scale [${scale.dims}]`);
  if (elements === 1 && (scale.dims.length <= 1 || block === 0)) return { kind: "tensor", axis: 0, block: 0 };
  const axis = normalizeAxis(c, c.attributes.int("axis", 1), x.dims.length);
  if (block === 0) {
    if (scale.dims.join() !== `${x.dims[axis]}`) c.invalid(`scales [${scale.dims}] for axis ${axis} of [${x.dims}]`);
    return { kind: "axis", axis, block };
  }
  const wanted = x.dims.map((n, a) => (a === axis ? Math.ceil(n / block) : n));
  if (block < 0 || scale.dims.join() !== wanted.join())
    c.invalid(`scales [${scale.dims}] for blocks of ${block} along axis ${axis} of [${x.dims}]`);
  return { kind: "block", axis, block };
}
function parameterAt(t: Tensor, g: Granularity, i: readonly Expr[]): Expr {
  if (g.kind === "tensor") return t.at(...t.dims.map(() => 0));
  if (g.kind === "axis") return t.at(i[g.axis]!);
  return t.at(...i.map((e, a) => (a === g.axis ? floordiv(e, g.block) : e)));
}

function quantizedType(c: NodeContext): ScalarType {
  const asked = c.attributes.int("output_dtype", 0);
  const zero = c.type(2)?.dtype;
  const type = zero ?? (asked === 0 ? "uint8" : scalarOfOnnx(c, asked));
  if (zero && asked !== 0 && scalarOfOnnx(c, asked) !== zero) c.invalid(`output_dtype is not the zero point's ${zero}`);
  return quantized.includes(type) ? type : c.unsupported(`quantization to ${type}`);
}
function computeQuantize(c: ComputeContext): Tensor[] {
  const [x, scale, zero] = [c.input(0), c.input(1), c.optional(2)];
  const g = granularity(c);
  const type = c.output(0).dtype;
  return [
    outputStage(c, "quantize", (...i) => {
      const ratio = div(cast("float32", x.at(...i)), cast("float32", parameterAt(scale, g, i)));
      const rounded = unary("round", ratio);
      return saturate(zero ? add(rounded, cast("float32", parameterAt(zero, g, i))) : rounded, type);
    }),
  ];
}
function dequantizedType(c: NodeContext): ScalarType {
  const asked = c.attributes.int("output_dtype", 0);
  const type = asked === 0 ? c.require(1).dtype : scalarOfOnnx(c, asked);
  return floats.includes(type) ? type : c.unsupported(`dequantization to ${type}`);
}
function computeDequantize(c: ComputeContext): Tensor[] {
  const [x, scale, zero] = [c.input(0), c.input(1), c.optional(2)];
  const g = granularity(c);
  /** Exact: small integers fit float32, and int32 has a zero point of 0. */
  const centred = (i: readonly Expr[]): Expr => {
    const value = cast("int32", x.at(...i));
    return cast("float32", zero ? sub(value, cast("int32", parameterAt(zero, g, i))) : value);
  };
  return [outputStage(c, "dequantize", (...i) => mul(centred(i), cast("float32", parameterAt(scale, g, i))))];
}

/** uint8 with scale and zero point from the least and greatest element. */
function computeDynamic(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const axes = x.dims.map((n, i) => [`r${i}`, n] as const);
  const extreme = (op: "min" | "max"): Tensor =>
    reduceStage(c, { name: `${op}imum`, type: "float32", dims: [], op, axes, value: (_, k) => x.at(...k) });
  const [least, most] = [extreme("min"), extreme("max")];
  const zero = literal("float32", 0);
  const [low, high] = [binary("min", zero, least.at()), binary("max", zero, most.at())];
  const width = sub(high, low);
  const scale = outputStage(
    c,
    "scale",
    () => div(select(compare("eq", width, zero), literal("float32", 1), width), literal("float32", 255)),
    { output: 1 },
  );
  const place = (): Expr => unary("round", max(zero, min(literal("float32", 255), div(sub(zero, low), scale.at()))));
  const zeroPoint = outputStage(c, "zero_point", () => saturate(place(), "uint8"), { output: 2 });
  const y = outputStage(c, "quantize", (...i) =>
    saturate(add(unary("round", div(x.at(...i), scale.at())), cast("float32", zeroPoint.at())), "uint8"),
  );
  return [y, scale, zeroPoint];
}

/** Which axis of the accumulator a scale of several elements lies along. */
function scaleAt(c: ComputeContext, input: number, axisName: string, i: readonly Expr[]): Expr {
  const t = c.input(input);
  const single = t.dims.every((n) => n === 1);
  const axis = c.attributes.int(axisName, 0);
  const place = t.dims.length === 1 ? [i[axis]!] : i.map((e, a) => (t.dims[a] === 1 ? 0 : e));
  return cast("float32", single ? t.at(...t.dims.map(() => 0)) : t.at(...place));
}
function inferRequantize(c: NodeContext): StaticType[] {
  const x = checkType(c, 0, ["int32"]);
  for (const [i, name] of [
    [1, "axisA"],
    [2, "axisB"],
  ] as const) {
    const { dims } = checkType(c, i, floats);
    const axis = c.attributes.int(name, 0);
    const whole = dims.length === x.dims.length && dims.every((n, a) => n === 1 || n === x.dims[a]);
    const vector = dims.length === 1 && axis >= 0 && dims[0] === x.dims[axis];
    if (!dims.every((n) => n === 1) && !whole && !vector) c.invalid(`scales [${dims}] for a result [${x.dims}]`);
  }
  for (const i of [3, 4]) if (!c.require(i).dims.every((n) => n === 1)) c.unsupported("several scales of the result");
  const { dtype } = c.require(4);
  return [{ dtype: quantized.includes(dtype) ? dtype : c.unsupported(`quantization to ${dtype}`), dims: x.dims }];
}
/** round(accumulator · a_scale · b_scale / y_scale + y_zero_point), limited to the type. */
function computeRequantize(c: ComputeContext): Tensor[] {
  const [x, scale, zero] = [c.input(0), c.input(3), c.input(4)];
  const one = (t: Tensor): Expr => cast("float32", t.at(...range(t.dims.length).map(() => 0)));
  return [
    outputStage(c, "requantize", (...i) => {
      const factor = div(mul(scaleAt(c, 1, "axisA", i), scaleAt(c, 2, "axisB", i)), one(scale));
      const value = mul(cast("float32", x.at(...i)), factor);
      return saturate(unary("round", add(value, one(zero))), c.output(0).dtype);
    }),
  ];
}

export const quantizeRows: readonly OperatorRow[] = [
  {
    op: "QuantizeLinear",
    since: 10,
    pattern: "elementwise",
    infer: (c) => {
      const x = checkType(c, 0, [...floats, "int32"]);
      granularity(c);
      return [{ dtype: quantizedType(c), dims: x.dims }];
    },
    compute: computeQuantize,
  },
  {
    op: "DequantizeLinear",
    since: 10,
    pattern: "elementwise",
    infer: (c) => {
      const x = checkType(c, 0, [...quantized, "int32"]);
      granularity(c);
      if (c.type(2) && c.require(2).dtype !== x.dtype) c.invalid(`a zero point of type ${c.require(2).dtype}`);
      return [{ dtype: dequantizedType(c), dims: x.dims }];
    },
    compute: computeDequantize,
  },
  {
    op: "DynamicQuantizeLinear",
    since: 11,
    pattern: "opaque",
    infer: (c) => {
      const x = checkType(c, 0, ["float32"]);
      return [
        { dtype: "uint8", dims: x.dims },
        { dtype: "float32", dims: [] },
        { dtype: "uint8", dims: [] },
      ];
    },
    compute: computeDynamic,
  },
  {
    op: "Requantize",
    domain: ownDomain,
    pattern: "elementwise",
    infer: inferRequantize,
    compute: computeRequantize,
  },
];
