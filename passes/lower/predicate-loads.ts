/**
 * Makes every select safe to evaluate eagerly: the condition joins the predicates of the loads in the chosen arm, the
 * negated condition those of the other one, so that no load happens where its value is not chosen. Loads of elements
 * that exist in any case stay as they are.
 */
import { and, bool, broadcast, constantValue, not } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { mapChildren, some } from "../../ir/expr/traverse.ts";
import type { Stmt } from "../../ir/loop/program.ts";
import { mapChildExprs, mapChildStmts } from "../../ir/loop/traverse.ts";
import { loopInterval, type Ranges } from "../analysis/interval.ts";
import { liesInside } from "./unmask-loads.ts";

/** Pushes select conditions into the loads of their arms. */
export function predicateLoads(root: Stmt): Stmt {
  const go = (s: Stmt, ranges: Ranges): Stmt => {
    const inside = s.kind === "for" ? new Map(ranges).set(s.var.id, loopInterval(s, ranges)) : ranges;
    const inner = mapChildStmts(s, (c) => go(c, inside));
    return mapChildExprs(inner, (e) => guard(e, undefined, ranges));
  };
  return go(root, new Map());
}

const hasLoad = (e: Expr): boolean => some(e, (n) => n.kind === "load");

/** Rewrites `e`, whose value matters only where `condition` holds. */
function guard(e: Expr, condition: Expr | undefined, ranges: Ranges): Expr {
  if (e.kind === "select" && (hasLoad(e.then) || hasLoad(e.otherwise))) {
    const chosen = guard(e.condition, condition, ranges);
    const then = guard(e.then, conjunction(condition, e.condition), ranges);
    const otherwise = guard(e.otherwise, conjunction(condition, negation(e.condition)), ranges);
    const same = chosen === e.condition && then === e.then && otherwise === e.otherwise;
    return same ? e : { ...e, condition: chosen, then, otherwise };
  }
  const inner = mapChildren(e, (c) => guard(c, condition, ranges));
  if (inner.kind !== "load" || !condition || liesInside(inner, ranges)) return inner;
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
