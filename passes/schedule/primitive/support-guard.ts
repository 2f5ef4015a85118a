/** Telling loop guards (tails of splits) from predicates that a block's meaning depends on. */
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Block, For } from "../../../ir/loop/program.ts";
import type { BufferId, VarId } from "../../../ir/support/ids.ts";
import { type Access, blockAccesses, iterRanges, limitsOf, merged, rangesOf } from "./support-access.ts";
import { spanOf } from "./support-box.ts";
import {
  addLinear,
  asInequalities,
  boundsOf,
  conjuncts,
  type Linear,
  linearOf,
  type Ranges,
} from "./support-linear.ts";
import { solveAccess, valueAt } from "./support-nest.ts";

/**
 * The first conjunct of the block's predicate that is not a tail guard. A tail guard holds for every instance within
 * `domain` (bounds of the iteration variables; the whole domain by default), or only shortens an inner loop.
 */
export function strayGuard(b: Block, loops: readonly For[], outer: Ranges, domain: Ranges = iterRanges(b)) {
  const inner = rangesOf(loops);
  const ranges = merged(outer, inner);
  const bindings = b.bindings.map((e) => linearOf(e, ranges));
  return conjuncts(b.predicate).find((c) => {
    const forms = asInequalities(c, ranges);
    return !forms?.every(
      (q) =>
        boundsOf(q, ranges).max <= 0 ||
        impliedByDomain(q, b, bindings, domain) ||
        shortensInner(q, c, bindings, inner, ranges),
    );
  });
}
/** q = ±binding + constant, and the variable's bounds make that ≤ 0. */
function impliedByDomain(q: Linear, b: Block, bindings: readonly Linear[], domain: Ranges): boolean {
  return b.iterVars.some((v, i) => {
    const known = domain.get(v.var.id);
    if (!known) return false;
    const upper = addLinear(q, bindings[i]!, -1);
    if (upper.terms.size === 0 && known.max + upper.constant <= 0) return true;
    const lower = addLinear(q, bindings[i]!);
    return lower.terms.size === 0 && lower.constant - known.min <= 0;
  });
}
/** The guard bounds a sum of inner variables within a binding, which still meets every value of its span. */
function shortensInner(q: Linear, c: Expr, bindings: readonly Linear[], inner: Ranges, ranges: Ranges): boolean {
  const limits = limitsOf([c], inner, ranges).filter((l) => addLinear(l, q, -1).terms.size === 0);
  return bindings.some((l) => {
    const free = spanOf(l, inner, ranges);
    const clipped = spanOf(l, inner, ranges, limits);
    return free !== undefined && clipped?.exact === true && clipped.extent < free.extent;
  });
}
/** The non-spatial iteration variables whose bindings use one of these loops. */
export function reducesOver(b: Block, loops: ReadonlySet<VarId>, used: (e: Expr) => Iterable<VarId>): boolean {
  return b.iterVars.some((v, i) => v.kind !== "spatial" && [...used(b.bindings[i]!)].some((id) => loops.has(id)));
}
/** Bounds of the producer's iteration variables over the elements that a read touches. */
export function elementDomain(producer: Block, buffer: BufferId, read: Access, ranges: Ranges): Ranges {
  const own = iterRanges(producer);
  const store = blockAccesses(producer, (id) => id === buffer).findLast((a) => a.kind === "store")!;
  const solution = solveAccess(store.indices, producer.iterVars, own);
  const domain = new Map(own);
  for (const [v, s] of solution ?? [])
    if (s.kind !== "free") domain.set(v, boundsOf(valueAt(s, read.indices, ranges), ranges));
  return domain;
}
