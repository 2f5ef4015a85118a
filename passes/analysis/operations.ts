/** Arithmetic that a statement does: the numerator of arithmetic intensity and of GFLOP/s. */
import type { Expr } from "../../ir/expr/expr.ts";
import { children, some } from "../../ir/expr/traverse.ts";
import type { For, Let, Stmt, Store } from "../../ir/loop/program.ts";
import { accessesIn } from "./accesses.ts";
import { type Runs, runsOf } from "./footprint.ts";

/**
 * Operations on elements that one run of `s` does, the loops around in the middle of theirs: additions, products,
 * maxima, functions … one each, a fused multiply-add two, on every lane. Indices, comparisons and choices do not count.
 */
export function operationsOf(s: Stmt, around: readonly For[] = []): Runs {
  const counted = new Set<Stmt>();
  let [count, exact] = [0, true];
  const add = (stmt: Store | Let, loops: readonly For[], conditions: readonly Expr[]): void => {
    counted.add(stmt);
    const each = operations(stmt.value);
    if (each === 0) return;
    const runs = runsOf(loops, conditions, around);
    count += each * runs.count;
    exact &&= runs.exact;
  };
  for (const a of accessesIn(s)) {
    for (const p of a.path)
      if (p.kind === "let" && !counted.has(p)) add(p, a.loops.slice(0, loopsBefore(a.path, p)), a.conditions);
    if (a.stmt.kind === "store" && a.kind !== "read" && !counted.has(a.stmt)) add(a.stmt, a.loops, a.conditions);
  }
  return { count, exact };
}
const loopsBefore = (path: readonly Stmt[], s: Stmt): number =>
  path.slice(0, path.indexOf(s)).filter((p) => p.kind === "for").length;

const uncounted: ReadonlySet<string> = new Set(["not", "isnan", "isinf"]);
/** Operations of one evaluation. */
function operations(e: Expr): number {
  if (e.kind === "load") return 0;
  const inner = children(e).reduce((n, c) => n + operations(c), 0);
  return inner === 0 && !holdsData(e) ? 0 : inner + own(e) * e.dtype.lanes;
}
function own(e: Expr): number {
  if (e.dtype.scalar === "bool" || !holdsData(e)) return 0;
  if (e.kind === "binary") return 1;
  if (e.kind === "unary") return uncounted.has(e.op) ? 0 : 1;
  if (e.kind === "vectorReduce") return e.value.dtype.lanes - 1;
  return e.kind === "call" && e.callee === "fma" ? 2 : 0;
}
const holdsData = (e: Expr): boolean => some(e, (n) => n.kind === "load");
