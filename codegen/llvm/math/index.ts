/**
 * Transcendental functions: expansions for exp, log, tanh, erf, sin and cos in float32 (16-bit floats compute in
 * float32), the C library lane by lane for everything else.
 *
 * Largest error seen by `test/codegen/math.test.ts`, in units of the last place of float32: on 16 or 8 lanes of AVX-512
 * and on 8 lanes of AVX2, where exp and erf look coefficients up in registers; on other processors with fused
 * multiply-add; on those without.
 *
 * | function | range | AVX-512 | AVX2 | with | without |
 * |---|---|---|---|---|---|
 * | exp | all | 0.97 | 0.86 | 0.98 | 0.94 |
 * | log | all | 0.68 | 0.68 | 0.68 | 0.68 |
 * | tanh | all | 1.25 | 1.14 | 1.25 | 1.25 |
 * | erf | all | 0.93 | 0.75 | 0.93 | 1.08 |
 * | sin, cos | |x| ≤ 1e5 | 1.42 | 1.42 | 1.42 | 1.45 |
 */
import type { DType } from "../../../ir/expr/dtype.ts";
import type { UnaryOp } from "../../../ir/expr/expr.ts";
import { UnsupportedError } from "../../../ir/support/errors.ts";
import type { FunctionContext } from "../function-context.ts";
import type { Value } from "../writer.ts";
import { erfSteps } from "./erf.ts";
import { expSteps, tanhSteps } from "./exp.ts";
import { perLane } from "./libm.ts";
import { logSteps } from "./log.ts";
import { float32Steps } from "./steps.ts";
import { trigonometric } from "./trig.ts";

const libmNames: ReadonlySet<UnaryOp> = new Set([
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
  if (t.scalar === "float32") {
    if (op === "sin" || op === "cos") return trigonometric(ctx, op, v, t);
    if (op === "exp") return expSteps(float32Steps(ctx, t), v);
    if (op === "log") return logSteps(float32Steps(ctx, t), v);
    if (op === "tanh") return tanhSteps(float32Steps(ctx, t), v);
    if (op === "erf") return erfSteps(float32Steps(ctx, t), v);
  }
  if (!libmNames.has(op)) throw new UnsupportedError("codegen/no-operator", `${op} is not defined on ${t.scalar}`);
  return perLane(ctx, op, t, [v]);
}
