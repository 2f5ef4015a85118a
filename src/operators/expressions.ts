/** Scalar formulas and index arithmetic that rows share. */
import {
  add,
  and,
  binary,
  cast as castTo,
  compare,
  constant,
  constantValue,
  div,
  type ExprLike,
  index,
  max,
  min,
  mul,
  scalarLike,
  select,
  toExpr,
  unary,
} from "../../ir/expr/build.ts";
import { dtype, isFloat, type ScalarType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { visit } from "../../ir/expr/traverse.ts";
import { inRange, type Tensor } from "../../ir/loop/compute.ts";

/** The type in which values of `type` are computed: halves in float32, all others as they are. */
export const workingType = (type: ScalarType): ScalarType =>
  type === "float16" || type === "bfloat16" ? "float32" : type;
/** A constant of the same type as `e`. */
export const like = (e: Expr, value: number): Expr => scalarLike(e.dtype, value);
/** A constant of an element type. */
export const literal = (type: ScalarType, value: number | bigint): Expr => constant(dtype(type), value);

export const exp = (x: Expr): Expr => unary("exp", x);
export const log = (x: Expr): Expr => unary("log", x);
export const sqrt = (x: Expr): Expr => unary("sqrt", x);
export const abs = (x: Expr): Expr => unary("abs", x);
export const neg = (x: Expr): Expr => unary("neg", x);
export const isNaN = (x: Expr): Expr => unary("isnan", x);
export const reciprocal = (x: Expr): Expr => div(like(x, 1), x);
/** 1 / (1 + e^-x). */
export const sigmoid = (x: Expr): Expr => reciprocal(add(exp(neg(x)), 1));
/** log(1 + e^x) without overflow. */
export const softplus = (x: Expr): Expr => add(max(like(x, 0), x), log(add(exp(neg(abs(x))), 1)));
/** max(0, x), NaN stays NaN. */
export const relu = (x: Expr): Expr => max(like(x, 0), x);
/** Greater of two; a NaN on either side wins. */
export const nanMax = (a: Expr, b: Expr): Expr => nanAware("max", a, b);
/** Smaller of two; a NaN on either side wins. */
export const nanMin = (a: Expr, b: Expr): Expr => nanAware("min", a, b);
/** Note [NaN in max]: `max(a, b)` gives b where either is NaN, so a constant must stand on the left. */
function nanAware(op: "max" | "min", a: Expr, b: Expr): Expr {
  if (!isFloat(a.dtype.scalar) || a.kind === "const") return binary(op, a, b);
  if (b.kind === "const") return binary(op, b, a);
  return select(isNaN(a), a, binary(op, a, b));
}
/** Integer division and remainder by zero is undefined in ONNX and a trap on some hardware: here it divides by one. */
export function safeDivisor(b: Expr): Expr {
  if (isFloat(b.dtype.scalar) || (constantValue(b) ?? 0) !== 0) return b;
  return select(compare("eq", b, 0), like(b, 1), b);
}
/** x^y computed in `x`'s type; small constant exponents become products. */
export function power(x: Expr, y: Expr): Expr {
  const known = constantValue(y);
  if (known === 1) return x;
  if (known === 2) return mul(x, x);
  if (known === 3) return mul(x, mul(x, x));
  return binary("pow", x, y);
}

/** `e` limited to 0..extent-1, comparing only where [low, high] can leave it. */
export function clampIndex(e: Expr, extent: number, low = -1, high = extent): Expr {
  const below = low < 0 ? max(e, 0) : e;
  return high >= extent ? min(below, extent - 1) : below;
}
/** 0 ≤ e < extent, comparing only where [low, high] can leave it; undefined when it cannot. */
export function guard(e: Expr, extent: number, low: number, high: number): Expr | undefined {
  if (low < 0 && high >= extent) return inRange(e, extent);
  if (low < 0) return compare("ge", e, 0);
  return high >= extent ? compare("lt", e, extent) : undefined;
}
/** `value` where all conditions hold, else `otherwise`. */
export function guarded(conditions: readonly (Expr | undefined)[], value: Expr, otherwise: Expr): Expr {
  const present = conditions.filter((e) => e !== undefined);
  return present.length === 0 ? value : select(present.reduce(and), value, otherwise);
}
/** The element of `t` that broadcasts to `indices` (aligned at the right). */
export function broadcastAt(t: Tensor, indices: readonly Expr[]): Expr {
  const skip = indices.length - t.dims.length;
  return t.at(...t.dims.map((n, i) => (n === 1 ? index(0) : indices[i + skip]!)));
}
/** An index computed from data: negative counts from the end; limited to the axis so that nothing outside is touched. */
export function dataIndex(e: Expr, extent: number): Expr {
  const wide = castTo("int64", e);
  const known = constantValue(wide.kind === "cast" ? wide.value : wide);
  if (known !== undefined) return index(Math.min(Math.max(known < 0 ? known + extent : known, 0), extent - 1));
  return clampIndex(select(compare("lt", wide, 0), add(wide, extent), wide), extent);
}
/** Row-major position of `indices` in `dims`. */
export const linearIndex = (indices: readonly ExprLike[], dims: readonly number[]): Expr =>
  indices.reduce<Expr>((position, e, i) => add(mul(position, dims[i]!), toExpr(e)), index(0));

/** Whether `e` holds a blocked coordinate `outer·lanes + inner` (see `channelBlocked`). */
export function hasBlockedCoordinate(e: Expr, extents: ReadonlyMap<number, number>): boolean {
  let found = false;
  visit(e, (n) => {
    if (n.kind !== "binary" || n.op !== "add" || n.b.kind !== "var") return;
    const { a, b } = n;
    if (a.kind === "binary" && a.op === "mul" && a.a.kind === "var" && constantValue(a.b) === extents.get(b.id))
      found = true;
  });
  return found;
}
