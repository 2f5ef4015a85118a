/**
 * Expression nodes. Plain readonly data in one closed union; `build.ts` makes them, `traverse.ts` walks them,
 * `../loop/semantics.md` says what they mean. Every node carries its type; index expressions are int64 scalars.
 */
import type { BufferId, VarId } from "../support/ids.ts";
import type { DType } from "./dtype.ts";

/** Arithmetic. `div` truncates on integers; `mod` is the C remainder; `floordiv`/`floormod` round towards -inf. */
export type ArithmeticOp = "add" | "sub" | "mul" | "div" | "mod" | "floordiv" | "floormod" | "min" | "max" | "pow";
/** Bitwise on integers, logical on bool. `shr` is arithmetic for signed types. */
export type BitOp = "and" | "or" | "xor" | "shl" | "shr";
export type BinaryOp = ArithmeticOp | BitOp;
export type CompareOp = "eq" | "ne" | "lt" | "le" | "gt" | "ge";
/** `round` is half-to-even; `not` is bitwise, logical on bool; `isnan`, `isinf` give bool. */
export type UnaryOp =
  | "neg"
  | "not"
  | "abs"
  | "sign"
  | "ceil"
  | "floor"
  | "round"
  | "trunc"
  | "sqrt"
  | "exp"
  | "log"
  | "sin"
  | "cos"
  | "tan"
  | "asin"
  | "acos"
  | "atan"
  | "sinh"
  | "cosh"
  | "tanh"
  | "asinh"
  | "acosh"
  | "atanh"
  | "erf"
  | "isnan"
  | "isinf";
/** `fma(a,b,c)` rounds once; `bitcast(x)` reinterprets between types of equal total bits. `scheduleBarrier()`: instructions are
 * not moved across it by the back end. `checkBounds(site, out, index0, extent0, …)` ends the function where `out` is true,
 * and leaves the site's number and the values behind for the caller. */
export type Intrinsic = "fma" | "bitcast" | "prefetch" | "scheduleBarrier" | "checkBounds";

export interface Const {
  readonly kind: "const";
  readonly dtype: DType;
  /** A bool is 0 or 1. Integers outside the safe range are bigint, all others number. Always scalar. */
  readonly value: number | bigint;
}
export interface Var {
  readonly kind: "var";
  readonly id: VarId;
  /** For people; the id decides. */
  readonly name: string;
  readonly dtype: DType;
}
export interface Unary {
  readonly kind: "unary";
  readonly op: UnaryOp;
  readonly value: Expr;
  readonly dtype: DType;
}
export interface Binary {
  readonly kind: "binary";
  readonly op: BinaryOp;
  /** Both operands have the node's dtype. */
  readonly a: Expr;
  readonly b: Expr;
  readonly dtype: DType;
}
export interface Compare {
  readonly kind: "compare";
  readonly op: CompareOp;
  readonly a: Expr;
  readonly b: Expr;
  /** bool with the operands' lanes. */
  readonly dtype: DType;
}
/** Evaluates both arms' values only as far as they are safe: loads in an arm happen only where it is chosen. */
export interface Select {
  readonly kind: "select";
  readonly condition: Expr;
  readonly then: Expr;
  readonly otherwise: Expr;
  readonly dtype: DType;
}
export interface Cast {
  readonly kind: "cast";
  readonly value: Expr;
  readonly dtype: DType;
}
export interface Load {
  readonly kind: "load";
  readonly buffer: Buffer;
  /** One per buffer dimension; one vector index after storage flattening. */
  readonly indices: readonly Expr[];
  /** Lanes (or the scalar) where it is false are not read and give 0. */
  readonly predicate?: Expr;
  readonly dtype: DType;
}
/** base, base+stride, … (lanes values). */
export interface Ramp {
  readonly kind: "ramp";
  readonly base: Expr;
  readonly stride: Expr;
  readonly dtype: DType;
}
export interface Broadcast {
  readonly kind: "broadcast";
  readonly value: Expr;
  readonly dtype: DType;
}
/** Picks lanes from the concatenation of `vectors`. */
export interface Shuffle {
  readonly kind: "shuffle";
  readonly vectors: readonly Expr[];
  readonly lanes: readonly number[];
  readonly dtype: DType;
}
/** Horizontal reduction of a vector to a scalar. */
export interface VectorReduce {
  readonly kind: "vectorReduce";
  readonly op: "add" | "mul" | "min" | "max" | "and" | "or";
  readonly value: Expr;
  readonly dtype: DType;
}
export interface Call {
  readonly kind: "call";
  readonly callee: Intrinsic;
  readonly args: readonly Expr[];
  readonly dtype: DType;
}

/** An expression: a closed union, told apart by `kind`. */
export type Expr =
  | Const
  | Var
  | Unary
  | Binary
  | Compare
  | Select
  | Cast
  | Load
  | Ramp
  | Broadcast
  | Shuffle
  | VectorReduce
  | Call;

/** Where a buffer lives: `global` heap or arena, `stack` of one task, `register` promoted to SSA, GPU scopes. */
export type Scope = "global" | "stack" | "register" | "shared" | "local";

/** A typed region of memory addressed by n-d indices. Ids decide identity. */
export interface Buffer {
  readonly id: BufferId;
  readonly name: string;
  /** Scalar. */
  readonly dtype: DType;
  readonly shape: readonly Expr[];
  /** In elements; absent means compact row-major. */
  readonly strides?: readonly number[];
  /** Elements from the base pointer to index 0. */
  readonly offset?: number;
  readonly scope: Scope;
  /** Bytes the base pointer is known to be a multiple of. */
  readonly alignment: number;
}
