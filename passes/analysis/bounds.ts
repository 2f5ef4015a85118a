/**
 * Interval arithmetic on integer expressions, node by node. Exact for expressions in the canonical affine form (each
 * atom occurs once); `interval.ts` brings any expression into that form first.
 *
 * Note [Wrapping and intervals]. Index arithmetic never overflows, so loop variables are mathematical integers and may
 * be unbounded. Data (loads, casts) is bounded by its type; a result that leaves its type may have wrapped and becomes
 * the whole type.
 */
import { maxOf, minOf } from "../../ir/expr/build.ts";
import { isInteger, type ScalarType } from "../../ir/expr/dtype.ts";
import type { Binary, Expr } from "../../ir/expr/expr.ts";
import type { VarId } from "../../ir/support/ids.ts";

/** All integers from `min` to `max` inclusive; ±Infinity where unbounded. */
export interface Interval {
  readonly min: number;
  readonly max: number;
}
/** What is known of variables. */
export type Ranges = ReadonlyMap<VarId, Interval>;

const everything: Interval = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
export const noRanges: Ranges = new Map();
export const point = (value: number): Interval => ({ min: value, max: value });

const ofType = new Map<ScalarType, Interval>();
/** The values of an integer type or bool; everything for floats. */
export function typeInterval(scalar: ScalarType): Interval {
  let known = ofType.get(scalar);
  if (known === undefined) {
    const integral = isInteger(scalar) || scalar === "bool";
    known = integral ? { min: Number(minOf(scalar)), max: Number(maxOf(scalar)) } : everything;
    ofType.set(scalar, known);
  }
  return known;
}

/** Keeps an interval that a type can hold; what may have wrapped becomes the whole type. */
export function fitType(r: Interval, scalar: ScalarType): Interval {
  if (scalar === "int64") {
    const low = r.min < Number.MIN_SAFE_INTEGER && r.min !== Number.NEGATIVE_INFINITY;
    const high = r.max > Number.MAX_SAFE_INTEGER && r.max !== Number.POSITIVE_INFINITY;
    return low || high ? typeInterval(scalar) : r;
  }
  const whole = typeInterval(scalar);
  return r.min >= whole.min && r.max <= whole.max ? r : whole;
}

export const addIntervals = (x: Interval, y: Interval): Interval => ({ min: x.min + y.min, max: x.max + y.max });
export const subIntervals = (x: Interval, y: Interval): Interval => ({ min: x.min - y.max, max: x.max - y.min });
/** Multiplies by a number; 0 times unbounded is 0. */
export function scaleInterval(x: Interval, k: number): Interval {
  if (k === 0) return point(0);
  return k > 0 ? { min: x.min * k, max: x.max * k } : { min: x.max * k, max: x.min * k };
}
/** The smallest interval around both. */
const hull = (x: Interval, y: Interval): Interval => ({
  min: Math.min(x.min, y.min),
  max: Math.max(x.max, y.max),
});
/** What is in both; keeps `x` should they be disjoint (unreachable code). */
export function meet(x: Interval, y: Interval): Interval {
  const min = Math.max(x.min, y.min);
  const max = Math.min(x.max, y.max);
  return min <= max ? { min, max } : x;
}
/** Whether every value of `inner` is in `outer`. */
export const within = (inner: Interval, outer: Interval): boolean => inner.min >= outer.min && inner.max <= outer.max;

const product = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : a * b);
function corners(x: Interval, y: Interval, f: (a: number, b: number) => number): Interval {
  const values = [f(x.min, y.min), f(x.min, y.max), f(x.max, y.min), f(x.max, y.max)];
  return { min: Math.min(...values), max: Math.max(...values) };
}
/** Infinity/Infinity would be NaN; the quotient's bound is then unbounded with the sign of the operands. */
const quotient = (round: (v: number) => number) => (a: number, b: number) => {
  if (Math.abs(b) === Number.POSITIVE_INFINITY) {
    if (Math.abs(a) === Number.POSITIVE_INFINITY) return Math.sign(a) * Math.sign(b) * Number.POSITIVE_INFINITY;
    return a === 0 || Math.sign(a) === Math.sign(b) ? 0 : round(-Number.MIN_VALUE);
  }
  return round(a / b);
};
const floorQuotient = quotient(Math.floor);
const truncQuotient = quotient(Math.trunc);

function divide(x: Interval, y: Interval, q: (a: number, b: number) => number): Interval {
  if (y.min > 0 || y.max < 0) return corners(x, y, q);
  // The divisor is not 0 in a well-formed program: take the negative and the positive part of it.
  const parts: Interval[] = [];
  if (y.min < 0) parts.push(corners(x, { min: y.min, max: -1 }, q));
  if (y.max > 0) parts.push(corners(x, { min: 1, max: y.max }, q));
  return parts.length === 0 ? everything : parts.reduce(hull);
}
function floorModulo(x: Interval, y: Interval): Interval {
  if (y.min === y.max && y.min > 0 && Number.isFinite(x.min)) {
    const k = Math.floor(x.min / y.min);
    if (k === Math.floor(x.max / y.min)) return { min: x.min - k * y.min, max: x.max - k * y.min };
  }
  const max = y.max > 0 ? y.max - 1 : 0;
  const min = y.min < 0 ? y.min + 1 : 0;
  return { min, max: x.min >= 0 && y.min > 0 ? Math.min(max, x.max) : max };
}
function truncModulo(x: Interval, y: Interval): Interval {
  const bound = Math.max(Math.abs(y.min), Math.abs(y.max)) - 1;
  if (bound < 0) return everything;
  return { min: x.min >= 0 ? 0 : Math.max(-bound, x.min), max: x.max <= 0 ? 0 : Math.min(bound, x.max) };
}
/** Bits of nonnegative numbers: an `and` is at most either side, an `or`/`xor` stays below the next power of two. */
function bitwise(e: Binary, x: Interval, y: Interval): Interval {
  const nonNegative = x.min >= 0 && y.min >= 0;
  if (e.op === "and" && (x.min >= 0 || y.min >= 0)) {
    const max = Math.min(x.min >= 0 ? x.max : y.max, y.min >= 0 ? y.max : x.max);
    return { min: 0, max };
  }
  const most = Math.max(x.max, y.max);
  if (nonNegative && (e.op === "or" || e.op === "xor") && Number.isFinite(most))
    return { min: 0, max: most === 0 ? 0 : 2 ** (Math.floor(Math.log2(most)) + 1) - 1 };
  if (e.op === "shr" && y.min === y.max && y.min >= 0 && y.min < 53 && Number.isFinite(x.min + x.max))
    return { min: Math.floor(x.min / 2 ** y.min), max: Math.floor(x.max / 2 ** y.min) };
  return typeInterval(e.dtype.scalar);
}

function binaryBounds(e: Binary, ranges: Ranges): Interval {
  const x = boundsOf(e.a, ranges);
  const y = boundsOf(e.b, ranges);
  const { scalar } = e.dtype;
  switch (e.op) {
    case "add":
      return fitType(addIntervals(x, y), scalar);
    case "sub":
      return fitType(subIntervals(x, y), scalar);
    case "mul":
      return fitType(y.min === y.max ? scaleInterval(x, y.min) : corners(x, y, product), scalar);
    case "floordiv":
      return fitType(divide(x, y, floorQuotient), scalar);
    case "div":
      return fitType(divide(x, y, truncQuotient), scalar);
    case "floormod":
      return fitType(floorModulo(x, y), scalar);
    case "mod":
      return fitType(truncModulo(x, y), scalar);
    case "min":
      return { min: Math.min(x.min, y.min), max: Math.min(x.max, y.max) };
    case "max":
      return { min: Math.max(x.min, y.min), max: Math.max(x.max, y.max) };
    case "pow":
      return typeInterval(scalar);
    default:
      return scalar === "bool" ? { min: 0, max: 1 } : bitwise(e, x, y);
  }
}

/**
 * Bounds of an integer or bool expression, node by node (all lanes of a vector). Floats give everything, which says
 * nothing of NaN: never decide a float comparison by it.
 */
export function boundsOf(e: Expr, ranges: Ranges): Interval {
  switch (e.kind) {
    case "const":
      return point(Number(e.value));
    case "var":
      return ranges.get(e.id) ?? (e.dtype.scalar === "int64" ? everything : typeInterval(e.dtype.scalar));
    case "binary":
      return isFloatType(e) ? everything : binaryBounds(e, ranges);
    case "select":
      return hull(boundsOf(e.then, ranges), boundsOf(e.otherwise, ranges));
    case "broadcast":
      return boundsOf(e.value, ranges);
    case "ramp": {
      const last = scaleInterval(boundsOf(e.stride, ranges), e.dtype.lanes - 1);
      const span = { min: Math.min(0, last.min), max: Math.max(0, last.max) };
      return fitType(addIntervals(boundsOf(e.base, ranges), span), e.dtype.scalar);
    }
    case "cast":
      return castBounds(e.value, e.dtype.scalar, ranges);
    case "unary":
      if (e.op === "neg" && !isFloatType(e))
        return fitType(scaleInterval(boundsOf(e.value, ranges), -1), e.dtype.scalar);
      return typeInterval(e.dtype.scalar);
    case "shuffle":
      return e.vectors.map((v) => boundsOf(v, ranges)).reduce(hull);
    default:
      return typeInterval(e.dtype.scalar);
  }
}
const isFloatType = (e: Expr): boolean => typeInterval(e.dtype.scalar) === everything;

function castBounds(value: Expr, to: ScalarType, ranges: Ranges): Interval {
  const whole = typeInterval(to);
  if (isFloatType(value)) return whole;
  const r = boundsOf(value, ranges);
  if (to === "bool") return { min: r.min > 0 || r.max < 0 ? 1 : 0, max: r.min === 0 && r.max === 0 ? 0 : 1 };
  return within(r, whole) ? r : whole;
}
