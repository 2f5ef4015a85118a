/**
 * What primitives take a block's word for, checked on its accesses: instances that differ in a spatial variable touch no
 * element that one of them writes, and the read and write regions cover what the body touches. Rewrites of loops keep a
 * block's body, so answers are kept by body.
 */
import { add, compare, constantValue } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { freeVars, visit } from "../../ir/expr/traverse.ts";
import { forLoop } from "../../ir/loop/build.ts";
import type { Block, IterVar, Program, Region, Stmt } from "../../ir/loop/program.ts";
import { childExprs, childStmts, visitStmt } from "../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import type { Access } from "../analysis/access.ts";
import { accessesIn, blockAccesses } from "../analysis/accesses.ts";
import { type Dependence, dependencesAmong } from "../analysis/dependence.ts";
import { assume, type Interval, intervalOf, proveTrue, type Ranges, rangesOfLoops } from "../analysis/interval.ts";
import { sameExpr } from "../analysis/order.ts";

/** A store or load, or an access of the analysis. */
type Indexed = Pick<Access, "buffer" | "indices">;
/** What is known of a block, whatever loops stand around it. */
interface Findings {
  readonly block: Block;
  readonly overlap: Dependence | undefined;
  readonly covers: boolean;
}
const byBody = new WeakMap<Stmt, Findings>();

function findingsOf(b: Block): Findings {
  const last = byBody.get(b.body);
  if (last && sameContract(last.block, b)) return last;
  const findings = isPlain(b) ? { block: b, overlap: undefined, covers: true } : examine(b);
  byBody.set(b.body, findings);
  return findings;
}
function examine(b: Block): Findings {
  const accesses = blockAccesses(b).filter((a) => !isOwn(a));
  return { block: b, overlap: spatialOverlap(b, accesses), covers: regionsCover(b, accesses) };
}
/** Most blocks, seen without the analysis: spatial variables are indices of what is written, regions repeat the indices. */
function isPlain(b: Block): boolean {
  const written = new Map<BufferId, Indexed[]>(b.writes.map((w) => [w.buffer.id, []]));
  const plain = (a: Indexed, regions: readonly Region[]): boolean => {
    written.get(a.buffer.id)?.push(a);
    return regions.some((r) => r.buffer.id === a.buffer.id && containsPlainly(r, a));
  };
  let ok = true;
  const load = (e: Expr): void => {
    if (e.kind === "load") ok &&= plain(e, b.reads);
  };
  for (const part of b.init ? [b.init, b.body] : [b.body])
    visitStmt(part, (s) => {
      if (s.kind === "store") ok &&= plain(s, b.writes);
      for (const e of childExprs(s)) visit(e, load);
      return ok;
    });
  return ok && toldApart(spatialOf(b), [...written.values()]);
}
const sameContract = (a: Block, b: Block): boolean =>
  a.iterVars === b.iterVars && a.init === b.init && a.reads === b.reads && a.writes === b.writes;
/** Whether the buffer is allocated inside the block. */
const isOwn = (a: Access): boolean => a.path.some((s) => s.kind === "allocate" && s.buffer.id === a.buffer.id);

/** Whether the regions of a block provably cover everything its init and body touch. */
export const coversAccesses = (b: Block): boolean => findingsOf(b).covers;

/** A block whose spatial variables do not tell its elements apart, and the dependence that shows it. */
export interface Overlap {
  readonly block: Block;
  readonly by: Dependence;
}
/** The first block of the program that is not what its spatial variables say. */
export function overlappingBlock(program: Program): Overlap | undefined {
  for (const f of program.functions) {
    if (honest.has(f.body)) continue;
    const found = overlapIn(f.body, []);
    if (found) return found;
    honest.add(f.body);
  }
  return undefined;
}
const honest = new WeakSet<Stmt>();

function overlapIn(s: Stmt, path: Stmt[]): Overlap | undefined {
  if (s.kind === "block" && findingsOf(s).overlap) {
    const by = overlapWithin(s, path);
    if (by) return { block: s, by };
  }
  if (s.kind === "store") return undefined;
  path.push(s);
  for (const c of childStmts(s)) {
    const found = overlapIn(c, path);
    if (found) return found;
  }
  path.pop();
  return undefined;
}
/** Iterations of the loops around an allocation have a copy each: variables they drive are equal within one copy. */
function overlapWithin(b: Block, path: readonly Stmt[]): Dependence | undefined {
  const accesses = blockAccesses(b).filter((a) => !isOwn(a));
  for (const { buffer } of b.writes) {
    const at = path.findIndex((s) => s.kind === "allocate" && s.buffer.id === buffer.id);
    const inside = new Set(path.slice(at + 1).flatMap((s) => (s.kind === "for" || s.kind === "let" ? [s.var.id] : [])));
    const held = b.iterVars.filter((_, k) => at >= 0 && [...freeVars(b.bindings[k]!)].every((id) => !inside.has(id)));
    const only = accesses.filter((a) => a.buffer.id === buffer.id);
    const found = spatialOverlap(b, only, new Set(held.map((v) => v.var.id)));
    if (found) return found;
  }
  return undefined;
}

/** A dependence between instances that differ in a spatial variable other than those held. Note [Spatial first]. */
function spatialOverlap(b: Block, all: readonly Access[], held?: ReadonlySet<VarId>): Dependence | undefined {
  const spatial = spatialOf(b).filter((v) => !held?.has(v.var.id));
  const written = new Set(all.filter((a) => a.kind !== "read").map((a) => a.buffer.id));
  const touching = [...written].map((id) => all.filter((a) => a.buffer.id === id));
  if (toldApart(spatial, touching)) return undefined;
  // Note [Spatial first]
  // Loops over the block's own variables, spatial ones outermost: instances that differ in a spatial variable are then
  // told apart by a spatial loop first, so only dependences carried by those matter.
  const others = b.iterVars.filter((v) => !spatial.includes(v) && !held?.has(v.var.id));
  const { predicate: _, ...whole } = b;
  const instance: Block = { ...whole, bindings: b.iterVars.map((v) => v.var) };
  const nest = [...spatial, ...others].reduceRight<Stmt>((body, v) => forLoop(v.var, v.extent, body), instance);
  const accesses = accessesIn(nest).filter((a) => written.has(a.buffer.id));
  for (const v of spatial) {
    const [found] = dependencesAmong(accesses, { carriedBy: v.var.id });
    if (found) return found;
  }
  return undefined;
}
const spatialOf = (b: Block): IterVar[] =>
  b.iterVars.filter((v) => v.kind === "spatial" && constantValue(v.extent) !== 1);
const toldApart = (spatial: readonly IterVar[], touching: readonly (readonly Indexed[])[]): boolean =>
  spatial.every((v) => touching.every((list) => isIndex(v.var.id, list)));
/** Whether all accesses have the same index that is the variable plus a constant: equal elements mean equal values. */
const isIndex = (id: VarId, accesses: readonly Indexed[]): boolean =>
  accesses[0]?.indices.some((e, k) => isShifted(e, id) && accesses.every((a) => sameExpr(a.indices[k]!, e))) ?? true;
function isShifted(e: Expr, id: VarId): boolean {
  if (e.kind === "binary" && e.op === "add") return isShifted(e.a, id) && e.b.kind === "const";
  return e.kind === "var" && e.id === id;
}

function regionsCover(b: Block, accesses: readonly Access[]): boolean {
  const ranges = new Map<VarId, Interval>();
  for (const v of b.iterVars) {
    const most = intervalOf(v.extent, new Map()).max;
    ranges.set(v.var.id, { min: 0, max: Math.max(0, most - 1) });
  }
  return accesses.every((a) => {
    const regions = a.kind === "read" ? b.reads : b.writes;
    return regions.some((r) => r.buffer.id === a.buffer.id && contains(r, a, ranges));
  });
}
const containsPlainly = (r: Region, a: Indexed): boolean =>
  a.indices.length === r.ranges.length && r.ranges.every((_, k) => spans(r, k, a.indices[k]!));
/** Whether dimension k of the region starts at the index, or is whole: out-of-range indices have no meaning. */
function spans(r: Region, k: number, at: Expr): boolean {
  const q = r.ranges[k]!;
  return sameExpr(at, q.min) || (constantValue(q.min) === 0 && sameExpr(q.extent, r.buffer.shape[k]!));
}
function contains(r: Region, a: Access, ranges: Ranges): boolean {
  if (a.indices.length !== r.ranges.length) return false;
  return r.ranges.every((q, k) => {
    const at = a.indices[k]!;
    if (spans(r, k, at)) return true;
    const inner = a.conditions.reduce(assume, rangesOfLoops(a.loops, ranges));
    return proveTrue(compare("ge", at, q.min), inner) && proveTrue(compare("lt", at, add(q.min, q.extent)), inner);
  });
}
