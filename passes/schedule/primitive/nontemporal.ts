/** nontemporal: what a block stores goes past the caches. */
import type { Block, Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { findBlock, replaceStmt } from "../tree.ts";
import { blockAccesses } from "./support-access.ts";

export interface NontemporalArgs {
  readonly block: BlockRef;
}
type Rule = "found" | "stores-once" | "not-reread";

/** The annotation of a block whose stores bypass caches. @see passes/lower/lower-blocks.ts */
const nontemporalKey = "nontemporal";

function check(program: Program, { block: at }: NontemporalArgs): Violation<Rule> | undefined {
  const block = findBlock(program, at.id);
  if (!block) return { rule: "found", because: `there is no block ${at.name}`, at };
  const again = block.iterVars.find((v) => v.kind !== "spatial");
  if (again)
    return {
      rule: "stores-once",
      because: `${at.name} stores its elements again for each ${again.var.name}`,
      instead: "apply cacheWrite, and this to the copy",
      at,
    };
  const written = writtenBy(block);
  if (blockAccesses(block).some((a) => a.kind === "load" && written.has(a.buffer.id)))
    return { rule: "not-reread", because: `${at.name} reads what it writes`, at };
  return undefined;
}
const writtenBy = (b: Block): ReadonlySet<number> =>
  new Set(blockAccesses(b).flatMap((a) => (a.kind === "store" ? [a.buffer.id] : [])));

/** The primitive. */
export const nontemporal = definePrimitive({
  name: "nontemporal",
  doc: "Lets the stores of a block go to memory past the caches.",
  before: "block C(v: spatial 64 = i):\n  C[v] = A[v]",
  after: 'block C(v: spatial 64 = i) {"nontemporal": true}:\n  C[v] = A[v]',
  rules: {
    found: "the block is part of the program",
    "stores-once": "the block has spatial iteration variables only",
    "not-reread": "the block reads nothing that it writes",
  },
  check,
  rewrite: (program: Program, { block: at }: NontemporalArgs) => {
    const block = findBlock(program, at.id);
    invariant(block, `block ${at.name} is alive`);
    const annotations = { ...block.annotations, [nontemporalKey]: true };
    return { program: replaceStmt(program, block, { ...block, annotations }), result: undefined };
  },
});
