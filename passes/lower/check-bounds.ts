/**
 * Puts a check in front of every access: `checkBounds` ends the function where an index is outside of its buffer, before
 * anything is read or written there. Works on n-d accesses and on flat ones with vector indices and masks; what is masked
 * off, or not chosen by a select, counts as not accessed. Checks that the bounds of the loops and the conditions around
 * decide are left out.
 */
import {
  binary,
  bool,
  broadcast,
  call,
  compare,
  constantValue,
  index,
  not,
  scalarLike,
  select,
} from "../../ir/expr/build.ts";
import { boolType } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr, Load } from "../../ir/expr/expr.ts";
import { children, some } from "../../ir/expr/traverse.ts";
import { evaluate, seq } from "../../ir/loop/build.ts";
import { type CheckSite, withCheckSites } from "../../ir/loop/check-site.ts";
import type { For, PrimFunc, Stmt, Store, StoreOrigin } from "../../ir/loop/program.ts";
import { childExprs, childStmts, mapChildStmts, visitStmt } from "../../ir/loop/traverse.ts";
import type { IdSource } from "../../ir/support/ids.ts";
import { noRanges, type Ranges } from "../analysis/bounds.ts";
import { assume, loopInterval, negate } from "../analysis/interval.ts";
import { factsOf, simplify } from "../simplify/expression.ts";
import { exprKey } from "./linear.ts";
import { conjunction } from "./predicate-loads.ts";
import { liesInside } from "./unmask-loads.ts";
import { renameLocals } from "./unroll-loops.ts";

/** Checks every access of a function whose blocks are lowered; the table of sites stands in its annotations. */
export function checkBounds(func: PrimFunc, ids: IdSource): PrimFunc {
  const checker = new Checker(ids);
  const body = checker.stmt(func.body, { ranges: noRanges, facts: [] });
  return checker.sites.length === 0 ? func : withCheckSites({ ...func, body }, checker.sites);
}

/** What is known where a statement stands. */
interface Context {
  readonly ranges: Ranges;
  readonly facts: readonly Expr[];
}
const where = (c: Context, condition: Expr | undefined): Context =>
  condition === undefined || condition.dtype.lanes > 1
    ? c
    : { ranges: assume(c.ranges, condition), facts: [...c.facts, ...factsOf(condition)] };

/** One access: the conditions under which it happens, outermost first. */
interface Access {
  readonly access: CheckSite["access"];
  readonly buffer: Buffer;
  readonly indices: readonly Expr[];
  readonly conditions: readonly Expr[];
}

class Checker {
  readonly sites: CheckSite[] = [];
  readonly #ids: IdSource;
  #origin: StoreOrigin | undefined;
  constructor(ids: IdSource) {
    this.#ids = ids;
  }

  stmt(s: Stmt, c: Context): Stmt {
    if (s.kind === "for" && s.loopKind === "tensorized") return this.#tensorized(s, c);
    const checks = this.#checks(s, c);
    const inner = this.#children(s, c);
    return checks.length === 0 ? inner : seq([...checks, inner]);
  }
  #children(s: Stmt, c: Context): Stmt {
    if (s.kind === "for") {
      const inside = { ...c, ranges: new Map(c.ranges).set(s.var.id, loopInterval(s, c.ranges)) };
      return mapChildStmts(s, (child) => this.stmt(child, inside));
    }
    if (s.kind !== "if") return mapChildStmts(s, (child) => this.stmt(child, c));
    const then = this.stmt(s.then, where(c, s.condition));
    const otherwise = s.otherwise && this.stmt(s.otherwise, where(c, negate(s.condition)));
    return then === s.then && otherwise === s.otherwise ? s : { ...s, then, ...(otherwise ? { otherwise } : {}) };
  }
  /** An intrinsic is recognized by its nest, which stays as it is: the checks run in a copy of it, in front. */
  #tensorized(s: For, c: Context): Stmt {
    const only = this.#checksOf(s, c);
    return only === undefined ? s : seq([renameLocals(only, this.#ids), s]);
  }
  /** The checks of a nest without its statements. */
  #checksOf(s: Stmt, c: Context): Stmt | undefined {
    const checks = this.#checks(s, c);
    const inside = s.kind === "for" ? { ...c, ranges: new Map(c.ranges).set(s.var.id, loopInterval(s, c.ranges)) } : c;
    const inner = childStmts(s).flatMap((child) => this.#checksOf(child, inside) ?? []);
    if (inner.length > 0) {
      if (s.kind === "for") checks.push({ ...serial(s), body: seq(inner) });
      else if (s.kind === "seq") checks.push(...inner);
      else checks.push(mapChildStmts(s, () => seq(inner)));
    }
    return checks.length === 0 ? undefined : seq(checks);
  }

  /** The checks of what a statement itself accesses, in order of evaluation. */
  #checks(s: Stmt, c: Context): Stmt[] {
    // A hint accesses nothing; a check was checked.
    if (s.kind === "evaluate") return [];
    this.#origin = s.kind === "store" ? s.origin : (firstOrigin(s) ?? this.#origin);
    const found: Access[] = [];
    const mask = s.kind === "store" && s.predicate ? [s.predicate] : [];
    for (const e of childExprs(s)) collect(e, e === mask[0] ? [] : mask, found);
    if (s.kind === "store") found.push({ access: "store", buffer: s.buffer, indices: s.indices, conditions: mask });
    // One check for what is read and then written; it stands where the first of them does.
    const distinct = new Map<string, Access>();
    for (const a of found) {
      const element = `${a.buffer.id}[${a.indices.map(exprKey)}] `;
      // What is accessed in any case needs no check under a condition.
      const key = distinct.has(element) ? element : element + a.conditions.map(exprKey);
      distinct.set(key, { ...(distinct.get(key) ?? a), access: a.access });
    }
    return [...distinct.values()].flatMap((a) => this.#check(a, c) ?? []);
  }
  #check(a: Access, c: Context): Stmt | undefined {
    const known = a.conditions.reduce(where, c);
    const out = outside(a, known);
    if (out === undefined) return undefined;
    const lazy = (value: Expr, otherwise: Expr): Expr =>
      a.conditions.reduceRight((v, condition) => chosen(condition, v, otherwise), value);
    const holds = a.conditions.some(hasLoad) || hasLoad(out);
    const condition = holds ? lazy(out, bool(false)) : a.conditions.reduce<Expr>((all, n) => conjunction(all, n), out);
    const places = a.indices.flatMap((i, d) => [hasLoad(i) ? lazy(i, index(0)) : i, a.buffer.shape[d]!]);
    const site = this.sites.length;
    this.sites.push({
      access: a.access,
      buffer: a.buffer.name,
      dtype: a.buffer.dtype.scalar,
      ...(this.#origin ? { origin: this.#origin } : {}),
    });
    return evaluate(call("checkBounds", [index(site), condition, ...places], boolType));
  }
}
const serial = (s: For): For => {
  const { annotations: _, ...rest } = s;
  return { ...rest, loopKind: "serial" };
};
const hasLoad = (e: Expr): boolean => some(e, (n) => n.kind === "load");

/** The origin of the first store within, for accesses of conditions and bounds. */
function firstOrigin(s: Stmt): StoreOrigin | undefined {
  let first: StoreOrigin | undefined;
  visitStmt(s, (n) => {
    if (n.kind === "store") first ??= (n as Store).origin;
    return first === undefined;
  });
  return first;
}

/** The loads of an expression and the conditions they depend on; a load comes after those that its indices make. */
function collect(e: Expr, conditions: readonly Expr[], found: Access[]): void {
  if (e.kind === "select") {
    collect(e.condition, conditions, found);
    collect(e.then, [...conditions, e.condition], found);
    collect(e.otherwise, [...conditions, negate(e.condition) ?? not(e.condition)], found);
    return;
  }
  if (e.kind !== "load") {
    for (const child of children(e)) collect(child, conditions, found);
    return;
  }
  const own = e.predicate ? [...conditions, e.predicate] : conditions;
  if (e.predicate) collect(e.predicate, conditions, found);
  for (const i of e.indices) collect(i, own, found);
  found.push({ access: "load", buffer: e.buffer, indices: e.indices, conditions: own });
}

/** Where an index is below 0 or beyond its extent; undefined when that is never so. */
function outside(a: Access, c: Context): Expr | undefined {
  const flat: Load = { kind: "load", buffer: a.buffer, indices: a.indices, dtype: a.buffer.dtype };
  if (a.indices.length === 0 || liesInside(flat, c.ranges)) return undefined;
  const parts = a.indices.flatMap((i, d) => {
    const end = constantValue(a.buffer.shape[d]!);
    const extent = end === undefined ? spread(a.buffer.shape[d]!, i.dtype.lanes) : scalarLike(i.dtype, end);
    return [compare("lt", i, scalarLike(i.dtype, 0)), compare("ge", i, extent)];
  });
  const open = parts.map((p) => simplify(p, c.ranges, c.facts)).filter((p) => constantValue(p) !== 0);
  return open.length === 0 ? undefined : open.reduce(either);
}
const spread = (e: Expr, lanes: number): Expr => (lanes === 1 ? e : broadcast(e, lanes));
const alike = (a: Expr, b: Expr): readonly [Expr, Expr] => {
  const lanes = Math.max(a.dtype.lanes, b.dtype.lanes);
  return [a, b].map((e) => (e.dtype.lanes === lanes ? e : broadcast(e, lanes))) as [Expr, Expr];
};
const either = (a: Expr, b: Expr): Expr => binary("or", ...alike(a, b));
function chosen(condition: Expr, then: Expr, otherwise: Expr): Expr {
  const [t, o] = alike(then, otherwise);
  if (condition.dtype.lanes === 1 || t.dtype.lanes === condition.dtype.lanes) return select(condition, t, o);
  return select(condition, broadcast(t, condition.dtype.lanes), broadcast(o, condition.dtype.lanes));
}
