/** atomic: a block's update is made in one step, so that threads may accumulate into the same elements. */
import type { Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { updateStore } from "../atomics.ts";
import { hasKind, keepsOrder } from "../legality.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { findBlock, loopRef, loopsAround, pathToBlock, replaceStmt } from "../tree.ts";

export interface AtomicArgs {
  readonly block: BlockRef;
}
const rules = {
  reduces: "the block has a reduction variable and no ordered one",
  "no-init": "the reduction's init is decomposed: elements have their start before threads run",
  "plain-update": "the block updates one element by add, mul, min, max, and or or with a value from other buffers",
  "any-order": "the function's math policy allows floats to be accumulated in any order",
  "scalar-loops": "no loop around is vectorized or tensorized",
};
type Rule = keyof typeof rules;

function check(program: Program, { block: at }: AtomicArgs): Violation<Rule> | undefined {
  const path = pathToBlock(program, at.id);
  const block = path?.stmts.at(-1);
  invariant(path && block?.kind === "block", `block ${at.name} is alive`);
  const refuse = (rule: Rule, because: string, instead?: string) => ({ rule, because, at, instead });
  if (!hasKind(block, "reduction") || hasKind(block, "ordered"))
    return refuse("reduces", `${block.name} does not reduce, or runs in order`);
  if (block.init)
    return refuse("no-init", `${block.name} has its init inside`, "decompose the reduction outside of the loop first");
  if (!updateStore(block)) return refuse("plain-update", `the body of ${block.name} is no such update`);
  if (keepsOrder(block, path.func.math))
    return refuse(
      "any-order",
      `${block.name} adds up floats and the math policy is strict`,
      "allow reassociation with the math policy default",
    );
  const lanes = loopsAround(program, block.id).find((l) => l.loopKind === "vectorized" || l.loopKind === "tensorized");
  return lanes && { rule: "scalar-loops", because: `${lanes.var.name} is ${lanes.loopKind}`, at: loopRef(lanes) };
}

/** The primitive. */
export const atomic = definePrimitive({
  name: "atomic",
  doc: "Makes a block's update atomic, so that loops around it may run at once although iterations accumulate into one element.",
  before: "for k in 0..n:\n  C[A[k]] += B[k]",
  after: "for k in 0..n:\n  atomic C[A[k]] += B[k]",
  rules,
  check,
  rewrite: (program: Program, { block: at }: AtomicArgs) => {
    const block = findBlock(program, at.id);
    invariant(block, "atomic was checked");
    const next = { ...block, annotations: { ...block.annotations, atomic: true } };
    return { program: replaceStmt(program, block, next), result: undefined };
  },
});
