/** Unary operators and math intrinsics on scalars; transcendental functions are computed in double, then rounded. */
import { isFloat, type ScalarType } from "../expr/dtype.ts";
import type { UnaryOp } from "../expr/expr.ts";
import { InterpreterError } from "./error.ts";
import { isWide, normalizer, roundToOdd, type Scalar, wrapWide } from "./scalar.ts";

/** The meaning of `op` on a value of type `scalar`. @throws InterpreterError where the type has no such operator. */
export function unaryFunction(op: UnaryOp, scalar: ScalarType): (v: Scalar) => Scalar {
  if (op === "isnan") return (v) => (Number.isNaN(v) ? 1 : 0);
  if (op === "isinf") return (v) => (v === Infinity || v === -Infinity ? 1 : 0);
  if (scalar === "bool" && op === "not") return (v) => (v === 0 ? 1 : 0);
  if (!isFloat(scalar)) return integerFunction(op, scalar);
  const f = floatFunctions[op];
  if (!f) return noOperator(op, scalar);
  const round = normalizer(scalar);
  return (v) => round(f(v as number));
}
function noOperator(op: string, scalar: ScalarType): never {
  throw new InterpreterError("interp/no-operator", `${op} is not defined on ${scalar}`, { op, scalar });
}

function integerFunction(op: UnaryOp, scalar: ScalarType): (v: Scalar) => Scalar {
  switch (op) {
    case "ceil":
    case "floor":
    case "round":
    case "trunc":
      return (v) => v;
    case "sign":
      return (v) => (v > 0 ? 1 : v < 0 ? -1 : 0);
    case "abs":
      if (scalar === "bool") return (v) => v;
      return negating(scalar, (v) => v < 0);
    case "neg":
      if (scalar === "bool") return noOperator(op, scalar);
      return negating(scalar, () => true);
    case "not": {
      if (isWide(scalar)) return (v) => wrapWide(scalar, ~BigInt(v));
      const wrap = normalizer(scalar);
      return (v) => wrap(~(v as number));
    }
    default:
      return noOperator(op, scalar);
  }
}
function negating(scalar: ScalarType, when: (v: Scalar) => boolean): (v: Scalar) => Scalar {
  if (isWide(scalar)) return (v) => (when(v) ? wrapWide(scalar, -BigInt(v)) : v);
  const wrap = normalizer(scalar);
  return (v) => (when(v) ? wrap(0 - (v as number)) : v);
}

/** Rounds half-to-even, keeping the sign of zero. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  const rounded = rest < 0.5 ? below : rest > 0.5 ? below + 1 : below % 2 === 0 ? below : below + 1;
  return Number.isFinite(x) ? (rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded) : x;
}

const floatFunctions: Partial<Record<UnaryOp, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: (x) => (x > 0 ? 1 : x < 0 ? -1 : Number.isNaN(x) ? x : 0),
  ceil: Math.ceil,
  floor: Math.floor,
  round: roundHalfEven,
  trunc: Math.trunc,
  sqrt: Math.sqrt,
  exp: Math.exp,
  log: Math.log,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  erf,
};

/** The error function, to about 1e-15. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  const value = a <= 2 ? erfSeries(a) : 1 - erfcFraction(a);
  return x < 0 || Object.is(x, -0) ? -value : value;
}
/** 2/√π · exp(-x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!: every term is positive, so nothing cancels. */
function erfSeries(x: number): number {
  let term = x;
  let total = x;
  for (let n = 1; term > total * 1e-18; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}
/** exp(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + …))), evaluated from the tail. */
function erfcFraction(x: number): number {
  let tail = x;
  for (let n = 120; n >= 1; n--) tail = x + n / 2 / tail;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * tail);
}

/** a·b + c rounded once to `scalar`. */
export function fusedMultiplyAdd(scalar: ScalarType): (a: number, b: number, c: number) => number {
  if (scalar === "float64") return fma64;
  const round = normalizer(scalar) as (v: number) => number;
  return (a, b, c) => {
    const p = a * b;
    const s = p + c;
    const t = s - p;
    return round(roundToOdd(s, p - (s - t) + (c - t)));
  };
}
function fma64(a: number, b: number, c: number): number {
  const p = a * b;
  if (!Number.isFinite(a) || !Number.isFinite(b) || !Number.isFinite(c) || a === 0 || b === 0) return p + c;
  const x = decompose(a);
  const y = decompose(b);
  const z = decompose(c);
  const e = Math.min(x.exponent + y.exponent, z.exponent);
  const product = (x.mantissa * y.mantissa) << BigInt(x.exponent + y.exponent - e);
  const total = product + (z.mantissa << BigInt(z.exponent - e));
  return total === 0n ? p + c : compose(total, e);
}
const bits = new DataView(new ArrayBuffer(8));
function decompose(v: number): { mantissa: bigint; exponent: number } {
  bits.setFloat64(0, v);
  const raw = bits.getBigUint64(0);
  const biased = Number((raw >> 52n) & 0x7ffn);
  const fraction = raw & ((1n << 52n) - 1n);
  const magnitude = biased === 0 ? fraction : fraction | (1n << 52n);
  return { mantissa: v < 0 ? -magnitude : magnitude, exponent: Math.max(biased, 1) - 1075 };
}
/** mantissa · 2^exponent, rounded half-to-even once. */
function compose(mantissa: bigint, exponent: number): number {
  const magnitude = mantissa < 0n ? -mantissa : mantissa;
  const length = magnitude.toString(2).length;
  const drop = Math.max(length - 53, -1074 - exponent, 0);
  const shift = BigInt(drop);
  let kept = magnitude >> shift;
  const rest = magnitude - (kept << shift);
  const half = drop > 0 ? 1n << (shift - 1n) : 0n;
  if (drop > 0 && (rest > half || (rest === half && kept & 1n))) kept += 1n;
  const result = scale(Number(kept), exponent + drop);
  return mantissa < 0n ? -result : result;
}
/** v · 2^exponent in two exact steps. */
function scale(v: number, exponent: number): number {
  const first = Math.max(-1000, Math.min(1000, exponent));
  return v * 2 ** first * 2 ** (exponent - first);
}
