/** Minimum and maximum of integers. Floats keep their operand order, for a NaN chooses the second. */
import { binary, constant } from "../../ir/expr/build.ts";
import { indexType, isFloat } from "../../ir/expr/dtype.ts";
import type { Binary, Expr } from "../../ir/expr/expr.ts";
import { binaryFunction } from "../../ir/interp/arithmetic.ts";
import { addScaled, boundsOfForm, mayWrap, recombine, splitSum } from "../analysis/affine.ts";
import { boundsOf, type Interval, type Ranges, subIntervals } from "../analysis/bounds.ts";
import { compareExprs, sameExpr } from "../analysis/order.ts";
import { foldBinary } from "./fold.ts";
import type { Rule } from "./rule.ts";

const other = { min: "max", max: "min" } as const;
const integral = (e: Expr): boolean => !isFloat(e.dtype.scalar);
const extreme = (e: Expr): e is Binary & { op: "min" | "max" } =>
  e.kind === "binary" && (e.op === "min" || e.op === "max");

/** The bounds of a - b for canonical operands. */
export function difference(a: Expr, b: Expr, ranges: Ranges): Interval {
  if (a.dtype === indexType) {
    const d = recombine(addScaled(splitSum(a), splitSum(b), -1), ranges);
    if (!mayWrap(d, ranges)) return boundsOfForm(d, ranges);
  }
  return subIntervals(boundsOf(a, ranges), boundsOf(b, ranges));
}

export const minmaxRules: readonly Rule<Binary>[] = [
  foldBinary,
  { name: "same", apply: (e) => (sameExpr(e.a, e.b) ? e.b : undefined) },
  {
    name: "ordered-by-bounds",
    apply: (e, { ranges }) => {
      if (!integral(e)) return undefined;
      const d = difference(e.a, e.b, ranges);
      if (d.max <= 0) return e.op === "min" ? e.a : e.b;
      return d.min >= 0 ? (e.op === "min" ? e.b : e.a) : undefined;
    },
  },
  {
    name: "constant-right",
    apply: (e) =>
      integral(e) && compareExprs(e.a, e.b) > 0 && !(extreme(e.a) && e.a.op === e.op)
        ? binary(e.op, e.b, e.a)
        : undefined,
  },
  {
    name: "join-constants",
    apply: (e, { simplify }) => {
      if (!integral(e) || e.b.kind !== "const" || !extreme(e.a) || e.a.op !== e.op) return undefined;
      if (e.a.b.kind !== "const") return undefined;
      const joined = constant(e.dtype, binaryFunction(e.op, e.dtype.scalar)(e.a.b.value, e.b.value));
      return simplify(binary(e.op, e.a.a, joined));
    },
  },
  {
    // min(min(a, b), a) = min(a, b); min(max(a, b), a) = a.
    name: "absorb",
    apply: (e) => {
      if (!integral(e)) return undefined;
      return absorbs(e.op, e.a, e.b) ?? absorbs(e.op, e.b, e.a);
    },
  },
];
function absorbs(op: Binary["op"], nested: Expr, single: Expr): Expr | undefined {
  if (!extreme(nested) || (op !== "min" && op !== "max")) return undefined;
  if (!sameExpr(nested.a, single) && !sameExpr(nested.b, single)) return undefined;
  return nested.op === op ? nested : nested.op === other[op] ? single : undefined;
}
