/** The loops and blocks of a function as a tree, without what stands between them: what queries and views walk. */
import type { Block, For, PrimFunc, Stmt } from "../../ir/loop/program.ts";
import { childStmts } from "../../ir/loop/traverse.ts";
import type { BlockId, VarId } from "../../ir/support/ids.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";

/** A loop or block. Allocations, sequences and conditions between it and its parent are passed over. */
export interface Entry {
  readonly stmt: For | Block;
  readonly parent: Entry | undefined;
  /** In execution order. */
  readonly children: readonly Entry[];
}
/** The tree of a function. */
export interface Outline {
  readonly roots: readonly Entry[];
  /** Every entry, those around before those inside, in execution order. */
  readonly entries: readonly Entry[];
  readonly loops: ReadonlyMap<VarId, Entry>;
  readonly blocks: ReadonlyMap<BlockId, Entry>;
}
interface Growing {
  readonly entries: Entry[];
  readonly loops: Map<VarId, Entry>;
  readonly blocks: Map<BlockId, Entry>;
}

const known = new WeakMap<PrimFunc, Outline>();
/** The outline of a function; made once for each state of it. */
export function outlineOf(func: PrimFunc): Outline {
  let outline = known.get(func);
  if (!outline) {
    const growing: Growing = { entries: [], loops: new Map(), blocks: new Map() };
    outline = { roots: entriesIn(func.body, undefined, growing), ...growing };
    known.set(func, outline);
  }
  return outline;
}
function entriesIn(s: Stmt, parent: Entry | undefined, all: Growing): Entry[] {
  if (s.kind !== "for" && s.kind !== "block") return childStmts(s).flatMap((c) => entriesIn(c, parent, all));
  const children: Entry[] = [];
  const entry: Entry = { stmt: s, parent, children };
  all.entries.push(entry);
  if (s.kind === "for") all.loops.set(s.var.id, entry);
  else all.blocks.set(s.id, entry);
  for (const c of childStmts(s)) children.push(...entriesIn(c, entry, all));
  return [entry];
}
/** The entry that a handle stands for. */
export const entryOf = (o: Outline, h: LoopRef | BlockRef): Entry | undefined =>
  h.kind === "loop" ? o.loops.get(h.id) : o.blocks.get(h.id);
/** What stands around an entry, outermost first. */
export function around(e: Entry): Entry[] {
  const list: Entry[] = [];
  for (let p = e.parent; p; p = p.parent) list.unshift(p);
  return list;
}
/** What stands inside an entry, those around before those inside. */
export const inside = (e: Entry): Entry[] => e.children.flatMap((c) => [c, ...inside(c)]);
