import type { Expr } from "../expr/expr.ts";
import type { PrimFunc, Program, Stmt } from "../loop/program.ts";
import type { Place } from "./walk.ts";

/** One broken rule: what is wrong, and at which statement (or function). */
export interface VerifyIssue {
  readonly rule: string;
  readonly message: string;
  readonly at: Stmt | { readonly kind: "function"; readonly name: string };
  /** The expression in question, somewhere in `at`. */
  readonly expr?: Expr;
}
export type Report = (message: string, at: Place | PrimFunc | Stmt) => void;

/** A rule of well-formedness. `doc` says in one sentence what must hold. */
export interface VerifyRule {
  readonly name: string;
  readonly doc: string;
  readonly check: (program: Program, report: Report) => void;
}

/** The expression at a place, if it is one of an expression. */
export const exprOf = (at: Place | PrimFunc | Stmt): Expr | undefined => ("guarded" in at ? at.expr : undefined);
/** The place as an issue gives it. */
export function placeOf(at: Place | PrimFunc | Stmt): VerifyIssue["at"] {
  if ("kind" in at) return at;
  if ("func" in at) return at.stmt ?? { kind: "function", name: at.func.name };
  return { kind: "function", name: at.name };
}
