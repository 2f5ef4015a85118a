/** Floating-point operators. float16 and bfloat16 compute in float (a fused multiply-add in double) and round after each. */
import { constantValue } from "../../ir/expr/build.ts";
import { type DType, dtype, withLanes } from "../../ir/expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr, UnaryOp } from "../../ir/expr/expr.ts";
import { UnsupportedError } from "../../ir/support/errors.ts";
import { isNarrow, narrowFloat, widenFloat } from "./conversions.ts";
import { type FunctionContext, intrinsic } from "./function-context.ts";
import { mathFunction } from "./math/index.ts";
import { perLane } from "./math/libm.ts";
import { floatLiteral, intrinsicSuffix, registerType, splatLiteral, vectorOf } from "./types.ts";
import { literal, type Value } from "./writer.ts";

/** The type that operations on `t` compute in. */
const computeType = (t: DType): DType => (isNarrow(t.scalar) ? dtype("float32", t.lanes) : t);

/** An operand brought into the type that operations compute in. */
function wideOperand(ctx: FunctionContext, e: Expr): Value {
  return isNarrow(e.dtype.scalar) ? widenFloat(ctx, ctx.emit(e), e.dtype) : ctx.emit(e);
}
const narrowed = (ctx: FunctionContext, v: Value, t: DType): Value => (isNarrow(t.scalar) ? narrowFloat(ctx, v, t) : v);

/** A float constant in every lane. */
const floatSplat = (t: DType, value: number): Value =>
  literal(splatLiteral(registerType(withLanes(t, 1)), floatLiteral(value), t.lanes));

const instructions: Partial<Record<BinaryOp, string>> = { add: "fadd", sub: "fsub", mul: "fmul", div: "fdiv" };

/** Writes a binary operator on floats. */
export function floatBinary(ctx: FunctionContext, op: BinaryOp, exprA: Expr, exprB: Expr): Value {
  const [a, b] = [wideOperand(ctx, exprA), wideOperand(ctx, exprB)];
  return narrowed(ctx, wideBinary(ctx, op, [a, b], exprA.dtype, exprB), exprA.dtype);
}

function wideBinary(
  ctx: FunctionContext,
  op: BinaryOp,
  [a, b]: readonly [Value, Value],
  dt: DType,
  exprB: Expr,
): Value {
  const t = computeType(dt);
  const type = registerType(t);
  const { writer } = ctx;
  const name = instructions[op];
  if (name) return writer.pure(`${name}${contractFlag(ctx, op, dt)} ${type} ${a.ref}, ${b.ref}`);
  switch (op) {
    case "min":
      return pick(ctx, "olt", type, a, b);
    case "max":
      return pick(ctx, "ogt", type, a, b);
    case "mod":
      return perLane(ctx, "fmod", t, [a, b]);
    case "floordiv":
      return floorOf(ctx, roundedQuotient(ctx, a, b, dt), t);
    case "floormod":
      return floorRemainder(ctx, a, b, t);
    case "pow":
      return floatPower(ctx, a, b, t, exprB);
    default:
      throw new UnsupportedError("codegen/no-operator", `${op} is not defined on ${dt.scalar}`);
  }
}
/** `max(a,b)` is `a > b ? a : b`, one instruction on x86, NaN included. */
function pick(ctx: FunctionContext, predicate: string, type: string, a: Value, b: Value): Value {
  const mask = ctx.writer.pure(`fcmp ${predicate} ${type} ${a.ref}, ${b.ref}`);
  return ctx.writer.pure(`select ${maskType(type)} ${mask.ref}, ${type} ${a.ref}, ${type} ${b.ref}`);
}
/** The i1 type with the lanes of a type. */
export function maskType(type: string): string {
  const vector = /^<(\d+) x/.exec(type);
  return vector ? `<${vector[1]} x i1>` : "i1";
}
/** Contraction joins a product and a sum into one rounding; half precision rounds after each operation regardless. */
function contractFlag(ctx: FunctionContext, op: BinaryOp, t: DType): string {
  return ctx.math !== "strict" && op !== "div" && !isNarrow(t.scalar) ? " contract" : "";
}
function roundedQuotient(ctx: FunctionContext, a: Value, b: Value, dt: DType): Value {
  const q = ctx.writer.pure(`fdiv ${registerType(computeType(dt))} ${a.ref}, ${b.ref}`);
  return isNarrow(dt.scalar) ? widenFloat(ctx, narrowFloat(ctx, q, dt), dt) : q;
}
const floorOf = (ctx: FunctionContext, v: Value, t: DType): Value => unaryIntrinsic(ctx, "floor", v, t);
/** The C remainder, moved by one divisor where the signs differ. */
function floorRemainder(ctx: FunctionContext, a: Value, b: Value, t: DType): Value {
  const { writer } = ctx;
  const type = registerType(t);
  const mask = maskType(type);
  const zero = floatSplat(t, 0).ref;
  const r = perLane(ctx, "fmod", t, [a, b]);
  const inexact = writer.pure(`fcmp une ${type} ${r.ref}, ${zero}`);
  const below = writer.pure(`fcmp olt ${type} ${r.ref}, ${zero}`);
  const divisorBelow = writer.pure(`fcmp olt ${type} ${b.ref}, ${zero}`);
  const differs = writer.pure(`xor ${mask} ${below.ref}, ${divisorBelow.ref}`);
  const move = writer.pure(`and ${mask} ${inexact.ref}, ${differs.ref}`);
  const moved = writer.pure(`fadd ${type} ${r.ref}, ${b.ref}`);
  return writer.pure(`select ${mask} ${move.ref}, ${type} ${moved.ref}, ${type} ${r.ref}`);
}
/** Powers that are products or roots of one rounding; everything else goes to the C library. */
function floatPower(ctx: FunctionContext, a: Value, b: Value, t: DType, exprB: Expr): Value {
  const { writer } = ctx;
  const type = registerType(t);
  const exponent = constantValue(exprB.kind === "broadcast" ? exprB.value : exprB);
  if (exponent === 1) return a;
  if (exponent === 2) return writer.pure(`fmul ${type} ${a.ref}, ${a.ref}`);
  if (exponent === -1) return writer.pure(`fdiv ${type} ${floatSplat(t, 1).ref}, ${a.ref}`);
  if (exponent === 3 && ctx.math !== "strict") {
    const square = writer.pure(`fmul ${type} ${a.ref}, ${a.ref}`);
    return writer.pure(`fmul ${type} ${square.ref}, ${a.ref}`);
  }
  // pow(-0, 0.5) is +0 and pow(-inf, 0.5) is +inf, unlike sqrt; adding +0 settles the first, the select the second.
  if (exponent === 0.5) {
    const positive = writer.pure(`fadd ${type} ${a.ref}, ${floatSplat(t, 0).ref}`);
    const root = unaryIntrinsic(ctx, "sqrt", positive, t);
    const infinite = writer.pure(`fcmp oeq ${type} ${a.ref}, ${floatSplat(t, Number.NEGATIVE_INFINITY).ref}`);
    const infinity = floatSplat(t, Number.POSITIVE_INFINITY).ref;
    return writer.pure(`select ${maskType(type)} ${infinite.ref}, ${type} ${infinity}, ${type} ${root.ref}`);
  }
  return perLane(ctx, "pow", t, [a, b]);
}

const predicates: Record<CompareOp, string> = { eq: "oeq", ne: "une", lt: "olt", le: "ole", gt: "ogt", ge: "oge" };
/** Writes a comparison of floats. */
export function floatCompare(ctx: FunctionContext, op: CompareOp, exprA: Expr, exprB: Expr): Value {
  const [a, b] = [wideOperand(ctx, exprA), wideOperand(ctx, exprB)];
  return ctx.writer.pure(`fcmp ${predicates[op]} ${registerType(computeType(exprA.dtype))} ${a.ref}, ${b.ref}`);
}

/** Writes a unary operator on a float. */
export function floatUnary(ctx: FunctionContext, op: UnaryOp, value: Expr): Value {
  const t = computeType(value.dtype);
  const v = wideOperand(ctx, value);
  if (op === "isnan") return ctx.writer.pure(`fcmp uno ${registerType(t)} ${v.ref}, ${floatSplat(t, 0).ref}`);
  if (op === "isinf") {
    const magnitude = unaryIntrinsic(ctx, "fabs", v, t);
    return ctx.writer.pure(
      `fcmp oeq ${registerType(t)} ${magnitude.ref}, ${floatSplat(t, Number.POSITIVE_INFINITY).ref}`,
    );
  }
  return narrowed(ctx, wideUnary(ctx, op, v, t), value.dtype);
}
function wideUnary(ctx: FunctionContext, op: UnaryOp, v: Value, t: DType): Value {
  switch (op) {
    case "neg":
      return ctx.writer.pure(`fneg ${registerType(t)} ${v.ref}`);
    case "abs":
      return unaryIntrinsic(ctx, "fabs", v, t);
    case "ceil":
    case "floor":
    case "trunc":
    case "sqrt":
      return unaryIntrinsic(ctx, op, v, t);
    case "round":
      return unaryIntrinsic(ctx, "roundeven", v, t);
    case "sign":
      return signOf(ctx, v, t);
    default:
      return mathFunction(ctx, op, v, t);
  }
}
function unaryIntrinsic(ctx: FunctionContext, name: string, v: Value, t: DType): Value {
  const type = registerType(t);
  return intrinsic(ctx, `llvm.${name}.${intrinsicSuffix(type)}`, type, [[type, v]]);
}
/** ±1, 0 for ±0, NaN for NaN. */
function signOf(ctx: FunctionContext, v: Value, t: DType): Value {
  const { writer } = ctx;
  const type = registerType(t);
  const mask = maskType(type);
  const step = (predicate: string, constant: number, otherwise: Value): Value => {
    const c = writer.pure(`fcmp ${predicate} ${type} ${v.ref}, ${floatSplat(t, 0).ref}`);
    return writer.pure(`select ${mask} ${c.ref}, ${type} ${floatSplat(t, constant).ref}, ${type} ${otherwise.ref}`);
  };
  return step("ogt", 1, step("olt", -1, step("oeq", 0, v)));
}

/** Writes a·b + c rounded once. */
export function fusedMultiplyAdd(ctx: FunctionContext, args: readonly Expr[], t: DType): Value {
  if (!isNarrow(t.scalar)) {
    const type = registerType(t);
    const operands = args.map((e): [string, Value] => [type, ctx.emit(e)]);
    return intrinsic(ctx, `llvm.fma.${intrinsicSuffix(type)}`, type, operands);
  }
  const double = vectorOf("double", t.lanes);
  const float = vectorOf("float", t.lanes);
  const [a, b, c] = args.map((e) => ctx.writer.pure(`fpext ${float} ${wideOperand(ctx, e).ref} to ${double}`));
  const product = ctx.writer.pure(`fmul ${double} ${a!.ref}, ${b!.ref}`);
  return narrowFloat(ctx, oddSum(ctx, product, c!, t.lanes), t, "float64");
}
/** The sum of two doubles rounded to odd: the neighbour with an odd last bit where the sum is not exact. */
function oddSum(ctx: FunctionContext, a: Value, b: Value, lanes: number): Value {
  const { writer } = ctx;
  const [double, word, mask] = [vectorOf("double", lanes), vectorOf("i64", lanes), vectorOf("i1", lanes)];
  const op = (name: string, x: Value, y: Value): Value => writer.pure(`${name} ${double} ${x.ref}, ${y.ref}`);
  const zero = splatLiteral("double", floatLiteral(0), lanes);
  const whole = (n: number): string => splatLiteral("i64", String(n), lanes);
  const sum = op("fadd", a, b);
  const part = op("fsub", sum, a);
  const error = op("fadd", op("fsub", a, op("fsub", sum, part)), op("fsub", b, part));
  const up = writer.pure(`fcmp ogt ${double} ${error.ref}, ${zero}`);
  const positive = writer.pure(`fcmp ogt ${double} ${sum.ref}, ${zero}`);
  const inexact = writer.pure(`fcmp one ${double} ${error.ref}, ${zero}`);
  const bits = writer.pure(`bitcast ${double} ${sum.ref} to ${word}`);
  const low = writer.pure(`and ${word} ${bits.ref}, ${whole(1)}`);
  const even = writer.pure(`icmp eq ${word} ${low.ref}, ${whole(0)}`);
  const away = writer.pure(`icmp eq ${mask} ${up.ref}, ${positive.ref}`);
  const step = writer.pure(`select ${mask} ${away.ref}, ${word} ${whole(1)}, ${word} ${whole(-1)}`);
  const moved = writer.pure(`add ${word} ${bits.ref}, ${step.ref}`);
  const move = writer.pure(`and ${mask} ${even.ref}, ${inexact.ref}`);
  const chosen = writer.pure(`select ${mask} ${move.ref}, ${word} ${moved.ref}, ${word} ${bits.ref}`);
  return writer.pure(`bitcast ${word} ${chosen.ref} to ${double}`);
}
