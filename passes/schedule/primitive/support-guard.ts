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
 * `domain` (bounds of the iteration variables; the whole domain by default), or only shortens an inner loop so that
 * the bindings still meet all of it.
 */
export function strayGuard(b: Block, loops: readonly For[], outer: Ranges, domain: Ranges = iterRanges(b)) {
  const ranges = merged(outer, rangesOf(loops));
  const bindings = b.bindings.map((e) => linearOf(e, ranges));
  return conjuncts(b.predicate).find((c) => {
    const forms = asInequalities(c, ranges);
    return !forms?.every(
      (q) =>
        boundsOf(q, ranges).max <= 0 ||
        impliedByDomain(q, b, bindings, domain) ||
        shortensInner(q, c, b, bindings, domain, ranges),
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
/** The guard bounds a sum of loop variables within a binding, which still meets every value of the variable's domain. */
function shortensInner(q: Linear, c: Expr, b: Block, bindings: readonly Linear[], domain: Ranges, ranges: Ranges) {
  const limits = limitsOf([c], ranges, ranges).filter((l) => addLinear(l, q, -1).terms.size === 0);
  return b.iterVars.some((v, i) => {
    const known = domain.get(v.var.id);
    const free = spanOf(bindings[i]!, ranges, ranges);
    const clipped = spanOf(bindings[i]!, ranges, ranges, limits);
    if (!known || !free || !clipped?.exact || clipped.extent >= free.extent || clipped.min.terms.size > 0) return false;
    return clipped.min.constant <= known.min && clipped.min.constant + clipped.extent > known.max;
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
