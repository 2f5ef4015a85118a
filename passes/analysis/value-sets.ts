/** Sets of integers and of integer tuples that affine forms take over boxes: the counting behind footprints. */

/** A sum Σ coefficient · digit + constant, each digit in 0..extent. */
export interface Form {
  readonly constant: number;
  readonly terms: readonly { readonly digit: string; readonly extent: number; readonly coefficient: number }[];
}
/** The integers `from + k` for which `has[k]` is not 0; all of from..to where `has` is absent. */
export interface ValueSet {
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly has?: Uint8Array;
}
/** What one access touches: for each group of dimensions the tuples it takes, independently of the other groups. */
export type Factor =
  | { readonly dims: readonly [number]; readonly values: ValueSet }
  | { readonly dims: readonly number[]; readonly tuples: readonly (readonly number[])[] };
export interface Product {
  readonly factors: readonly Factor[];
  /** Whether it is what is touched, not only an upper bound. */
  readonly exact: boolean;
}

const mostBits = 2 ** 20;
const mostTuples = 2 ** 15;
const mostCells = 2 ** 20;
const mostElements = 2 ** 17;

const dense = (from: number, to: number): ValueSet => ({ from, to, count: Math.max(0, to - from + 1) });
/** The values of a form; `exact` is false where only an upper bound of their number is known. */
export function valuesOf(f: Form): { readonly values: ValueSet; readonly exact: boolean } {
  const reach = f.terms.map((t) => t.coefficient * (t.extent - 1));
  const from = f.constant + reach.reduce((a, r) => a + Math.min(0, r), 0);
  const to = f.constant + reach.reduce((a, r) => a + Math.max(0, r), 0);
  if (isDense(f)) return { values: dense(from, to), exact: true };
  if (to - from >= mostBits) return { values: dense(from, to), exact: false };
  let has = new Uint8Array(to - from + 1);
  has[0] = 1;
  for (const t of f.terms) {
    const next = new Uint8Array(has.length);
    const step = Math.abs(t.coefficient);
    for (let k = 0; k < t.extent; k++) for (let v = 0; v + k * step < has.length; v++) next[v + k * step]! |= has[v]!;
    has = next;
  }
  return { values: { from, to, has, count: has.reduce((a, b) => a + b, 0) }, exact: true };
}
/** Whether a form takes every value between its ends: no step is wider than what smaller ones fill. */
function isDense(f: Form): boolean {
  let filled = 0;
  const steps = f.terms.filter((t) => t.extent > 1).map((t) => [Math.abs(t.coefficient), t.extent - 1] as const);
  for (const [step, times] of steps.sort((a, b) => a[0] - b[0])) {
    if (step > filled + 1) return false;
    filled += step * times;
  }
  return true;
}
/** The values within [from, to]. */
export function clipped(s: ValueSet, from: number, to: number): ValueSet {
  const [low, high] = [Math.max(s.from, from), Math.min(s.to, to)];
  if (low > high) return dense(low, low - 1);
  if (!s.has) return dense(low, high);
  const has = s.has.slice(low - s.from, high - s.from + 1);
  return { from: low, to: high, has, count: has.reduce((a, b) => a + b, 0) };
}
/** All tuples of forms that share digits; undefined when there are too many. */
export function tuplesOf(forms: readonly Form[]): readonly (readonly number[])[] | undefined {
  const digits = new Map(forms.flatMap((f) => f.terms.map((t) => [t.digit, t.extent] as const)));
  const total = [...digits.values()].reduce((a, n) => a * n, 1);
  if (total > mostTuples) return undefined;
  const found = new Map<string, readonly number[]>();
  const keys = [...digits.keys()];
  const run = (k: number, at: ReadonlyMap<string, number>): void => {
    const key = keys[k];
    if (key !== undefined) {
      for (let v = 0; v < digits.get(key)!; v++) run(k + 1, new Map(at).set(key, v));
      return;
    }
    const tuple = forms.map((f) => f.terms.reduce((a, t) => a + t.coefficient * at.get(t.digit)!, f.constant));
    found.set(tuple.join(), tuple);
  };
  run(0, new Map());
  return [...found.values()];
}

const countOf = (f: Factor): number => ("values" in f ? f.values.count : f.tuples.length);
const sizeOf = (p: Product): number => p.factors.reduce((a, f) => a * countOf(f), 1);
/**
 * How many elements any of the products holds; an upper bound where `exact` is false. Bounds do no harm when what is
 * certainly touched is as much already.
 */
export function unionCount(
  products: readonly Product[],
  rank: number,
): { readonly count: number; readonly exact: boolean } {
  const most = countAll(products, rank);
  if (products.every((p) => p.exact)) return most;
  const least = countAll(
    products.filter((p) => p.exact),
    rank,
  );
  return { count: most.count, exact: most.exact && least.exact && least.count === most.count };
}
function countAll(products: readonly Product[], rank: number): { readonly count: number; readonly exact: boolean } {
  const list = products.filter((p) => sizeOf(p) > 0);
  if (list.length === 0) return { count: 0, exact: true };
  if (list.length === 1) return { count: sizeOf(list[0]!), exact: true };
  const boxes = list.map((p) => boxOf(p, rank));
  const cells = boxes.every((b) => b !== undefined) ? unionOfBoxes(boxes as Box[], rank) : undefined;
  if (cells !== undefined) return { count: cells, exact: true };
  const total = list.reduce((a, p) => a + sizeOf(p), 0);
  return total <= mostElements ? { count: elementsOf(list, rank), exact: true } : { count: total, exact: false };
}

type Box = readonly (readonly [number, number])[];
/** Half-open sides, when the product is a box without holes. */
function boxOf(p: Product, rank: number): Box | undefined {
  const sides: (readonly [number, number])[] = Array.from({ length: rank });
  for (const f of p.factors) {
    if (!("values" in f) || f.values.has) return undefined;
    sides[f.dims[0]] = [f.values.from, f.values.to + 1];
  }
  return sides;
}
/** The volume of a union: cells of the grid that all sides draw. */
function unionOfBoxes(boxes: readonly Box[], rank: number): number | undefined {
  const cuts = Array.from({ length: rank }, (_, d) => [...new Set(boxes.flatMap((b) => b[d]!))].sort((x, y) => x - y));
  if (cuts.reduce((a, c) => a * c.length, 1) * boxes.length > mostCells) return undefined;
  const within = (d: number, live: readonly Box[]): number => {
    if (live.length === 0) return 0;
    if (d === rank) return 1;
    let volume = 0;
    for (let k = 0; k + 1 < cuts[d]!.length; k++) {
      const [from, to] = [cuts[d]![k]!, cuts[d]![k + 1]!];
      volume +=
        (to - from) *
        within(
          d + 1,
          live.filter((b) => b[d]![0] <= from && to <= b[d]![1]),
        );
    }
    return volume;
  };
  return within(0, boxes);
}
/** The number of distinct elements, one by one. */
function elementsOf(list: readonly Product[], rank: number): number {
  const found = new Set<string>();
  for (const p of list) {
    const at: number[] = Array.from({ length: rank }, () => 0);
    const run = (k: number): void => {
      const f = p.factors[k];
      if (!f) {
        found.add(at.join());
        return;
      }
      for (const tuple of membersOf(f)) {
        f.dims.forEach((d, j) => {
          at[d] = tuple[j]!;
        });
        run(k + 1);
      }
    };
    run(0);
  }
  return found.size;
}
function membersOf(f: Factor): readonly (readonly number[])[] {
  if (!("values" in f)) return f.tuples;
  const { from, to, has } = f.values;
  const all = Array.from({ length: to - from + 1 }, (_, k) => [from + k] as const);
  return has ? all.filter((_, k) => has[k] === 1) : all;
}
