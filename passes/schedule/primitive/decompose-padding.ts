/** decomposePadding: a padded copy becomes a fill of the border and a copy of the interior. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Expr, Select } from "../../../ir/expr/expr.ts";
import { some } from "../../../ir/expr/traverse.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { Block, Program, Store } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { blockRef } from "../tree.ts";
import { iterRanges } from "./support-access.ts";
import { readRegionsOf } from "./support-buffer.ts";
import { type Met, shrink } from "./support-domain.ts";
import { BlockNames, duplicate } from "./support-duplicate.ts";
import { asInequalities, conjuncts } from "./support-linear.ts";
import { rewriteAt } from "./support-nest.ts";
import { freshNest, type WholeBlock, wholeBlock } from "./support-whole.ts";

export interface DecomposePaddingArgs {
  readonly block: BlockRef;
}
type Rule = "alone" | "guarded-copy" | "box-condition" | "has-border";
interface Plan extends WholeBlock {
  readonly store: Store;
  readonly select: Select;
  readonly interior: readonly Met[];
  readonly extents: readonly number[];
}

function plan(program: Program, { block: at }: DecomposePaddingArgs): Plan | Violation<Rule> {
  const whole = wholeBlock(program, at.id);
  if (!whole) return { rule: "alone", because: `${at.name} shares its nest, or a guard skips some of it`, at };
  const { block } = whole;
  const store = block.body;
  const isCopy =
    store.kind === "store" &&
    !store.predicate &&
    store.value.kind === "select" &&
    !block.init &&
    block.iterVars.every((v) => v.kind === "spatial") &&
    !some(store.value.otherwise, (n) => n.kind === "load") &&
    !some(store.value, (n) => n.kind === "load" && n.buffer.id === store.buffer.id);
  if (!isCopy || store.value.kind !== "select")
    return { rule: "guarded-copy", because: `${at.name} is not a store of select(condition, value, border)`, at };
  const extents = block.iterVars.map((v) => constantValue(v.extent));
  const interior = interiorOf(block, store.value.condition);
  if (!interior || extents.some((n) => n === undefined))
    return { rule: "box-condition", because: `the interior of ${at.name} is no box of its variables`, at };
  if (interior.every((m, k) => m.extent === extents[k]))
    return { rule: "has-border", because: `the condition of ${at.name} always holds`, at };
  return { ...whole, store, select: store.value, interior, extents: extents as number[] };
}
/** The values of each variable for which the condition holds; undefined unless they are a box that is not empty. */
function interiorOf(b: Block, condition: Expr): Met[] | undefined {
  const ranges = iterRanges(b);
  const bounds = b.iterVars.map((v) => ({ lo: 0, hi: constantValue(v.extent) ?? 0 }));
  for (const c of conjuncts(condition)) {
    const forms = asInequalities(c, ranges);
    if (!forms) return undefined;
    for (const q of forms) {
      const [term] = [...q.terms.values()];
      if (!term && q.constant <= 0) continue;
      const k = b.iterVars.findIndex((v) => term?.atom.kind === "var" && v.var.id === (term.atom.id as VarId));
      const own = bounds[k];
      if (!term || !own || q.terms.size > 1 || Math.abs(term.coefficient) !== 1) return undefined;
      if (term.coefficient > 0) own.hi = Math.min(own.hi, 1 - q.constant);
      else own.lo = Math.max(own.lo, q.constant);
    }
  }
  const met = bounds.map(({ lo, hi }) => ({ lo, extent: hi - lo }));
  return met.every((m) => m.extent > 0) ? met : undefined;
}
/** The border as boxes that do not overlap: what lies before and after the interior in each dimension in turn. */
function faces(p: Plan): Met[][] {
  const found: Met[][] = [];
  const box: Met[] = p.extents.map((extent) => ({ lo: 0, extent }));
  for (const [k, { lo, extent }] of p.interior.entries()) {
    const at = (m: Met): Met[] => box.map((x, d) => (d === k ? m : x));
    if (lo > 0) found.push(at({ lo: 0, extent: lo }));
    if (lo + extent < p.extents[k]!) found.push(at({ lo: lo + extent, extent: p.extents[k]! - lo - extent }));
    box[k] = { lo, extent };
  }
  return found;
}

function rewrite(program: Program, args: DecomposePaddingArgs) {
  const p = plan(program, args);
  invariant(!("rule" in p), "decomposePadding was checked");
  const ids = new IdSource(program.nextId);
  const copying = { program, ids, names: new BlockNames(program) };
  const filled: Block = { ...p.block, reads: [], body: { ...p.store, value: p.select.otherwise } };
  const fills = faces(p).map((met) => duplicate(freshNest(ids, shrink(filled, met)), copying, "fill"));
  const copied: Block = { ...p.block, body: { ...p.store, value: p.select.then } };
  const inner = shrink({ ...copied, reads: readRegionsOf(copied) }, p.interior);
  const placed = rewriteAt(program, new Map([[p.top, seq([...fills, freshNest(ids, inner)])]]));
  return { program: { ...placed, nextId: ids.next }, result: blockRef(p.block) };
}

/** The primitive. */
export const decomposePadding = definePrimitive({
  name: "decomposePadding",
  doc: "Turns a padded copy into a fill of the border and an unguarded copy of the interior, which keeps the block.",
  before: "for x in 0..10:\n  P[x] = select(1 <= x && x < 9, A[x - 1], 0)",
  after: "for x in 0..1: P_fill[x] = 0\nfor x in 0..1: P_fill[x + 9] = 0\nfor x in 0..8: P[x + 1] = A[x]",
  rules: {
    alone: "the block's nest is serial and holds nothing else, and no guard skips instances",
    "guarded-copy": "the block stores a select whose other arm loads nothing, over spatial variables",
    "box-condition": "the condition holds for a box of the variables, with constant bounds",
    "has-border": "the condition fails somewhere",
  },
  check: (program: Program, args: DecomposePaddingArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite,
});
