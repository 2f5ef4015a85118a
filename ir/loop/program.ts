/**
 * Programs: buffers, and a tree of loops, blocks and statements (the block model of TensorIR, Feng et al., ASPLOS 2023).
 * Plain readonly data in closed unions. `semantics.md` beside this file is the contract; `build.ts` makes nodes.
 */
import type { Buffer, Expr, Var } from "../expr/expr.ts";
import type { BlockId } from "../support/ids.ts";

/** GPU axes a loop can be bound to. */
export type ThreadAxis =
  | "blockIdx.x"
  | "blockIdx.y"
  | "blockIdx.z"
  | "threadIdx.x"
  | "threadIdx.y"
  | "threadIdx.z"
  | "vthread";

/** `tensorized`: a serial nest that stands for what an intrinsic does at once; its annotations name the intrinsic. */
export type LoopKind = "serial" | "parallel" | "vectorized" | "unrolled" | "tensorized" | "thread";

/** Runs `body` for var = min, min+1, …, min+extent-1 (never when extent ≤ 0). */
export interface For {
  readonly kind: "for";
  readonly var: Var;
  readonly min: Expr;
  readonly extent: Expr;
  readonly loopKind: LoopKind;
  /** Only with loopKind `thread`. */
  readonly axis?: ThreadAxis;
  readonly annotations?: Annotations;
  readonly body: Stmt;
}

/**
 * `spatial`: iterations are independent and each writes its own elements. `reduction`: iterations combine into the same
 * elements by an associative, commutative update. `ordered`: iterations must run in increasing order.
 */
export type IterKind = "spatial" | "reduction" | "ordered";

export interface IterVar {
  readonly var: Var;
  /** The variable ranges over 0..extent. */
  readonly extent: Expr;
  readonly kind: IterKind;
}

/** A half-open interval [min, min+extent) of one buffer dimension. */
export interface Range {
  readonly min: Expr;
  readonly extent: Expr;
}
/** A box within a buffer. */
export interface Region {
  readonly buffer: Buffer;
  readonly ranges: readonly Range[];
}

/**
 * A unit of computation that schedules move as a whole. `bindings[i]` gives iterVars[i] in terms of the loops around.
 * Inside (init, body, reads, writes) only the block's own iteration variables, not the loops around, may appear.
 * When `predicate` (over the loops around) is false the instance does not run. `init` runs before the first body
 * instance of each element: when every reduction iteration variable is at its first value (0).
 */
export interface Block {
  readonly kind: "block";
  readonly id: BlockId;
  /** Unique within its function. */
  readonly name: string;
  readonly iterVars: readonly IterVar[];
  readonly bindings: readonly Expr[];
  readonly predicate?: Expr;
  readonly reads: readonly Region[];
  readonly writes: readonly Region[];
  readonly init?: Stmt;
  readonly body: Stmt;
  readonly annotations?: Annotations;
}

/** Hints for recipes and lowering, as plain data. */
export type AnnotationValue = string | number | boolean | readonly number[] | readonly string[];
export type Annotations = Readonly<Record<string, AnnotationValue>>;

export interface Store {
  readonly kind: "store";
  readonly buffer: Buffer;
  readonly indices: readonly Expr[];
  readonly value: Expr;
  /** Lanes where it is false are not written. */
  readonly predicate?: Expr;
  /** Goes to memory past the caches; the meaning is the same. */
  readonly nontemporal?: true;
  /** The value is `load op v` of the same element: loading, combining and storing are one step for all threads. */
  readonly atomic?: true;
  /** Where the scheduled program says it, for errors; never decides anything and is not part of the text. */
  readonly origin?: StoreOrigin;
}
/** The block and the line (from 1) of the scheduled program's text that a store comes from. */
export interface StoreOrigin {
  readonly block?: string;
  readonly line: number;
  readonly text: string;
}
export interface Seq {
  readonly kind: "seq";
  readonly body: readonly Stmt[];
}
export interface If {
  readonly kind: "if";
  readonly condition: Expr;
  readonly then: Stmt;
  readonly otherwise?: Stmt;
}
export interface Let {
  readonly kind: "let";
  readonly var: Var;
  readonly value: Expr;
  readonly body: Stmt;
}
/** Makes `buffer` (contents undefined) for the duration of `body`. */
export interface Allocate {
  readonly kind: "allocate";
  readonly buffer: Buffer;
  readonly body: Stmt;
}
/** Evaluates for effect (prefetch). */
export interface Evaluate {
  readonly kind: "evaluate";
  readonly value: Expr;
}
/**
 * Runs task function `callee` over 0..extent in parallel chunks. Its parameters are these buffers, then these scalars,
 * then the chunk [begin, end). Made by lowering from parallel loops.
 */
export interface ParallelCall {
  readonly kind: "parallelCall";
  readonly callee: string;
  readonly extent: Expr;
  readonly buffers: readonly Buffer[];
  readonly scalars: readonly Var[];
}

/** A statement: a closed union, told apart by `kind`. */
export type Stmt = For | Block | Store | Seq | If | Let | Allocate | Evaluate | ParallelCall;

export type ParamRole = "input" | "output" | "constant" | "workspace";
export interface Param {
  readonly buffer: Buffer;
  readonly role: ParamRole;
}

/** `strict` keeps the order of operations; `default` allows FMA contraction and reassociated reductions; `fast` adds approximate functions. */
export type MathPolicy = "strict" | "default" | "fast";

/** One function over buffers. `kind` task: made by lowering, also takes `scalars` and the chunk variables begin, end. */
export interface PrimFunc {
  readonly name: string;
  readonly params: readonly Param[];
  /** Symbolic dimensions, passed by value. */
  readonly scalars: readonly Var[];
  /** Only for tasks. */
  readonly chunk?: { readonly begin: Var; readonly end: Var };
  readonly math: MathPolicy;
  readonly body: Stmt;
  readonly annotations?: Annotations;
}

/** Several functions; `nextId` is greater than every id within, so that fresh ids never collide. */
export interface Program {
  readonly kind: "program";
  readonly functions: readonly PrimFunc[];
  readonly nextId: number;
}
