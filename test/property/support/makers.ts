/** What random programs are made of: extents, types, element-wise functions, stages before and after. */
import {
  add,
  and,
  binary,
  cast,
  compare,
  constant,
  max,
  min,
  mul,
  or,
  scalarLike,
  select,
  unary,
} from "../../../ir/expr/build.ts";
import { bitsOf, dtype, isFloat, isInteger, type ScalarType, scalarTypes } from "../../../ir/expr/dtype.ts";
import type { BinaryOp, Expr, UnaryOp } from "../../../ir/expr/expr.ts";
import type { ComputeBuilder, Tensor } from "../../../ir/loop/compute.ts";
import type { Random } from "./random.ts";

/** What a maker draws from. */
export interface Maker {
  readonly r: Random;
  readonly b: ComputeBuilder;
  readonly type: ScalarType;
  /** A random extent. */
  readonly n: () => number;
}
/** The outputs of a function, and the most roundings on the way to one of their elements. */
export interface Built {
  readonly outputs: readonly Tensor[];
  readonly roundings: number;
}

/** 1, primes, powers of two and what lies beside them; now and then more than fills a vector of bytes. */
const extents = [1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 16, 17];
const longExtents = [23, 31, 32, 33, 64, 67];
export const someExtent = (r: Random): number => r.pick(r.chance(0.04) ? longExtents : extents);
export const floatTypes: readonly ScalarType[] = ["float32", "float32", "float64", "float16", "bfloat16"];
/** Every type of the IR, the common ones more often. */
export const types: readonly ScalarType[] = [...scalarTypes, "float32", "float32", "float32", "int32", "int8"];

/** The same as any scalar type: true, or a small number. */
export const small = (m: Maker, type: ScalarType = m.type): Expr =>
  scalarLike(dtype(type), type === "bool" ? m.r.int(0, 1) : m.r.int(1, 3));

const boolOps: readonly BinaryOp[] = ["and", "or", "xor", "add", "mul", "max", "min"];
const wordOps: readonly BinaryOp[] = ["add", "sub", "mul", "max", "min", "add", "sub", "and", "or", "xor"];
const floatOps: readonly BinaryOp[] = ["add", "sub", "mul", "max", "min"];
const plainUnary: readonly UnaryOp[] = ["neg", "abs", "abs", "neg", "floor", "ceil", "round", "trunc", "sign"];
const rootedUnary: readonly UnaryOp[] = ["exp", "tanh", "sin", "erf"];
const compares = ["eq", "ne", "lt", "le", "gt", "ge"] as const;

/** Two values of one type joined by an operator that the type has. */
export function joined(m: Maker, a: Expr, b: Expr): Expr {
  const type = a.dtype.scalar;
  return binary(m.r.pick(type === "bool" ? boolOps : isFloat(type) ? floatOps : wordOps), a, b);
}
/** A random element-wise function of some values. */
export function pointwise(m: Maker, values: readonly Expr[]): Expr {
  const mixed = values.reduce((a, v) => joined(m, a, v));
  const { scalar } = mixed.dtype;
  switch (m.r.int(0, 6)) {
    case 0:
      return max(mixed, scalarLike(mixed.dtype, 0));
    case 1:
      return select(compare(m.r.pick(compares), mixed, small(m, scalar)), mixed, values[0]!);
    case 2:
      return single(m, mixed);
    case 3: {
      const via = wider(m, scalar);
      return cast(scalar, joined(m, cast(via, mixed), cast(via, values[0]!)));
    }
    case 4:
      return isInteger(scalar) ? divided(m, mixed) : mixed;
    default:
      return joined(m, mixed, small(m, scalar));
  }
}
/** A function of one value. */
function single(m: Maker, e: Expr): Expr {
  const { scalar } = e.dtype;
  if (scalar === "bool") return unary("not", e);
  // Half types round away what an approximation is off by, or jump by a whole step.
  const rooted = (scalar === "float32" || scalar === "float64") && m.r.chance(0.15);
  if (isFloat(scalar)) return unary(m.r.pick(rooted ? rootedUnary : plainUnary), e);
  return unary(m.r.pick(scalar.startsWith("u") ? ["not"] : (["not", "neg", "abs", "sign"] as const)), e);
}
/** A quotient, remainder or shift by a constant, or by a value that is no zero. */
function divided(m: Maker, e: Expr): Expr {
  const op = m.r.pick(["div", "mod", "floordiv", "floormod", "shl", "shr"] as const);
  const most = op === "shl" || op === "shr" ? bitsOf(e.dtype.scalar) + 1 : 9;
  return binary(op, e, constant(e.dtype, m.r.int(1, most)));
}
/** A type that two values can be joined in before they are cast back. */
function wider(m: Maker, type: ScalarType): ScalarType {
  if (type === "bool") return "int32";
  return m.r.pick(isFloat(type) ? ["float32", "float64"] : ["int64", "int32", "uint16"]);
}

export const maybePrologue = (m: Maker, t: Tensor): Tensor =>
  m.r.chance(0.3) ? m.b.compute(`${t.buffer.name}_p`, t.dtype.scalar, t.dims, (...i) => pointwise(m, [t.at(...i)])) : t;
export function maybeEpilogue(m: Maker, t: Tensor): Tensor {
  if (!m.r.chance(0.5)) return t;
  const type = t.dtype.scalar;
  const bias = m.b.param("bias", type, [t.dims.at(-1)!], "input");
  const first = m.b.compute("E", type, t.dims, (...i) => add(t.at(...i), bias.at(i.at(-1)!)));
  return m.r.chance(0.4) ? m.b.compute("F", type, t.dims, (...i) => pointwise(m, [first.at(...i)])) : first;
}

/** A condition over indices that is no tail: products, remainders of sums, alternatives, comparisons of variables. */
export function oddCondition(m: Maker, i: Expr, j: Expr): Expr {
  const other = (): Expr => m.r.pick([i, j, add(i, j)]);
  switch (m.r.int(0, 5)) {
    case 0:
      return compare(m.r.pick(compares), binary("floormod", mul(i, j), m.r.int(2, 5)), m.r.int(0, 3));
    case 1:
      return compare("lt", mul(i, i), mul(j, m.r.int(1, 6)));
    case 2:
      return or(compare("lt", other(), m.r.int(0, 6)), compare("ge", other(), m.r.int(2, 12)));
    case 3:
      return compare(m.r.pick(compares), j, add(i, m.r.int(-2, 2)));
    case 4:
      return compare("eq", binary("xor", i, j), m.r.int(0, 7));
    default:
      return and(compare("ne", binary("floormod", other(), 3), 0), compare("le", j, mul(i, 2)));
  }
}
/** An index that data gives, brought within 0 … n - 1. */
export const clamped = (m: Maker, e: Expr, n: number): Expr => {
  const at = cast("int64", e);
  return m.r.chance(0.5) ? binary("floormod", at, n) : min(max(at, 0), n - 1);
};
