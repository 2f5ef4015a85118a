/**
 * Division and remainder. Of the index type, divisions by constants are normalized in `../analysis/affine.ts`; here are
 * the rules for other types and for what stays: bounds make the result a constant or the numerator itself.
 */
import { binary, scalarLike } from "../../ir/expr/build.ts";
import { isFloat } from "../../ir/expr/dtype.ts";
import type { Binary, Expr } from "../../ir/expr/expr.ts";
import { boundsOf, type Interval, type Ranges } from "../analysis/bounds.ts";
import { isConstant } from "./fold.ts";
import type { Rule } from "./rule.ts";

const isDivision = (e: Binary): boolean => e.op === "div" || e.op === "floordiv";
const isRemainder = (e: Binary): boolean => e.op === "mod" || e.op === "floormod";
const integral = (e: Expr): boolean => !isFloat(e.dtype.scalar);

export const divmodRules: readonly Rule<Binary>[] = [
  { name: "div-one", apply: (e) => (isDivision(e) && isConstant(e.b, 1) ? e.a : undefined) },
  {
    name: "mod-one",
    apply: (e) => (isRemainder(e) && integral(e) && isConstant(e.b, 1) ? scalarLike(e.dtype, 0) : undefined),
  },
  {
    name: "zero-numerator",
    apply: (e) => ((isDivision(e) || isRemainder(e)) && integral(e) && isConstant(e.a, 0) ? e.a : undefined),
  },
  {
    name: "small-numerator",
    apply: (e, { ranges }) => {
      if ((!isDivision(e) && !isRemainder(e)) || !integral(e)) return undefined;
      if (!below(boundsOf(e.a, ranges), boundsOf(e.b, ranges))) return undefined;
      return isDivision(e) ? scalarLike(e.dtype, 0) : e.a;
    },
  },
  {
    name: "divide-once",
    apply: (e, { ranges }) => {
      const r = isDivision(e) && integral(e) ? boundsOf(e, ranges) : undefined;
      return r && r.min === r.max && Number.isFinite(r.min) && noZero(e.b, ranges)
        ? scalarLike(e.dtype, r.min)
        : undefined;
    },
  },
  {
    name: "truncate-is-floor",
    apply: (e, { ranges }) =>
      (e.op === "div" || e.op === "mod") &&
      integral(e) &&
      e.dtype.scalar === "int64" &&
      boundsOf(e.a, ranges).min >= 0 &&
      boundsOf(e.b, ranges).min > 0
        ? binary(e.op === "div" ? "floordiv" : "floormod", e.a, e.b)
        : undefined,
  },
];
const below = (x: Interval, y: Interval): boolean => x.min >= 0 && x.max < y.min;
const noZero = (e: Expr, ranges: Ranges): boolean => {
  const r = boundsOf(e, ranges);
  return r.min > 0 || r.max < 0;
};
