/** The one place that recurses over every kind of expression. */

import type { VarId } from "../support/ids.ts";
import { assertNever } from "../support/invariant.ts";
import type { Expr } from "./expr.ts";

/** The direct subexpressions, in evaluation order. */
export function children(e: Expr): readonly Expr[] {
  switch (e.kind) {
    case "const":
    case "var":
      return [];
    case "unary":
    case "cast":
    case "broadcast":
    case "vectorReduce":
      return [e.value];
    case "binary":
    case "compare":
      return [e.a, e.b];
    case "select":
      return [e.condition, e.then, e.otherwise];
    case "load":
      return e.predicate ? [...e.indices, e.predicate] : e.indices;
    case "ramp":
      return [e.base, e.stride];
    case "shuffle":
      return e.vectors;
    case "call":
      return e.args;
    default:
      return assertNever(e);
  }
}

/** Rebuilds `e` with `f` applied to its direct subexpressions; the same object when nothing changed. */
export function mapChildren(e: Expr, f: (child: Expr) => Expr): Expr {
  switch (e.kind) {
    case "const":
    case "var":
      return e;
    case "unary":
    case "cast":
    case "broadcast":
    case "vectorReduce": {
      const value = f(e.value);
      return value === e.value ? e : { ...e, value };
    }
    case "binary":
    case "compare": {
      const a = f(e.a);
      const b = f(e.b);
      return a === e.a && b === e.b ? e : { ...e, a, b };
    }
    case "select": {
      const condition = f(e.condition);
      const then = f(e.then);
      const otherwise = f(e.otherwise);
      return condition === e.condition && then === e.then && otherwise === e.otherwise
        ? e
        : { ...e, condition, then, otherwise };
    }
    case "load": {
      const indices = mapList(e.indices, f);
      const predicate = e.predicate && f(e.predicate);
      return indices === e.indices && predicate === e.predicate
        ? e
        : { ...e, indices, ...(predicate ? { predicate } : {}) };
    }
    case "ramp": {
      const base = f(e.base);
      const stride = f(e.stride);
      return base === e.base && stride === e.stride ? e : { ...e, base, stride };
    }
    case "shuffle": {
      const vectors = mapList(e.vectors, f);
      return vectors === e.vectors ? e : { ...e, vectors };
    }
    case "call": {
      const args = mapList(e.args, f);
      return args === e.args ? e : { ...e, args };
    }
    default:
      return assertNever(e);
  }
}

/** Maps a list, giving back the same list when no element changed. */
export function mapList<T>(list: readonly T[], f: (item: T) => T): readonly T[] {
  let changed = false;
  const result = list.map((item) => {
    const next = f(item);
    if (next !== item) changed = true;
    return next;
  });
  return changed ? result : list;
}

/** Rewrites bottom-up: children first, then `f` on the rebuilt node. */
export function rewrite(e: Expr, f: (node: Expr) => Expr): Expr {
  return f(mapChildren(e, (c) => rewrite(c, f)));
}

/** Calls `f` on every node, parents before children; `false` skips the node's children. */
export function visit(e: Expr, f: (node: Expr) => boolean | void): void {
  if (f(e) === false) return;
  for (const c of children(e)) visit(c, f);
}

/** Replaces variables by id; subtrees without them stay the same object. */
export function substitute(e: Expr, map: ReadonlyMap<VarId, Expr>): Expr {
  if (map.size === 0) return e;
  return rewrite(e, (n) => (n.kind === "var" ? (map.get(n.id) ?? n) : n));
}

/** Whether any node satisfies `f`. */
export function some(e: Expr, f: (node: Expr) => boolean): boolean {
  return f(e) || children(e).some((c) => some(c, f));
}

/** The ids of the variables in `e`, each once, in order of first appearance. */
export function freeVars(e: Expr): ReadonlySet<VarId> {
  const ids = new Set<VarId>();
  visit(e, (n) => {
    if (n.kind === "var") ids.add(n.id);
  });
  return ids;
}
