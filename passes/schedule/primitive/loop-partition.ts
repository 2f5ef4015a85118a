/** loopPartition: a loop is cut where its guards turn true, and loses them in between. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { freeVars, substitute, visit } from "../../../ir/expr/traverse.ts";
import type { For, Program, Stmt } from "../../../ir/loop/program.ts";
import { childExprs, childStmts, mapBodies, mapChildStmts, rewriteStmt } from "../../../ir/loop/traverse.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type Interval, rangesOfLoops } from "../../analysis/interval.ts";
import { simplifyStmt } from "../../simplify/index.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopOf, loopsOutside } from "../rebuild.ts";
import { blockRef, blocksIn, findLoop } from "../tree.ts";
import { blockAccesses } from "./support-access.ts";
import { addLinear, asInequalities, boundsOf, conjuncts, type Ranges } from "./support-linear.ts";
import { type Cut, cutLoop, type Piece } from "./support-pieces.ts";

export interface LoopPartitionArgs {
  readonly loop: LoopRef;
}
type Rule = "serial-loop" | "constant-extent" | "guard-vanishes" | "known-domain";

/** The iterations [from, to) of a loop for which every guard that depends on it alone decides is true. */
function guardFree(loop: For, around: readonly For[], extent: number): { from: number; to: number } | undefined {
  let from = 0;
  let to = extent;
  let found = false;
  for (const { condition, ranges } of guardsIn(loop, around))
    for (const q of asInequalities(condition, ranges) ?? []) {
      const own = [...q.terms.values()].find((t) => t.atom.kind === "var" && t.atom.id === loop.var.id);
      if (!own || [...q.terms.values()].some((t) => t !== own && freeVars(t.atom).has(loop.var.id))) continue;
      const k = own.coefficient;
      const rest = addLinear(q, { terms: new Map([["", own]]), constant: 0 }, 0);
      const others = new Map([...rest.terms].filter(([, t]) => t !== own));
      const top = boundsOf({ terms: others, constant: rest.constant }, ranges).max;
      if (!Number.isFinite(top)) continue;
      const min = constantValue(loop.min) ?? 0;
      // k·i + rest ≤ 0 holds whenever k·i ≤ -top.
      if (k > 0 && Math.floor(-top / k) - min + 1 < to) {
        to = Math.floor(-top / k) - min + 1;
        found = true;
      }
      if (k < 0 && Math.ceil(top / -k) - min > from) {
        from = Math.ceil(top / -k) - min;
        found = true;
      }
    }
  return found && from < to ? { from, to } : undefined;
}
interface Guard {
  readonly condition: Expr;
  readonly ranges: Ranges;
}
/** The comparisons in predicates, ifs and selects under a loop, over loop variables. */
function guardsIn(loop: For, around: readonly For[]): Guard[] {
  const found: Guard[] = [];
  const note = (e: Expr, map: ReadonlyMap<VarId, Expr>, ranges: Ranges): void => {
    for (const condition of conjuncts(substitute(e, map))) found.push({ condition, ranges });
  };
  const go = (s: Stmt, loops: readonly For[], map: ReadonlyMap<VarId, Expr>): void => {
    const ranges: ReadonlyMap<VarId, Interval> = rangesOfLoops(loops);
    if (s.kind === "if") note(s.condition, map, ranges);
    if (s.kind === "block" && s.predicate) note(s.predicate, map, ranges);
    for (const e of childExprs(s))
      visit(e, (n) => {
        if (n.kind === "select") note(n.condition, map, ranges);
      });
    const inner = s.kind === "for" ? [...loops, s] : loops;
    let bound = map;
    if (s.kind === "block") {
      bound = new Map(map);
      for (const [k, v] of s.iterVars.entries())
        (bound as Map<VarId, Expr>).set(v.var.id, substitute(s.bindings[k]!, map));
    }
    for (const c of childStmts(s)) go(c, inner, bound);
  };
  go(loop, around, new Map());
  return found;
}
const pieces = (extent: number, free: { from: number; to: number }): Piece[] => [
  { from: 0, extent: free.from, suffix: "head" },
  { from: free.from, extent: free.to - free.from },
  { from: free.to, extent: extent - free.to, suffix: "tail" },
];

function check(program: Program, { loop: ref }: LoopPartitionArgs): Violation<Rule> | undefined {
  const loop = loopOf(program, ref);
  const refuse = (rule: Rule, because: string, instead?: string): Violation<Rule> => ({
    rule,
    because,
    instead,
    at: ref,
  });
  if (loop.loopKind !== "serial") return refuse("serial-loop", `${ref.name} is ${loop.loopKind}`, "partition first");
  const extent = constantValue(loop.extent);
  if (extent === undefined || constantValue(loop.min) === undefined)
    return refuse("constant-extent", `the bounds of ${ref.name} are not constants`);
  const free = guardFree(loop, loopsOutside(program, ref), extent);
  if (!free || free.to - free.from >= extent)
    return refuse("guard-vanishes", `no guard under ${ref.name} is decided by some of its iterations`);
  const cut = cutLoop(program, ref, pieces(extent, free));
  if (!("unknown" in cut)) return undefined;
  return {
    rule: "known-domain",
    because: `the part of ${cut.unknown.name} that each loop would run is no box`,
    instead: "partition before splitting or fusing",
    at: blockRef(cut.unknown),
  };
}
/** Drops what the narrower loops decide. */
function simplified(cut: Cut, program: Program): Program {
  const made = new Set(cut.loops.map((l) => l.id));
  const around = loopsOutside(program, cut.loops[0]!);
  const go = (s: Stmt): Stmt =>
    s.kind === "for" && made.has(s.var.id)
      ? rewriteStmt(simplifyStmt(s, rangesOfLoops(around), { keepUnitLoops: true }), withoutStaleReads)
      : mapChildStmts(s, go);
  return mapBodies(program, go);
}
/** A block less the regions of buffers that it no longer reads. */
function withoutStaleReads(s: Stmt): Stmt {
  if (s.kind !== "block" || blocksIn(s).length > 1) return s;
  const read = new Set(blockAccesses(s).flatMap((a) => (a.kind === "load" ? [a.buffer.id] : [])));
  const reads = s.reads.filter((r) => read.has(r.buffer.id));
  return reads.length === s.reads.length ? s : { ...s, reads };
}

/** The primitive. */
export const loopPartition = definePrimitive({
  name: "loopPartition",
  doc: "Cuts a loop into the iterations before, within and after those for which its guards provably hold, and drops these guards there; gives the loops in this order.",
  before: "for x in 0..10:\n  P[x] = select(1 <= x && x < 9, A[x - 1], 0)",
  after:
    "for x_head in 0..1:\n  P_head[0] = 0\nfor x in 0..8:\n  P[x + 1] = A[x]\nfor x_tail in 0..1:\n  P_tail[9] = 0",
  rules: {
    "serial-loop": "the loop is serial",
    "constant-extent": "the loop's bounds are constants",
    "guard-vanishes": "some, not all, of the loop's iterations decide a guard",
    "known-domain": "what each block runs in each loop is a box of its iteration variables",
  },
  check,
  rewrite: (program: Program, { loop: ref }: LoopPartitionArgs) => {
    const loop = loopOf(program, ref);
    const extent = constantValue(loop.extent)!;
    const free = guardFree(loop, loopsOutside(program, ref), extent);
    invariant(free, "loopPartition was checked");
    const cut = cutLoop(program, ref, pieces(extent, free));
    invariant(!("unknown" in cut), "loopPartition was checked");
    const next = simplified(cut, cut.program);
    return { program: next, result: cut.loops.filter((l) => findLoop(next, l.id)) };
  },
});
