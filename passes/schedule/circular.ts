/** The rule that primitives share which move blocks or redirect buffers: circular buffers stay as they are. */
import { constantValue } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { some } from "../../ir/expr/traverse.ts";
import type { Block, Program } from "../../ir/loop/program.ts";
import { visitStmt } from "../../ir/loop/traverse.ts";
import type { BufferId } from "../../ir/support/ids.ts";
import { keyOf } from "../analysis/order.ts";
import type { BlockRef, LoopRef, Primitive, Violation } from "./primitive.ts";
import { blockRef, blocksIn, findBlock, findLoop } from "./tree.ts";

export const circularRule = "no-circular-buffer";
const demand = "the blocks meant use no circular buffer, whose elements hold several values in turn";

/** The buffers in which a block stores several values one after the other at an index modulo an extent. */
function circularBuffers(program: Program): Set<BufferId> {
  const found = new Set<BufferId>();
  for (const f of program.functions)
    visitStmt(f.body, (s) => {
      if (s.kind === "store" && isCircular(s.indices)) found.add(s.buffer.id);
    });
  return found;
}
/** A remainder whose quotient is the index of no other dimension. */
function isCircular(indices: readonly Expr[]): boolean {
  if (!indices.some((e) => e.kind === "binary" && e.op === "floormod")) return false;
  const quotients = new Set<string>();
  for (const e of indices)
    some(e, (n) => {
      if (n.kind === "binary" && n.op === "floordiv") quotients.add(`${keyOf(n.a)}/${constantValue(n.b)}`);
      return false;
    });
  return indices.some(
    (e) => e.kind === "binary" && e.op === "floormod" && !quotients.has(`${keyOf(e.a)}/${constantValue(e.b)}`),
  );
}
function blocksMeant(program: Program, args: object): Block[] {
  const { block, loop } = args as { block?: BlockRef; loop?: LoopRef };
  const one = block && findBlock(program, block.id);
  const nest = loop && findLoop(program, loop.id);
  return [...(one ? [one] : []), ...(nest ? blocksIn(nest) : [])];
}

/** The primitive, refusing blocks that use circular buffers. */
export function keepsCircular<Name extends string, Args extends object, Result, Rule extends string>(
  p: Primitive<Name, Args, Result, Rule>,
): Primitive<Name, Args, Result, string> {
  const check = (program: Program, args: Args): Violation | undefined => {
    const violation = p.check(program, args);
    if (violation) return violation;
    const circular = circularBuffers(program);
    if (circular.size === 0) return undefined;
    const uses = (b: Block) => [...b.reads, ...b.writes].find((r) => circular.has(r.buffer.id));
    const user = blocksMeant(program, args).find((b) => uses(b) !== undefined);
    return (
      user && {
        rule: circularRule,
        because: `${user.name} uses ${uses(user)!.buffer.name}, which is circular`,
        instead: "fold the storage last",
        at: blockRef(user),
      }
    );
  };
  const rules: Readonly<Record<string, string>> = { ...p.rules, [circularRule]: demand };
  return { ...p, rules, check };
}
