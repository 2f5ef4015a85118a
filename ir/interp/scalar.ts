/**
 * Scalars at run time. Floats, bools and integers of at most 32 bits are numbers; a 64-bit integer is a number where
 * that is exact and a bigint otherwise, so that index arithmetic stays fast and equality is `===`.
 */
import { bitsOf, isFloat, isSigned, type ScalarType } from "../expr/dtype.ts";
import { roundBfloat16, roundFloat16 } from "../support/half.ts";

/** A scalar at run time, canonical for its type. */
export type Scalar = number | bigint;

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);

/** Turns a bigint into a number where that is exact. */
export const narrow = (v: bigint): Scalar => (v >= -maxSafe && v <= maxSafe ? Number(v) : v);

/** Whether a type has 64-bit integers. */
export const isWide = (scalar: ScalarType): boolean => scalar === "int64" || scalar === "uint64";

/** Wraps an exact integer to a 64-bit type. */
export const wrapWide = (scalar: ScalarType, v: bigint): Scalar =>
  narrow(scalar === "int64" ? BigInt.asIntN(64, v) : BigInt.asUintN(64, v));

/**
 * Brings the exact (for integers) or double (for floats) result of an operation into `scalar`: integers wrap, floats
 * round half-to-even. Integer numbers must be exact (of at most 53 bits).
 */
export function normalizer(scalar: ScalarType): (v: number) => Scalar {
  switch (scalar) {
    case "bool":
      return (v) => (v !== 0 ? 1 : 0);
    case "int8":
      return (v) => (v << 24) >> 24;
    case "int16":
      return (v) => (v << 16) >> 16;
    case "int32":
      return (v) => v | 0;
    case "uint8":
      return (v) => v & 0xff;
    case "uint16":
      return (v) => v & 0xffff;
    case "uint32":
      return (v) => v >>> 0;
    case "int64":
      return (v) => v + 0;
    case "uint64":
      return (v) => (v >= 0 ? v + 0 : wrapWide("uint64", BigInt(v)));
    case "float16":
      return roundFloat16;
    case "bfloat16":
      return roundBfloat16;
    case "float32":
      return Math.fround;
    case "float64":
      return (v) => v;
  }
}

/** The least and greatest value of an integer type, exactly. */
export function integerBounds(scalar: ScalarType): { min: bigint; max: bigint } {
  if (scalar === "bool") return { min: 0n, max: 1n };
  const bits = BigInt(bitsOf(scalar));
  return isSigned(scalar)
    ? { min: -(1n << (bits - 1n)), max: (1n << (bits - 1n)) - 1n }
    : { min: 0n, max: (1n << bits) - 1n };
}

const bits64 = new DataView(new ArrayBuffer(8));
/**
 * Given a double `v` whose exact value is `v + error`, gives the neighbour rounded to odd: rounding that once more to a
 * narrower format equals rounding the exact value once.
 */
export function roundToOdd(v: number, error: number): number {
  if (error === 0 || !Number.isFinite(v) || Number.isNaN(error)) return v;
  bits64.setFloat64(0, v);
  const pattern = bits64.getBigUint64(0);
  if (pattern & 1n) return v;
  if (v === 0) return error > 0 ? Number.MIN_VALUE : -Number.MIN_VALUE;
  bits64.setBigUint64(0, error > 0 === v > 0 ? pattern + 1n : pattern - 1n);
  return bits64.getFloat64(0);
}

/** Converts a number or bigint to a float type, rounded once. */
export function toFloat(scalar: ScalarType, v: Scalar): number {
  const round = normalizer(scalar) as (v: number) => number;
  if (typeof v === "number") return round(v);
  const nearest = Number(v);
  return round(scalar === "float64" ? nearest : roundToOdd(nearest, Number(v - BigInt(nearest))));
}

/** Converts between scalar types as `cast` does. */
export function castFunction(from: ScalarType, to: ScalarType): (v: Scalar) => Scalar {
  if (from === to) return (v) => v;
  if (to === "bool") return (v) => (v !== 0 ? 1 : 0);
  if (isFloat(to)) return (v) => toFloat(to, v);
  if (isFloat(from)) return saturating(to);
  if (to === "int64") return (v) => (typeof v === "number" ? v : wrapWide(to, v));
  if (to === "uint64") return (v) => (typeof v === "number" && v >= 0 ? v : wrapWide(to, BigInt(v)));
  const wrap = normalizer(to);
  return (v) => wrap(typeof v === "number" ? v : Number(BigInt.asIntN(32, v)));
}
function saturating(to: ScalarType): (v: Scalar) => Scalar {
  const { min, max } = integerBounds(to);
  const low = Number(min);
  const high = Number(max);
  return (v) => {
    const t = Math.trunc(v as number);
    if (Number.isNaN(t)) return 0;
    if (t <= low) return narrow(min);
    if (t >= high) return narrow(max);
    return Number.isSafeInteger(t) ? t + 0 : BigInt(t);
  };
}
