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
import { simplify } from "./expression.ts";

export interface SimplifyOptions {
  /** Keeps loops of one iteration as loops, for schedules that refer to them. */
  readonly keepUnitLoops?: boolean;
}

/** Simplifies a statement; `ranges` says what is known of the variables around. */
export function simplifyStmt(s: Stmt, ranges: Ranges = noRanges, options: SimplifyOptions = {}): Stmt {
  switch (s.kind) {
    case "for":
      return simplifyFor(s, ranges, options);
    case "block":
      return simplifyBlock(s, ranges, options);
    case "let":
      return simplifyLet(s, ranges, options);
    case "if":
      return simplifyIf(s, ranges, options);
    case "seq":
      return simplifySeq(s, ranges, options);
    case "store":
      return simplifyStore(s, ranges);
    case "allocate": {
      const next = mapChildStmts(s, (c) => simplifyStmt(c, ranges, options));
      return next.kind === "allocate" && isEmpty(next.body) ? emptyStmt : next;
    }
    default:
      return mapChildExprs(s, (e) => simplify(e, ranges));
  }
}
/** Simplifies every function of a program; the same program when nothing changes. */
export function simplifyProgram(p: Program, options: SimplifyOptions = {}): Program {
  return mapBodies(p, (body) => simplifyStmt(body, noRanges, options));
}

const isEmpty = (s: Stmt): boolean => s.kind === "seq" && s.body.length === 0;

function simplifyFor(s: For, ranges: Ranges, options: SimplifyOptions): Stmt {
  const min = simplify(s.min, ranges);
  const extent = simplify(s.extent, ranges);
  if (intervalOf(extent, ranges).max <= 0) return emptyStmt;
  const loop = min === s.min && extent === s.extent ? s : { ...s, min, extent };
  // A loop bound to a GPU axis stays: its extent is the launch size.
  if (constantValue(extent) === 1 && options.keepUnitLoops !== true && s.loopKind !== "thread") {
    const map = new Map([[s.var.id, min]]);
    return simplifyStmt(substituteStmt(s.body, map), ranges, options);
  }
  const inner = withRange(ranges, s.var.id, loopInterval(loop, ranges));
  const body = simplifyStmt(s.body, inner, options);
  if (isEmpty(body)) return emptyStmt;
  return body === s.body ? loop : { ...loop, body };
}
/** Replaces variables that stand outside of the statement. */
const substituteStmt = (s: Stmt, map: ReadonlyMap<VarId, Expr>): Stmt => rewriteExprs(s, (e) => substitute(e, map));
const withRange = (ranges: Ranges, id: VarId, r: Interval): Ranges => new Map(ranges).set(id, r);

function simplifyLet(s: Let, ranges: Ranges, options: SimplifyOptions): Stmt {
  const value = simplify(s.value, ranges);
  if (value.kind === "const" || value.kind === "var")
    return simplifyStmt(substituteStmt(s.body, new Map([[s.var.id, value]])), ranges, options);
  const inner = isFloat(s.var.dtype.scalar) ? ranges : withRange(ranges, s.var.id, intervalOf(value, ranges));
  const body = simplifyStmt(s.body, inner, options);
  if (isEmpty(body)) return emptyStmt;
  return value === s.value && body === s.body ? s : { ...s, value, body };
}
function simplifyIf(s: If, ranges: Ranges, options: SimplifyOptions): Stmt {
  const condition = simplify(s.condition, ranges);
  const known = constantValue(condition);
  if (known === 1) return simplifyStmt(s.then, ranges, options);
  if (known === 0) return s.otherwise ? simplifyStmt(s.otherwise, ranges, options) : emptyStmt;
  const then = simplifyStmt(s.then, assume(ranges, condition), options);
  const denied = negate(condition);
  const otherwise = s.otherwise && simplifyStmt(s.otherwise, denied ? assume(ranges, denied) : ranges, options);
  const kept = otherwise && !isEmpty(otherwise) ? otherwise : undefined;
  if (isEmpty(then) && !kept) return emptyStmt;
  if (condition === s.condition && then === s.then && kept === s.otherwise) return s;
  return { kind: "if", condition, then, ...(kept ? { otherwise: kept } : {}) };
}
function simplifySeq(s: Seq, ranges: Ranges, options: SimplifyOptions): Stmt {
  const body = mapList(s.body, (c) => simplifyStmt(c, ranges, options));
  if (body === s.body && body.length !== 1) return s;
  const flat = body.flatMap((c) => (c.kind === "seq" ? c.body : [c]));
  return flat.length === 1 ? flat[0]! : { kind: "seq", body: flat };
}
function simplifyStore(s: Stmt & { kind: "store" }, ranges: Ranges): Stmt {
  const next = mapChildExprs(s, (e) => simplify(e, ranges));
  if (next.kind !== "store" || next.predicate === undefined || constantValue(next.predicate) === undefined) return next;
  if (constantValue(next.predicate) === 0) return emptyStmt;
  const { predicate: _, ...always } = next;
  return always;
}

/** Bindings and predicate know the loops around; the inside knows that each iteration variable is in 0..extent. */
function simplifyBlock(s: Block, ranges: Ranges, options: SimplifyOptions): Stmt {
  const predicate = s.predicate && simplify(s.predicate, ranges);
  const truth = predicate && constantValue(predicate);
  if (truth === 0) return emptyStmt;
  const iterVars = mapList(s.iterVars, (v) => {
    const extent = simplify(v.extent, ranges);
    return extent === v.extent ? v : { ...v, extent };
  });
  const bindings = mapList(s.bindings, (e) => simplify(e, ranges));
  const inside = insideBlock({ ...s, iterVars, bindings }, ranges, predicate);
  const within = (r: Region): Region => mapRegion(r, (e) => simplify(e, inside));
  const reads = mapList(s.reads, within);
  const writes = mapList(s.writes, within);
  const init = s.init && simplifyStmt(s.init, inside, options);
  const body = simplifyStmt(s.body, inside, options);
  const kept = truth === 1 ? undefined : predicate;
  const same = iterVars === s.iterVars && bindings === s.bindings && reads === s.reads && writes === s.writes;
  if (same && kept === s.predicate && init === s.init && body === s.body) return s;
  const { predicate: _, init: __, ...rest } = s;
  const next = { ...rest, iterVars, bindings, reads, writes, body };
  return { ...next, ...(kept ? { predicate: kept } : {}), ...(init ? { init } : {}) };
}
function insideBlock(b: Block, ranges: Ranges, predicate: Expr | undefined): Ranges {
  const around = predicate ? assume(ranges, predicate) : ranges;
  const inside = new Map(around);
  b.iterVars.forEach((v, k) => {
    const bound = v.var.dtype === indexType ? intervalOf(b.bindings[k]!, around) : undefined;
    const whole = { min: 0, max: intervalOf(v.extent, ranges).max - 1 };
    if (!bound) return;
    const min = Math.max(bound.min, whole.min);
    inside.set(v.var.id, { min, max: Math.max(min, Math.min(bound.max, whole.max)) });
  });
  return inside;
}
