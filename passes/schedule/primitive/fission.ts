/** fission: a loop is distributed over the statements of its body. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { For, Program, Stmt } from "../../../ir/loop/program.ts";
import { visitStmt } from "../../../ir/loop/traverse.ts";
import type { BlockId, VarId } from "../../../ir/support/ids.ts";
import { carriedBy, type Dependence } from "../../analysis/dependence.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { freshVar, idsOf, loopOf, loopsOutside, substituteStmt, withLoop } from "../rebuild.ts";
import { loopRef } from "../tree.ts";

export interface FissionArgs {
  readonly loop: LoopRef;
  /** The statement of the loop's body that holds this block is the last of the first loop. */
  readonly after: BlockRef;
}
type Rule = "serial-loop" | "in-body" | "statements-after" | "keeps-dependences";

const holds = (s: Stmt, id: BlockId): boolean => {
  let found = false;
  visitStmt(s, (n) => {
    if (n.kind === "block" && n.id === id) found = true;
    return !found;
  });
  return found;
};
/** The statements of a loop's body up to the one that holds the block, and those behind it. */
function parts(loop: For, after: BlockRef): { first: Stmt[]; second: Stmt[] } | undefined {
  const list = loop.body.kind === "seq" ? loop.body.body : [loop.body];
  const at = list.findIndex((s) => holds(s, after.id));
  return at < 0 ? undefined : { first: list.slice(0, at + 1), second: list.slice(at + 1) };
}
function check(program: Program, { loop: ref, after }: FissionArgs): Violation<Rule> | undefined {
  const loop = loopOf(program, ref);
  if (loop.loopKind !== "serial" && loop.loopKind !== "parallel")
    return { rule: "serial-loop", because: `${ref.name} is ${loop.loopKind}`, at: ref };
  const split = parts(loop, after);
  if (!split) return { rule: "in-body", because: `${after.name} is not under ${ref.name}`, at: after };
  if (split.second.length === 0)
    return {
      rule: "statements-after",
      because: `nothing stands behind ${after.name} in the body of ${ref.name}`,
      ...(split.first.at(-1)?.kind === "allocate" ? { instead: "move the allocation out of the loop" } : {}),
      at: after,
    };
  const turned = turnedAround(loop, split.second, loopsOutside(program, ref));
  if (!turned) return undefined;
  return {
    rule: "keeps-dependences",
    because: `${blockOf(turned.source)} touches ${turned.source.buffer.name} before ${blockOf(turned.sink)} does in a later iteration of ${ref.name}`,
    instead: "cut at another statement",
    at: ref,
  };
}
const blockOf = (a: Dependence["source"]): string => a.block?.name ?? "a statement";
/** A dependence from the second part to the first part of a later iteration. */
function turnedAround(loop: For, second: readonly Stmt[], around: readonly For[]): Dependence | undefined {
  if ((constantValue(loop.extent) ?? 2) <= 1) return undefined;
  const late = (a: Dependence["source"]): boolean => a.path.some((s) => second.includes(s));
  return carriedBy(loop, loop.body, around).find((d) => late(d.source) && !late(d.sink));
}

function rewrite(program: Program, { loop: ref, after }: FissionArgs) {
  const loop = loopOf(program, ref);
  const { first, second } = parts(loop, after)!;
  const ids = idsOf(program);
  const v = freshVar(ids, loop.var, loop.var.name);
  const map = new Map<VarId, Expr>([[loop.var.id, v]]);
  const head: For = { ...loop, body: seq(first) };
  const tail: For = { ...loop, var: v, body: substituteStmt(seq(second), map) };
  const result: [LoopRef, LoopRef] = [loopRef(head), loopRef(tail)];
  return { program: withLoop(program, loop, seq([head, tail]), ids), result };
}

/** The primitive. */
export const fission = definePrimitive({
  name: "fission",
  doc: "Distributes a loop over its body: one loop for the statements up to the given block's, one for the others.",
  before: "for i in 0..8:\n  B[i]\n  C[i]",
  after: "for i in 0..8:\n  B[i]\nfor i in 0..8:\n  C[i]",
  rules: {
    "serial-loop": "the loop is serial or parallel",
    "in-body": "the block stands under the loop",
    "statements-after": "statements stand behind the one that holds the block",
    "keeps-dependences":
      "nothing in the second part comes before what it shares an element with in a later iteration of the first",
  },
  check,
  rewrite,
});
