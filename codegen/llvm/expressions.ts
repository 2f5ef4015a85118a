/** Writes expressions. Values that are equal texts are computed once; see Note [Regions]. */
import { bitsOf, elementOf, isFloat, isSigned } from "../../ir/expr/dtype.ts";
import type { Call, Expr, Ramp, Shuffle, Unary, Var, VectorReduce } from "../../ir/expr/expr.ts";
import { UnsupportedError } from "../../ir/support/errors.ts";
import { assertNever, invariant } from "../../ir/support/invariant.ts";
import { bitcastValue, castValue } from "./conversions.ts";
import { floatBinary, floatCompare, floatUnary, fusedMultiplyAdd } from "./floats.ts";
import { type FunctionContext, splat } from "./function-context.ts";
import { integerBinary, integerCompare } from "./integers.ts";
import { loadValue } from "./memory.ts";
import { reduceLanes } from "./reductions.ts";
import { registerType, scalarLiteral, splatLiteral, vectorOf } from "./types.ts";
import { literal, type Value } from "./writer.ts";

/** Writes an expression and gives its value. */
export function emitExpr(ctx: FunctionContext, e: Expr): Value {
  switch (e.kind) {
    case "const":
      return literal(scalarLiteral(e.dtype.scalar, e.value));
    case "var":
      return variableValue(ctx, e);
    case "unary":
      return isFloat(e.value.dtype.scalar) ? floatUnary(ctx, e.op, e.value) : integerUnary(ctx, e);
    case "binary":
      return isFloat(e.dtype.scalar) ? floatBinary(ctx, e.op, e.a, e.b) : integerBinary(ctx, e.op, e.a, e.b);
    case "compare":
      return isFloat(e.a.dtype.scalar) ? floatCompare(ctx, e.op, e.a, e.b) : integerCompare(ctx, e.op, e.a, e.b);
    case "select":
      return selectValue(ctx, e.condition, e.then, e.otherwise);
    case "cast":
      return castValue(ctx, e.value, e.dtype);
    case "load":
      return loadValue(ctx, e);
    case "ramp":
      return rampValue(ctx, e);
    case "broadcast":
      return splat(ctx, registerType(e.value.dtype), ctx.emit(e.value), e.dtype.lanes);
    case "shuffle":
      return shuffleValue(ctx, e);
    case "vectorReduce":
      return reduction(ctx, e);
    case "call":
      return callValue(ctx, e);
    default:
      return assertNever(e);
  }
}

function variableValue(ctx: FunctionContext, e: Var): Value {
  const value = ctx.vars.get(e.id);
  invariant(value, `variable ${e.name} is not bound where it is used`, { id: e.id });
  return value;
}
/** Both arms are computed: lowering has put the condition into the predicates of their loads. */
function selectValue(ctx: FunctionContext, condition: Expr, then: Expr, otherwise: Expr): Value {
  const c = ctx.emit(condition);
  const [a, b] = [ctx.emit(then), ctx.emit(otherwise)];
  const type = registerType(then.dtype);
  const text = `select ${registerType(condition.dtype)} ${c.ref}, ${type} ${a.ref}, ${type} ${b.ref}`;
  return isFloat(then.dtype.scalar) ? ctx.writer.pure(text) : ctx.writer.hoisted(text, [c, a, b]);
}
function rampValue(ctx: FunctionContext, e: Ramp): Value {
  const { lanes } = e.dtype;
  const element = registerType(elementOf(e.dtype));
  const type = registerType(e.dtype);
  const base = splat(ctx, element, ctx.emit(e.base), lanes);
  const numbers = Array.from({ length: lanes }, (_, k) => k);
  const steps = (scale: number | bigint): Value =>
    literal(`<${numbers.map((k) => `${element} ${BigInt(k) * BigInt(scale)}`).join(", ")}>`);
  let offsets: Value;
  if (e.stride.kind === "const") offsets = steps(e.stride.value);
  else {
    const stride = splat(ctx, element, ctx.emit(e.stride), lanes);
    offsets = ctx.writer.hoisted(`mul ${type} ${steps(1).ref}, ${stride.ref}`, [stride]);
  }
  return ctx.writer.hoisted(`add ${type} ${base.ref}, ${offsets.ref}`, [base, offsets]);
}

function integerUnary(ctx: FunctionContext, e: Unary): Value {
  const t = e.value.dtype;
  const type = registerType(t);
  const v = ctx.emit(e.value);
  const { writer } = ctx;
  const constant = (n: number): string => splatLiteral(registerType(elementOf(t)), scalarLiteral(t.scalar, n), t.lanes);
  switch (e.op) {
    case "neg":
      return writer.hoisted(`sub ${type} ${constant(0)}, ${v.ref}`, [v]);
    case "not":
      return writer.hoisted(`xor ${type} ${v.ref}, ${constant(t.scalar === "bool" ? 1 : -1)}`, [v]);
    case "abs": {
      if (!isSigned(t.scalar)) return v;
      const negative = writer.hoisted(`icmp slt ${type} ${v.ref}, ${constant(0)}`, [v]);
      const opposite = writer.hoisted(`sub ${type} ${constant(0)}, ${v.ref}`, [v]);
      const mask = vectorOf("i1", t.lanes);
      const operands = [negative, opposite, v];
      return writer.hoisted(`select ${mask} ${negative.ref}, ${type} ${opposite.ref}, ${type} ${v.ref}`, operands);
    }
    case "sign":
      return integerSign(ctx, v, e);
    case "ceil":
    case "floor":
    case "round":
    case "trunc":
      return v;
    case "isnan":
    case "isinf":
      return literal(splatLiteral("i1", "false", t.lanes));
    default:
      throw new UnsupportedError("codegen/no-operator", `${e.op} is not defined on ${t.scalar}`);
  }
}
/** (v > 0) - (v < 0), for unsigned and bool only the first. */
function integerSign(ctx: FunctionContext, v: Value, e: Unary): Value {
  const t = e.value.dtype;
  if (t.scalar === "bool") return v;
  const type = registerType(t);
  const zero = splatLiteral(registerType(elementOf(t)), "0", t.lanes);
  const mask = vectorOf("i1", t.lanes);
  const { writer } = ctx;
  const above = writer.pure(`icmp ${isSigned(t.scalar) ? "sgt" : "ugt"} ${type} ${v.ref}, ${zero}`);
  const one = writer.pure(`zext ${mask} ${above.ref} to ${type}`);
  if (!isSigned(t.scalar)) return one;
  const below = writer.pure(
    `ashr ${type} ${v.ref}, ${splatLiteral(registerType(elementOf(t)), String(bitsOf(t.scalar) - 1), t.lanes)}`,
  );
  return writer.pure(`or ${type} ${one.ref}, ${below.ref}`);
}

/** One shufflevector for up to two vectors of equal length, lane by lane otherwise. */
function shuffleValue(ctx: FunctionContext, e: Shuffle): Value {
  const [first, second] = e.vectors;
  const type = registerType(first!.dtype);
  if (first!.dtype.lanes > 1 && e.vectors.length <= 2 && (second ?? first!).dtype === first!.dtype) {
    const a = ctx.emit(first!);
    const b = second ? ctx.emit(second).ref : "poison";
    if (e.lanes.length === 1) return extractLane(ctx, e.vectors, e.lanes[0]!);
    const mask = e.lanes.map((l) => `i32 ${l}`).join(", ");
    return ctx.writer.pure(`shufflevector ${type} ${a.ref}, ${type} ${b}, <${e.lanes.length} x i32> <${mask}>`);
  }
  const lanes = e.lanes.map((l) => extractLane(ctx, e.vectors, l));
  if (lanes.length === 1) return lanes[0]!;
  const element = registerType(elementOf(e.dtype));
  return lanes.reduce<Value>(
    (v, lane, k) =>
      ctx.writer.pure(`insertelement ${registerType(e.dtype)} ${v.ref}, ${element} ${lane.ref}, i64 ${k}`),
    literal("poison"),
  );
}
function extractLane(ctx: FunctionContext, vectors: readonly Expr[], lane: number): Value {
  let rest = lane;
  for (const v of vectors) {
    if (rest < v.dtype.lanes) {
      const value = ctx.emit(v);
      if (v.dtype.lanes === 1) return value;
      return ctx.writer.pure(`extractelement ${registerType(v.dtype)} ${value.ref}, i64 ${rest}`);
    }
    rest -= v.dtype.lanes;
  }
  invariant(false, `shuffle lane ${lane} is outside its vectors`);
}

function reduction(ctx: FunctionContext, e: VectorReduce): Value {
  return reduceLanes(ctx, e.op, ctx.emit(e.value), e.value.dtype);
}

function callValue(ctx: FunctionContext, e: Call): Value {
  switch (e.callee) {
    case "fma":
      if (!isFloat(e.dtype.scalar))
        throw new UnsupportedError("codegen/no-operator", `fma is not defined on ${e.dtype.scalar}`);
      return fusedMultiplyAdd(ctx, e.args, e.dtype);
    case "bitcast":
      return bitcastValue(ctx, e.args[0]!, e.dtype);
    case "prefetch":
    case "scheduleBarrier":
    case "checkBounds":
      throw new UnsupportedError("codegen/hint-value", `${e.callee} is a statement; it has no value`);
    default:
      return assertNever(e.callee);
  }
}
