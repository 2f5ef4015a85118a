import type { Expr } from "../../expr/expr.ts";
import type { Stmt } from "../../loop/program.ts";
import { typeText } from "../../text/print-expr.ts";
import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** Conditions of statements are bool; only a vector store's may be a vector. */
export const predicatesBool: VerifyRule = {
  name: "predicates-bool",
  doc: "A condition or predicate is bool, scalar but for stores of vectors.",
  check: (program, report) =>
    walkProgram(program, {
      stmt: (s, place) => {
        const { condition, lanes } = conditionOf(s);
        if (!condition) return;
        const { dtype } = condition;
        if (dtype.scalar !== "bool" || (dtype.lanes !== 1 && dtype.lanes !== lanes)) {
          report(`the condition is ${typeText(dtype)}, not ${lanes === 1 ? "bool" : `boolx${lanes}`}`, place);
        }
      },
    }),
};
function conditionOf(s: Stmt): { condition: Expr | undefined; lanes: number } {
  if (s.kind === "if") return { condition: s.condition, lanes: 1 };
  if (s.kind === "block") return { condition: s.predicate, lanes: 1 };
  if (s.kind === "store") return { condition: s.predicate, lanes: s.value.dtype.lanes };
  return { condition: undefined, lanes: 1 };
}
