/**
 * Reductions whose results are combined together by a stated function: argmin, Welford, any associative one. A block says
 * so by an annotation, and by the form of its body: the values of one iteration, then what they make of the results so
 * far, then the stores. So whoever finds the form can combine partial results too.
 */
import { and, compare, constant, identityOf, load, maxOf, or, select, variable } from "../expr/build.ts";
import { dtype, type ScalarType } from "../expr/dtype.ts";
import type { Buffer, Expr, Var } from "../expr/expr.ts";
import { freeVars, rewrite, some, substitute } from "../expr/traverse.ts";
import type { IdSource, VarId } from "../support/ids.ts";
import { letIn, seq, store } from "./build.ts";
import type { Annotations, Block, Let, Stmt, Store } from "./program.ts";

/**
 * An associative function of lists of results. That it is associative, that `identity` changes nothing on either side,
 * and whether operands may change places (`commutative`) is the word of whoever states it; nothing checks it.
 */
export interface Combiner {
  readonly name: string;
  readonly identity: (types: readonly ScalarType[]) => readonly Expr[];
  readonly combine: (a: readonly Expr[], b: readonly Expr[]) => readonly Expr[];
  readonly commutative: boolean;
}
/** Ties are broken by the index, so that operands may change places. */
const extreme = (name: string, better: "lt" | "gt"): Combiner => ({
  name,
  identity: ([value, index]) => [
    identityOf(better === "lt" ? "min" : "max", value!),
    constant(dtype(index!), maxOf(index!)),
  ],
  combine: ([v, i], [w, j]) => {
    const wins = or(compare(better, w!, v!), and(compare("eq", w!, v!), compare("lt", j!, i!)));
    return [select(wins, w!, v!), select(wins, j!, i!)];
  },
  commutative: true,
});
/** The least value and its index; of equal values the smallest index wins, NaN never does. */
export const argmin: Combiner = extreme("argmin", "lt");
/** The greatest value and its index; of equal values the smallest index wins, NaN never does. */
export const argmax: Combiner = extreme("argmax", "gt");

const key = "combiner";
/** What a block with such a body is annotated with. */
export const combinerAnnotations = (c: Combiner): Annotations => ({
  [key]: c.commutative ? "commutative" : "associative",
});

/** Where results stand: one element of each buffer, at the same place. */
export interface Results {
  readonly buffers: readonly Buffer[];
  readonly place: readonly Expr[];
}
/** The update of results by the values of one iteration. */
export function combinedUpdate(
  ids: IdSource,
  { buffers, place }: Results,
  values: readonly Expr[],
  combine: Combiner["combine"],
): Stmt {
  const named = (suffix: string): Var[] => buffers.map((b) => variable(ids, `${b.name}_${suffix}`, b.dtype));
  const [own, next] = [named("value"), named("next")];
  const made = combine(
    buffers.map((b) => load(b, place)),
    own,
  );
  const stores = seq(buffers.map((b, k) => store(b, place, next[k]!)));
  const inner = next.reduceRight<Stmt>((body, v, k) => letIn(v, made[k]!, body), stores);
  return own.reduceRight<Stmt>((body, v, k) => letIn(v, values[k]!, body), inner);
}
/** The stores of start values. */
export const startOf = ({ buffers, place }: Results, values: readonly Expr[]): Stmt =>
  seq(buffers.map((b, k) => store(b, place, values[k]!)));

/** A combined reduction as a block has it. */
export interface Combination extends Results {
  readonly identity: readonly Expr[];
  /** The values of one iteration. */
  readonly values: readonly Expr[];
  readonly combine: Combiner["combine"];
  readonly commutative: boolean;
}
/** Whether a block declares that its body combines; and if so, whether in any order. */
export function declaredCombiner(b: Block): "commutative" | "associative" | undefined {
  const word = b.annotations?.[key];
  return word === "commutative" || word === "associative" ? word : undefined;
}
/** The combined reduction of a block; undefined where it declares none, or its body or init has another form. */
export function combinationOf(b: Block, same: (x: Expr, y: Expr) => boolean): Combination | undefined {
  const declared = declaredCombiner(b);
  const lets: Let[] = [];
  let at: Stmt = b.body;
  for (; at.kind === "let"; at = at.body) lets.push(at);
  const stores = storesOf(at);
  const starts = b.init && storesOf(b.init);
  const n = stores?.length ?? 0;
  const first = stores?.[0];
  if (!declared || !stores || !first || lets.length !== 2 * n || starts?.length !== n) return undefined;
  const isPlace = (s: Store): boolean => s.indices.every((e, d) => same(e, first.indices[d]!));
  const fits = stores.every((s, k) => {
    const [start, next] = [starts[k]!, lets[n + k]!];
    const isNext = s.value.kind === "var" && s.value.id === next.var.id;
    return isNext && isPlace(s) && start.buffer.id === s.buffer.id && isPlace(start) && start.value.kind === "const";
  });
  const [values, nexts] = [lets.slice(0, n), lets.slice(n)];
  const buffers = stores.map((s) => s.buffer);
  const own = new Set(buffers.map((x) => x.id));
  const isResult = (e: Expr): boolean =>
    e.kind === "load" && own.has(e.buffer.id) && e.indices.every((i, d) => same(i, first.indices[d]!));
  const known = new Set<VarId>([...values.map((l) => l.var.id), ...first.indices.flatMap((i) => [...freeVars(i)])]);
  const varies = (e: Expr): boolean => (e.kind === "load" && !isResult(e)) || (e.kind === "var" && !known.has(e.id));
  const loadsOwn = (e: Expr): boolean => e.kind === "load" && own.has(e.buffer.id);
  if (!fits || values.some((l) => some(l.value, loadsOwn)) || nexts.some((l) => some(l.value, varies)))
    return undefined;
  const combine: Combiner["combine"] = (a, c) => {
    const map = new Map<VarId, Expr>(values.map((l, k) => [l.var.id, c[k]!]));
    return nexts.map((l) =>
      rewrite(substitute(l.value, map), (x) => {
        const k = x.kind === "load" ? buffers.findIndex((y) => y.id === x.buffer.id) : -1;
        return k >= 0 ? a[k]! : x;
      }),
    );
  };
  return {
    buffers,
    place: first.indices,
    identity: starts.map((s) => s.value),
    values: values.map((l) => l.value),
    combine,
    commutative: declared === "commutative",
  };
}
/** The unmasked stores of a statement that is nothing else. */
function storesOf(s: Stmt): readonly Store[] | undefined {
  const list = s.kind === "seq" ? s.body : [s];
  const stores = list.filter((x): x is Store => x.kind === "store" && x.predicate === undefined);
  return stores.length === list.length ? stores : undefined;
}
