/**
 * Makes every select safe to evaluate eagerly: the condition joins the predicates of the loads in the chosen arm, the
 * negated condition those of the other one, so that no load happens where its value is not chosen.
 */
import { and, bool, broadcast, constantValue, not } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { mapChildren, some } from "../../ir/expr/traverse.ts";
import type { Stmt } from "../../ir/loop/program.ts";
import { rewriteExprs } from "../../ir/loop/traverse.ts";

/** Pushes select conditions into the loads of their arms. */
export const predicateLoads = (s: Stmt): Stmt => rewriteExprs(s, (e) => guard(e, undefined));

const hasLoad = (e: Expr): boolean => some(e, (n) => n.kind === "load");

/** Rewrites `e`, whose value matters only where `condition` holds. */
function guard(e: Expr, condition: Expr | undefined): Expr {
  if (e.kind === "select" && (hasLoad(e.then) || hasLoad(e.otherwise))) {
    const chosen = guard(e.condition, condition);
    const then = guard(e.then, conjunction(condition, e.condition));
    const otherwise = guard(e.otherwise, conjunction(condition, negation(e.condition)));
    const same = chosen === e.condition && then === e.then && otherwise === e.otherwise;
    return same ? e : { ...e, condition: chosen, then, otherwise };
  }
  const inner = mapChildren(e, (c) => guard(c, condition));
  if (inner.kind !== "load" || !condition) return inner;
  return { ...inner, predicate: conjunction(inner.predicate, condition) };
}

/** Both, with lanes made equal. */
export function conjunction(a: Expr | undefined, b: Expr): Expr {
  if (!a) return b;
  if (a.dtype.lanes === b.dtype.lanes) return and(a, b);
  const lanes = Math.max(a.dtype.lanes, b.dtype.lanes);
  return and(widened(a, lanes), widened(b, lanes));
}
const widened = (e: Expr, lanes: number): Expr => (e.dtype.lanes === lanes ? e : broadcast(e, lanes));

function negation(e: Expr): Expr {
  const value = e.dtype.lanes === 1 ? constantValue(e) : undefined;
  return value === undefined ? not(e) : bool(value === 0);
}
