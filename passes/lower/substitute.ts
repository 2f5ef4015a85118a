/** Substitution that folds on the way up: what unrolling and binding leave behind is index arithmetic on constants. */
import { and, binary, compare, constantValue, select } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { mapChildren } from "../../ir/expr/traverse.ts";
import { ifThen, seq } from "../../ir/loop/build.ts";
import type { Stmt } from "../../ir/loop/program.ts";
import { mapChildExprs, mapChildStmts } from "../../ir/loop/traverse.ts";
import type { VarId } from "../../ir/support/ids.ts";

/** What stands for each variable. */
type Substitution = ReadonlyMap<VarId, Expr>;

/** Replaces variables and folds constants above them; subtrees without the variables stay the same object. */
function substituteFolded(e: Expr, map: Substitution): Expr {
  if (e.kind === "var") return map.get(e.id) ?? e;
  const next = mapChildren(e, (c) => substituteFolded(c, map));
  return next === e ? e : refold(next);
}

/** Rebuilds one node through its maker, so that it folds if its operands became constants. */
export function refold(e: Expr): Expr {
  switch (e.kind) {
    case "binary":
      if (e.dtype.scalar === "bool" && e.dtype.lanes === 1) return foldLogic(e.op, e.a, e.b, e);
      return binary(e.op, e.a, e.b);
    case "compare":
      return compare(e.op, e.a, e.b);
    case "select":
      return select(e.condition, e.then, e.otherwise);
    default:
      return e;
  }
}

function foldLogic(op: string, a: Expr, b: Expr, unfolded: Expr): Expr {
  if (op === "and") return and(a, b);
  if (op === "or") {
    const x = constantValue(a);
    const y = constantValue(b);
    if (x === 1 || y === 0) return a;
    if (y === 1 || x === 0) return b;
  }
  return unfolded;
}

/** Replaces variables in every expression of a statement; ifs whose condition became constant vanish. */
export function substituteStmt(s: Stmt, map: Substitution): Stmt {
  if (map.size === 0) return s;
  const inner = mapChildStmts(s, (c) => substituteStmt(c, map));
  const next = mapChildExprs(inner, (e) => substituteFolded(e, map));
  if (next.kind === "if") return ifThen(next.condition, next.then, next.otherwise);
  if (next.kind === "seq" && next !== s) return seq(next.body);
  return next;
}
