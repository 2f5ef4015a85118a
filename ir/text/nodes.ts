/** Nodes exactly as written: the builders would fold `x + 0`, which must survive a round trip. */
import { type DType, dtype, withLanes } from "../expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr } from "../expr/expr.ts";
import type { If, Stmt } from "../loop/program.ts";

export const rawIf = (condition: Expr, then: Stmt, otherwise?: Stmt): If => ({
  kind: "if",
  condition,
  then,
  ...(otherwise ? { otherwise } : {}),
});
export const rawBinary = (op: BinaryOp, a: Expr, b: Expr): Expr => ({ kind: "binary", op, a, b, dtype: a.dtype });
export const rawCompare = (op: CompareOp, a: Expr, b: Expr): Expr => ({
  kind: "compare",
  op,
  a,
  b,
  dtype: dtype("bool", a.dtype.lanes),
});
export const rawSelect = (condition: Expr, then: Expr, otherwise: Expr): Expr => ({
  kind: "select",
  condition,
  then,
  otherwise,
  dtype: then.dtype,
});
export const rawCast = (type: DType, value: Expr): Expr => ({
  kind: "cast",
  value,
  dtype: withLanes(type, value.dtype.lanes),
});
