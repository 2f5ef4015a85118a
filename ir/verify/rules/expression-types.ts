import { type DType, elementOf } from "../../expr/dtype.ts";
import type { Expr } from "../../expr/expr.ts";
import { assertNever } from "../../support/invariant.ts";
import { typeText } from "../../text/print-expr.ts";
import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** A node's type follows from its operands' types. */
export const expressionTypes: VerifyRule = {
  name: "expression-types",
  doc: "Operands agree in type, and every expression has the type that follows from its operands.",
  check: (program, report) =>
    walkProgram(program, {
      expr: (e, place) => {
        const wrong = mismatch(e);
        if (wrong !== undefined) report(`${e.kind}: ${wrong}`, place);
      },
    }),
};
function mismatch(e: Expr): string | undefined {
  switch (e.kind) {
    case "const":
      return e.dtype.lanes === 1 ? undefined : "a constant is scalar";
    case "var":
    case "call":
      return undefined;
    case "unary": {
      const bool = e.op === "isnan" || e.op === "isinf";
      return bool ? lanes(e.dtype, "bool", e.value.dtype) : same("operand", e.value.dtype, e.dtype);
    }
    case "binary":
      return same("left operand", e.a.dtype, e.dtype) ?? same("right operand", e.b.dtype, e.dtype);
    case "compare":
      return same("right operand", e.b.dtype, e.a.dtype) ?? lanes(e.dtype, "bool", e.a.dtype);
    case "select":
      return (
        same("first arm", e.then.dtype, e.dtype) ??
        same("second arm", e.otherwise.dtype, e.dtype) ??
        (e.condition.dtype.lanes === 1
          ? scalarIs(e.condition.dtype, "bool")
          : lanes(e.condition.dtype, "bool", e.dtype))
      );
    case "cast":
      return lanes(e.dtype, e.dtype.scalar, e.value.dtype);
    case "load":
      return load(e);
    case "ramp":
      return same("stride", e.stride.dtype, e.base.dtype) ?? same("base", e.base.dtype, elementOf(e.dtype));
    case "broadcast":
      return same("value", e.value.dtype, elementOf(e.dtype));
    case "shuffle":
      return shuffle(e);
    case "vectorReduce":
      return same("result", e.dtype, elementOf(e.value.dtype));
    default:
      return assertNever(e);
  }
}
function load(e: Expr & { kind: "load" }): string | undefined {
  const widest = Math.max(1, ...e.indices.map((i) => i.dtype.lanes));
  if (e.dtype.scalar !== e.buffer.dtype.scalar) return `${typeText(e.dtype)} from a buffer of ${e.buffer.dtype.scalar}`;
  if (e.dtype.lanes !== widest) return `${e.dtype.lanes} lanes with indices of ${widest}`;
  if (!e.predicate) return undefined;
  return e.predicate.dtype.lanes === 1
    ? scalarIs(e.predicate.dtype, "bool")
    : lanes(e.predicate.dtype, "bool", e.dtype);
}
function shuffle(e: Expr & { kind: "shuffle" }): string | undefined {
  const total = e.vectors.reduce((n, v) => n + v.dtype.lanes, 0);
  const outside = e.lanes.find((l) => !(Number.isInteger(l) && l >= 0 && l < total));
  if (outside !== undefined) return `lane ${outside} of ${total}`;
  if (e.lanes.length !== e.dtype.lanes) return `${e.lanes.length} lanes for ${typeText(e.dtype)}`;
  return e.vectors.every((v) => v.dtype.scalar === e.dtype.scalar) ? undefined : "vectors of several types";
}
function same(what: string, got: DType, wanted: DType): string | undefined {
  return got === wanted ? undefined : `the ${what} is ${typeText(got)}, not ${typeText(wanted)}`;
}
function scalarIs(got: DType, wanted: DType["scalar"]): string | undefined {
  return got.scalar === wanted ? undefined : `${typeText(got)} where ${wanted} is needed`;
}
function lanes(got: DType, wanted: DType["scalar"], like: DType): string | undefined {
  return scalarIs(got, wanted) ?? (got.lanes === like.lanes ? undefined : `${got.lanes} lanes, not ${like.lanes}`);
}
