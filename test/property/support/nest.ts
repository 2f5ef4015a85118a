/** What a schedule has to offer: loops and blocks by what may be done with them. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import { freeVars, some } from "../../../ir/expr/traverse.ts";
import type { Block, For, IterKind, Stmt } from "../../../ir/loop/program.ts";
import { childStmts } from "../../../ir/loop/traverse.ts";
import type { BlockRef, LoopRef } from "../../../passes/schedule/primitive.ts";
import type { Schedule } from "../../../passes/schedule/schedule.ts";
import { blockRef, loopRef } from "../../../passes/schedule/tree.ts";
import type { Random } from "./random.ts";

/** A block of the scheduled function with the loops around it, outermost first. */
export interface Place {
  readonly block: Block;
  readonly loops: readonly For[];
}
const known = new WeakMap<Stmt, readonly Place[]>();

/** Every block of the scheduled function. */
export function places(s: Schedule): readonly Place[] {
  const { body } = s.func;
  const found = known.get(body);
  if (found) return found;
  const list: Place[] = [];
  const go = (stmt: Stmt, loops: readonly For[]): void => {
    if (stmt.kind === "block") list.push({ block: stmt, loops });
    const inner = stmt.kind === "for" ? [...loops, stmt] : loops;
    for (const c of childStmts(stmt)) go(c, inner);
  };
  go(body, []);
  known.set(body, list);
  return list;
}
/** One of the list: mostly one for which `f` holds, now and then any. */
export function mostly<T>(r: Random, list: readonly T[], f: (item: T) => boolean): T | undefined {
  const fit = r.chance(0.1) ? list : list.filter(f);
  if (fit.length > 0) return r.pick(fit);
  return list.length > 0 && r.chance(0.2) ? r.pick(list) : undefined;
}
/** All loops with the blocks under them. */
export function loopsOf(s: Schedule): { readonly loop: For; readonly under: readonly Place[] }[] {
  const under = new Map<For, Place[]>();
  for (const p of places(s))
    for (const l of p.loops) {
      const list = under.get(l);
      if (list) list.push(p);
      else under.set(l, [p]);
    }
  return [...under].map(([loop, list]) => ({ loop, under: list }));
}
/** A loop: mostly one for which `f` holds. */
export function someLoop(
  r: Random,
  s: Schedule,
  f: (loop: For, under: readonly Place[]) => boolean,
): { readonly loop: For; readonly ref: LoopRef } | undefined {
  const found = mostly(r, loopsOf(s), ({ loop, under }) => f(loop, under));
  return found && { loop: found.loop, ref: loopRef(found.loop) };
}
/** A block: mostly one for which `f` holds. */
export const someBlock = (
  r: Random,
  s: Schedule,
  f: (p: Place) => boolean,
): { readonly place: Place; readonly ref: BlockRef } | undefined => {
  const place = mostly(r, places(s), f);
  return place && { place, ref: blockRef(place.block) };
};

export const extentOf = (l: For): number => constantValue(l.extent) ?? 0;
export const isSerial = (l: For): boolean => l.loopKind === "serial";
/** Whether a loop decides a variable of this kind of a block. */
export const drives = (l: For, b: Block, kind: IterKind): boolean =>
  b.iterVars.some((v, k) => v.kind === kind && freeVars(b.bindings[k]!).has(l.var.id));
/** Whether the loop is the innermost one around everything under it. */
export const isInnermost = (l: For, under: readonly Place[]): boolean => under.every((p) => p.loops.at(-1) === l);
export const isOutermost = (l: For, under: readonly Place[]): boolean => under.every((p) => p.loops[0] === l);
/** Whether each iteration makes elements of its own. */
export const isSpatial = (l: For, under: readonly Place[]): boolean =>
  under.every((p) => !drives(l, p.block, "reduction") && !drives(l, p.block, "ordered"));
/** The longest runs of serial loops of which each is the whole body of the one before. */
export function perfectRuns(s: Schedule): For[][] {
  const runs = new Map<For, For[]>();
  for (const { loops } of places(s))
    for (let from = 0; from < loops.length; ) {
      let to = from + 1;
      while (to < loops.length && loops[to - 1]!.body === loops[to] && isSerial(loops[to]!)) to++;
      if (isSerial(loops[from]!) && to - from > 1) runs.set(loops[from]!, loops.slice(from, to));
      from = to;
    }
  return [...runs.values()];
}
/** Whether the function allocates the buffer. */
export const isIntermediate = (s: Schedule, b: Buffer): boolean => s.func.params.every((p) => p.buffer.id !== b.id);
/** The loops around every block that uses a buffer. */
export function commonLoops(s: Schedule, b: Buffer): readonly For[] {
  const users = places(s).filter((p) => [...p.block.reads, ...p.block.writes].some((x) => x.buffer.id === b.id));
  return (users[0]?.loops ?? []).filter((l) => users.every((p) => p.loops.includes(l)));
}
/** The buffers that a block writes, or reads. */
export const buffersOf = (b: Block, of: "reads" | "writes"): readonly Buffer[] => [
  ...new Set(b[of].map((x) => x.buffer)),
];
/** Whether something under a loop, or a choice in it, is guarded. */
export const isGuarded = (p: Place): boolean =>
  p.block.predicate !== undefined ||
  (p.block.body.kind === "store" && some(p.block.body.value, (e) => e.kind === "select"));
/** How many statements there are when the loops that are to be written out are. */
export function writtenOut(s: Stmt): number {
  const inner = s.kind === "block" ? 1 : childStmts(s).reduce((n, c) => n + writtenOut(c), 0);
  return Math.max(1, inner) * (s.kind === "for" && s.loopKind === "unrolled" ? extentOf(s) : 1);
}
