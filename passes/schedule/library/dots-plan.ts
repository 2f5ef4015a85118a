/**
 * The model behind products whose lanes run along the reduction: how many rows a tile has, and when such a product is
 * faster than one whose lanes run along the columns.
 */
import { fmaLatency, type Machine } from "./plan.ts";

/** Vectors of partial sums that a tile keeps in registers. */
const mostSums = 24;

/** A product of `rows` × `columns` sums over `depth`. */
export interface DotsProblem {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}
/** Cycles to bring an element into the order of the reduction (measured on Zen 4, tiles of 4 × 4). */
const turnCycles = 0.5;

/** Whether a tile can have all columns. */
export const fitsDots = (columns: number): boolean => columns <= mostSums / 2;

/** The rows of a tile with the least modelled cycles. */
export function rowsOfDots(m: Machine, problem: DotsProblem): number {
  const most = Math.max(1, Math.min(problem.rows, Math.floor(mostSums / problem.columns)));
  let best = 1;
  for (let rows = 2; rows <= most; rows++) if (dotsCost(m, problem, rows) <= dotsCost(m, problem, best)) best = rows;
  return best;
}

/** Modelled cycles of a product in tiles of `points` rows. */
function dotsCost(m: Machine, { rows, columns, depth }: DotsProblem, points: number): number {
  const sums = points * columns;
  // Vectors at odd places lie in two lines of the cache each.
  const loads = ((points + columns) * (depth % m.lanes === 0 ? 1 : 2)) / m.fmaPerCycle;
  const step = Math.max(sums / m.fmaPerCycle, loads, fmaLatency);
  const tile = Math.ceil(depth / m.lanes) * step + (2 * combineSteps(sums, m.lanes)) / m.fmaPerCycle + 24;
  return Math.ceil(rows / points) * tile;
}
/** Steps that combine the lanes of `sums` vectors, two shuffles and an addition each (`combineLanes`). */
function combineSteps(sums: number, lanes: number): number {
  if (sums > lanes) return combineSteps(lanes, lanes) + combineSteps(sums - lanes, lanes);
  let steps = 0;
  for (let halves = 2; halves <= lanes; halves *= 2) steps += Math.ceil(sums / halves);
  return steps;
}

/**
 * Whether a product of few columns takes fewer cycles with lanes along the reduction than with lanes along the columns. The
 * former combines the lanes of the results at the end; the latter leaves lanes empty. `turns`: whether the columns have to be
 * brought into the order of the reduction first.
 */
export function prefersDots(m: Machine, problem: DotsProblem, turns: boolean): boolean {
  const { rows, columns, depth } = problem;
  // Every tile of rows reads all columns again.
  if (!fitsDots(columns) || depth < 2 * m.lanes || 4 * columns * depth > m.l1Bytes) return false;
  // Halves of vectors run twice as fast where whole ones are run in two halves.
  const rate = 2 * columns <= m.lanes ? 2 : m.fmaPerCycle;
  const lanesOfColumns = depth * Math.max(rows / rate, fmaLatency);
  const turning = turns && columns > 1 ? turnCycles * depth * columns : 0;
  return dotsCost(m, problem, rowsOfDots(m, problem)) + turning < lanesOfColumns;
}
