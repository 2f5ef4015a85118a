/** Element-wise operators of two and more inputs. */
import { add, and, binary, cast, compare, div, mul, or, select, sub } from "../../../ir/expr/build.ts";
import { isFloat, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr } from "../../../ir/expr/expr.ts";
import { elementwiseRow } from "../elementwise.ts";
import { like, nanMax, nanMin, power, safeDivisor } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { anyType, floats, integers, numbers, unsignedIntegers } from "../shape-rules.ts";

const arithmetic = (op: string, formula: (a: Expr, b: Expr) => Expr): OperatorRow =>
  elementwiseRow(op, numbers, (_, a, b) => formula(a!, b!));
const bitwise = (op: string, name: BinaryOp, types: readonly ScalarType[]): OperatorRow =>
  elementwiseRow(op, types, (_, a, b) => binary(name, a!, b!));
const comparison = (op: string, name: CompareOp): OperatorRow =>
  elementwiseRow(op, anyType, (_, a, b) => compare(name, a!, b!), { result: "bool" });
/** Any number of inputs, combined from the right: a NaN-aware maximum repeats its left operand. */
const variadic = (op: string, types: readonly ScalarType[], combine: (a: Expr, b: Expr) => Expr): OperatorRow =>
  elementwiseRow(op, types, (_, ...x) => x.reduceRight((rest, e) => combine(e, rest)));

function modulo(c: ComputeContext, a: Expr, b: Expr): Expr {
  if (c.attributes.int("fmod", 0) !== 0) return binary("mod", a, safeDivisor(b));
  if (isFloat(a.dtype.scalar)) c.invalid("Mod of floating-point inputs needs fmod=1");
  return binary("floormod", a, safeDivisor(b));
}
/** Integer powers go through float64: exact as far as that holds the result. */
function mixedPower(c: ComputeContext, x: Expr, y: Expr): Expr {
  if (isFloat(x.dtype.scalar)) return power(x, cast(x.dtype.scalar, y));
  const result = c.output(0).dtype;
  return cast(result, power(cast("float64", x), cast("float64", y)));
}
const shift = (c: ComputeContext, a: Expr, b: Expr): Expr =>
  binary(c.attributes.string("direction", "") === "LEFT" ? "shl" : "shr", a, b);

/** Both choices of Where have one type. */
function chosenType(c: NodeContext): ScalarType {
  const [x, y] = [c.require(1).dtype, c.require(2).dtype];
  return x === y ? x : c.invalid(`choices of types ${x} and ${y}`);
}

export const binaryRows: readonly OperatorRow[] = [
  arithmetic("Add", add),
  arithmetic("Sub", sub),
  arithmetic("Mul", mul),
  arithmetic("Div", (a, b) => div(a, safeDivisor(b))),
  elementwiseRow("Mod", numbers, (c, a, b) => modulo(c, a!, b!)),
  elementwiseRow("Pow", numbers, (c, a, b) => mixedPower(c, a!, b!), { mixed: true }),
  elementwiseRow("BitShift", unsignedIntegers, (c, a, b) => shift(c, a!, b!)),
  bitwise("BitwiseAnd", "and", integers),
  bitwise("BitwiseOr", "or", integers),
  bitwise("BitwiseXor", "xor", integers),
  elementwiseRow("And", ["bool"], (_, a, b) => and(a!, b!)),
  elementwiseRow("Or", ["bool"], (_, a, b) => or(a!, b!)),
  bitwise("Xor", "xor", ["bool"]),
  comparison("Equal", "eq"),
  comparison("Greater", "gt"),
  comparison("GreaterOrEqual", "ge"),
  comparison("Less", "lt"),
  comparison("LessOrEqual", "le"),
  variadic("Max", numbers, nanMax),
  variadic("Min", numbers, nanMin),
  variadic("Sum", floats, add),
  elementwiseRow("Mean", floats, (_, ...x) => div(x.reduce(add), like(x[0]!, x.length))),
  elementwiseRow("Where", ["bool"], (_, condition, x, y) => select(condition!, x!, y!), {
    mixed: true,
    result: chosenType,
  }),
];
