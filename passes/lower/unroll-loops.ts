/**
 * Replaces `unrolled` loops of constant extent by copies of their body. A loop whose copies would exceed
 * `maxUnrolledNodes` nodes stays a serial loop: code that large no longer fits the instruction cache.
 */
import { add, call, constantValue, index } from "../../ir/expr/build.ts";
import { boolType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { children } from "../../ir/expr/traverse.ts";
import { evaluate, letIn, seq } from "../../ir/loop/build.ts";
import type { For, Stmt } from "../../ir/loop/program.ts";
import { childExprs, childStmts, mapChildStmts } from "../../ir/loop/traverse.ts";
import type { IdSource, VarId } from "../../ir/support/ids.ts";
import { substituteStmt } from "./substitute.ts";

/** Upper bound of statements and expression nodes that one loop may unroll to. */
const maxUnrolledNodes = 150_000;

/** Unrolls every loop marked so within `s`, inner loops first. */
export function unrollLoops(s: Stmt, ids: IdSource): Stmt {
  const inner = mapChildStmts(s, (c) => unrollLoops(c, ids));
  return inner.kind === "for" && inner.loopKind === "unrolled" ? unroll(inner, ids) : inner;
}

function unroll(loop: For, ids: IdSource): Stmt {
  const extent = constantValue(loop.extent);
  if (extent === undefined || extent * nodeCount(loop.body) > maxUnrolledNodes) return { ...loop, loopKind: "serial" };
  const copies: Stmt[] = [];
  for (let i = 0; i < extent; i++) {
    const body = i === 0 ? loop.body : renameLocals(loop.body, ids);
    copies.push(substituteStmt(body, new Map([[loop.var.id, add(loop.min, index(i))]])));
    if (loop.annotations?.schedule_barrier === true) copies.push(evaluate(call("scheduleBarrier", [], boolType)));
  }
  return seq(copies);
}

/** Gives the loops and lets within a copy variables of their own, so that an id is bound once in a function. */
export function renameLocals(s: Stmt, ids: IdSource): Stmt {
  if (s.kind === "for") {
    const fresh = { ...s.var, id: ids.fresh<"var">() };
    const body = substituteStmt(renameLocals(s.body, ids), new Map<VarId, Expr>([[s.var.id, fresh]]));
    return { ...s, var: fresh, body };
  }
  if (s.kind === "let") {
    const fresh = { ...s.var, id: ids.fresh<"var">() };
    return letIn(fresh, s.value, substituteStmt(renameLocals(s.body, ids), new Map<VarId, Expr>([[s.var.id, fresh]])));
  }
  return mapChildStmts(s, (c) => renameLocals(c, ids));
}

function nodeCount(s: Stmt): number {
  return 1 + sum(childStmts(s), nodeCount) + sum(childExprs(s), exprNodes);
}
function exprNodes(e: Expr): number {
  return 1 + sum(children(e), exprNodes);
}
const sum = <T>(list: readonly T[], f: (item: T) => number): number => list.reduce((n, item) => n + f(item), 0);
