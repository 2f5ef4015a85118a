/**
 * Drops the masks of loads from local buffers where the store around has the same mask: the lanes are read for nothing,
 * but they exist. A masked access would keep a buffer in memory that could live in registers.
 */
import { constantValue } from "../../ir/expr/build.ts";
import type { Expr, Load } from "../../ir/expr/expr.ts";
import { rewrite } from "../../ir/expr/traverse.ts";
import type { Stmt, Store } from "../../ir/loop/program.ts";
import { mapChildExprs, mapChildStmts } from "../../ir/loop/traverse.ts";
import type { BufferId } from "../../ir/support/ids.ts";
import { intervalOf, loopInterval, type Ranges } from "../analysis/interval.ts";
import { exprKey } from "./linear.ts";

/** Unmasks loads of buffers that are allocated within `root`, where all lanes provably lie inside of them. */
export function unmaskLoads(root: Stmt): Stmt {
  const go = (s: Stmt, ranges: Ranges, local: ReadonlySet<BufferId>): Stmt => {
    if (s.kind === "for") {
      const inside = new Map(ranges).set(s.var.id, loopInterval(s, ranges));
      return mapChildStmts(s, (c) => go(c, inside, local));
    }
    if (s.kind === "allocate") return mapChildStmts(s, (c) => go(c, ranges, new Set(local).add(s.buffer.id)));
    if (s.kind === "store") return s.predicate && local.size > 0 ? unmaskStore(s, ranges, local) : s;
    return mapChildStmts(s, (c) => go(c, ranges, local));
  };
  return go(root, new Map(), new Set());
}

function unmaskStore(s: Store, ranges: Ranges, local: ReadonlySet<BufferId>): Stmt {
  return withoutMask(s, (l) => local.has(l.buffer.id) && liesInside(l, ranges));
}
/** The store with those loads unmasked that have its mask and of which all lanes exist. */
export function withoutMask(s: Store, exists: (l: Load) => boolean): Store {
  const mask = exprKey(s.predicate!);
  const expr = (e: Expr): Expr =>
    rewrite(e, (n) => {
      if (n.kind !== "load" || !n.predicate || exprKey(n.predicate) !== mask || !exists(n)) return n;
      const { predicate: _, ...rest } = n;
      return rest;
    });
  const { predicate, ...rest } = s;
  return { ...(mapChildExprs(rest, expr) as Store), predicate };
}
/** Whether a load of a flat buffer provably reads elements that exist, in all its lanes. */
export function liesInside(l: Load, ranges: Ranges): boolean {
  const [at] = l.indices;
  const count = constantValue(l.buffer.shape[0]!);
  if (l.indices.length !== 1 || count === undefined || !at) return false;
  const base = at.kind === "ramp" ? at.base : at;
  if (base.dtype.lanes !== 1) return false;
  const reach = at.kind === "ramp" ? (constantValue(at.stride) ?? Number.NaN) * (at.dtype.lanes - 1) : 0;
  const { min, max } = intervalOf(base, ranges);
  return min + Math.min(0, reach) >= 0 && max + Math.max(0, reach) < count;
}
