/** Transcendental functions: vector expansions where there are some, the C library otherwise. */
import type { DType } from "../../../ir/expr/dtype.ts";
import type { UnaryOp } from "../../../ir/expr/expr.ts";
import { UnsupportedError } from "../../../ir/support/errors.ts";
import type { FunctionContext } from "../function-context.ts";
import type { Value } from "../writer.ts";
import { perLane } from "./libm.ts";

const libmNames: ReadonlySet<string> = new Set([
  "exp",
  "log",
  "sin",
  "cos",
  "tan",
  "asin",
  "acos",
  "atan",
  "sinh",
  "cosh",
  "tanh",
  "asinh",
  "acosh",
  "atanh",
  "erf",
]);

/** Writes a transcendental function of float32 or float64 values. */
export function mathFunction(ctx: FunctionContext, op: UnaryOp, v: Value, t: DType): Value {
  if (!libmNames.has(op)) throw new UnsupportedError("codegen/no-operator", `${op} is not defined on ${t.scalar}`);
  return perLane(ctx, op, t, [v]);
}
