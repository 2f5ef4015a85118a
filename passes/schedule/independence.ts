/** Whether loops that are parallel or vectorized already may stay so when something else moves into them. */
import { sub } from "../../ir/expr/build.ts";
import type { BinaryOp, Expr, Load } from "../../ir/expr/expr.ts";
import { some } from "../../ir/expr/traverse.ts";
import type { Block, For, Program, Stmt } from "../../ir/loop/program.ts";
import { childStmts } from "../../ir/loop/traverse.ts";
import { toAffine } from "../analysis/affine.ts";
import { meetsAtomically } from "./atomics.ts";
import { carriedMeetings } from "./dependences.ts";
import { keyOf } from "./iteration.ts";
import { bindingsOf, dependsOn, hasKind, type Meeting, nestOf, storesTheSame } from "./legality.ts";

/** The block of a meeting with itself that only accumulates along the loop, b[i] = b[i] op value. */
export function accumulates(m: Meeting, loop: For): Block | undefined {
  if (m.first !== m.second || m.first.stmt.kind !== "block") return undefined;
  const b = m.first.stmt;
  if (dependsOn(bindingsOf(b, ["spatial", "ordered"]), loop.var.id)) return undefined;
  return hasKind(b, "reduction") && isPlainUpdate(b) ? b : undefined;
}
const combining: ReadonlySet<BinaryOp> = new Set(["add", "mul", "min", "max", "and", "or"]);
function isPlainUpdate(b: Block): boolean {
  const s = b.body;
  if (s.kind !== "store" || s.predicate || s.value.kind !== "binary" || !combining.has(s.value.op)) return false;
  const { a, b: value } = s.value;
  const target = s.indices.map(keyOf).join();
  const isTarget = (e: Expr): boolean =>
    e.kind === "load" && e.buffer.id === s.buffer.id && e.indices.map(keyOf).join() === target;
  const isBeside = (e: Load): boolean => e.indices.some((x, d) => alwaysDiffer(x, s.indices[d]!));
  return isTarget(a) && !some(value, (n) => n.kind === "load" && n.buffer.id === s.buffer.id && !isBeside(n));
}
/** Whether two indices of one instance differ by a constant: it reads elements beside the one it accumulates into. */
function alwaysDiffer(a: Expr, b: Expr): boolean {
  const difference = toAffine(sub(a, b));
  return difference !== undefined && difference.terms.size === 0 && difference.constant !== 0;
}

/** Parallel and vectorized loops of the program, each with the loops around it. */
function loopsAtOnce(program: Program): Map<For, readonly For[]> {
  const found = new Map<For, readonly For[]>();
  const go = (s: Stmt, around: readonly For[]): void => {
    if (s.kind === "block") return;
    if (s.kind === "for" && (s.loopKind === "parallel" || s.loopKind === "vectorized")) found.set(s, around);
    const inner = s.kind === "for" ? [...around, s] : around;
    for (const c of childStmts(s)) go(c, inner);
  };
  for (const f of program.functions) go(f.body, []);
  return found;
}
/** A parallel or vectorized loop whose iterations meet in `after`, among those that differ from `before`. */
export function brokenLoop(before: Program, after: Program): { loop: For; meeting: Meeting } | undefined {
  const old = loopsAtOnce(before);
  for (const [loop, around] of loopsAtOnce(after)) {
    if (old.has(loop)) continue;
    const nest = nestOf(loop, around);
    const meeting = carriedMeetings(nest, loop).find((m) =>
      loop.loopKind === "parallel"
        ? !storesTheSame(nest, m) && !meetsAtomically(m)
        : accumulates(m, loop) === undefined,
    );
    if (meeting) return { loop, meeting };
  }
  return undefined;
}
/** Whether any loop is parallel or vectorized. */
export const hasLoopsAtOnce = (program: Program): boolean => loopsAtOnce(program).size > 0;
