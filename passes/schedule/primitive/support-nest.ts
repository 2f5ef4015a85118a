/** Where nests stand relative to each other, solving accesses for iteration variables, and regenerating nests. */
import { compare, constantValue, floordiv, variable } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { emptyStmt, forLoop, seq } from "../../../ir/loop/build.ts";
import type { Block, For, IterVar, Program, Seq, Stmt } from "../../../ir/loop/program.ts";
import { mapBodies, mapChildStmts } from "../../../ir/loop/traverse.ts";
import type { BufferId, IdSource, VarId } from "../../../ir/support/ids.ts";
import type { BlockRef, LoopRef, Violation } from "../primitive.ts";
import { blocksIn, findPath, type Path, pathToBlock, pathToLoop } from "../tree.ts";
import { type Access, accessBox, collectAccesses, merged, rangesOf } from "./support-access.ts";
import { type Box, boxesDisjoint, type Span, spanOf } from "./support-box.ts";
import {
  addLinear,
  conjoin,
  constantLinear,
  decide,
  exprOf,
  type Linear,
  linearOf,
  type Ranges,
  scaleLinear,
} from "./support-linear.ts";

/** Two statements below one sequence. */
export interface Fork {
  readonly seq: Seq;
  /** The loops around the sequence. */
  readonly shared: readonly For[];
  /** Positions of the children that hold the first and the second statement. */
  readonly first: number;
  readonly second: number;
}
/** The sequence where two paths part; undefined when one holds the other. */
export function forkOf(a: Path, b: Path): Fork | undefined {
  let k = 0;
  while (k < a.stmts.length && k < b.stmts.length && a.stmts[k] === b.stmts[k]) k++;
  const parent = a.stmts[k - 1];
  if (parent?.kind !== "seq") return undefined;
  const first = parent.body.indexOf(a.stmts[k]!);
  const second = parent.body.indexOf(b.stmts[k]!);
  if (first < 0 || second < 0) return undefined;
  return { seq: parent, shared: loopsOf(a.stmts.slice(0, k)), first, second };
}
export const loopsOf = (stmts: readonly Stmt[]): For[] => stmts.filter((s): s is For => s.kind === "for");

/** The loops of a nest that holds one block and nothing else; undefined for other statements. */
export function soleNest(s: Stmt): { loops: For[]; block: Block } | undefined {
  const loops: For[] = [];
  let at = s;
  while (at.kind === "for" || (at.kind === "seq" && at.body.length === 1)) {
    if (at.kind === "for") loops.push(at);
    at = at.kind === "for" ? at.body : at.body[0]!;
  }
  return at.kind === "block" ? { loops, block: at } : undefined;
}

/** A block alone in a nest, behind the nest of a loop. */
export interface Follower {
  readonly block: Block;
  readonly loop: For;
  readonly fork: Fork;
  /** The loops around the block below the fork. */
  readonly own: readonly For[];
  /** The loops below the fork down to and with `loop`. */
  readonly above: readonly For[];
}
/** The block and the loop whose iterations it is to run in, or why it does not follow them. */
export function followerOf(
  program: Program,
  args: { readonly block: BlockRef; readonly loop: LoopRef },
): Follower | Violation<"found" | "after-loop"> {
  const blockPath = pathToBlock(program, args.block.id);
  const loopPath = pathToLoop(program, args.loop.id);
  const block = blockPath?.stmts.at(-1);
  const loop = loopPath?.stmts.at(-1);
  if (!blockPath || block?.kind !== "block")
    return { rule: "found", because: `there is no block ${args.block.name}`, at: args.block };
  if (!loopPath || loop?.kind !== "for")
    return { rule: "found", because: `there is no loop ${args.loop.name}`, at: args.loop };
  const fork = blockPath.func === loopPath.func ? forkOf(loopPath, blockPath) : undefined;
  const nest = fork && soleNest(fork.seq.body[fork.second]!);
  if (!fork || fork.first >= fork.second || !nest)
    return {
      rule: "after-loop",
      because: `${block.name} does not follow ${loop.var.name} in a nest of its own`,
      at: args.block,
    };
  return { block, loop, fork, own: nest.loops, above: loopsOf(loopPath.stmts).slice(fork.shared.length) };
}

/** How an iteration variable follows from an element's coordinates. */
export type Solution =
  | { readonly kind: "free" }
  /** v = index[dim] - offset. */
  | { readonly kind: "point"; readonly dim: number; readonly offset: number }
  /** v = n·index[high] + index[low] - offset, index[low] in [0, n). */
  | {
      readonly kind: "digits";
      readonly high: number;
      readonly low: number;
      readonly n: number;
      readonly offset: number;
    }
  /** A block over tiles: v = floor((index[dim] - offset) / step). */
  | { readonly kind: "tile"; readonly dim: number; readonly step: number; readonly offset: number };

/**
 * Inverts a point access: every variable that occurs is determined by one dimension (v + k), or by the quotient and the
 * remainder of v + k by one constant. Undefined when the access has another form.
 */
export function solveAccess(
  indices: readonly Expr[],
  vars: readonly IterVar[],
  ranges: Ranges,
): Map<VarId, Solution> | undefined {
  const solved = new Map<VarId, Solution>(vars.map((v) => [v.var.id, { kind: "free" }]));
  const halves = new Map<VarId, { op: string; dim: number; n: number; offset: number }>();
  for (const [dim, e] of indices.entries()) {
    const l = linearOf(e, ranges);
    const terms = [...l.terms.values()];
    if (terms.length === 0) continue;
    const t = terms[0]!;
    if (terms.length > 1 || t.coefficient !== 1) return undefined;
    if (t.atom.kind === "var") {
      if (solved.get(t.atom.id)?.kind !== "free" || halves.has(t.atom.id)) return undefined;
      solved.set(t.atom.id, { kind: "point", dim, offset: l.constant });
      continue;
    }
    const half = l.constant === 0 && t.atom.kind === "binary" ? halfOf(t.atom, ranges) : undefined;
    if (!half || solved.get(half.v)?.kind !== "free") return undefined;
    const other = halves.get(half.v);
    if (!other) {
      halves.set(half.v, { ...half, dim });
      continue;
    }
    if (other.op === half.op || other.n !== half.n || other.offset !== half.offset) return undefined;
    const [high, low] = half.op === "floordiv" ? [dim, other.dim] : [other.dim, dim];
    solved.set(half.v, { kind: "digits", high, low, n: half.n, offset: half.offset });
  }
  for (const v of halves.keys()) if (solved.get(v)?.kind !== "digits") return undefined;
  return solved;
}
function halfOf(e: Expr & { kind: "binary" }, ranges: Ranges) {
  const n = constantValue(e.b);
  const l = linearOf(e.a, ranges);
  const t = [...l.terms.values()][0];
  if (n === undefined || n <= 0 || l.terms.size !== 1 || t?.coefficient !== 1 || t.atom.kind !== "var")
    return undefined;
  if (e.op !== "floordiv" && e.op !== "floormod") return undefined;
  return { op: e.op, v: t.atom.id, n, offset: l.constant };
}
/**
 * Inverts what a block over tiles writes: along each dimension one variable chooses a tile, or none. Undefined where tiles
 * overlap or leave gaps, are shared by dimensions, or differ between the stores.
 */
export function solveTiles(stores: readonly Access[], vars: readonly IterVar[], domain: Ranges) {
  const solved = new Map<VarId, Solution>(vars.map((v) => [v.var.id, { kind: "free" }]));
  for (const [k, a] of stores.entries()) {
    const inner = rangesOf(a.loops);
    const ranges = merged(domain, inner);
    for (const [dim, e] of a.indices.entries()) {
      const span = spanOf(linearOf(e, ranges), inner, ranges);
      const [t, ...others] = span ? [...span.min.terms.values()] : [];
      if (!span || others.length > 0) return undefined;
      if (!t) continue;
      if (t.atom.kind !== "var" || t.coefficient !== span.extent) return undefined;
      const own = solved.get(t.atom.id);
      const tile: Solution = { kind: "tile", dim, step: t.coefficient, offset: span.min.constant };
      const again = own?.kind === "tile" && own.dim === dim && own.step === tile.step && own.offset === tile.offset;
      if (k === 0 ? own?.kind !== "free" : !again) return undefined;
      solved.set(t.atom.id, tile);
    }
  }
  return solved;
}
/** The value of a solved variable at an element. */
export function valueAt(s: Solution, indices: readonly Expr[], ranges: Ranges): Linear {
  if (s.kind === "free") return constantLinear(0);
  const at = (d: number): Linear => linearOf(indices[d]!, ranges);
  if (s.kind === "tile") return tileAt(at(s.dim), s, ranges);
  const value = s.kind === "point" ? at(s.dim) : addLinear(at(s.low), at(s.high), s.n);
  return addLinear(value, constantLinear(-s.offset));
}
const tileAt = (at: Linear, s: Solution & { kind: "tile" }, ranges: Ranges): Linear =>
  linearOf(floordiv(exprOf(addLinear(at, constantLinear(-s.offset))), s.step), ranges);
/** The values of a solved variable over a box; undefined when a bound is unknown. */
export function spanFor(s: Solution, box: Box, extent: number, ranges: Ranges = new Map()): Span | undefined {
  if (s.kind === "free") return { min: constantLinear(0), extent, exact: true };
  const shift = (l: Linear): Linear => addLinear(l, constantLinear(-s.offset));
  if (s.kind === "point") {
    const span = box.spans[s.dim];
    return span && { ...span, min: shift(span.min) };
  }
  if (s.kind === "tile") {
    const span = box.spans[s.dim];
    if (!span) return undefined;
    const min = tileAt(span.min, s, ranges);
    const start = addLinear(span.min, scaleLinear(min, s.step), -1);
    const aligned = start.terms.size === 0 ? start.constant - s.offset : s.step - 1;
    return { min, extent: Math.floor((aligned + span.extent - 1) / s.step) + 1, exact: false };
  }
  const [high, low] = [box.spans[s.high], box.spans[s.low]];
  if (!high || !low) return undefined;
  const start = scaleLinear(high.min, s.n);
  if (high.extent === 1) return { ...low, min: shift(addLinear(start, low.min)) };
  const whole = low.extent >= s.n;
  return { min: shift(start), extent: high.extent * s.n, exact: high.exact && low.exact && whole };
}

/** What a variable of a regenerated nest runs over: [min, min + extent) clipped to the block's domain. */
export interface DomainAxis {
  readonly iter: IterVar;
  readonly min: Linear;
  readonly extent: number;
}
/** A fresh nest around `block` over `axes` (one for each iteration variable, in order), with the guards it needs. */
export function regenerate(ids: IdSource, block: Block, axes: readonly DomainAxis[], outer: Ranges): Stmt {
  const ranges = new Map(outer);
  const loops: { v: ReturnType<typeof variable>; extent: number }[] = [];
  const bindings = axes.map((a) => {
    if (a.extent === 1) return a.min;
    const v = variable(ids, a.iter.var.name);
    loops.push({ v, extent: a.extent });
    ranges.set(v.id, { min: 0, max: a.extent - 1 });
    return addLinear(a.min, linearOf(v, ranges));
  });
  const guards = axes.flatMap((a, i) => {
    const value = exprOf(bindings[i]!);
    return [compare("ge", value, 0), compare("lt", value, a.iter.extent)].filter((c) => decide(c, ranges) !== 1);
  });
  const { predicate: _, ...rest } = block;
  const predicate = conjoin(guards);
  const body: Block = { ...rest, bindings: bindings.map(exprOf), ...(predicate ? { predicate } : {}) };
  return loops.reduceRight<Stmt>((inner, l) => forLoop(l.v, l.extent, inner), body);
}
/** The axis that covers `span` within the variable's domain: the whole domain when that is not larger. */
export function axisOver(iter: IterVar, span: Span | undefined): DomainAxis | undefined {
  const extent = constantValue(iter.extent);
  if (extent === undefined) return undefined;
  if (!span || span.extent >= extent) return { iter, min: constantLinear(0), extent };
  return { iter, min: span.min, extent: span.extent };
}

/** The first access within `statements` of `buffer` (of this kind) whose box may meet `box`. */
export function findConflict(
  statements: readonly Stmt[],
  buffer: BufferId,
  kinds: readonly Access["kind"][],
  box: Box | undefined,
  outer: Ranges,
): Access | undefined {
  for (const s of statements)
    for (const a of collectAccesses(s, (id) => id === buffer))
      if (kinds.includes(a.kind) && !(box && boxesDisjoint(accessBox(a, outer), box, outer))) return a;
  return undefined;
}
/** Replaces statements by identity; `undefined` removes. Emptied loops, sequences and allocations go too. */
export const rewriteAt = (program: Program, changes: ReadonlyMap<Stmt, Stmt | undefined>): Program =>
  mapBodies(program, (body) => rewriteWithin(body, changes));
/** Like `rewriteAt`, within one statement. */
export function rewriteWithin(root: Stmt, changes: ReadonlyMap<Stmt, Stmt | undefined>): Stmt {
  const go = (s: Stmt): Stmt => {
    if (changes.has(s)) return changes.get(s) ?? emptyStmt;
    const next = mapChildStmts(s, go);
    if (next === s) return s;
    if (next.kind === "seq") return seq(next.body);
    const hollow = (next.kind === "for" || next.kind === "allocate") && isEmpty(next.body);
    return hollow ? emptyStmt : next;
  };
  return go(root);
}
const isEmpty = (s: Stmt): boolean => s.kind === "seq" && s.body.length === 0;

/** A block name that is not taken within the program. */
export function freshName(program: Program, wanted: string): string {
  const taken = new Set(blocksIn(program).map((b) => b.name));
  let name = wanted;
  for (let k = 1; taken.has(name); k++) name = `${wanted}_${k}`;
  return name;
}
/** The allocation of a buffer. */
export const pathToAllocation = (p: Program, id: BufferId): Path | undefined =>
  findPath(p, (s) => s.kind === "allocate" && s.buffer.id === id);
