/**
 * Turns blocks into plain statements: iteration variables become their bindings, predicates become ifs, an init runs
 * where all reduction variables are zero. What only blocks know (regions, iteration kinds) is gone afterwards.
 */
import { compare } from "../../ir/expr/build.ts";
import { indexType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { rewrite, some, substitute } from "../../ir/expr/traverse.ts";
import { ifThen, seq } from "../../ir/loop/build.ts";
import type { Block, PrimFunc, Stmt } from "../../ir/loop/program.ts";
import { mapChildStmts, rewriteExprs, rewriteStmt } from "../../ir/loop/traverse.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { rangesOf } from "../schedule/primitive/support-access.ts";
import { type Bounds, conjoin, decide, simplifyIndex } from "../schedule/primitive/support-linear.ts";
import { exprKey } from "./linear.ts";

/** Replaces every block of a function by its statements. */
export function lowerBlocks(func: PrimFunc): PrimFunc {
  const body = lower(func.body, new Map());
  return body === func.body ? func : { ...func, body };
}

function lower(s: Stmt, ranges: ReadonlyMap<VarId, Bounds>): Stmt {
  if (s.kind === "for") {
    const inside = new Map([...ranges, ...rangesOf([s])]);
    return mapChildStmts(s, (c) => lower(c, inside));
  }
  if (s.kind !== "block") return mapChildStmts(s, (c) => lower(c, ranges));
  const map = new Map(s.iterVars.map((v, i) => [v.var.id, simplifyIndex(s.bindings[i]!, ranges)]));
  const bound = (inner: Stmt): Stmt =>
    lower(
      rewriteExprs(inner, (e) => substituteSimplified(e, map, ranges)),
      ranges,
    );
  const init = s.init && initCondition(s, map, ranges, bound(s.init));
  const plain = s.annotations?.nontemporal === true ? pastCaches(bound(s.body)) : bound(s.body);
  const update = s.annotations?.atomic === true ? inOneStep(plain) : plain;
  const body = init ? (startedFrom(init, update) ?? seq([init, update])) : update;
  return s.predicate && decide(s.predicate, ranges) !== 1 ? ifThen(s.predicate, body) : body;
}
const inOneStep = (s: Stmt): Stmt => rewriteStmt(s, (n) => (n.kind === "store" ? { ...n, atomic: true } : n));
const pastCaches = (s: Stmt): Stmt => rewriteStmt(s, (n) => (n.kind === "store" ? { ...n, nontemporal: true } : n));
/** One store instead of two where an element is always set just before its update. */
function startedFrom(init: Stmt, update: Stmt): Stmt | undefined {
  if (init.kind !== "store" || update.kind !== "store" || init.predicate || update.predicate) return undefined;
  const place = elementKey(init.buffer.id, init.indices);
  if (place !== elementKey(update.buffer.id, update.indices)) return undefined;
  const isElement = (e: Expr): boolean => e.kind === "load" && elementKey(e.buffer.id, e.indices) === place;
  const value = rewrite(update.value, (e) => (isElement(e) ? init.value : e));
  const others = some(value, (e) => e.kind === "load" && e.buffer.id === init.buffer.id);
  return others ? undefined : { ...update, value };
}
const elementKey = (id: number, indices: readonly Expr[]): string => `${id}:${indices.map(exprKey).join()}`;
function initCondition(b: Block, map: ReadonlyMap<VarId, Expr>, ranges: ReadonlyMap<VarId, Bounds>, init: Stmt): Stmt {
  const conditions = b.iterVars
    .filter((v) => v.kind === "reduction")
    .map((v) => compare("eq", map.get(v.var.id)!, 0))
    .filter((c) => decide(c, ranges) !== 1);
  const condition = conjoin(conditions);
  return condition ? ifThen(condition, init) : init;
}
/** Substitutes, and simplifies index expressions where they stand as load or store indices. */
function substituteSimplified(e: Expr, map: ReadonlyMap<VarId, Expr>, ranges: ReadonlyMap<VarId, Bounds>): Expr {
  const result = rewrite(substitute(e, map), (n) =>
    n.kind === "load" ? { ...n, indices: n.indices.map((i) => simplifyIndex(i, ranges)) } : n,
  );
  return result.dtype === indexType && result.kind !== "load" ? simplifyIndex(result, ranges) : result;
}
