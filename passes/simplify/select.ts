/** Selects. The arms were simplified knowing the condition (`expression.ts`). */
import { select } from "../../ir/expr/build.ts";
import type { Select } from "../../ir/expr/expr.ts";
import { sameExpr } from "../analysis/order.ts";
import { isConstant } from "./fold.ts";
import type { Rule } from "./rule.ts";

export const selectRules: readonly Rule<Select>[] = [
  { name: "always", apply: (e) => (isConstant(e.condition, 1) ? e.then : undefined) },
  { name: "never", apply: (e) => (isConstant(e.condition, 0) ? e.otherwise : undefined) },
  { name: "same-arms", apply: (e) => (sameExpr(e.then, e.otherwise) ? e.then : undefined) },
  {
    name: "select-not",
    apply: (e) =>
      e.condition.kind === "unary" && e.condition.op === "not"
        ? select(e.condition.value, e.otherwise, e.then)
        : undefined,
  },
  {
    name: "select-of-truth",
    apply: (e) =>
      e.dtype.scalar === "bool" && e.dtype === e.condition.dtype && isConstant(e.then, 1) && isConstant(e.otherwise, 0)
        ? e.condition
        : undefined,
  },
];
