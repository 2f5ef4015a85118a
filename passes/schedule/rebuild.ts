/** Rewriting what stands inside a loop: variables, guards, kinds, annotations; what loop primitives share. */
import { and } from "../../ir/expr/build.ts";
import type { Expr, Var } from "../../ir/expr/expr.ts";
import { mapList, substitute } from "../../ir/expr/traverse.ts";
import { ifThen } from "../../ir/loop/build.ts";
import type { Block, For, LoopKind, PrimFunc, Program, Stmt } from "../../ir/loop/program.ts";
import { mapChildExprs, mapChildStmts, rewriteExprs } from "../../ir/loop/traverse.ts";
import { IdSource, type VarId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { fromQuasiAffine, toQuasiAffine } from "../analysis/affine.ts";
import { decide, type Interval, loopInterval, proveTrue, rangesOfLoops } from "../analysis/interval.ts";
import type { LoopRef } from "./primitive.ts";
import { findLoop, pathToLoop, replaceStmt } from "./tree.ts";

/** The loop a handle stands for; primitives run only with live handles. */
export function loopOf(program: Program, ref: LoopRef): For {
  const loop = findLoop(program, ref.id);
  invariant(loop, `loop ${ref.name} is alive`);
  return loop;
}
/** The function a loop stands in. */
export function funcOfLoop(program: Program, ref: LoopRef): PrimFunc {
  const path = pathToLoop(program, ref.id);
  invariant(path, `loop ${ref.name} is alive`);
  return path.func;
}
/** The loops around a loop, outermost first. */
export function loopsOutside(program: Program, ref: LoopRef): For[] {
  const path = pathToLoop(program, ref.id);
  invariant(path, `loop ${ref.name} is alive`);
  return path.stmts.slice(0, -1).filter((s): s is For => s.kind === "for");
}

/** Replaces variables in every expression under `s`. */
export const substituteStmt = (s: Stmt, map: ReadonlyMap<VarId, Expr>): Stmt =>
  rewriteExprs(s, (e) => substitute(e, map));

/** Makes everything under `s` run only where `condition` (over the loops around `s`) holds. */
export function guard(s: Stmt, condition: Expr): Stmt {
  switch (s.kind) {
    case "block": {
      const guarded: Block = { ...s, predicate: s.predicate ? and(s.predicate, condition) : condition };
      return guarded;
    }
    case "store":
    case "evaluate":
    case "parallelCall":
      return ifThen(condition, s);
    default:
      return mapChildStmts(s, (c) => guard(c, condition));
  }
}

/** The variable `name` with a fresh id. */
export const freshVar = (ids: IdSource, like: Var, name: string): Var => ({ ...like, id: ids.fresh(), name });

/** Replaces a loop of the program, with ids from `ids` in use. */
export const withLoop = (program: Program, loop: For, replacement: Stmt, ids: IdSource): Program => ({
  ...replaceStmt(program, loop, replacement),
  nextId: ids.next,
});
/** Gives a loop another kind. */
export function withKind(program: Program, ref: LoopRef, loopKind: LoopKind): Program {
  const loop = loopOf(program, ref);
  return replaceStmt(program, loop, { ...loop, loopKind });
}
/** An id source that goes on where the program's ids end. */
export const idsOf = (program: Program): IdSource => new IdSource(program.nextId);

/** Index expressions below `s` in canonical form, guards that provably hold dropped; `around` are the loops outside. */
export function tidy(s: Stmt, around: readonly For[]): Stmt {
  return tidyIn(s, rangesOfLoops(around));
}
function tidyIn(s: Stmt, ranges: ReadonlyMap<VarId, Interval>): Stmt {
  if (s.kind === "block") return tidyBlock(s, ranges);
  if (s.kind === "if" && decide(s.condition, ranges) === true) return tidyIn(s.then, ranges);
  const here = s.kind === "for" ? mapChildExprs(s, (e) => canonical(e, ranges)) : s;
  const inner = here.kind === "for" ? new Map(ranges).set(here.var.id, loopInterval(here, ranges)) : ranges;
  return mapChildStmts(here, (c) => tidyIn(c, inner));
}
function tidyBlock(b: Block, ranges: ReadonlyMap<VarId, Interval>): Block {
  const bindings = mapList(b.bindings, (e) => canonical(e, ranges));
  const { predicate, ...bare } = b;
  const kept = predicate && dropProven(predicate, ranges);
  if (bindings === b.bindings && kept === predicate) return b;
  return kept ? { ...bare, bindings, predicate: kept } : { ...bare, bindings };
}
const canonical = (e: Expr, ranges: ReadonlyMap<VarId, Interval>): Expr =>
  e.kind === "const" || e.kind === "var" ? e : fromQuasiAffine(toQuasiAffine(e, ranges));

/** The terms of a conjunction. */
export const conjuncts = (e: Expr): Expr[] =>
  e.kind === "binary" && e.op === "and" ? [...conjuncts(e.a), ...conjuncts(e.b)] : [e];
/** A condition less the terms that provably hold; undefined when all do. */
export function dropProven(condition: Expr, ranges: ReadonlyMap<VarId, Interval>): Expr | undefined {
  const terms = conjuncts(condition);
  const open = terms.filter((t) => !proveTrue(t, ranges));
  if (open.length === terms.length) return condition;
  return open.length === 0 ? undefined : open.reduce(and);
}
