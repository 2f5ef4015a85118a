/** The only makers of expression nodes; invariants are asserted here, and integer constants fold on the way in. */
import type { BufferId, IdSource } from "../support/ids.ts";
import { invariant } from "../support/invariant.ts";
import { boolType, type DType, dtype, indexType, isFloat, isUnsigned, type ScalarType, withLanes } from "./dtype.ts";
import type {
  Binary,
  BinaryOp,
  Broadcast,
  Buffer,
  Call,
  Cast,
  Compare,
  CompareOp,
  Const,
  Expr,
  Intrinsic,
  Load,
  Ramp,
  Scope,
  Select,
  Shuffle,
  Unary,
  UnaryOp,
  Var,
  VectorReduce,
} from "./expr.ts";

/** An expression, or a number that stands for a constant of the type the context gives (index type by default). */
export type ExprLike = Expr | number;

/** Gives a constant; integers outside the safe range stay bigint, booleans become 0 or 1. */
export function constant(type: DType, value: number | bigint | boolean): Const {
  invariant(type.lanes === 1, "a constant is scalar; broadcast it");
  return { kind: "const", dtype: type, value: canonicalValue(type.scalar, value) };
}
function canonicalValue(scalar: ScalarType, value: number | bigint | boolean): number | bigint {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (isFloat(scalar)) return scalar === "float32" ? Math.fround(Number(value)) : Number(value);
  if (typeof value === "bigint") return isSafe(value) ? Number(value) : value;
  invariant(Number.isInteger(value), `an integer constant is whole, got ${value} for ${scalar}`);
  return value === 0 ? 0 : value;
}
const isSafe = (v: bigint): boolean => v >= BigInt(Number.MIN_SAFE_INTEGER) && v <= BigInt(Number.MAX_SAFE_INTEGER);

/** An int64 constant, for indices and extents. */
export const index = (value: number): Const => constant(indexType, value);
/** Turns a number into an index constant. */
export const toExpr = (e: ExprLike): Expr => (typeof e === "number" ? index(e) : e);
export const bool = (value: boolean): Const => constant(boolType, value);

/** The value of an integer or bool constant that fits a number; otherwise undefined. */
export function constantValue(e: Expr): number | undefined {
  return e.kind === "const" && typeof e.value === "number" ? e.value : undefined;
}

/** A fresh variable. */
export function variable(ids: IdSource, name: string, type: DType = indexType): Var {
  return { kind: "var", id: ids.fresh(), name, dtype: type };
}
/** A buffer with a fresh id. */
export function buffer(
  ids: IdSource,
  name: string,
  scalar: ScalarType,
  shape: readonly ExprLike[],
  options: { scope?: Scope; strides?: readonly number[]; offset?: number; alignment?: number } = {},
): Buffer {
  const { scope = "global", strides, offset, alignment = 64 } = options;
  const result: Buffer = {
    id: ids.fresh<"buffer">() as BufferId,
    name,
    dtype: dtype(scalar),
    shape: shape.map(toExpr),
    scope,
    alignment,
    ...(strides ? { strides } : {}),
    ...(offset ? { offset } : {}),
  };
  return result;
}

const booleanResult: ReadonlySet<UnaryOp> = new Set(["isnan", "isinf"]);
/** An operation on one operand. */
export function unary(op: UnaryOp, value: Expr): Unary {
  const type = booleanResult.has(op) ? dtype("bool", value.dtype.lanes) : value.dtype;
  return { kind: "unary", op, value, dtype: type };
}

/** A binary node; a number operand takes the other's type. Index constants fold, and x+0, x*1, x*0 vanish. */
export function binary(op: BinaryOp, left: ExprLike, right: ExprLike): Expr {
  const [a, b] = unify(left, right);
  invariant(a.dtype === b.dtype, `operands of ${op} differ in type: ${show(a.dtype)} and ${show(b.dtype)}`);
  if (a.dtype === indexType) {
    const folded = foldIndex(op, a, b);
    if (folded) return folded;
  }
  const node: Binary = { kind: "binary", op, a, b, dtype: a.dtype };
  return node;
}
function unify(left: ExprLike, right: ExprLike): [Expr, Expr] {
  if (typeof left === "number") {
    const b = toExpr(right);
    return [scalarLike(b.dtype, left), b];
  }
  return [left, typeof right === "number" ? scalarLike(left.dtype, right) : right];
}
/** The constant `value` of type `type`, broadcast when that is a vector. */
export function scalarLike(type: DType, value: number): Expr {
  const scalar = constant(dtype(type.scalar), value);
  return type.lanes === 1 ? scalar : broadcast(scalar, type.lanes);
}
const show = (t: DType): string => (t.lanes === 1 ? t.scalar : `${t.scalar}x${t.lanes}`);

function foldIndex(op: BinaryOp, a: Expr, b: Expr): Expr | undefined {
  const x = constantValue(a);
  const y = constantValue(b);
  if (x !== undefined && y !== undefined) {
    const value = evaluateIndex(op, x, y);
    if (value !== undefined && Number.isSafeInteger(value)) return index(value);
  }
  if (y === 0 && (op === "add" || op === "sub")) return a;
  if (x === 0 && op === "add") return b;
  if (y === 1 && (op === "mul" || op === "floordiv" || op === "div")) return a;
  if (x === 1 && op === "mul") return b;
  if ((x === 0 || y === 0) && op === "mul") return index(0);
  if (y === 1 && (op === "floormod" || op === "mod")) return index(0);
  return undefined;
}
/** Integer arithmetic on safe numbers; undefined where it is not defined (division by zero) or not folded. */
export function evaluateIndex(op: BinaryOp, x: number, y: number): number | undefined {
  switch (op) {
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "mul":
      return x * y;
    case "min":
      return Math.min(x, y);
    case "max":
      return Math.max(x, y);
    case "div":
      return y === 0 ? undefined : Math.trunc(x / y);
    case "mod":
      return y === 0 ? undefined : x % y;
    case "floordiv":
      return y === 0 ? undefined : Math.floor(x / y);
    case "floormod":
      return y === 0 ? undefined : x - Math.floor(x / y) * y;
    default:
      return undefined;
  }
}

/** Sum. */
export const add = (a: ExprLike, b: ExprLike): Expr => binary("add", a, b);
/** Difference. */
export const sub = (a: ExprLike, b: ExprLike): Expr => binary("sub", a, b);
/** Product. */
export const mul = (a: ExprLike, b: ExprLike): Expr => binary("mul", a, b);
/** Quotient; of integers towards zero. */
export const div = (a: ExprLike, b: ExprLike): Expr => binary("div", a, b);
/** Quotient of integers, towards minus infinity. */
export const floordiv = (a: ExprLike, b: ExprLike): Expr => binary("floordiv", a, b);
/** Remainder with the sign of the divisor. */
export const floormod = (a: ExprLike, b: ExprLike): Expr => binary("floormod", a, b);
export const min = (a: ExprLike, b: ExprLike): Expr => binary("min", a, b);
export const max = (a: ExprLike, b: ExprLike): Expr => binary("max", a, b);

/** A comparison; constants of the index type fold. */
export function compare(op: CompareOp, left: ExprLike, right: ExprLike): Expr {
  const [a, b] = unify(left, right);
  invariant(a.dtype === b.dtype, `operands of ${op} differ in type: ${show(a.dtype)} and ${show(b.dtype)}`);
  const x = constantValue(a);
  const y = constantValue(b);
  if (a.dtype === indexType && x !== undefined && y !== undefined) return bool(compareNumbers(op, x, y));
  const node: Compare = { kind: "compare", op, a, b, dtype: dtype("bool", a.dtype.lanes) };
  return node;
}
export function compareNumbers(op: CompareOp, x: number | bigint, y: number | bigint): boolean {
  switch (op) {
    case "eq":
      return x === y;
    case "ne":
      return x !== y;
    case "lt":
      return x < y;
    case "le":
      return x <= y;
    case "gt":
      return x > y;
    case "ge":
      return x >= y;
  }
}
/** Logical and of bools; true vanishes, false wins. */
export function and(a: Expr, b: Expr): Expr {
  const x = a.dtype.lanes === 1 ? constantValue(a) : undefined;
  const y = b.dtype.lanes === 1 ? constantValue(b) : undefined;
  if (x === 1 || y === 0) return b;
  if (y === 1 || x === 0) return a;
  return binary("and", a, b);
}
export const or = (a: Expr, b: Expr): Expr => binary("or", a, b);
export const not = (a: Expr): Expr => unary("not", a);

/** `condition ? then : otherwise`, by lane; only the chosen side is evaluated. */
export function select(condition: Expr, then: ExprLike, otherwise: ExprLike): Expr {
  const [t, o] = unify(then, otherwise);
  invariant(condition.dtype.scalar === "bool", "a select's condition is bool");
  invariant(t.dtype === o.dtype, `arms of select differ in type: ${show(t.dtype)} and ${show(o.dtype)}`);
  const known = condition.dtype.lanes === 1 ? constantValue(condition) : undefined;
  if (known !== undefined) return known ? t : o;
  const node: Select = { kind: "select", condition, then: t, otherwise: o, dtype: t.dtype };
  return node;
}
/** The value in another type; see `semantics.md` for what becomes of it. */
export function cast(scalar: ScalarType, value: Expr): Expr {
  if (value.dtype.scalar === scalar) return value;
  const node: Cast = { kind: "cast", value, dtype: dtype(scalar, value.dtype.lanes) };
  return node;
}
/** A load; with one vector index (after flattening) or a vector among n-d indices the result is a vector. */
export function load(source: Buffer, indices: readonly ExprLike[], predicate?: Expr): Load {
  const list = indices.map(toExpr);
  invariant(
    list.length === source.shape.length,
    `${source.name} has ${source.shape.length} dimensions, got ${list.length} indices`,
  );
  const lanes = list.reduce((n, e) => Math.max(n, e.dtype.lanes), 1);
  return {
    kind: "load",
    buffer: source,
    indices: list,
    dtype: withLanes(source.dtype, lanes),
    ...(predicate ? { predicate } : {}),
  };
}
export function ramp(base: ExprLike, stride: ExprLike, lanes: number): Ramp {
  const b = toExpr(base);
  return { kind: "ramp", base: b, stride: toExpr(stride), dtype: withLanes(b.dtype, lanes) };
}
export function broadcast(value: Expr, lanes: number): Broadcast {
  invariant(value.dtype.lanes === 1, "only scalars are broadcast");
  return { kind: "broadcast", value, dtype: withLanes(value.dtype, lanes) };
}
export function shuffle(vectors: readonly Expr[], lanes: readonly number[]): Shuffle {
  const first = vectors[0];
  invariant(first && lanes.length > 0, "a shuffle needs a vector and a lane");
  return { kind: "shuffle", vectors, lanes, dtype: withLanes(first.dtype, lanes.length) };
}
export function vectorReduce(op: VectorReduce["op"], value: Expr): VectorReduce {
  return { kind: "vectorReduce", op, value, dtype: withLanes(value.dtype, 1) };
}
/** A call of an intrinsic. */
export function call(callee: Intrinsic, args: readonly Expr[], type: DType): Call {
  return { kind: "call", callee, args, dtype: type };
}
/** The zero, or for min/max the neutral element, of a reduction over `scalar`. */
export function identityOf(op: "add" | "mul" | "min" | "max" | "and" | "or", scalar: ScalarType): Const {
  const type = dtype(scalar);
  if (op === "add" || op === "or") return constant(type, 0);
  if (op === "mul") return constant(type, 1);
  if (op === "and") return constant(type, scalar === "bool" ? 1 : isUnsigned(scalar) ? maxOf(scalar) : -1);
  if (isFloat(scalar)) return constant(type, op === "min" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY);
  return constant(type, op === "min" ? maxOf(scalar) : minOf(scalar));
}
const width = (scalar: ScalarType): bigint => BigInt(scalar === "bool" ? 1 : Number(/\d+$/.exec(scalar)![0]));
/** The largest value of an integer type (1 for bool). */
export const maxOf = (scalar: ScalarType): bigint =>
  isUnsigned(scalar) || scalar === "bool" ? (1n << width(scalar)) - 1n : (1n << (width(scalar) - 1n)) - 1n;
/** The smallest value of an integer type. */
export const minOf = (scalar: ScalarType): bigint =>
  isUnsigned(scalar) || scalar === "bool" ? 0n : -(1n << (width(scalar) - 1n));
