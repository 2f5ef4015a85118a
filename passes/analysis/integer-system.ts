/**
 * Feasibility of systems of linear equalities and inequalities over the integers.
 *
 * Equalities go first, as in the Omega test (Pugh, 1991): divide by the gcd, substitute a variable with a unit
 * coefficient, or introduce a fresh one with symmetric remainders until there is such a variable. Then Fourier–Motzkin
 * elimination, each inequality tightened to the integers. Elimination is exact while one side's coefficients are 1;
 * otherwise a feasible answer is only "maybe". An infeasible answer is always right.
 */

/** A linear expression: the constant first, then one coefficient a column. */
export type Row = number[];

export interface IntegerSystem {
  /** Each row = 0. */
  readonly equalities: readonly Row[];
  /** Each row ≥ 0. */
  readonly inequalities: readonly Row[];
  /** Linear expressions to be rewritten along with the system. */
  readonly tracked: readonly Row[];
}
/** A system without equalities; `tracked` rows are in terms of its remaining variables. */
export interface ReducedSystem {
  readonly inequalities: readonly Row[];
  readonly tracked: readonly Row[];
}
export type Feasibility = "no" | "maybe" | "yes";

const maxRows = 120;
const maxCoefficient = 2 ** 40;

function gcdOfRow(row: Row): number {
  let g = 0;
  for (let j = 1; j < row.length; j++) {
    let x = Math.abs(row[j]!);
    while (x !== 0) [g, x] = [x, g % x];
    if (g === 1) return 1;
  }
  return g;
}
/** row + k·other, in place; a longer `other` widens the row. */
function addTo(row: Row, other: Row, k: number): void {
  while (row.length < other.length) row.push(0);
  for (let j = 0; j < other.length; j++) row[j] = row[j]! + k * other[j]!;
}
/** Puts `column` = `value` (a row whose own coefficient in that column is 0) into a row. */
function substituteInto(row: Row, column: number, value: Row): Row {
  const k = row[column] ?? 0;
  if (k === 0) return row;
  const next = row.slice();
  next[column] = 0;
  addTo(next, value, k);
  return next;
}
/** The remainder of a by m in [-m/2, m/2). */
const symmetricRemainder = (a: number, m: number): number => a - m * Math.floor(a / m + 0.5);

/** Eliminates every equality; undefined when they have no integer solution. */
export function eliminateEqualities(system: IntegerSystem): ReducedSystem | undefined {
  let equalities = system.equalities.slice();
  let inequalities = system.inequalities;
  let tracked = system.tracked;
  const put = (column: number, value: Row): void => {
    equalities = equalities.map((r) => substituteInto(r, column, value));
    inequalities = inequalities.map((r) => substituteInto(r, column, value));
    tracked = tracked.map((r) => substituteInto(r, column, value));
  };
  for (let steps = 0; equalities.length > 0; steps++) {
    const row = takeSimplest(equalities);
    const g = gcdOfRow(row);
    if (g === 0) {
      if (row[0] !== 0) return undefined;
      continue;
    }
    if (row[0]! % g !== 0) return undefined;
    const r = g === 1 ? row : row.map((v) => v / g);
    const column = smallestColumn(r);
    const k = r[column]!;
    if (Math.abs(k) === 1) {
      // k·x + rest = 0, so x = -rest/k.
      const value = r.map((v, j) => (j === column || v === 0 ? 0 : -v / k));
      put(column, value);
      continue;
    }
    equalities.push(r);
    const width = Math.max(
      r.length,
      ...equalities.map((e) => e.length),
      ...inequalities.map((e) => e.length),
      ...tracked.map((e) => e.length),
    );
    put(column, withFreshColumn(r, column, width));
    if (steps > 200) return { inequalities, tracked };
  }
  return { inequalities, tracked };
}
/** Removes and gives the row whose smallest coefficient is smallest. */
function takeSimplest(rows: Row[]): Row {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  rows.forEach((r, i) => {
    const column = smallestColumn(r);
    const size = column === 0 ? 0 : Math.abs(r[column]!);
    if (size < least) [best, least] = [i, size];
  });
  return rows.splice(best, 1)[0]!;
}
function smallestColumn(row: Row): number {
  let column = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let j = 1; j < row.length; j++) {
    const size = Math.abs(row[j]!);
    if (size !== 0 && size < least) [column, least] = [j, size];
  }
  return column;
}
/** With m = |k|+1 and a fresh σ: Σ (a_i mod m)·x_i - m·σ = 0 holds, and x's coefficient in it is ∓1. */
function withFreshColumn(row: Row, column: number, width: number): Row {
  const k = row[column]!;
  const m = Math.abs(k) + 1;
  const sign = Math.sign(k);
  const value: Row = row.map((v, j) => (j === column ? 0 : sign * symmetricRemainder(v, m)));
  while (value.length < width) value.push(0);
  value.push(-sign * m);
  return value.map((v) => (v === 0 ? 0 : v));
}

/** Divides a row ≥ 0 by its gcd and rounds the constant down; what holds always is dropped (undefined). */
function tighten(row: Row): Row | "infeasible" | undefined {
  const g = gcdOfRow(row);
  if (g === 0) return row[0]! < 0 ? "infeasible" : undefined;
  if (g === 1) return row;
  return row.map((v, j) => (j === 0 ? Math.floor(v / g) : v / g));
}

/** Keeps, of rows with the same coefficients, the tightest; "infeasible" when two opposite ones contradict. */
function prune(rows: readonly Row[]): Map<string, Row> | "infeasible" {
  const kept = new Map<string, Row>();
  for (const raw of rows) {
    const row = tighten(raw);
    if (row === "infeasible") return row;
    if (row === undefined) continue;
    const key = keyOf(row, 1);
    const other = kept.get(key);
    if (other === undefined || row[0]! < other[0]!) kept.set(key, row);
  }
  for (const row of kept.values()) {
    const against = kept.get(keyOf(row, -1));
    if (against && against[0]! + row[0]! < 0) return "infeasible";
  }
  return kept;
}
function keyOf(row: Row, sign: 1 | -1): string {
  let key = "";
  for (let j = 1; j < row.length; j++) {
    const v = row[j]!;
    if (v !== 0) key += `${j}:${v * sign},`;
  }
  return key;
}

/** How many eliminations one question may cost in all. */
const eliminationBudget = 48;
/** Wider variables are not enumerated. */
const widestEnumerated = 16;

/**
 * Whether inequalities alone have an integer solution; parts that share no variable are decided one by one. Where
 * elimination alone does not decide, the variable with the fewest values is enumerated, within a budget.
 */
export function feasible(inequalities: readonly Row[]): Feasibility {
  let rest = inequalities;
  let all: Feasibility = "yes";
  while (rest.length > 0) {
    const { inside, outside } = connected(rest, rest[0]!);
    const answer = decide(inside, { left: eliminationBudget });
    if (answer === "no") return "no";
    if (answer === "maybe") all = "maybe";
    rest = outside;
  }
  return all;
}
/** Splits rows into those that share variables with `seed`, directly or through others, and the rest. */
export function connected(rows: readonly Row[], seed: Row): { inside: readonly Row[]; outside: readonly Row[] } {
  const reached: boolean[] = [];
  const reach = (r: Row): void => {
    for (let j = 1; j < r.length; j++) if (r[j] !== 0) reached[j] = true;
  };
  const touches = (r: Row): boolean => {
    for (let j = 1; j < r.length; j++) if (r[j] !== 0 && reached[j]) return true;
    return false;
  };
  reach(seed);
  const inside: Row[] = [];
  let outside = rows;
  for (;;) {
    const left: Row[] = [];
    for (const r of outside)
      if (r === seed || touches(r)) {
        reach(r);
        inside.push(r);
      } else left.push(r);
    if (left.length === outside.length) return { inside, outside };
    outside = left;
  }
}
function decide(rows: readonly Row[], budget: { left: number }): Feasibility {
  budget.left--;
  const answer = eliminateAll(rows);
  if (answer !== "maybe" || budget.left <= 0) return answer;
  const narrow = narrowestColumn(rows);
  if (narrow === "infeasible") return "no";
  if (narrow === undefined) return answer;
  let all: Feasibility = "no";
  for (let v = narrow.min; v <= narrow.max; v++) {
    if (budget.left <= 0) return "maybe";
    const inner = decide(
      rows.map((r) => substituteInto(r, narrow.column, [v])),
      budget,
    );
    if (inner === "yes") return "yes";
    if (inner === "maybe") all = "maybe";
  }
  return all;
}
/** The bounded column with the fewest integer values (at least two); bounds come from propagating every row. */
function narrowestColumn(
  rows: readonly Row[],
): { column: number; min: number; max: number } | "infeasible" | undefined {
  const width = rows.reduce((n, r) => Math.max(n, r.length), 0);
  const min: number[] = new Array(width).fill(Number.NEGATIVE_INFINITY);
  const max: number[] = new Array(width).fill(Number.POSITIVE_INFINITY);
  for (let round = 0; round < 6; round++) for (const r of rows) if (!propagate(r, min, max)) return "infeasible";
  let best: { column: number; min: number; max: number } | undefined;
  for (let j = 1; j < width; j++) {
    const size = max[j]! - min[j]!;
    if (size > widestEnumerated || !rows.some((r) => (r[j] ?? 0) !== 0)) continue;
    if (!best || size < best.max - best.min) best = { column: j, min: min[j]!, max: max[j]! };
  }
  return best;
}
/** Tightens bounds by one row ≥ 0; false when nothing is left. */
function propagate(row: Row, min: number[], max: number[]): boolean {
  let unbounded = 0;
  let at = 0;
  let most = row[0]!;
  for (let j = 1; j < row.length; j++) {
    const v = row[j]!;
    if (v === 0) continue;
    const top = v > 0 ? v * max[j]! : v * min[j]!;
    if (Number.isFinite(top)) most += top;
    else {
      unbounded++;
      at = j;
    }
  }
  if (unbounded > 1) return true;
  if (unbounded === 0 && most < 0) return false;
  for (let j = 1; j < row.length; j++) {
    const v = row[j]!;
    if (v === 0 || (unbounded === 1 && j !== at)) continue;
    // v·x ≥ -(the most the others can give).
    const others = unbounded === 1 ? most : most - (v > 0 ? v * max[j]! : v * min[j]!);
    if (v > 0) min[j] = Math.max(min[j]!, Math.ceil(-others / v));
    else max[j] = Math.min(max[j]!, Math.floor(others / -v));
    if (min[j]! > max[j]!) return false;
  }
  return true;
}

function eliminateAll(inequalities: readonly Row[]): Feasibility {
  let rows: readonly Row[] = inequalities;
  let exact = true;
  for (;;) {
    const pruned = prune(rows);
    if (pruned === "infeasible") return "no";
    if (pruned.size === 0) return exact ? "yes" : "maybe";
    if (pruned.size > maxRows) return "maybe";
    const list = [...pruned.values()];
    const choice = cheapestColumn(list);
    exact &&= choice.exact;
    const next = eliminate(list, choice.column);
    if (next === undefined) return "maybe";
    rows = next;
  }
}
interface Choice {
  readonly column: number;
  readonly exact: boolean;
}
/** The column whose elimination is exact, if there is one, and makes the fewest rows. */
function cheapestColumn(rows: readonly Row[]): Choice {
  const width = rows.reduce((n, r) => Math.max(n, r.length), 0);
  let best: Choice = { column: 0, exact: false };
  let least = Number.POSITIVE_INFINITY;
  for (let j = 1; j < width; j++) {
    let positive = 0;
    let negative = 0;
    let unitPositive = true;
    let unitNegative = true;
    for (const r of rows) {
      const v = r[j] ?? 0;
      if (v > 0) {
        positive++;
        if (v !== 1) unitPositive = false;
      } else if (v < 0) {
        negative++;
        if (v !== -1) unitNegative = false;
      }
    }
    if (positive + negative === 0) continue;
    const exact = unitPositive || unitNegative || positive === 0 || negative === 0;
    const cost = positive * negative - positive - negative + (exact ? 0 : 1e6);
    if (cost < least) [best, least] = [{ column: j, exact }, cost];
  }
  return best;
}
function eliminate(rows: readonly Row[], column: number): Row[] | undefined {
  const next: Row[] = [];
  const lower: Row[] = [];
  const upper: Row[] = [];
  for (const r of rows) {
    const v = r[column] ?? 0;
    (v > 0 ? lower : v < 0 ? upper : next).push(r);
  }
  for (const l of lower)
    for (const u of upper) {
      const row = l.map((v) => v * -u[column]!);
      addTo(row, u, l[column]!);
      row[column] = 0;
      if (row.some((v) => Math.abs(v) > maxCoefficient)) return undefined;
      next.push(row);
    }
  return next;
}
