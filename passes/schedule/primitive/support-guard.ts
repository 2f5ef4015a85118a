/** Telling loop guards (tails of splits) from predicates that a block's meaning depends on. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { Block, For } from "../../../ir/loop/program.ts";
import type { BufferId, VarId } from "../../../ir/support/ids.ts";
import { type Access, blockAccesses, iterRanges, limitsOf, merged, rangesOf } from "./support-access.ts";
import { spanOf } from "./support-box.ts";
import {
  addLinear,
  asInequalities,
  type Bounds,
  boundsOf,
  conjuncts,
  type Linear,
  linearOf,
  type Ranges,
} from "./support-linear.ts";
import { type Solution, solveAccess, valueAt } from "./support-nest.ts";

/** What a guard may rest on. */
interface GuardContext {
  /** Bounds of the loops around `loops`. */
  readonly outer: Ranges;
  /** Bounds of the iteration variables of the instances that must run; the whole domain by default. */
  readonly domain?: Ranges;
  /** The loops that run within one tile; all of `loops` by default. */
  readonly tile?: readonly For[];
}
/**
 * The first conjunct of the block's predicate that is not a tail guard. A tail guard holds for every instance within the
 * domain, or only shortens loops of the tile so that the bindings still meet all of the domain.
 */
export function strayGuard(b: Block, loops: readonly For[], context: GuardContext): Expr | undefined {
  const { outer, domain = iterRanges(b), tile = loops } = context;
  const ranges = merged(outer, rangesOf(loops));
  const short = rangesOf(tile);
  const bindings = b.bindings.map((e) => linearOf(e, ranges));
  return conjuncts(b.predicate).find((c) => {
    const forms = asInequalities(c, ranges);
    return !forms?.every(
      (q) =>
        boundsOf(q, ranges).max <= 0 ||
        impliedByDomain(q, b, bindings, domain) ||
        (isOver(q, short) && shortensLoops(q, c, b, bindings, merged(iterRanges(b), domain), ranges)),
    );
  });
}
const isOver = (q: Linear, vars: Ranges): boolean =>
  [...q.terms.values()].every((t) => [...freeVars(t.atom)].every((v) => vars.has(v)));
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
function shortensLoops(q: Linear, c: Expr, b: Block, bindings: readonly Linear[], domain: Ranges, ranges: Ranges) {
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
/**
 * Bounds of the producer's iteration variables over the elements that a read touches. Variables that an element does
 * not determine are left out: which of their values ran for it is not known.
 */
export function elementDomain(producer: Block, buffer: BufferId, read: Access, ranges: Ranges): Ranges {
  const own = iterRanges(producer);
  const store = blockAccesses(producer, (id) => id === buffer).findLast((a) => a.kind === "store")!;
  const domain = new Map<VarId, Bounds>();
  for (const [v, s] of solveAccess(store.indices, producer.iterVars, own) ?? [])
    if (s.kind !== "free")
      domain.set(v, withinBuffer(s, boundsOf(valueAt(s, read.indices, ranges), ranges), read.buffer));
  return domain;
}
/** Elements lie within their buffer, so a variable that one dimension determines is bounded by its length. */
function withinBuffer(s: Solution, { min, max }: Bounds, b: Buffer): Bounds {
  const length = s.kind === "point" ? constantValue(b.shape[s.dim]!) : undefined;
  if (s.kind !== "point" || length === undefined) return { min, max };
  return { min: Math.max(min, -s.offset), max: Math.min(max, length - 1 - s.offset) };
}
