/** What one access to a buffer is. */
import type { BinaryOp, Buffer, Expr } from "../../ir/expr/expr.ts";
import type { Block, For, Stmt } from "../../ir/loop/program.ts";

/**
 * One access. `update` is a store whose value combines the same element with others by an associative operator
 * (`b[i] = b[i] + v`): it reads and writes.
 */
export interface Access {
  readonly buffer: Buffer;
  readonly kind: "read" | "write" | "update";
  /** The operator of an update. */
  readonly op?: BinaryOp;
  /**
   * One index a dimension, in terms of loop variables (block variables and lets are replaced by what they stand for);
   * empty when the whole buffer may be touched (parallelCall).
   */
  readonly indices: readonly Expr[];
  /** The statement that holds the access. */
  readonly stmt: Stmt;
  /** Statements from the root down to `stmt`. */
  readonly path: readonly Stmt[];
  /** Loops around, outermost first. */
  readonly loops: readonly For[];
  /** The innermost block around. */
  readonly block?: Block;
  /** Whether it belongs to the block's init. */
  readonly init: boolean;
  /** What must hold for the access to happen: predicates, conditions, select conditions, in terms of loop variables. */
  readonly conditions: readonly Expr[];
  /** Whether a vector of conditions may leave out lanes. */
  readonly masked: boolean;
  /** Execution order within one iteration of all common loops. */
  readonly position: number;
  /** How many of `loops` are around the allocation of the buffer: each of their iterations has its own copy. */
  readonly privateLoops: number;
}
