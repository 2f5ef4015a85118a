/** Enumerates the direction vectors of a dependence from its reduced integer system. */
import type { For } from "../../ir/loop/program.ts";
import { eliminateEqualities, feasible, type ReducedSystem, type Row } from "./integer-system.ts";

/** `<`: the sink runs in a later iteration of the loop than the source; `*`: any. */
export type Direction = "<" | "=" | ">" | "*";

/** One entry a common loop, outermost first; a distance where it is constant. */
export interface DirectionVector {
  readonly directions: readonly Direction[];
  readonly distances: readonly (number | undefined)[];
}
export interface FoundVector {
  /** From the access later in the text to the earlier one. */
  readonly backward: boolean;
  readonly vector: DirectionVector;
  /** The system is known to have a solution. */
  readonly certain: boolean;
}
interface Search {
  readonly loops: readonly For[];
  /** Source and sink are the same access. */
  readonly symmetric: boolean;
  /** Only vectors whose first direction that is not `=` is this loop's. */
  readonly carrier: number | undefined;
}
/** Beyond this many vectors the inner directions are given as `*`. */
const maxVectors = 64;

/** All feasible vectors; `tracked[k]` of the system is (sink - source) of loop k. */
export function enumerateDirections(system: ReducedSystem, search: Search): FoundVector[] {
  const found: FoundVector[] = [];
  const start = feasible(system.inequalities);
  if (start === "no") return found;
  descend({ ...search, found, backward: false, decided: false }, system, [], start === "yes");
  return found;
}

interface State extends Search {
  readonly found: FoundVector[];
  readonly backward: boolean;
  /** Some direction so far is not `=`. */
  readonly decided: boolean;
}

function descend(state: State, system: ReducedSystem, prefix: readonly Direction[], certain: boolean): void {
  const k = prefix.length;
  if (k === state.loops.length) {
    if (!state.decided && (state.symmetric || state.carrier !== undefined)) return;
    state.found.push({ backward: state.backward, vector: vectorOf(state, system, prefix), certain });
    return;
  }
  if (state.decided && (isLoose(system, k) || state.found.length >= maxVectors)) {
    descend(state, system, [...prefix, "*"], certain);
    return;
  }
  for (const direction of ["<", "=", ">"] as const) {
    if (!state.decided && !mayStart(state, k, direction)) continue;
    const next = constrain(system, k, direction);
    if (!next) continue;
    const answer = next === system ? (certain ? "yes" : "maybe") : feasible(next.inequalities);
    if (answer === "no") continue;
    const opens = !state.decided && direction !== "=";
    const inner = opens ? { ...state, decided: true, backward: direction === ">" } : state;
    descend(inner, next, [...prefix, direction], answer === "yes");
  }
}
/** Whether an undecided prefix may go on with this direction. */
function mayStart(state: State, k: number, direction: Direction): boolean {
  if (state.symmetric && direction === ">") return false;
  if (state.carrier === undefined) return true;
  return k < state.carrier ? direction === "=" : k === state.carrier && direction !== "=";
}

/** The system with loop k's difference constrained; the same system when that holds already. */
function constrain(system: ReducedSystem, k: number, direction: "<" | "=" | ">"): ReducedSystem | undefined {
  const d = system.tracked[k]!;
  if (isConstant(d)) {
    const sign = direction === "<" ? d[0]! > 0 : direction === ">" ? d[0]! < 0 : d[0] === 0;
    return sign ? system : undefined;
  }
  if (direction === "=")
    return eliminateEqualities({ equalities: [d], inequalities: system.inequalities, tracked: system.tracked });
  const row = direction === "<" ? d.slice() : d.map((v) => (v === 0 ? 0 : -v));
  row[0] = row[0]! - 1;
  return { inequalities: [...system.inequalities, row], tracked: system.tracked };
}
const isConstant = (row: Row): boolean => {
  for (let j = 1; j < row.length; j++) if (row[j] !== 0) return false;
  return true;
};

/** Whether loop k's difference is bound only by the loop's own range: every direction is possible, whatever the others. */
function isLoose(system: ReducedSystem, k: number): boolean {
  const column = onlyColumn(system.tracked[k]!);
  if (column === undefined) return false;
  const reached = new Set([column]);
  const rows = system.inequalities.map(columnsOf);
  for (let size = 0; size !== reached.size; ) {
    size = reached.size;
    for (const columns of rows) if (columns.some((j) => reached.has(j))) for (const j of columns) reached.add(j);
  }
  return system.tracked.every((r, other) => other === k || !columnsOf(r).some((j) => reached.has(j)));
}
const columnsOf = (row: Row): number[] => row.flatMap((v, j) => (j > 0 && v !== 0 ? [j] : []));
function onlyColumn(row: Row): number | undefined {
  const columns = columnsOf(row);
  return columns.length === 1 && Math.abs(row[columns[0]!]!) === 1 ? columns[0] : undefined;
}

/** A backward vector is turned around, so that it leads from source to sink. */
function vectorOf(state: State, system: ReducedSystem, directions: readonly Direction[]): DirectionVector {
  const sign = state.backward ? -1 : 1;
  const turned: Readonly<Record<Direction, Direction>> = { "<": ">", ">": "<", "=": "=", "*": "*" };
  return {
    directions: state.backward ? directions.map((x) => turned[x]) : directions,
    distances: system.tracked.map((r) => (isConstant(r) ? sign * r[0]! || 0 : undefined)),
  };
}
