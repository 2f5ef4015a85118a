/** Finding and replacing statements in a program by identity or id; what primitives share. */
import type { Block, For, PrimFunc, Program, Stmt } from "../../ir/loop/program.ts";
import { childStmts, mapBodies, mapChildStmts, visitStmt } from "../../ir/loop/traverse.ts";
import type { BlockId, VarId } from "../../ir/support/ids.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";

export const loopRef = (l: For): LoopRef => ({ kind: "loop", id: l.var.id, name: l.var.name });
export const blockRef = (b: Block): BlockRef => ({ kind: "block", id: b.id, name: b.name });

/** The statements from a function's body (first) down to the one found (last), and its function. */
export interface Path {
  readonly func: PrimFunc;
  readonly stmts: readonly Stmt[];
}
/** The path to the first statement that satisfies `f`. */
export function findPath(program: Program, f: (s: Stmt) => boolean): Path | undefined {
  for (const func of program.functions) {
    const stmts = search(func.body, f);
    if (stmts) return { func, stmts: stmts.reverse() };
  }
  return undefined;
}
function search(s: Stmt, f: (s: Stmt) => boolean): Stmt[] | undefined {
  if (f(s)) return [s];
  if (s.kind === "store") return undefined;
  if (s.kind === "for") {
    const found = search(s.body, f);
    found?.push(s);
    return found;
  }
  for (const c of childStmts(s)) {
    const found = search(c, f);
    if (found) {
      found.push(s);
      return found;
    }
  }
  return undefined;
}
export const pathToLoop = (p: Program, id: VarId): Path | undefined =>
  findPath(p, (s) => s.kind === "for" && s.var.id === id);
export const pathToBlock = (p: Program, id: BlockId): Path | undefined =>
  findPath(p, (s) => s.kind === "block" && s.id === id);

/** The loop with this variable; undefined when it is gone. */
export function findLoop(p: Program, id: VarId): For | undefined {
  const last = pathToLoop(p, id)?.stmts.at(-1);
  return last?.kind === "for" ? last : undefined;
}
export function findBlock(p: Program, id: BlockId): Block | undefined {
  const last = pathToBlock(p, id)?.stmts.at(-1);
  return last?.kind === "block" ? last : undefined;
}
/** The loops around a block, outermost first. */
export function loopsAround(p: Program, id: BlockId): For[] {
  return (pathToBlock(p, id)?.stmts ?? []).filter((s): s is For => s.kind === "for");
}
/** All blocks within a statement or program, in execution order. */
export function blocksIn(root: Program | Stmt): Block[] {
  const blocks: Block[] = [];
  const bodies = root.kind === "program" ? root.functions.map((f) => f.body) : [root];
  for (const b of bodies)
    visitStmt(b, (s) => {
      if (s.kind === "block") blocks.push(s);
    });
  return blocks;
}
/** The blocks that stand in no other, in execution order: whatever is inside a block is the block's own. */
export function outermostBlocksIn(root: Program | Stmt): Block[] {
  const blocks: Block[] = [];
  const bodies = root.kind === "program" ? root.functions.map((f) => f.body) : [root];
  for (const b of bodies)
    visitStmt(b, (s) => {
      if (s.kind === "block") blocks.push(s);
      return s.kind !== "block";
    });
  return blocks;
}
/** Replaces one statement, found by object identity where it stands first; an empty `seq` removes it. */
export function replaceStmt(program: Program, target: Stmt, replacement: Stmt): Program {
  const path = findPath(program, (s) => s === target)?.stmts;
  if (!path) return program;
  const go = (s: Stmt, depth: number): Stmt => {
    const next = path[depth];
    if (s !== next) return s;
    return s === target ? replacement : mapChildStmts(s, (c) => go(c, depth + 1));
  };
  return mapBodies(program, (body) => go(body, 0));
}
