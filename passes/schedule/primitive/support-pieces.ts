/** A loop as several loops one after the other, each with some of its iterations. */
import { add, index } from "../../../ir/expr/build.ts";
import type { Expr, Var } from "../../../ir/expr/expr.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { Block, For, Program } from "../../../ir/loop/program.ts";
import type { IdSource, VarId } from "../../../ir/support/ids.ts";
import type { LoopRef } from "../primitive.ts";
import { freshVar, idsOf, loopOf, loopsOutside, substituteStmt, tidy, withLoop } from "../rebuild.ts";
import { loopRef } from "../tree.ts";
import { narrowDomains } from "./support-domain.ts";
import { BlockNames, duplicate } from "./support-duplicate.ts";

/** Iterations [from, from + extent) of a loop, counted from its first. */
export interface Piece {
  readonly from: number;
  readonly extent: number;
  /** Appended to the names of blocks; the piece without keeps blocks, inner loops and the loop itself. */
  readonly suffix?: string;
}
export interface Cut {
  readonly program: Program;
  readonly loops: readonly LoopRef[];
}
/** Cuts a loop into pieces (those without iterations are left out); or the block whose iterations then are not known. */
export function cutLoop(program: Program, ref: LoopRef, pieces: readonly Piece[]): Cut | { readonly unknown: Block } {
  const loop = loopOf(program, ref);
  const around = loopsOutside(program, ref);
  const ids = idsOf(program);
  const copying = { program, ids, names: new BlockNames(program) };
  const made: For[] = [];
  for (const p of pieces) {
    if (p.extent <= 0) continue;
    const v = p.suffix === undefined ? loop.var : freshVar(ids, loop.var, `${loop.var.name}_${p.suffix}`);
    const map = new Map<VarId, Expr>([[loop.var.id, add(v, p.from)]]);
    const body = p.suffix === undefined ? substituteStmt(loop.body, map) : duplicate(loop.body, copying, p.suffix, map);
    const { annotations: _, ...bare } = loop;
    const kept = p.suffix === undefined ? loop : bare;
    const piece = narrowed({ ...kept, var: v, extent: index(p.extent), body }, around, v, ids);
    if ("unknown" in piece) return piece;
    made.push(tidy(piece.stmt, around) as For);
  }
  return { program: withLoop(program, loop, seq(made), ids), loops: made.map(loopRef) };
}
const narrowed = (l: For, around: readonly For[], v: Var, ids: IdSource) =>
  narrowDomains(l, around, new Set([v.id]), ids);
