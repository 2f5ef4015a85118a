/**
 * Least-cost labelling of a graph: every variable takes one of its labels, at a cost of its own and a cost for each pair
 * of neighbours (a partitioned boolean quadratic problem, as Anderson & Gregg, "Optimal DNN primitive selection with
 * partitioned boolean quadratic programming", CGO 2018, choose kernels and layouts by; Liu et al., "Optimizing CNN model
 * inference on CPUs" (NeoCPU), USENIX ATC 2019, do the same for blocked layouts).
 *
 * Variables are eliminated one by one, those of fewest neighbours first (Dechter, "Bucket elimination", 1999): the best
 * label of a variable becomes a table over its neighbours' labels. That is the shortest path on chains, and exact on
 * trees, residual blocks and every graph whose tables stay below `largestTable`. Where they would not, the variable of
 * most neighbours is fixed at the label with the least lower bound, and the result improved one variable at a time.
 */

/** A cost for the labels of two variables: `cost[label of a][label of b]`. */
export interface PairCost {
  readonly a: number;
  readonly b: number;
  readonly cost: readonly (readonly number[])[];
}
/** Variables 0 … n − 1, each with at least one label. Costs are cycles; `Infinity` forbids. */
export interface LabellingProblem {
  /** The cost of each label, by variable. */
  readonly own: readonly (readonly number[])[];
  readonly pairs: readonly PairCost[];
}

/** Entries of a table at most. */
const largestTable = 1 << 12;

/** Costs over the labels of several variables, the last one varying fastest. */
interface Factor {
  readonly scope: readonly number[];
  readonly table: Float64Array;
}
/** How a variable follows from others decided later in elimination, earlier in assignment. */
interface Decision {
  readonly variable: number;
  readonly scope: readonly number[];
  /** The label for each assignment of the scope. */
  readonly labels: Uint32Array;
}

/** A label for every variable; the least total cost where tables stay small, never more than `start()`'s otherwise. */
export function solveLabelling(p: LabellingProblem, start: () => readonly number[]): number[] {
  const elimination = new Elimination(p);
  const { labels, exact } = elimination.run();
  if (exact) return labels;
  const found = improve(p, labels);
  const other = improve(p, start());
  return labellingCost(p, other) < labellingCost(p, found) ? other : found;
}

/** The total cost of a labelling. */
export function labellingCost(p: LabellingProblem, labels: readonly number[]): number {
  let total = 0;
  for (const [v, costs] of p.own.entries()) total += costs[labels[v]!]!;
  for (const { a, b, cost } of p.pairs) total += cost[labels[a]!]![labels[b]!]!;
  return total;
}

class Elimination {
  readonly #sizes: readonly number[];
  readonly #factors: Set<Factor>[];
  readonly #alive: boolean[];
  /** Variables by number of neighbours; entries may be out of date. */
  readonly #byDegree: number[][] = [];
  readonly #decisions: Decision[] = [];
  #exact = true;

  constructor(p: LabellingProblem) {
    this.#sizes = p.own.map((costs) => costs.length);
    this.#factors = p.own.map((costs, v) => new Set([{ scope: [v], table: Float64Array.from(costs) }]));
    this.#alive = p.own.map(() => true);
    for (const { a, b, cost } of p.pairs) this.#add({ scope: [a, b], table: Float64Array.from(cost.flat()) });
  }
  run(): { labels: number[]; exact: boolean } {
    for (const v of this.#sizes.keys()) this.#enqueue(v);
    for (let v = this.#next(); v !== undefined; v = this.#next()) {
      const scope = this.#neighbours(v);
      if (this.#tableSize(scope) * this.#sizes[v]! <= largestTable) this.#eliminate(v, scope);
      else this.#fix(this.#busiest());
    }
    const labels = this.#sizes.map(() => 0);
    for (const d of this.#decisions.toReversed()) labels[d.variable] = d.labels[this.#position(d.scope, labels)]!;
    return { labels, exact: this.#exact };
  }

  #add(f: Factor): void {
    for (const v of f.scope) this.#factors[v]!.add(f);
  }
  #remove(f: Factor): void {
    for (const v of f.scope) this.#factors[v]!.delete(f);
  }
  #neighbours(v: number): number[] {
    const found = new Set<number>();
    for (const f of this.#factors[v]!) for (const u of f.scope) if (u !== v) found.add(u);
    return [...found].sort((a, b) => a - b);
  }
  #tableSize = (scope: readonly number[]): number => scope.reduce((size, v) => size * this.#sizes[v]!, 1);
  #position(scope: readonly number[], labels: readonly number[]): number {
    let position = 0;
    for (const v of scope) position = position * this.#sizes[v]! + labels[v]!;
    return position;
  }
  /** Entries of a table between one label of `v` and the next. */
  #stride = (scope: readonly number[], v: number): number => this.#tableSize(scope.slice(scope.indexOf(v) + 1));
  #enqueue(v: number): void {
    const degree = this.#sizes[v] === 1 ? 0 : this.#neighbours(v).length;
    while (this.#byDegree.length <= degree) this.#byDegree.push([]);
    this.#byDegree[degree]!.push(v);
  }
  /** A variable of fewest neighbours; those with one label, which only add to their neighbours' costs, first. */
  #next(): number | undefined {
    for (const [degree, queue] of this.#byDegree.entries())
      for (let v = queue.pop(); v !== undefined; v = queue.pop()) {
        if (!this.#alive[v]) continue;
        if (degree === 0 || this.#neighbours(v).length === degree) return v;
      }
    return undefined;
  }
  #busiest(): number {
    let busiest = -1;
    let most = -1;
    for (const v of this.#sizes.keys()) {
      const degree = this.#alive[v] ? this.#neighbours(v).length : -1;
      if (degree > most) [busiest, most] = [v, degree];
    }
    return busiest;
  }

  /** Replaces the factors of `v` by one over its neighbours: the least cost that `v` can have for their labels. */
  #eliminate(v: number, scope: readonly number[]): void {
    if (this.#sizes[v] === 1) {
      this.#restrict(v, 0);
      return;
    }
    const factors = [...this.#factors[v]!];
    const table = new Float64Array(this.#tableSize(scope));
    const labels = new Uint32Array(table.length);
    const current: number[] = [];
    current[v] = 0;
    const strides = factors.map((f) => this.#stride(f.scope, v));
    const at = new Uint32Array(factors.length);
    for (let position = 0; position < table.length; position++) {
      this.#assign(scope, position, current);
      for (let i = 0; i < factors.length; i++) at[i] = this.#position(factors[i]!.scope, current);
      let least = Number.POSITIVE_INFINITY;
      for (let label = 0; label < this.#sizes[v]!; label++) {
        let cost = 0;
        for (let i = 0; i < factors.length; i++) cost += factors[i]!.table[at[i]! + label * strides[i]!]!;
        if (cost < least) [least, labels[position]] = [cost, label];
      }
      table[position] = least;
    }
    for (const f of factors) this.#remove(f);
    this.#decide({ variable: v, scope, labels });
    if (scope.length > 0) this.#add({ scope, table });
    scope.forEach((u) => void this.#enqueue(u));
  }
  #decide(d: Decision): void {
    this.#alive[d.variable] = false;
    this.#decisions.push(d);
  }
  /** Writes the labels of an assignment of `scope` into `labels`. */
  #assign(scope: readonly number[], position: number, labels: number[]): void {
    let rest = position;
    for (let i = scope.length - 1; i >= 0; i--) {
      const size = this.#sizes[scope[i]!]!;
      labels[scope[i]!] = rest % size;
      rest = Math.floor(rest / size);
    }
  }

  /** Fixes a variable at the label whose factors could cost least. */
  #fix(v: number): void {
    this.#exact = false;
    const bounds = Array.from({ length: this.#sizes[v]! }, (_, label) => {
      let bound = 0;
      for (const f of this.#factors[v]!) bound += Math.min(...this.#slice(f, v, label).table);
      return bound;
    });
    this.#restrict(v, bounds.indexOf(Math.min(...bounds)));
  }
  #restrict(v: number, label: number): void {
    const scope = this.#neighbours(v);
    for (const f of [...this.#factors[v]!]) {
      this.#remove(f);
      if (f.scope.length > 1) this.#add(this.#slice(f, v, label));
    }
    this.#decide({ variable: v, scope: [], labels: Uint32Array.of(label) });
    scope.forEach((u) => void this.#enqueue(u));
  }
  /** The factor with `v` at `label`. */
  #slice(f: Factor, v: number, label: number): Factor {
    const scope = f.scope.filter((u) => u !== v);
    if (this.#sizes[v] === 1) return { scope, table: f.table };
    const labels: number[] = [];
    labels[v] = label;
    const table = new Float64Array(this.#tableSize(scope)).map((_, position) => {
      this.#assign(scope, position, labels);
      return f.table[this.#position(f.scope, labels)]!;
    });
    return { scope, table };
  }
}

/** Changes one variable at a time while that lowers the cost. */
function improve(p: LabellingProblem, start: readonly number[]): number[] {
  const labels = [...start];
  const pairsOf: PairCost[][] = p.own.map(() => []);
  for (const pair of p.pairs) {
    pairsOf[pair.a]!.push(pair);
    pairsOf[pair.b]!.push(pair);
  }
  const costAt = (v: number, label: number): number => {
    let cost = p.own[v]![label]!;
    for (const { a, b, cost: table } of pairsOf[v]!)
      cost += a === v ? table[label]![labels[b]!]! : table[labels[a]!]![label]!;
    return cost;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const [v, own] of p.own.entries()) {
      const costs = own.map((_, label) => costAt(v, label));
      const best = costs.indexOf(Math.min(...costs));
      if (costs[best]! < costs[labels[v]!]!) {
        labels[v] = best;
        changed = true;
      }
    }
  }
  return labels;
}
