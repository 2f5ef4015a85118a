/** How dtypes and constants read in LLVM IR text. */
import type { DType, ScalarType } from "../../ir/expr/dtype.ts";
import { bytesOf, isUnsigned } from "../../ir/expr/dtype.ts";
import { encodeBfloat16, encodeFloat16 } from "../../ir/support/half.ts";

const registerTypes: Record<ScalarType, string> = {
  bool: "i1",
  int8: "i8",
  int16: "i16",
  int32: "i32",
  int64: "i64",
  uint8: "i8",
  uint16: "i16",
  uint32: "i32",
  uint64: "i64",
  float16: "half",
  // Kept as bits: not every target can round to bfloat in hardware, and some of those that can flush denormals.
  bfloat16: "i16",
  float32: "float",
  float64: "double",
};

/** The type of a vector of `lanes` elements, or of the element itself for one lane. */
export const vectorOf = (element: string, lanes: number): string => (lanes === 1 ? element : `<${lanes} x ${element}>`);
/** The type of a value in a register. */
export const registerType = (t: DType): string => vectorOf(registerTypes[t.scalar], t.lanes);
/** The type of a value in memory: a bool takes a byte. */
export const memoryType = (t: DType): string => vectorOf(t.scalar === "bool" ? "i8" : registerTypes[t.scalar], t.lanes);
/** The suffix that overloaded intrinsics carry for a type: `v16f32`, `i64`. */
export function intrinsicSuffix(type: string): string {
  const vector = /^<(\d+) x (\w+)>$/.exec(type);
  return vector ? `v${vector[1]}${scalarSuffix(vector[2]!)}` : scalarSuffix(type);
}
const scalarSuffix = (t: string): string => (t === "float" ? "f32" : t === "double" ? "f64" : t === "half" ? "f16" : t);

/** An integer in two's complement as LLVM reads it, or a float in hexadecimal. */
export function scalarLiteral(scalar: ScalarType, value: number | bigint): string {
  switch (scalar) {
    case "bool":
      return Number(value) !== 0 ? "true" : "false";
    case "float32":
      return floatLiteral(Math.fround(Number(value)));
    case "float64":
      return floatLiteral(Number(value));
    case "float16":
      return `0xH${encodeFloat16(Number(value)).toString(16).toUpperCase().padStart(4, "0")}`;
    case "bfloat16":
      return String(encodeBfloat16(Number(value)));
    default:
      return integerLiteral(scalar, BigInt(value));
  }
}
function integerLiteral(scalar: ScalarType, value: bigint): string {
  const bits = bytesOf(scalar) * 8;
  return String(isUnsigned(scalar) ? BigInt.asUintN(bits, value) : BigInt.asIntN(bits, value));
}

const double = new DataView(new ArrayBuffer(8));
/** A float or double constant: LLVM writes both as the bits of the double. */
export function floatLiteral(value: number): string {
  double.setFloat64(0, value);
  return `0x${double.getBigUint64(0).toString(16).toUpperCase().padStart(16, "0")}`;
}
/** A constant of `lanes` equal elements. */
export const splatLiteral = (element: string, literal: string, lanes: number): string =>
  lanes === 1 ? literal : `splat (${element} ${literal})`;
