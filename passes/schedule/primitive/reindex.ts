/** reindex: a block reads or writes a buffer laid out as the block's own iteration goes. */
import { constantValue, index } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { freeVars, some } from "../../../ir/expr/traverse.ts";
import { pointRegion, seq } from "../../../ir/loop/build.ts";
import type { Block, IterVar, Program } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { keyOf } from "../../analysis/order.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { blockRef, blocksIn } from "../tree.ts";
import { type Access, blockAccesses } from "./support-access.ts";
import { allocateIn, cacheOf, freshBufferName, remapBuffer } from "./support-buffer.ts";

import { freshName, rewriteAt, rewriteWithin } from "./support-nest.ts";
import { copyBlock, freshNest, type WholeBlock, wholeBlock } from "./support-whole.ts";

export interface ReindexArgs {
  readonly block: BlockRef;
  /** Name of a buffer the block reads or writes. */
  readonly buffer: string;
}
type Rule = "uses-buffer" | "alone" | "single-view" | "spatial-view" | "static-shape";
interface Plan extends WholeBlock {
  readonly buffer: Buffer;
  readonly writes: boolean;
  readonly indices: readonly Expr[];
  /** The iteration variables in the indices, in the block's order. */
  readonly vars: readonly IterVar[];
}

function plan(program: Program, { block: at, buffer: name }: ReindexArgs): Plan | Violation<Rule> {
  const own = blocksIn(program).find((b) => b.id === at.id);
  const accesses = own ? blockAccesses(own).filter((a) => a.buffer.name === name) : [];
  const first = accesses[0];
  if (!own || !first) return { rule: "uses-buffer", because: `${at.name} does not use ${name}`, at };
  const whole = wholeBlock(program, at.id);
  if (!whole) return { rule: "alone", because: `${at.name} shares its nest, or a guard skips some of it`, at };
  const { buffer } = first;
  const odd = accesses.find((a) => !sameView(a, first));
  if (odd || hasOtherStores(own))
    return {
      rule: "single-view",
      because: `${at.name} uses ${name} at several places, under conditions, or at places that depend on data`,
      at,
    };
  const used = new Set(first.indices.flatMap((e) => [...freeVars(e)]));
  const vars = own.iterVars.filter((v) => used.has(v.var.id));
  const writes = accesses.some((a) => a.kind === "store");
  const updated = writes && accesses.some((a) => a.kind === "load") && !own.init;
  if (writes && (updated || vars.some((v) => v.kind !== "spatial") || own.iterVars.some((v) => v.kind === "ordered")))
    return { rule: "spatial-view", because: `what ${at.name} writes of ${name} is not its own in each instance`, at };
  if (vars.some((v) => constantValue(v.extent) === undefined))
    return { rule: "static-shape", because: `an extent of ${at.name} is not a constant`, at };
  return { ...whole, buffer, writes, indices: first.indices, vars };
}
const sameView = (a: Access, b: Access): boolean =>
  a.conditions.length === 0 &&
  !a.guarded &&
  a.loops.length === 0 &&
  !a.indices.some((e) => some(e, (n) => n.kind === "load")) &&
  a.indices.map(keyOf).join() === b.indices.map(keyOf).join();
/** Whether the block does more than one unconditional store, so that an access may be skipped. */
const hasOtherStores = (b: Block): boolean =>
  b.body.kind !== "store" ||
  b.body.predicate !== undefined ||
  some(b.body.value, (n) => n.kind === "select" || (n.kind === "load" && n.predicate !== undefined));

function rewrite(program: Program, args: ReindexArgs) {
  const p = plan(program, args);
  invariant(!("rule" in p), "reindex was checked");
  const ids = new IdSource(program.nextId);
  const like = cacheOf(ids, p.buffer, "global", freshBufferName(program, `${p.buffer.name}_re`));
  const view: Buffer = { ...like, shape: p.vars.length > 0 ? p.vars.map((v) => v.extent) : [index(1)] };
  const place: Expr[] = p.vars.length > 0 ? p.vars.map((v) => v.var) : [index(0)];
  const redirected = remapBuffer(p.block, {
    from: p.buffer.id,
    to: view,
    indices: () => place,
    region: () => pointRegion(view, place),
  });
  const name = freshName(program, `${view.name}_copy`);
  const [inner, outer] = [
    [view, place],
    [p.buffer, p.indices],
  ] as const;
  const copy = p.writes ? copyBlock(ids, name, p.vars, outer, inner) : copyBlock(ids, name, p.vars, inner, outer);
  const nest = freshNest(ids, copy);
  const next = rewriteWithin(p.top, new Map([[p.block, redirected]]));
  const placed = rewriteAt(program, new Map([[p.top, seq(p.writes ? [next, nest] : [nest, next])]]));
  return { program: { ...allocateIn(placed, p.path.func, view), nextId: ids.next }, result: blockRef(copy) };
}

/** The primitive. */
export const reindex = definePrimitive({
  name: "reindex",
  doc: "Copies what a block reads of a buffer, before it, or writes, after it, between the buffer and a new one whose dimensions are the block's iteration variables.",
  before: "for x, k: C[x] += A[x * 2 + k]",
  after: "for x, k: A_re[x, k] = A[x * 2 + k]\nfor x, k: C[x] += A_re[x, k]",
  rules: {
    "uses-buffer": "the block reads or writes a buffer of that name",
    alone: "the block's nest is serial and holds nothing else, and no guard skips instances",
    "single-view": "the block is one unconditional store, and uses the buffer at one place that its variables give",
    "spatial-view": "a written place depends on spatial variables alone, and is updated from an init",
    "static-shape": "the extents of the variables are constants",
  },
  check: (program: Program, args: ReindexArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite,
});
