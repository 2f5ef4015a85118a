/** The one place that recurses over every kind of statement. */
import type { Expr } from "../expr/expr.ts";
import { mapList } from "../expr/traverse.ts";
import { assertNever } from "../support/invariant.ts";
import type { Block, Program, Range, Region, Stmt } from "./program.ts";

/** The direct substatements, in execution order (a block's init before its body). */
export function childStmts(s: Stmt): readonly Stmt[] {
  switch (s.kind) {
    case "for":
    case "let":
    case "allocate":
      return [s.body];
    case "block":
      return s.init ? [s.init, s.body] : [s.body];
    case "seq":
      return s.body;
    case "if":
      return s.otherwise ? [s.then, s.otherwise] : [s.then];
    case "store":
    case "evaluate":
    case "parallelCall":
      return [];
    default:
      return assertNever(s);
  }
}

/** The expressions a statement itself holds (regions of a block included), not those of its substatements. */
export function childExprs(s: Stmt): readonly Expr[] {
  switch (s.kind) {
    case "for":
      return [s.min, s.extent];
    case "let":
    case "evaluate":
      return [s.value];
    case "if":
      return [s.condition];
    case "store":
      return [...s.indices, s.value, ...(s.predicate ? [s.predicate] : [])];
    case "block":
      return [
        ...s.iterVars.map((v) => v.extent),
        ...s.bindings,
        ...(s.predicate ? [s.predicate] : []),
        ...[...s.reads, ...s.writes].flatMap((r) => r.ranges.flatMap((q) => [q.min, q.extent])),
      ];
    case "parallelCall":
      return [s.extent];
    case "seq":
    case "allocate":
      return [];
    default:
      return assertNever(s);
  }
}

/** Rebuilds `s` with `f` on its direct substatements; the same object when nothing changed. */
export function mapChildStmts(s: Stmt, f: (child: Stmt) => Stmt): Stmt {
  switch (s.kind) {
    case "for":
    case "let":
    case "allocate": {
      const body = f(s.body);
      return body === s.body ? s : { ...s, body };
    }
    case "block": {
      const init = s.init && f(s.init);
      const body = f(s.body);
      return init === s.init && body === s.body ? s : { ...s, body, ...(init ? { init } : {}) };
    }
    case "seq": {
      const body = mapList(s.body, f);
      return body === s.body ? s : { ...s, body: body.flatMap((c) => (c.kind === "seq" ? c.body : [c])) };
    }
    case "if": {
      const then = f(s.then);
      const otherwise = s.otherwise && f(s.otherwise);
      return then === s.then && otherwise === s.otherwise ? s : { ...s, then, ...(otherwise ? { otherwise } : {}) };
    }
    case "store":
    case "evaluate":
    case "parallelCall":
      return s;
    default:
      return assertNever(s);
  }
}

/** Rebuilds `s` with `f` on the expressions it itself holds; the same object when nothing changed. */
export function mapChildExprs(s: Stmt, f: (e: Expr) => Expr): Stmt {
  switch (s.kind) {
    case "for": {
      const min = f(s.min);
      const extent = f(s.extent);
      return min === s.min && extent === s.extent ? s : { ...s, min, extent };
    }
    case "let":
    case "evaluate": {
      const value = f(s.value);
      return value === s.value ? s : { ...s, value };
    }
    case "if": {
      const condition = f(s.condition);
      return condition === s.condition ? s : { ...s, condition };
    }
    case "store": {
      const indices = mapList(s.indices, f);
      const value = f(s.value);
      const predicate = s.predicate && f(s.predicate);
      return indices === s.indices && value === s.value && predicate === s.predicate
        ? s
        : { ...s, indices, value, ...(predicate ? { predicate } : {}) };
    }
    case "block":
      return mapBlockExprs(s, f);
    case "parallelCall": {
      const extent = f(s.extent);
      return extent === s.extent ? s : { ...s, extent };
    }
    case "seq":
    case "allocate":
      return s;
    default:
      return assertNever(s);
  }
}
function mapBlockExprs(b: Block, f: (e: Expr) => Expr): Block {
  const iterVars = mapList(b.iterVars, (v) => {
    const extent = f(v.extent);
    return extent === v.extent ? v : { ...v, extent };
  });
  const bindings = mapList(b.bindings, f);
  const predicate = b.predicate && f(b.predicate);
  const reads = mapList(b.reads, (r) => mapRegion(r, f));
  const writes = mapList(b.writes, (r) => mapRegion(r, f));
  const same =
    iterVars === b.iterVars &&
    bindings === b.bindings &&
    predicate === b.predicate &&
    reads === b.reads &&
    writes === b.writes;
  return same ? b : { ...b, iterVars, bindings, reads, writes, ...(predicate ? { predicate } : {}) };
}
/** Maps the bounds of a region. */
export function mapRegion(r: Region, f: (e: Expr) => Expr): Region {
  const ranges = mapList<Range>(r.ranges, (q) => {
    const min = f(q.min);
    const extent = f(q.extent);
    return min === q.min && extent === q.extent ? q : { min, extent };
  });
  return ranges === r.ranges ? r : { ...r, ranges };
}

/** Rewrites statements bottom-up: children first, then `f` on the rebuilt statement. */
export function rewriteStmt(s: Stmt, f: (s: Stmt) => Stmt): Stmt {
  return f(mapChildStmts(s, (c) => rewriteStmt(c, f)));
}
/** Applies `f` to every expression held by `s` or a statement within (top-level expressions; `f` recurses itself). */
export function rewriteExprs(s: Stmt, f: (e: Expr) => Expr): Stmt {
  return mapChildExprs(
    mapChildStmts(s, (c) => rewriteExprs(c, f)),
    f,
  );
}
/** Calls `f` on every statement, parents before children; `false` skips the children. */
export function visitStmt(s: Stmt, f: (s: Stmt) => boolean | void): void {
  if (f(s) === false) return;
  for (const c of childStmts(s)) visitStmt(c, f);
}
/** Calls `f` on every top-level expression within `s`. */
export function visitExprs(s: Stmt, f: (e: Expr) => void): void {
  visitStmt(s, (n) => {
    for (const e of childExprs(n)) f(e);
  });
}
/** Rewrites the body of every function; the same program when nothing changed. */
export function mapBodies(p: Program, f: (body: Stmt) => Stmt): Program {
  const functions = mapList(p.functions, (fn) => {
    const body = f(fn.body);
    return body === fn.body ? fn : { ...fn, body };
  });
  return functions === p.functions ? p : { ...p, functions };
}
