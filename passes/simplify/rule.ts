/** What a rewrite rule is, and what the tables of one operator family share. */
import type { Expr } from "../../ir/expr/expr.ts";
import type { Stmt } from "../../ir/loop/program.ts";
import type { Ranges } from "../analysis/bounds.ts";

/** What rules may ask for while they rewrite a node whose operands are simplified already. */
export interface RuleContext {
  readonly ranges: Ranges;
  /** Simplifies an expression that a rule made. */
  readonly simplify: (e: Expr) => Expr;
}

/** One named rewrite of nodes of type `Node`: the new node, or undefined when it does not apply. */
export interface Rule<Node extends Expr | Stmt, Result extends Expr | Stmt = Expr> {
  readonly name: string;
  readonly apply: (e: Node, ctx: RuleContext) => Result | undefined;
}

/** The result of the first rule of a table that applies. */
export function firstMatch<Node extends Expr | Stmt, Result extends Expr | Stmt = Expr>(
  rules: readonly Rule<Node, Result>[],
  e: Node,
  ctx: RuleContext,
): Result | undefined {
  for (const r of rules) {
    const next = r.apply(e, ctx);
    if (next !== undefined) return next;
  }
  return undefined;
}
