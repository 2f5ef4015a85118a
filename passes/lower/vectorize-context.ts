/** What the statements and expressions of a vectorized loop share; see `vectorize-loops.ts`. */
import { broadcast, index, mul, ramp } from "../../ir/expr/build.ts";
import type { Buffer, Expr, Var } from "../../ir/expr/expr.ts";
import { some } from "../../ir/expr/traverse.ts";
import type { BufferId, IdSource, VarId } from "../../ir/support/ids.ts";

/** One chunk of a vectorized loop. */
export interface VectorContext {
  readonly loopVar: Var;
  /** Value of the loop variable in lane 0. */
  readonly start: Expr;
  readonly lanes: number;
  readonly ids: IdSource;
  /** Variables of lets that differ from lane to lane, and their vectors. */
  readonly vectors: Map<VarId, Var>;
  /** Buffers allocated inside the loop: one element a lane stands for each element. */
  readonly expanded: Map<BufferId, Buffer>;
}

/** Whether an expression may differ from lane to lane. */
export function mentions(ctx: VectorContext, e: Expr): boolean {
  return some(
    e,
    (n) =>
      (n.kind === "var" && (n.id === ctx.loopVar.id || ctx.vectors.has(n.id))) ||
      (n.kind === "load" && ctx.expanded.has(n.buffer.id)),
  );
}

/** The index of an element of an expanded buffer, one for each lane. */
export function expandedIndex(ctx: VectorContext, at: Expr): Expr {
  if (at.dtype.lanes === 1) return ramp(mul(at, ctx.lanes), 1, ctx.lanes);
  const scaled: Expr = { kind: "binary", op: "mul", a: at, b: broadcast(index(ctx.lanes), ctx.lanes), dtype: at.dtype };
  return { kind: "binary", op: "add", a: scaled, b: ramp(index(0), 1, ctx.lanes), dtype: at.dtype };
}
