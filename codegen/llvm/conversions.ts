/** Conversions between types, and the roundings of the 16-bit floats. */
import { bitsOf, type DType, dtype, isFloat, isSigned, type ScalarType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { type FunctionContext, intrinsic } from "./function-context.ts";
import { floatLiteral, intrinsicSuffix, registerType, splatLiteral, vectorOf } from "./types.ts";
import type { Value } from "./writer.ts";

/** A float16 or bfloat16 (as it is kept in a register) as float. */
export function widenFloat(ctx: FunctionContext, v: Value, t: DType): Value {
  const float = vectorOf("float", t.lanes);
  if (t.scalar === "float16") return ctx.writer.pure(`fpext ${registerType(t)} ${v.ref} to ${float}`);
  const word = vectorOf("i32", t.lanes);
  const bits = ctx.writer.pure(`zext ${registerType(t)} ${v.ref} to ${word}`);
  const high = ctx.writer.pure(`shl ${word} ${bits.ref}, ${integer(16, t.lanes)}`);
  return ctx.writer.pure(`bitcast ${word} ${high.ref} to ${float}`);
}
const integer = (value: number, lanes: number, type = "i32"): string => splatLiteral(type, String(value), lanes);

/** A float (or double) rounded half-to-even to float16 or bfloat16. */
export function narrowFloat(ctx: FunctionContext, v: Value, t: DType, from: "float32" | "float64" = "float32"): Value {
  const single = from === "float64" ? roundToOdd(ctx, v, t.lanes) : v;
  if (t.scalar === "float16")
    return ctx.writer.pure(`fptrunc ${vectorOf("float", t.lanes)} ${single.ref} to ${registerType(t)}`);
  return bfloatBits(ctx, single, t.lanes);
}
/** Adds half a unit (less one where the kept part is even) and cuts; NaN stays NaN. */
function bfloatBits(ctx: FunctionContext, v: Value, lanes: number): Value {
  const { writer } = ctx;
  const [float, word, half] = [vectorOf("float", lanes), vectorOf("i32", lanes), vectorOf("i16", lanes)];
  const bits = writer.pure(`bitcast ${float} ${v.ref} to ${word}`);
  const high = writer.pure(`lshr ${word} ${bits.ref}, ${integer(16, lanes)}`);
  const odd = writer.pure(`and ${word} ${high.ref}, ${integer(1, lanes)}`);
  const bias = writer.pure(`add ${word} ${odd.ref}, ${integer(0x7fff, lanes)}`);
  const sum = writer.pure(`add ${word} ${bits.ref}, ${bias.ref}`);
  const rounded = writer.pure(`lshr ${word} ${sum.ref}, ${integer(16, lanes)}`);
  const nan = writer.pure(`fcmp uno ${float} ${v.ref}, ${splatLiteral("float", floatLiteral(0), lanes)}`);
  const quiet = writer.pure(`or ${word} ${high.ref}, ${integer(0x40, lanes)}`);
  const mask = vectorOf("i1", lanes);
  const chosen = writer.pure(`select ${mask} ${nan.ref}, ${word} ${quiet.ref}, ${word} ${rounded.ref}`);
  return writer.pure(`trunc ${word} ${chosen.ref} to ${half}`);
}
/**
 * A double as the float next to it with an odd last bit unless exact: rounding that again to a format of at most 22 bits
 * equals rounding once.
 */
function roundToOdd(ctx: FunctionContext, v: Value, lanes: number): Value {
  const { writer } = ctx;
  const [float, double] = [vectorOf("float", lanes), vectorOf("double", lanes)];
  const [word, mask] = [vectorOf("i32", lanes), vectorOf("i1", lanes)];
  const near = writer.pure(`fptrunc ${double} ${v.ref} to ${float}`);
  const back = writer.pure(`fpext ${float} ${near.ref} to ${double}`);
  const inexact = writer.pure(`fcmp one ${double} ${back.ref}, ${v.ref}`);
  const magnitude = (x: Value): Value => intrinsic(ctx, `llvm.fabs.${intrinsicSuffix(double)}`, double, [[double, x]]);
  const over = writer.pure(`fcmp ogt ${double} ${magnitude(back).ref}, ${magnitude(v).ref}`);
  const bits = writer.pure(`bitcast ${float} ${near.ref} to ${word}`);
  const down = writer.pure(`sext ${mask} ${over.ref} to ${word}`);
  const cut = writer.pure(`add ${word} ${bits.ref}, ${down.ref}`);
  const odd = writer.pure(`or ${word} ${cut.ref}, ${integer(1, lanes)}`);
  const chosen = writer.pure(`select ${mask} ${inexact.ref}, ${word} ${odd.ref}, ${word} ${bits.ref}`);
  return writer.pure(`bitcast ${word} ${chosen.ref} to ${float}`);
}

/** Writes a cast. */
export function castValue(ctx: FunctionContext, e: Expr, to: DType): Value {
  const from = e.dtype;
  const v = ctx.emit(e);
  if (from.scalar === to.scalar) return v;
  if (to.scalar === "bool") return isNonZero(ctx, v, from);
  if (isFloat(from.scalar))
    return isFloat(to.scalar) ? floatToFloat(ctx, v, from, to) : floatToInteger(ctx, v, from, to);
  if (isFloat(to.scalar)) return integerToFloat(ctx, v, from, to);
  return integerToInteger(ctx, v, from, to);
}
function isNonZero(ctx: FunctionContext, v: Value, from: DType): Value {
  if (!isFloat(from.scalar))
    return ctx.writer.hoisted(`icmp ne ${registerType(from)} ${v.ref}, ${integer(0, from.lanes, elementType(from))}`, [
      v,
    ]);
  const wide = isNarrow(from.scalar) ? widenFloat(ctx, v, from) : v;
  const element = from.scalar === "float64" ? "double" : "float";
  const zero = splatLiteral(element, floatLiteral(0), from.lanes);
  return ctx.writer.pure(`fcmp une ${vectorOf(element, from.lanes)} ${wide.ref}, ${zero}`);
}
const elementType = (t: DType): string => registerType(dtype(t.scalar));
export const isNarrow = (s: ScalarType): boolean => s === "float16" || s === "bfloat16";

function floatToFloat(ctx: FunctionContext, v: Value, from: DType, to: DType): Value {
  const single = isNarrow(from.scalar) ? widenFloat(ctx, v, from) : v;
  const isDouble = from.scalar === "float64";
  if (isNarrow(to.scalar)) return narrowFloat(ctx, single, to, isDouble ? "float64" : "float32");
  const source = vectorOf(isDouble ? "double" : "float", from.lanes);
  const target = registerType(to);
  if (source === target) return single;
  return ctx.writer.pure(`${isDouble ? "fptrunc" : "fpext"} ${source} ${single.ref} to ${target}`);
}
/** Saturates; NaN gives 0. */
function floatToInteger(ctx: FunctionContext, v: Value, from: DType, to: DType): Value {
  const wide = isNarrow(from.scalar) ? widenFloat(ctx, v, from) : v;
  const source = vectorOf(from.scalar === "float64" ? "double" : "float", from.lanes);
  const target = registerType(to);
  const name = `llvm.fpto${isSigned(to.scalar) ? "si" : "ui"}.sat.${intrinsicSuffix(target)}.${intrinsicSuffix(source)}`;
  return intrinsic(ctx, name, target, [[source, wide]]);
}
/** To 16-bit floats through double, which holds every integer that does not overflow them anyway. */
function integerToFloat(ctx: FunctionContext, v: Value, from: DType, to: DType): Value {
  const conversion = isSigned(from.scalar) ? "sitofp" : "uitofp";
  const convert = (target: string): Value =>
    ctx.writer.pure(`${conversion} ${registerType(from)} ${v.ref} to ${target}`);
  if (!isNarrow(to.scalar)) return convert(registerType(to));
  if (bitsOf(from.scalar) <= 16) return narrowFloat(ctx, convert(vectorOf("float", to.lanes)), to);
  if (bitsOf(from.scalar) === 64 && to.scalar === "bfloat16")
    return narrowFloat(ctx, wideOdd(ctx, v, from), to, "float64");
  return narrowFloat(ctx, convert(vectorOf("double", to.lanes)), to, "float64");
}
/**
 * A 64-bit integer as a double rounded to odd: the low 11 bits of a large magnitude collapse into one sticky bit first,
 * so that the conversion to double is exact.
 */
function wideOdd(ctx: FunctionContext, v: Value, from: DType): Value {
  const { writer } = ctx;
  const { lanes } = from;
  const [word, mask] = [vectorOf("i64", lanes), vectorOf("i1", lanes)];
  const wide = (n: number): string => integer(n, lanes, "i64");
  const low = writer.pure(`and ${word} ${v.ref}, ${wide(2047)}`);
  const sticky = writer.pure(`icmp ne ${word} ${low.ref}, ${wide(0)}`);
  const bit = writer.pure(`zext ${mask} ${sticky.ref} to ${word}`);
  const shifted = writer.pure(`shl ${word} ${bit.ref}, ${wide(11)}`);
  const cut = writer.pure(`and ${word} ${v.ref}, ${wide(-2048)}`);
  const odd = writer.pure(`or ${word} ${cut.ref}, ${shifted.ref}`);
  const signed = isSigned(from.scalar);
  const above = signed
    ? writer.pure(`ashr ${word} ${v.ref}, ${wide(52)}`)
    : writer.pure(`lshr ${word} ${v.ref}, ${wide(52)}`);
  const biased = writer.pure(`add ${word} ${above.ref}, ${wide(signed ? 1 : 0)}`);
  const small = writer.pure(`icmp ult ${word} ${biased.ref}, ${wide(signed ? 2 : 1)}`);
  const chosen = writer.pure(`select ${mask} ${small.ref}, ${word} ${v.ref}, ${word} ${odd.ref}`);
  return writer.pure(`${signed ? "sitofp" : "uitofp"} ${word} ${chosen.ref} to ${vectorOf("double", lanes)}`);
}
function integerToInteger(ctx: FunctionContext, v: Value, from: DType, to: DType): Value {
  const width = (t: DType): number => (t.scalar === "bool" ? 1 : bitsOf(t.scalar));
  const [source, target] = [width(from), width(to)];
  if (source === target) return v;
  const name = source > target ? "trunc" : isSigned(from.scalar) ? "sext" : "zext";
  return ctx.writer.hoisted(`${name} ${registerType(from)} ${v.ref} to ${registerType(to)}`, [v]);
}

/** Writes a reinterpretation of bits between types of equal size; a bool counts as the byte it takes in memory. */
export function bitcastValue(ctx: FunctionContext, e: Expr, to: DType): Value {
  const v = ctx.emit(e);
  const source = registerType(e.dtype);
  const target = registerType(to);
  if (source === target) return v;
  if (e.dtype.scalar === "bool") return ctx.writer.pure(`zext ${source} ${v.ref} to ${target}`);
  if (to.scalar === "bool")
    return ctx.writer.pure(`icmp ne ${source} ${v.ref}, ${integer(0, to.lanes, elementType(e.dtype))}`);
  return ctx.writer.pure(`bitcast ${source} ${v.ref} to ${target}`);
}
