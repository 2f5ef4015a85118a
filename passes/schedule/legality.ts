/**
 * What the loop primitives ask about a program: which statements meet in the same elements, and for which loops such a
 * meeting means the same iteration. Blocks keep what their iteration variables and regions say (`contracts.ts` checks
 * it); what regions and bindings alone do not exclude is left to the dependence analysis.
 */
import { constantValue } from "../../ir/expr/build.ts";
import { isFloat } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr } from "../../ir/expr/expr.ts";
import { freeVars, substitute, visit } from "../../ir/expr/traverse.ts";
import { declaredCombiner } from "../../ir/loop/combine.ts";
import type { Block, For, IterKind, MathPolicy, Region, Stmt } from "../../ir/loop/program.ts";
import { childExprs, childStmts, visitStmt } from "../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import type { Dependence } from "../analysis/dependence.ts";
import { coversAccesses } from "./contracts.ts";
import { type Coordinate, forcedEqual, growsWithLoops, type IterationContext } from "./iteration.ts";
import { outermostBlocksIn } from "./tree.ts";

/** One touch of a buffer, in terms of the loops around the statement. */
interface Touch {
  readonly buffer: Buffer;
  readonly write: boolean;
  readonly at: readonly Coordinate[];
}
/** A block, or a statement outside of blocks, with the loops of the analysed tree around it. */
export interface Instance {
  readonly stmt: Stmt;
  readonly loops: readonly For[];
  readonly touches: readonly Touch[];
}
/** Everything that runs under `root`. */
export interface Nest {
  readonly root: Stmt;
  /** Loops around `root`, outermost first. */
  readonly around: readonly For[];
  readonly instances: readonly Instance[];
  /** Variables that `root` or a statement within binds. */
  readonly bound: ReadonlySet<VarId>;
  /** Buffers allocated within. */
  readonly own: ReadonlySet<BufferId>;
  /** Loops taken to be at one iteration: what is asked holds for each of their iterations. */
  readonly held: ReadonlySet<VarId>;
}

/** Collects what runs under `root`, in execution order; `around` are the loops around it, outermost first. */
export function nestOf(root: Stmt, around: readonly For[] = []): Nest {
  const instances: Instance[] = [];
  const bound = new Set<VarId>();
  const own = new Set<BufferId>();
  const go = (s: Stmt, loops: readonly For[]): void => {
    if (s.kind === "allocate") own.add(s.buffer.id);
    if (s.kind === "for" || s.kind === "let") bound.add(s.var.id);
    const touches = s.kind === "block" ? touchesOfBlock(s) : touchesOfStmt(s);
    if (touches.length > 0 || s.kind === "block") instances.push({ stmt: s, loops, touches });
    if (s.kind === "block") return;
    const inner = s.kind === "for" ? [...loops, s] : loops;
    for (const c of childStmts(s)) go(c, inner);
  };
  go(root, []);
  return { root, around, instances, bound, own, held: new Set() };
}
function touchesOfBlock(b: Block): Touch[] {
  const map = new Map(b.iterVars.map((v, i) => [v.var.id, b.bindings[i]!]));
  const touch = (write: boolean) => (r: Region) => ({
    buffer: r.buffer,
    write,
    at: r.ranges.map((q) => ({
      min: substitute(q.min, map),
      extent: constantValue(q.extent) ?? Number.POSITIVE_INFINITY,
    })),
  });
  const outer = [...b.bindings, ...(b.predicate ? [b.predicate] : [])].flatMap(loadsIn);
  const touches = [...outer, ...b.reads.map(touch(false)), ...b.writes.map(touch(true))];
  return coversAccesses(b) ? touches : touches.map(anywhere);
}
/** The same touch of any element: where regions do not prove what a block touches. */
const anywhere = (t: Touch): Touch => ({
  ...t,
  at: t.at.map(({ min }) => ({ min, extent: Number.POSITIVE_INFINITY })),
});
function touchesOfStmt(s: Stmt): Touch[] {
  const point = (e: Expr): Coordinate => ({ min: e, extent: 1 });
  const loads = childExprs(s).flatMap(loadsIn);
  if (s.kind === "store") return [...loads, { buffer: s.buffer, write: true, at: s.indices.map(point) }];
  if (s.kind !== "parallelCall") return loads;
  return s.buffers.map((b) => ({
    buffer: b,
    write: true,
    at: b.shape.map(() => ({ min: s.extent, extent: Number.POSITIVE_INFINITY })),
  }));
}
function loadsIn(e: Expr): Touch[] {
  const found: Touch[] = [];
  visit(e, (n) => {
    if (n.kind === "load")
      found.push({ buffer: n.buffer, write: false, at: n.indices.map((i) => ({ min: i, extent: 1 })) });
  });
  return found;
}

/** How two instances (or two runs of one) meet: the loops, among those asked about, that are then at one iteration. */
export interface Meeting {
  readonly first: Instance;
  readonly second: Instance;
  readonly buffer: Buffer;
  readonly same: ReadonlySet<VarId>;
  /** What the dependence analysis says of it, once it was asked. */
  readonly dependence?: Dependence;
}

/** Every pair of instances under the nest that may touch one element, at least one of them writing. */
export function meetings(nest: Nest): Meeting[] {
  const found: Meeting[] = [];
  nest.instances.forEach((x, i) => {
    for (const y of nest.instances.slice(i)) found.push(...meetingsOf(nest, x, y));
  });
  return found;
}
/** The meetings of two instances (or of two runs of one). */
export function meetingsOf(nest: Nest, x: Instance, y: Instance): Meeting[] {
  const ctx = contextOf(nest, x, y);
  if (x === y && x.stmt.kind === "block") {
    const written = x.stmt.writes.find((w) => !nest.own.has(w.buffer.id));
    if (!written) return [];
    const spatial = points(bindingsOf(x.stmt, ["spatial"]));
    return [{ first: x, second: y, buffer: written.buffer, same: forcedEqual(spatial, spatial, ctx) }];
  }
  const found: Meeting[] = [];
  for (const a of x.touches)
    for (const b of y.touches) {
      if (a.buffer.id !== b.buffer.id || !(a.write || b.write) || nest.own.has(a.buffer.id)) continue;
      found.push({ first: x, second: y, buffer: a.buffer, same: forcedEqual(a.at, b.at, ctx) });
    }
  return found;
}
/** The loops both stand in are compared; the others range freely. */
function contextOf(nest: Nest, x: Instance, y: Instance): IterationContext {
  const common = x.loops.filter((l) => y.loops.includes(l) && !nest.held.has(l.var.id));
  const compared = new Map(common.map((l) => [l.var.id, l]));
  const free = new Map(
    [...x.loops, ...y.loops]
      .filter((l) => !compared.has(l.var.id) && !nest.held.has(l.var.id))
      .map((l) => [l.var.id, l]),
  );
  return { compared, free, isFixed: (id) => nest.held.has(id) || !nest.bound.has(id) };
}
const points = (exprs: readonly Expr[]): Coordinate[] => exprs.map((min) => ({ min, extent: 1 }));

/** The bindings of a block's iteration variables of these kinds. */
export const bindingsOf = (b: Block, kinds: readonly IterKind[]): Expr[] =>
  b.bindings.filter((_, i) => kinds.includes(b.iterVars[i]!.kind));
/** Whether one of these expressions holds the variable. */
export const dependsOn = (exprs: readonly Expr[], id: VarId): boolean => exprs.some((e) => freeVars(e).has(id));
/** Whether a block has an iteration variable of this kind. */
export const hasKind = (b: Block, kind: IterKind): boolean => b.iterVars.some((v) => v.kind === kind);

/** The loops of the nest around the block whose iterations its bindings tell apart: all, when no instance runs twice. */
export function toldApart(nest: Nest, instance: Instance, kinds: readonly IterKind[]): ReadonlySet<VarId> {
  if (instance.stmt.kind !== "block") return new Set();
  const at = points(bindingsOf(instance.stmt, kinds));
  return forcedEqual(at, at, contextOf(nest, instance, instance));
}
/** Whether the reduction variables are all 0 where the loops of the nest start, and grow with them. */
export function reductionsGrow(nest: Nest, instance: Instance): boolean {
  if (instance.stmt.kind !== "block") return false;
  return growsWithLoops(bindingsOf(instance.stmt, ["reduction"]), contextOf(nest, instance, instance));
}

/** The name of a block, or the kind of another statement. */
export const nameOf = (i: Instance): string => (i.stmt.kind === "block" ? i.stmt.name : `a ${i.stmt.kind} statement`);
/** Words for two instances that meet. */
export function describeMeeting(m: Meeting, loop: string): string {
  const how = m.dependence ? describeDependence(m.dependence) : "";
  if (m.first === m.second)
    return `different iterations of ${loop} run ${nameOf(m.first)} on the same element of ${m.buffer.name}${how}`;
  const touch = m.dependence?.exact ? "touch" : "may touch";
  return `${nameOf(m.first)} and ${nameOf(m.second)} ${touch} the same element of ${m.buffer.name} in different iterations of ${loop}${how}`;
}
/** The kind of a dependence and how far apart its iterations are, where that is one distance. */
export function describeDependence(d: Dependence): string {
  const apart = d.commonLoops.flatMap((l, k) => {
    const n = d.distances[k];
    return n === undefined || n === 0
      ? []
      : [`${n} ${Math.abs(n) === 1 ? "iteration" : "iterations"} of ${l.var.name}`];
  });
  const kind =
    d.kind === "output"
      ? "both write it"
      : d.kind === "flow"
        ? "one reads what the other wrote"
        : "one overwrites what the other read";
  return apart.length > 0 ? ` (${kind}, ${apart.join(" and ")} apart)` : "";
}

/**
 * Whether a meeting is only of one block's instances that store the same value on the same element and that nothing
 * under the nest reads: overlapping tiles.
 */
export function storesTheSame(nest: Nest, m: Meeting): boolean {
  const b = m.first.stmt;
  if (m.first !== m.second || b.kind !== "block" || hasKind(b, "reduction") || hasKind(b, "ordered")) return false;
  const written = new Set(b.writes.map((w) => w.buffer.id));
  return !nest.instances.some((i) => i.touches.some((t) => !t.write && written.has(t.buffer.id)));
}

/**
 * Whether iterations of a block's reduction must stay in order: it accumulates floats under a policy that keeps the order
 * of operations, or updates several results together and does not state that it does so in any order.
 */
export const keepsOrder = (b: Block, math: MathPolicy): boolean =>
  (math === "strict" && b.writes.some((w) => isFloat(w.buffer.dtype.scalar))) || !combinesInAnyOrder(b);
function combinesInAnyOrder(b: Block): boolean {
  const inner = outermostBlocksIn(b.body);
  if (inner.length > 0) return inner.every(combinesInAnyOrder);
  return b.body.kind !== "let" || declaredCombiner(b) === "commutative";
}

/** All loops within a statement, outer ones first; not those inside blocks. */
export function loopsIn(root: Stmt): For[] {
  const found: For[] = [];
  visitStmt(root, (s) => {
    if (s.kind === "for") found.push(s);
    return s.kind !== "block";
  });
  return found;
}
