/**
 * Blocks under a loop that keeps only part of its iterations.
 *
 * Note [Narrowed domains]
 * Primitives read what a block computes from the extents of its iteration variables. So where the loops around no longer
 * meet all values of a variable, the variable shrinks to the values that are met, and the block's inside is shifted;
 * where those are no interval (every second tile, say), the loops themselves become the variables. A block that keeps no
 * first iteration of its reduction loses its init, which would never run.
 */
import { add, constantValue, index, mul, sub, variable } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { freeVars, substitute } from "../../../ir/expr/traverse.ts";
import { iterVar } from "../../../ir/loop/build.ts";
import type { Block, For, IterVar, Stmt } from "../../../ir/loop/program.ts";
import { mapChildStmts, mapRegion } from "../../../ir/loop/traverse.ts";
import type { IdSource, VarId } from "../../../ir/support/ids.ts";
import { keyOf } from "../../analysis/order.ts";
import { substituteStmt } from "../rebuild.ts";
import { limitsOf, rangesOf } from "./support-access.ts";
import { boxOf } from "./support-box.ts";
import { conjuncts, linearOf } from "./support-linear.ts";

/** The statement with the domains of its blocks as the loops leave them, or the first block where that is not known. */
export type Narrowed = { readonly stmt: Stmt } | { readonly unknown: Block };

/** Narrows the blocks within `s` whose bindings use one of `changed`; `around` are the loops outside of `s`. */
export function narrowDomains(s: Stmt, around: readonly For[], changed: ReadonlySet<VarId>, ids: IdSource): Narrowed {
  let unknown: Block | undefined;
  const go = (n: Stmt, loops: readonly For[]): Stmt => {
    if (n.kind === "block") {
      if (!n.bindings.some((e) => [...freeVars(e)].some((v) => changed.has(v)))) return n;
      const narrowed = narrowBlock(n, loops, changed, ids);
      unknown ??= narrowed ? undefined : n;
      return narrowed ?? n;
    }
    const inner = n.kind === "for" ? [...loops, n] : loops;
    return mapChildStmts(n, (c) => go(c, inner));
  };
  const stmt = go(s, around);
  return unknown ? { unknown } : { stmt };
}
/**
 * Whether the loops around a block meet every value of its variables, in every combination. Where a producer moved under
 * a loop whose iterations need a part of it, they do not: its domain says what it could compute, and what is not needed
 * is not. Where one loop moves two variables, they meet a diagonal.
 */
export function runsWhole(b: Block, loops: readonly For[]): boolean {
  const ranges = rangesOf(loops);
  const isOwn = b.iterVars.map((v, k) => isOwnLoop(b, k, v, loops));
  const rest = b.iterVars.filter((_, k) => !isOwn[k]);
  const bindings = b.bindings.filter((_, k) => !isOwn[k]);
  const box = boxOf(bindings, ranges, ranges, limitsOf(conjuncts(b.predicate), ranges, ranges));
  return (
    (bindings.length === 0 || box.exact) &&
    rest.every((v, k) => {
      const [span, n] = [box.spans[k], constantValue(v.extent)];
      if (!span || span.min.terms.size > 0 || n === undefined) return false;
      return span.min.constant <= 0 && span.min.constant + span.extent >= n;
    })
  );
}
/** Whether a variable is bound to a loop from 0 of its own extent, which moves no other. */
function isOwnLoop(b: Block, k: number, v: IterVar, loops: readonly For[]): boolean {
  const binding = b.bindings[k]!;
  if (binding.kind !== "var") return false;
  const loop = loops.find((l) => l.var.id === binding.id);
  if (!loop || constantValue(loop.min) !== 0 || keyOf(loop.extent) !== keyOf(v.extent)) return false;
  return !b.bindings.some((e, other) => other !== k && freeVars(e).has(binding.id));
}
function narrowBlock(b: Block, loops: readonly For[], changed: ReadonlySet<VarId>, ids: IdSource): Block | undefined {
  const ranges = rangesOf(loops);
  const used = b.bindings.map((e) => freeVars(e));
  const moved = used.map((u) => [...u].some((v) => changed.has(v)));
  const own = new Set(used.flatMap((u, k) => (moved[k] ? [...u] : [])));
  if ([...own].some((v) => !ranges.has(v))) return undefined;
  if (used.some((u, k) => !moved[k] && [...u].some((v) => own.has(v)))) return undefined;
  const bindings = b.bindings.filter((_, k) => moved[k]);
  const box = boxOf(bindings, ranges, ranges, limitsOf(conjuncts(b.predicate), ranges, ranges));
  if (!box.exact) return rebase(b, loops, own, ids);
  const spans = [...box.spans];
  const met = b.iterVars.map((v, k) => {
    const extent = constantValue(v.extent);
    if (!moved[k]) return undefined;
    const s = spans.shift();
    if (!s || s.min.terms.size > 0 || extent === undefined) return "unknown";
    const lo = Math.max(0, s.min.constant);
    const n = Math.min(extent, s.min.constant + s.extent) - lo;
    return n < 1 ? "unknown" : { lo, extent: n };
  });
  return met.every((m) => m !== "unknown") ? shrink(b, met) : undefined;
}
/** Replaces what stands for iteration variables inside a block. */
function inside(b: Block, map: ReadonlyMap<VarId, Expr>): Pick<Block, "body" | "reads" | "writes" | "init"> {
  const at = (e: Expr): Expr => substitute(e, map);
  return {
    body: substituteStmt(b.body, map),
    reads: b.reads.map((r) => mapRegion(r, at)),
    writes: b.writes.map((r) => mapRegion(r, at)),
    ...(b.init ? { init: substituteStmt(b.init, map) } : {}),
  };
}
/** The values that remain of an iteration variable. */
export interface Met {
  readonly lo: number;
  readonly extent: number;
}
/** Iteration variables with fewer values: [lo, lo + extent) of each; all where undefined. */
export function shrink(b: Block, met: readonly (Met | undefined)[]): Block {
  const map = new Map<VarId, Expr>();
  b.iterVars.forEach((v, k) => {
    const lo = met[k]?.lo ?? 0;
    if (lo > 0) map.set(v.var.id, add(v.var, lo));
  });
  const iterVars = b.iterVars.map((v, k) => iterVar(v.var, met[k]?.extent ?? v.extent, v.kind));
  const bindings = b.bindings.map((e, k) => sub(e, met[k]?.lo ?? 0));
  const late = b.iterVars.some((v, k) => v.kind === "reduction" && (met[k]?.lo ?? 0) > 0);
  const { init, ...rest } = { ...b, ...inside(b, map), iterVars, bindings };
  return init && !late ? { ...rest, init } : rest;
}
/** The loops in the only binding that shares none with another become the variables. */
function rebase(b: Block, loops: readonly For[], changed: ReadonlySet<VarId>, ids: IdSource): Block | undefined {
  const ranges = rangesOf(loops);
  const map = new Map<VarId, Expr>();
  const iterVars: IterVar[] = [];
  const bindings: Expr[] = [];
  for (const [k, v] of b.iterVars.entries()) {
    const binding = b.bindings[k]!;
    const own = freeVars(binding);
    if (![...own].some((x) => changed.has(x))) {
      iterVars.push(v);
      bindings.push(binding);
      continue;
    }
    if (b.bindings.some((e, d) => d !== k && [...freeVars(e)].some((x) => own.has(x)))) return undefined;
    if (v.kind === "ordered" || (v.kind === "reduction" && b.init)) return undefined;
    const l = linearOf(binding, ranges);
    const terms = [...l.terms.values()].sort((x, y) => y.coefficient - x.coefficient);
    let value: Expr = index(l.constant);
    let reach = 0;
    for (const t of [...terms].reverse()) {
      const r = t.atom.kind === "var" ? ranges.get(t.atom.id) : undefined;
      if (!r || t.coefficient <= reach) return undefined;
      reach += t.coefficient * (r.max - r.min);
    }
    for (const t of terms) {
      const r = t.atom.kind === "var" ? ranges.get(t.atom.id)! : { min: 0, max: 0 };
      const u = variable(ids, t.atom.kind === "var" ? t.atom.name : v.var.name);
      iterVars.push(iterVar(u, r.max - r.min + 1, v.kind));
      bindings.push(sub(t.atom, r.min));
      value = add(value, mul(add(u, r.min), t.coefficient));
    }
    map.set(v.var.id, value);
  }
  return map.size === 0 ? undefined : { ...b, ...inside(b, map), iterVars, bindings };
}
