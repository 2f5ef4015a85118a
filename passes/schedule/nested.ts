/**
 * Blocks within blocks, which `blockize` makes. A block around others is seen from outside as one block: its regions are
 * what everything inside touches. Whatever a primitive changes inside, the regions around follow here.
 */
import type { Buffer } from "../../ir/expr/expr.ts";
import { wholeRegion } from "../../ir/loop/compute.ts";
import type { Block, Program, Region, Stmt } from "../../ir/loop/program.ts";
import { childStmts, mapBodies, mapChildStmts } from "../../ir/loop/traverse.ts";
import type { BufferId } from "../../ir/support/ids.ts";
import type { Access } from "../analysis/access.ts";
import { blockAccesses, regionOf, unionRegions } from "../analysis/accesses.ts";
import { extentRanges, intervalOf, rangesOfLoops } from "../analysis/interval.ts";
import { sameExpr } from "../analysis/order.ts";
import { coversAccesses } from "./contracts.ts";
import type { BlockRef, LoopRef, Violation } from "./primitive.ts";
import { pathToBlock, pathToLoop } from "./tree.ts";

/** Whether a statement is a block around blocks, or holds one. */
const hasNested = (s: Stmt): boolean => (s.kind === "block" ? holdsBlocks(s) : childStmts(s).some(hasNested));
const around = new WeakMap<Block, boolean>();
/** Whether blocks stand inside the block; found once for a block. */
function holdsBlocks(b: Block): boolean {
  let holds = around.get(b);
  if (holds === undefined) {
    holds = childStmts(b).some(holdsBlock);
    around.set(b, holds);
  }
  return holds;
}
const holdsBlock = (s: Stmt): boolean => s.kind === "block" || childStmts(s).some(holdsBlock);
const nestedIn = new WeakMap<Program, boolean>();
/** Whether some block of the program stands inside another; found once for a program. */
export function hasNestedBlocks(p: Program): boolean {
  let nested = nestedIn.get(p);
  if (nested === undefined) {
    nested = p.functions.some((f) => hasNested(f.body));
    nestedIn.set(p, nested);
  }
  return nested;
}

/** The rule that every primitive has: it works inside one block. */
export const insideOneBlock = "inside-one-block";
/** Why a primitive may not be applied to these handles: one that moves blocks works outside of all, others inside one. */
export function boundaryViolation(
  program: Program,
  handles: readonly (LoopRef | BlockRef)[],
  moves: boolean,
): Violation | undefined {
  if (!hasNestedBlocks(program)) return undefined;
  const homes = handles.map((h) => homeOf(program, h));
  const odd = handles.findIndex((_, k) => (moves ? homes[k] !== undefined : homes[k] !== homes[0]));
  if (odd < 0) return undefined;
  const at = handles[odd]!;
  const block = homes[odd] ?? homes[0]!;
  const because = homes[odd]
    ? `${at.name} stands inside block ${block.name}`
    : `${at.name} stands outside of block ${block.name}`;
  return { rule: insideOneBlock, because, instead: `use block ${block.name}, or loops around it`, at };
}
/** The block that a loop or block stands in; undefined at the level of the function. */
function homeOf(program: Program, h: LoopRef | BlockRef): Block | undefined {
  const path = h.kind === "loop" ? pathToLoop(program, h.id) : pathToBlock(program, h.id);
  return path?.stmts.slice(0, -1).findLast((s): s is Block => s.kind === "block");
}

/** The program with the regions of blocks around blocks, and of those inside, as their accesses now are. */
export function withRegions(program: Program): Program {
  return hasNestedBlocks(program) ? mapBodies(program, refresh) : program;
}
function refresh(s: Stmt): Stmt {
  if (!hasNested(s)) return s;
  return s.kind === "block" ? derived(mapChildStmts(s, refreshInside) as Block) : mapChildStmts(s, refresh);
}
function refreshInside(s: Stmt): Stmt {
  const inner = mapChildStmts(s, refreshInside);
  if (inner.kind !== "block") return inner;
  return holdsBlocks(inner) || !saysWhatItTouches(inner) ? derived(inner) : inner;
}
/** Whether the regions name the buffers that are touched, as they are now, and cover the elements. */
function saysWhatItTouches(b: Block): boolean {
  const touched = ownAccesses(b);
  const names = (regions: readonly Region[], kind: "read" | "write"): boolean => {
    const wanted = new Set<Buffer>(touched.filter((a) => does(a, kind)).map((a) => a.buffer));
    const given = new Set<Buffer>(regions.map((r) => r.buffer));
    return wanted.size === given.size && [...wanted].every((x) => given.has(x));
  };
  return names(b.reads, "read") && names(b.writes, "write") && coversAccesses(b);
}
const does = (a: Access, kind: "read" | "write"): boolean => a.kind === kind || a.kind === "update";
const ownAccesses = (b: Block): Access[] =>
  blockAccesses(b).filter((a) => !a.path.some((s) => s.kind === "allocate" && s.buffer.id === a.buffer.id));

/**
 * The block with the regions that its accesses make, whole buffers where boxes do not provably cover them; the same block
 * when they are what it says already.
 */
export function derived(b: Block): Block {
  const accesses = ownAccesses(b);
  const [reads, writes] = (["read", "write"] as const).map((kind) => accesses.filter((a) => does(a, kind)));
  const boxed = { ...b, reads: boxesOf(b, reads!), writes: boxesOf(b, writes!) };
  const whole = (regions: readonly Region[]): Region[] => regions.map((r) => wholeRegion(r.buffer));
  const next = coversAccesses(boxed) ? boxed : { ...b, reads: whole(boxed.reads), writes: whole(boxed.writes) };
  return sameRegions(next.reads, b.reads) && sameRegions(next.writes, b.writes) ? b : next;
}
/** One box a buffer, over the loops inside the block. */
function boxesOf(b: Block, accesses: readonly Access[]): Region[] {
  const around = extentRanges(b.iterVars.map((v) => [v.var.id, intervalOf(v.extent, new Map()).max] as const));
  const boxes = new Map<BufferId, Region>();
  for (const a of accesses) {
    const box = regionOf(a, rangesOfLoops(a.loops), around);
    const before = boxes.get(a.buffer.id);
    boxes.set(a.buffer.id, before ? unionRegions([before, box], around) : box);
  }
  return [...boxes.values()];
}
const sameRegions = (a: readonly Region[], b: readonly Region[]): boolean =>
  a.length === b.length &&
  a.every((r, k) => {
    const other = b[k]!;
    return (
      r.buffer === other.buffer &&
      r.ranges.every((q, d) => sameExpr(q.min, other.ranges[d]!.min) && sameExpr(q.extent, other.ranges[d]!.extent))
    );
  });
