/**
 * Feasibility of systems of linear equalities and inequalities over the integers.
 *
 * Equalities go first, as in the Omega test (Pugh, 1991): divide by the gcd, substitute a variable with a unit
 * coefficient, or introduce a fresh one with symmetric remainders until there is such a variable. Then Fourier–Motzkin
 * elimination, each inequality tightened to the integers. Elimination is exact while one side's coefficients are 1. Where
 * it is not, the real shadow proves that there is no solution and the dark shadow that there is one; what lies between is
 * decided by trying values where all variables are bounded, or by the splinters beside a lower bound. "maybe" is left where that would
 * cost too much.
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
  const next = row.slice();
  next[0] = Math.floor(row[0]! / g);
  for (let j = 1; j < row.length; j++) next[j] = row[j]! / g;
  return next;
}

/** Rows whose coefficients are the same, or the same but for the sign. */
interface Parallel {
  readonly first: Row;
  same: Row;
  opposite: Row | undefined;
}
/** Keeps, of rows with the same coefficients, the tightest; "infeasible" when two opposite ones contradict. */
function prune(rows: readonly Row[]): Row[] | "infeasible" {
  const buckets = new Map<number, Parallel[]>();
  const all: Parallel[] = [];
  for (const raw of rows) {
    const row = tighten(raw);
    if (row === "infeasible") return row;
    if (row === undefined) continue;
    const hash = hashOf(row);
    const bucket = buckets.get(hash);
    const sign = bucket ? placeIn(bucket, row) : 0;
    if (sign !== 0) continue;
    const fresh: Parallel = { first: row, same: row, opposite: undefined };
    all.push(fresh);
    if (bucket) bucket.push(fresh);
    else buckets.set(hash, [fresh]);
  }
  const kept: Row[] = [];
  for (const p of all) {
    kept.push(p.same);
    if (p.opposite === undefined) continue;
    if (p.same[0]! + p.opposite[0]! < 0) return "infeasible";
    kept.push(p.opposite);
  }
  return kept;
}
/** Puts a row beside those it is parallel to; 0 when there are none. */
function placeIn(bucket: readonly Parallel[], row: Row): 1 | -1 | 0 {
  for (const p of bucket) {
    const sign = signBetween(p.first, row);
    if (sign === 1 && row[0]! < p.same[0]!) p.same = row;
    if (sign === -1 && (p.opposite === undefined || row[0]! < p.opposite[0]!)) p.opposite = row;
    if (sign !== 0) return sign;
  }
  return 0;
}
/** Equal for rows whose coefficients differ by their sign at most. */
function hashOf(row: Row): number {
  let hash = 0;
  let sign = 0;
  for (let j = 1; j < row.length; j++) {
    const v = row[j]!;
    if (v === 0) continue;
    if (sign === 0) sign = v > 0 ? 1 : -1;
    hash = (Math.imul(hash, 31) + Math.imul(j, 7919) + sign * v) | 0;
  }
  return hash;
}
function signBetween(x: Row, y: Row): 1 | -1 | 0 {
  let sign: 1 | -1 | 0 = 0;
  for (let j = Math.max(x.length, y.length) - 1; j > 0; j--) {
    const a = x[j] ?? 0;
    const b = y[j] ?? 0;
    if (a === 0 && b === 0) continue;
    if (sign === 0) sign = a === b ? 1 : -1;
    if (a !== sign * b) return 0;
  }
  return sign;
}

/** What one question may still cost. */
interface Budget {
  eliminations: number;
  boxes: number;
}
const eliminationBudget = 48;
const boxBudget = 500;
/** Variables with more values are halved instead. */
const widestEnumerated = 16;

/** Whether inequalities alone have an integer solution; parts that share no variable are decided one by one. */
export function feasible(inequalities: readonly Row[]): Feasibility {
  let rest = inequalities;
  let all: Feasibility = "yes";
  while (rest.length > 0) {
    const { inside, outside } = connected(rest, rest[0]!);
    const answer = decide(inside, { eliminations: eliminationBudget, boxes: boxBudget });
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
function decide(rows: readonly Row[], budget: Budget): Feasibility {
  budget.eliminations--;
  const answer = eliminateAll(rows, "real");
  if (answer !== "maybe" || budget.eliminations <= 0) return answer;
  budget.eliminations--;
  if (eliminateAll(rows, "dark") === "yes") return "yes";
  const box = unboundedBox(rows);
  if (!settle(rows, box)) return "no";
  if (box.max.every((v, j) => Number.isFinite(v - box.min[j]!))) return search(rows, box, budget);
  const column = narrowestColumn(box, 0, widestEnumerated);
  return column > 0 ? decideByValues(rows, box, column, budget) : decideBySplinters(rows, budget);
}
function decideByValues(rows: readonly Row[], box: Box, column: number, budget: Budget): Feasibility {
  let all: Feasibility = "no";
  for (let v = box.min[column]!; v <= box.max[column]!; v++) {
    if (budget.eliminations <= 0) return "maybe";
    const rest = rows.map((r) => substituteInto(r, column, [v]));
    const inner = decide(rest, budget);
    if (inner === "yes") return "yes";
    if (inner === "maybe") all = "maybe";
  }
  return all;
}
/** A solution outside of the dark shadow is near a lower bound of the variable that is eliminated (Pugh, 1991). */
function decideBySplinters(rows: readonly Row[], budget: Budget): Feasibility {
  const pruned = prune(rows);
  if (pruned === "infeasible") return "no";
  if (pruned.length > maxRows) return "maybe";
  const { column } = cheapestColumn(pruned);
  const steepest = Math.max(0, ...pruned.map((r) => -(r[column] ?? 0)));
  let all: Feasibility = "no";
  const dark = eliminate(pruned, column, "dark");
  const below = dark ? decide(dark, budget) : "maybe";
  if (below !== "no") return below;
  for (const lower of pruned) {
    const k = lower[column] ?? 0;
    if (k <= 0) continue;
    for (let i = 0; i <= (steepest * k - steepest - k) / steepest; i++) {
      if (budget.eliminations <= 0) return "maybe";
      const on = lower.slice();
      on[0] = on[0]! - i;
      const reduced = eliminateEqualities({ equalities: [on], inequalities: pruned, tracked: [] });
      const inner = reduced ? decide(reduced.inequalities, budget) : "no";
      if (inner === "yes") return "yes";
      if (inner === "maybe") all = "maybe";
    }
  }
  return all;
}
/** Bounds of every column, inclusive; a column that no row has is left empty. */
interface Box {
  readonly min: number[];
  readonly max: number[];
}
function unboundedBox(rows: readonly Row[]): Box {
  const width = rows.reduce((n, r) => Math.max(n, r.length), 0);
  const box = { min: new Array<number>(width).fill(0), max: new Array<number>(width).fill(-1) };
  for (const r of rows)
    for (let j = 1; j < r.length; j++)
      if (r[j] !== 0) {
        box.min[j] = Number.NEGATIVE_INFINITY;
        box.max[j] = Number.POSITIVE_INFINITY;
      }
  return box;
}
/** Tightens a box by all rows, a few times over; false when nothing is left. */
function settle(rows: readonly Row[], { min, max }: Box): boolean {
  for (let round = 0; round < 6; round++) for (const r of rows) if (!propagate(r, min, max)) return false;
  return true;
}
/** The value that bounds leave to a row wherever all `rows` are ≥ 0; undefined when there may be several. */
export function onlyValue(rows: readonly Row[], row: Row): number | undefined {
  const box = unboundedBox([...rows, row]);
  if (!settle(rows, box)) return undefined;
  let least = row[0]!;
  let most = least;
  for (let j = 1; j < row.length; j++) {
    const v = row[j]!;
    if (v === 0) continue;
    least += v * (v > 0 ? box.min[j]! : box.max[j]!);
    most += v * (v > 0 ? box.max[j]! : box.min[j]!);
  }
  return least === most ? least : undefined;
}
/** The column of fewest values with a width (largest less smallest) in from..to; 0 when there is none. */
function narrowestColumn(box: Box, from: number, to: number): number {
  let column = 0;
  let least = to + 1;
  for (let j = 1; j < box.min.length; j++) {
    const size = box.max[j]! - box.min[j]!;
    if (size >= from && size < least) [column, least] = [j, size];
  }
  return column;
}
/** Looks for a solution in a settled box, halving what is wide. */
function search(rows: readonly Row[], box: Box, budget: Budget): Feasibility {
  const column = narrowestColumn(box, 1, Number.POSITIVE_INFINITY);
  if (column === 0) return "yes";
  if (budget.boxes <= 0) return "maybe";
  budget.boxes--;
  let all: Feasibility = "no";
  const size = box.max[column]! - box.min[column]! + 1;
  const step = size <= widestEnumerated ? 1 : Math.ceil(size / 2);
  for (let v = box.min[column]!; v <= box.max[column]!; v += step) {
    const part: Box = { min: box.min.slice(), max: box.max.slice() };
    part.min[column] = v;
    part.max[column] = Math.min(v + step - 1, box.max[column]!);
    const inner = settle(rows, part) ? search(rows, part, budget) : "no";
    if (inner === "yes") return "yes";
    if (inner === "maybe") all = "maybe";
  }
  return all;
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

/** The real shadow holds every solution, the dark shadow nothing but solutions. */
type Shadow = "real" | "dark";
/** Eliminates one variable after the other: "no" and "yes" are right, an empty dark shadow says "maybe". */
function eliminateAll(inequalities: readonly Row[], shadow: Shadow): Feasibility {
  let rows: readonly Row[] = inequalities;
  let exact = true;
  for (;;) {
    const pruned = prune(rows);
    if (pruned === "infeasible") return exact || shadow === "real" ? "no" : "maybe";
    if (pruned.length === 0) return exact || shadow === "dark" ? "yes" : "maybe";
    if (pruned.length > maxRows) return "maybe";
    const choice = cheapestColumn(pruned);
    exact &&= choice.exact;
    const next = eliminate(pruned, choice.column, shadow);
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
function eliminate(rows: readonly Row[], column: number, shadow: Shadow): Row[] | undefined {
  const next: Row[] = [];
  const lower: Row[] = [];
  const upper: Row[] = [];
  for (const r of rows) {
    const v = r[column] ?? 0;
    (v > 0 ? lower : v < 0 ? upper : next).push(r);
  }
  for (const l of lower)
    for (const u of upper) {
      const row = crossed(l, u, column);
      if (row === undefined) return undefined;
      if (shadow === "dark") row[0] = row[0]! - (l[column]! - 1) * (-u[column]! - 1);
      next.push(row);
    }
  return next;
}
/** Both rows added such that the column vanishes; undefined where coefficients grow too large. */
function crossed(lower: Row, upper: Row, column: number): Row | undefined {
  const a = -upper[column]!;
  const b = lower[column]!;
  const row: Row = [];
  for (let j = 0; j < lower.length || j < upper.length; j++) {
    const v = a * (lower[j] ?? 0) + b * (upper[j] ?? 0);
    if (v > maxCoefficient || v < -maxCoefficient) return undefined;
    row.push(v);
  }
  return row;
}
