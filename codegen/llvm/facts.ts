/** Facts about index expressions that make cheaper instructions legal. */
import { constantValue } from "../../ir/expr/build.ts";
import { isUnsigned } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import type { FunctionContext } from "./function-context.ts";

/** Whether a value of the index type is certainly ≥ 0. */
export function isNonNegative(ctx: FunctionContext, e: Expr): boolean {
  if (e.dtype.scalar !== "int64") return isUnsigned(e.dtype.scalar) || e.dtype.scalar === "bool";
  switch (e.kind) {
    case "const":
      return e.value >= 0;
    case "var":
      return ctx.nonNegative.has(e.id);
    case "broadcast":
      return isNonNegative(ctx, e.value);
    case "ramp":
      return isNonNegative(ctx, e.base) && isNonNegative(ctx, e.stride);
    case "cast":
      return isUnsigned(e.value.dtype.scalar) && e.value.dtype.scalar !== "uint64";
    case "binary":
      return nonNegativeBinary(ctx, e.op, e.a, e.b);
    case "select":
      return isNonNegative(ctx, e.then) && isNonNegative(ctx, e.otherwise);
    default:
      return false;
  }
}
function nonNegativeBinary(ctx: FunctionContext, op: string, a: Expr, b: Expr): boolean {
  const both = (): boolean => isNonNegative(ctx, a) && isNonNegative(ctx, b);
  switch (op) {
    // Index arithmetic does not overflow; loads of int64 data are never known to be non-negative.
    case "add":
    case "mul":
    case "min":
    case "div":
    case "floordiv":
    case "mod":
      return both();
    case "max":
      return isNonNegative(ctx, a) || isNonNegative(ctx, b);
    case "floormod":
      return (constantValue(b.kind === "broadcast" ? b.value : b) ?? 0) > 0 || both();
    default:
      return false;
  }
}
