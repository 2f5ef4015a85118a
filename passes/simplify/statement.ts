/** The simplifier of statements and programs: expressions under what loops and conditions say, dead code, unit loops. */
import { constantValue } from "../../ir/expr/build.ts";
import { indexType, isFloat } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { mapList, substitute } from "../../ir/expr/traverse.ts";
import { emptyStmt } from "../../ir/loop/build.ts";
import type { Block, For, If, Let, Program, Region, Seq, Stmt } from "../../ir/loop/program.ts";
import { mapBodies, mapChildExprs, mapChildStmts, mapRegion, rewriteExprs } from "../../ir/loop/traverse.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { type Interval, noRanges, type Ranges } from "../analysis/bounds.ts";
import { assume, intervalOf, loopInterval, negate } from "../analysis/interval.ts";
import { factsOf, simplify } from "./expression.ts";

export interface SimplifyOptions {
  /** Keeps loops of one iteration as loops, for schedules that refer to them. */
  readonly keepUnitLoops?: boolean;
}

/** What is known where a statement stands. */
interface Context {
  readonly ranges: Ranges;
  readonly facts: readonly Expr[];
  readonly options: SimplifyOptions;
}
/** Simplifies a statement; `ranges` says what is known of the variables around. */
export function simplifyStmt(s: Stmt, ranges: Ranges = noRanges, options: SimplifyOptions = {}): Stmt {
  return statement(s, { ranges, facts: [], options });
}
function statement(s: Stmt, c: Context): Stmt {
  switch (s.kind) {
    case "for":
      return simplifyFor(s, c);
    case "block":
      return simplifyBlock(s, c);
    case "let":
      return simplifyLet(s, c);
    case "if":
      return simplifyIf(s, c);
    case "seq":
      return simplifySeq(s, c);
    case "store":
      return simplifyStore(s, c);
    case "allocate": {
      const next = mapChildStmts(s, (child) => statement(child, c));
      return next.kind === "allocate" && isEmpty(next.body) ? emptyStmt : next;
    }
    default:
      return mapChildExprs(s, (e) => expression(e, c));
  }
}
/** Simplifies every function of a program; the same program when nothing changes. */
export function simplifyProgram(p: Program, options: SimplifyOptions = {}): Program {
  return mapBodies(p, (body) => simplifyStmt(body, noRanges, options));
}

const isEmpty = (s: Stmt): boolean => s.kind === "seq" && s.body.length === 0;

function simplifyFor(s: For, around: Context): Stmt {
  // An intrinsic is recognized by its nest, all loops of it.
  const c = s.loopKind === "tensorized" ? { ...around, options: { ...around.options, keepUnitLoops: true } } : around;
  const min = expression(s.min, c);
  const extent = expression(s.extent, c);
  if (intervalOf(extent, c.ranges).max <= 0) return emptyStmt;
  const loop = min === s.min && extent === s.extent ? s : { ...s, min, extent };
  // A loop bound to a GPU axis stays: its extent is the launch size.
  if (constantValue(extent) === 1 && c.options.keepUnitLoops !== true && s.loopKind !== "thread") {
    const map = new Map([[s.var.id, min]]);
    return statement(substituteStmt(s.body, map), c);
  }
  const body = statement(s.body, withRange(c, s.var.id, loopInterval(loop, c.ranges)));
  if (isEmpty(body)) return emptyStmt;
  return body === s.body ? loop : { ...loop, body };
}
/** Replaces variables that stand outside of the statement. */
const substituteStmt = (s: Stmt, map: ReadonlyMap<VarId, Expr>): Stmt => rewriteExprs(s, (e) => substitute(e, map));
const withRange = (c: Context, id: VarId, r: Interval): Context => ({ ...c, ranges: new Map(c.ranges).set(id, r) });
/** What is known where a condition holds. */
const where = (c: Context, condition: Expr | undefined): Context =>
  condition ? { ...c, ranges: assume(c.ranges, condition), facts: [...c.facts, ...factsOf(condition)] } : c;
const expression = (e: Expr, c: Context): Expr => simplify(e, c.ranges, c.facts);

function simplifyLet(s: Let, c: Context): Stmt {
  const value = expression(s.value, c);
  if (value.kind === "const" || value.kind === "var")
    return statement(substituteStmt(s.body, new Map([[s.var.id, value]])), c);
  const inner = isFloat(s.var.dtype.scalar) ? c : withRange(c, s.var.id, intervalOf(value, c.ranges));
  const body = statement(s.body, inner);
  if (isEmpty(body)) return emptyStmt;
  return value === s.value && body === s.body ? s : { ...s, value, body };
}
function simplifyIf(s: If, c: Context): Stmt {
  const condition = expression(s.condition, c);
  const known = constantValue(condition);
  if (known === 1) return statement(s.then, c);
  if (known === 0) return s.otherwise ? statement(s.otherwise, c) : emptyStmt;
  const then = statement(s.then, where(c, condition));
  const otherwise = s.otherwise && statement(s.otherwise, where(c, negate(condition)));
  const kept = otherwise && !isEmpty(otherwise) ? otherwise : undefined;
  if (isEmpty(then) && !kept) return emptyStmt;
  if (condition === s.condition && then === s.then && kept === s.otherwise) return s;
  return { kind: "if", condition, then, ...(kept ? { otherwise: kept } : {}) };
}
function simplifySeq(s: Seq, c: Context): Stmt {
  const body = mapList(s.body, (child) => statement(child, c));
  if (body === s.body && body.length !== 1) return s;
  const flat = body.flatMap((c) => (c.kind === "seq" ? c.body : [c]));
  return flat.length === 1 ? flat[0]! : { kind: "seq", body: flat };
}
function simplifyStore(s: Stmt & { kind: "store" }, c: Context): Stmt {
  const next = mapChildExprs(s, (e) => expression(e, c));
  if (next.kind !== "store" || next.predicate === undefined || constantValue(next.predicate) === undefined) return next;
  if (constantValue(next.predicate) === 0) return emptyStmt;
  const { predicate: _, ...always } = next;
  return always;
}

/** Bindings and predicate know the loops around; the inside knows that each iteration variable is in 0..extent. */
function simplifyBlock(s: Block, c: Context): Stmt {
  const predicate = s.predicate && expression(s.predicate, c);
  const truth = predicate && constantValue(predicate);
  if (truth === 0) return emptyStmt;
  const iterVars = mapList(s.iterVars, (v) => {
    const extent = expression(v.extent, c);
    return extent === v.extent ? v : { ...v, extent };
  });
  const bindings = mapList(s.bindings, (e) => expression(e, c));
  const inside = insideBlock({ ...s, iterVars, bindings }, where(c, predicate));
  const within = (r: Region): Region => mapRegion(r, (e) => expression(e, inside));
  const reads = mapList(s.reads, within);
  const writes = mapList(s.writes, within);
  const init = s.init && statement(s.init, inside);
  const body = statement(s.body, inside);
  const kept = truth === 1 ? undefined : predicate;
  const same = iterVars === s.iterVars && bindings === s.bindings && reads === s.reads && writes === s.writes;
  if (same && kept === s.predicate && init === s.init && body === s.body) return s;
  const { predicate: _, init: __, ...rest } = s;
  const next = { ...rest, iterVars, bindings, reads, writes, body };
  return { ...next, ...(kept ? { predicate: kept } : {}), ...(init ? { init } : {}) };
}
function insideBlock(b: Block, around: Context): Context {
  const ranges = new Map(around.ranges);
  b.iterVars.forEach((v, k) => {
    if (v.var.dtype !== indexType) return;
    const bound = intervalOf(b.bindings[k]!, around.ranges);
    const min = Math.max(bound.min, 0);
    const last = intervalOf(v.extent, around.ranges).max - 1;
    ranges.set(v.var.id, { min, max: Math.max(min, Math.min(bound.max, last)) });
  });
  return { ...around, ranges };
}
