/** Element-wise operators of one input. */
import { and, bool, cast, compare, not, unary } from "../../../ir/expr/build.ts";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr, UnaryOp } from "../../../ir/expr/expr.ts";
import { elementwiseRow } from "../elementwise.ts";
import { isNaN, like, reciprocal, sqrt } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { floats, integers, numbers, scalarOfOnnx, signedNumbers, wants } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

/** A row whose formula is one intrinsic. */
const direct = (op: string, intrinsic: UnaryOp, types: readonly ScalarType[] = floats): OperatorRow =>
  elementwiseRow(op, types, (_, x) => unary(intrinsic, x));

function isInfinite(c: ComputeContext, x: Expr): Expr {
  const positive = c.attributes.int("detect_positive", 1) !== 0;
  const negative = c.attributes.int("detect_negative", 1) !== 0;
  const infinite = unary("isinf", x);
  if (positive && negative) return infinite;
  if (positive) return and(infinite, compare("gt", x, like(x, 0)));
  return negative ? and(infinite, compare("lt", x, like(x, 0))) : bool(false);
}
const castTarget = (c: NodeContext): ScalarType =>
  c.node.op === "CastLike" ? c.require(1).dtype : scalarOfOnnx(c, c.attributes.int("to", 0));

/** Cast and CastLike: the second input gives only its type. */
const castRow = (op: string): OperatorRow => ({
  op,
  pattern: "elementwise",
  infer: (c) => [{ dtype: castTarget(c), dims: c.require(0).dims }],
  compute: (c) => {
    const x = c.input(0);
    return [outputStage(c, "cast", (...i) => cast(c.output(0).dtype, x.at(...i)))];
  },
});

/** Identity and inference-time Dropout; Dropout's second output is the mask, all true. */
const copyRow = (op: string, since: number): OperatorRow => ({
  op,
  since,
  pattern: "elementwise",
  infer: (c) => {
    checkInference(c);
    const x = c.require(0);
    return [x, { dtype: c.node.opset < 10 ? x.dtype : "bool", dims: x.dims }];
  },
  fold: (c) => {
    const x = c.constant(0);
    return x && !wants(c, 1) ? [x] : undefined;
  },
  compute: (c) => {
    const x = c.input(0);
    const y = outputStage(c, "copy", (...i) => x.at(...i));
    return wants(c, 1) ? [y, outputStage(c, "mask", () => cast(c.output(1).dtype, bool(true)), { output: 1 })] : [y];
  },
});
function checkInference(c: NodeContext): void {
  if (c.node.op !== "Dropout" || c.node.opset < 12 || c.node.inputs[2] === undefined) return;
  if (c.constantInts(2)?.[0] === 0) return;
  const ratio = c.constantInts(1)?.[0] ?? 0.5;
  if (ratio !== 0) c.unsupported("dropout in training mode");
}

export const unaryRows: readonly OperatorRow[] = [
  elementwiseRow("Abs", numbers, (_, x) => (x.dtype.scalar.startsWith("u") ? x : unary("abs", x))),
  direct("Acos", "acos"),
  direct("Acosh", "acosh"),
  direct("Asin", "asin"),
  direct("Asinh", "asinh"),
  direct("Atan", "atan"),
  direct("Atanh", "atanh"),
  direct("BitwiseNot", "not", integers),
  direct("Ceil", "ceil"),
  direct("Cos", "cos"),
  direct("Cosh", "cosh"),
  direct("Erf", "erf", floats),
  direct("Exp", "exp"),
  direct("Floor", "floor"),
  elementwiseRow("IsInf", floats, isInfinite, { result: "bool" }),
  elementwiseRow("IsNaN", floats, (_, x) => isNaN(x), { result: "bool" }),
  direct("Log", "log"),
  direct("Neg", "neg", signedNumbers),
  elementwiseRow("Not", ["bool"], (_, x) => not(x)),
  elementwiseRow("Reciprocal", floats, (_, x) => reciprocal(x)),
  direct("Round", "round"),
  direct("Sign", "sign", numbers),
  direct("Sin", "sin"),
  direct("Sinh", "sinh"),
  elementwiseRow("Sqrt", floats, (_, x) => sqrt(x)),
  direct("Tan", "tan"),
  direct("Tanh", "tanh"),
  castRow("Cast"),
  castRow("CastLike"),
  copyRow("Identity", 1),
  copyRow("Dropout", 7),
];
