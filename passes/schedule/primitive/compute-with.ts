/** computeWith: an independent block runs in the iterations of another nest's loops. */
import { add, compare, constantValue } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { substitute } from "../../../ir/expr/traverse.ts";
import { forLoop, seq } from "../../../ir/loop/build.ts";
import type { Block, For, Program, Stmt } from "../../../ir/loop/program.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { blockRef, loopRef } from "../tree.ts";
import { accessBox, collectAccesses, rangesOf } from "./support-access.ts";
import { conjoin, conjuncts } from "./support-linear.ts";
import { type Follower, type Fork, findConflict, followerOf, rewriteAt } from "./support-nest.ts";

/** Which iterations of a longer loop a shorter one takes. */
export type Alignment = "start" | "end";
export interface ComputeWithArgs {
  /** The block that moves. */
  readonly block: BlockRef;
  /** The innermost of the loops that it joins. */
  readonly loop: LoopRef;
  /** Which iterations of a longer loop it runs in; the first ones by default. */
  readonly align?: Alignment;
}
const rules = {
  found: "the block and the loop are part of the program",
  "after-loop": "the block stands after the loop's nest in the same sequence, alone in its own nest",
  "serial-loops": "the loops that become one are serial",
  "matching-loops":
    "the block's nest has a loop for each from there to the given one, in this order, none with more iterations; extents are constants",
  independent: "nothing from the loop's nest to the block writes what the block touches, or reads what it writes",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;
const isRefusal = (x: object): x is Refusal => "rule" in x;

interface Plan extends Follower {
  /** The loops that become one: of the nest, and of the block. */
  readonly pairs: readonly (readonly [For, For])[];
}
function plan(program: Program, args: ComputeWithArgs): Plan | Refusal {
  const follower = followerOf(program, args);
  if (isRefusal(follower)) return follower;
  const { above, own, block, fork } = follower;
  const pairs = above.slice(0, own.length).map((l, k) => [l, own[k]!] as const);
  return checkLoops(above, pairs, block) ?? checkOrder(fork) ?? { ...follower, pairs };
}
function checkLoops(above: readonly For[], pairs: Plan["pairs"], block: Block): Refusal | undefined {
  const at = blockRef(block);
  for (const l of pairs.flat())
    if (l.loopKind !== "serial")
      return {
        rule: "serial-loops",
        because: `${l.var.name} is ${l.loopKind}`,
        instead: `call computeWith before ${l.var.name} becomes ${l.loopKind}`,
        at: loopRef(l),
      };
  const instead = `split and reorder the loops of ${block.name} as those it is to join`;
  const refuse = (because: string): Refusal => ({ rule: "matching-loops", because, instead, at });
  if (pairs.length < above.length)
    return refuse(
      `${above.length} loops lead to ${above.at(-1)!.var.name}, and ${block.name} has ${pairs.length} of its own`,
    );
  for (const [theirs, own] of pairs) {
    const [most, extent] = [theirs, own].map((l) => (constantValue(l.min) === undefined ? undefined : extentOf(l)));
    if (most === undefined || extent === undefined)
      return refuse(`the bounds of ${(most === undefined ? theirs : own).var.name} are not constants`);
    if (extent > most) return refuse(`${own.var.name} has ${extent} iterations, and ${theirs.var.name} has ${most}`);
  }
  return undefined;
}
const extentOf = (l: For): number | undefined => constantValue(l.extent);

/** Whether the block may run before, between and after anything that stands from the loop's nest to it. */
function checkOrder({ seq: { body }, shared, first, second }: Fork): Refusal | undefined {
  const outer = rangesOf(shared);
  const before = body.slice(first, second);
  for (const a of collectAccesses(body[second]!)) {
    const kinds = a.kind === "store" ? (["load", "store"] as const) : (["store"] as const);
    const met = findConflict(before, a.buffer.id, kinds, accessBox(a, outer), outer);
    if (!met) continue;
    const because = `${met.block?.name ?? "a statement"} ${met.kind}s ${a.buffer.name}, which ${a.block?.name ?? "the block"} ${a.kind}s`;
    return { rule: "independent", because, at: met.block && blockRef(met.block) };
  }
  return undefined;
}

/** The block in the iterations of the loops that it joins, those of its own only where the loop is longer. */
function joined({ block, pairs, own: loops }: Plan, align: Alignment): Stmt {
  const values = new Map<VarId, Expr>();
  const guards: Expr[] = [];
  for (const [theirs, own] of pairs) {
    const spare = extentOf(theirs)! - extentOf(own)!;
    const skipped = align === "end" ? spare : 0;
    const start = constantValue(theirs.min)! + skipped;
    values.set(own.var.id, add(theirs.var, constantValue(own.min)! - start));
    if (spare > 0)
      guards.push(skipped > 0 ? compare("ge", theirs.var, start) : compare("lt", theirs.var, start + extentOf(own)!));
  }
  const at = (e: Expr): Expr => substitute(e, values);
  const predicate = conjoin([...conjuncts(block.predicate).map(at), ...guards]);
  const { predicate: _, ...rest } = block;
  const body: Block = { ...rest, bindings: block.bindings.map(at), ...(predicate ? { predicate } : {}) };
  return loops
    .slice(pairs.length)
    .reduceRight<Stmt>((s, l) => forLoop(l.var, at(l.extent), s, { ...l, min: at(l.min) }), body);
}

/**
 * The primitive.
 * @see Ragan-Kelley et al., Halide (2013); `compute_with` of its schedules.
 */
export const computeWith = definePrimitive({
  name: "computeWith",
  doc: "Runs a block that neither feeds nor follows another nest in the iterations of that nest's loops: its outer loops become theirs. Where a loop has more iterations, the block runs in the first of them, or in the last.",
  before: "for i in 0..8:\n  B[i] = …\nfor j in 0..2:\n  C[j] = 0",
  after: "for i in 0..8:\n  B[i] = …\n  where i < 2: C[i] = 0",
  rules,
  check: (program: Program, args: ComputeWithArgs): Refusal | undefined => {
    const p = plan(program, args);
    return isRefusal(p) ? p : undefined;
  },
  rewrite: (program: Program, args: ComputeWithArgs) => {
    const p = plan(program, args);
    invariant(!isRefusal(p), "computeWith was checked");
    const loop: For = { ...p.loop, body: seq([p.loop.body, joined(p, args.align ?? "start")]) };
    const changes = new Map<Stmt, Stmt | undefined>([
      [p.loop, loop],
      [p.fork.seq.body[p.fork.second]!, undefined],
    ]);
    return { program: rewriteAt(program, changes), result: undefined };
  },
});
