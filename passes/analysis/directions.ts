/** Enumerates the direction vectors of a dependence from its reduced integer system. */
import type { For } from "../../ir/loop/program.ts";
import { connected, eliminateEqualities, feasible, onlyValue, type ReducedSystem, type Row } from "./integer-system.ts";

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

/** The vectors of several systems of which one holds: equal directions once, with a distance where all agree on it. */
export function unionOf(found: readonly (readonly FoundVector[])[]): readonly FoundVector[] {
  if (found.length === 1) return found[0]!;
  const union = new Map<string, FoundVector>();
  for (const f of found.flat()) {
    const key = `${f.backward} ${f.vector.directions}`;
    const other = union.get(key);
    union.set(key, other ? merged(other, f) : f);
  }
  return [...union.values()];
}
function merged(x: FoundVector, y: FoundVector): FoundVector {
  const { directions } = x.vector;
  const distances = x.vector.distances.map((d, k) => (d === y.vector.distances[k] ? d : undefined));
  return { backward: x.backward, vector: { directions, distances }, certain: x.certain || y.certain };
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
  if (state.decided && (state.carrier !== undefined || state.found.length >= maxVectors)) {
    const d = system.tracked[k]!;
    const known = isConstant(d) ? signOf(d[0]!) : "*";
    descend(state, system, [...prefix, known], certain && (known !== "*" || state.carrier !== undefined));
    return;
  }
  const steps = (["<", "=", ">"] as const)
    .filter((direction) => state.decided || mayStart(state, k, direction))
    .flatMap((direction) => constrain(system, k, direction) ?? []);
  if (state.decided && steps.length === 3 && isLoose(system, k)) {
    descend(state, system, [...prefix, "*"], certain && steps.some((s) => s.certain));
    return;
  }
  for (const step of steps) {
    const opens = !state.decided && step.direction !== "=";
    const inner = opens ? { ...state, decided: true, backward: step.direction === ">" } : state;
    descend(inner, step.system, [...prefix, step.direction], certain && step.certain);
  }
}
/** Whether an undecided prefix may go on with this direction. */
function mayStart(state: State, k: number, direction: Direction): boolean {
  if (state.symmetric && direction === ">") return false;
  if (state.carrier === undefined) return true;
  return k < state.carrier ? direction === "=" : k === state.carrier && direction !== "=";
}

interface Step {
  readonly direction: "<" | "=" | ">";
  readonly system: ReducedSystem;
  readonly certain: boolean;
}
/** The system with loop k's difference constrained; undefined when that has no solution. */
function constrain(system: ReducedSystem, k: number, direction: "<" | "=" | ">"): Step | undefined {
  const d = system.tracked[k]!;
  if (isConstant(d)) {
    const holds = direction === "<" ? d[0]! > 0 : direction === ">" ? d[0]! < 0 : d[0] === 0;
    return holds ? { direction, system, certain: true } : undefined;
  }
  // The system was feasible before: only what is connected to the difference can change that.
  const { inside, outside } = connected(system.inequalities, d);
  const next = constrainPart({ inequalities: inside, tracked: system.tracked }, d, direction);
  const answer = next ? feasible(next.inequalities) : "no";
  if (!next || answer === "no") return undefined;
  return {
    direction,
    system: { inequalities: [...outside, ...next.inequalities], tracked: next.tracked },
    certain: answer === "yes",
  };
}
function constrainPart(part: ReducedSystem, d: Row, direction: "<" | "=" | ">"): ReducedSystem | undefined {
  if (direction === "=") return eliminateEqualities({ equalities: [d], ...part });
  const row = direction === "<" ? d.slice() : d.map((v) => (v === 0 ? 0 : -v));
  row[0] = row[0]! - 1;
  return { inequalities: [...part.inequalities, row], tracked: part.tracked };
}
const signOf = (d: number): Direction => (d > 0 ? "<" : d < 0 ? ">" : "=");
const isConstant = (row: Row): boolean => {
  for (let j = 1; j < row.length; j++) if (row[j] !== 0) return false;
  return true;
};

/** Whether loop k's difference shares no constraint with the others: its directions combine freely with theirs. */
function isLoose(system: ReducedSystem, k: number): boolean {
  const d = system.tracked[k]!;
  const part = [d, ...connected(system.inequalities, d).inside];
  const columns = new Set(part.flatMap(columnsOf));
  return system.tracked.every((r, other) => other === k || !columnsOf(r).some((j) => columns.has(j)));
}
const columnsOf = (row: Row): number[] => row.flatMap((v, j) => (j > 0 && v !== 0 ? [j] : []));

/** A backward vector is turned around, so that it leads from source to sink. */
function vectorOf(state: State, system: ReducedSystem, directions: readonly Direction[]): DirectionVector {
  const sign = state.backward ? -1 : 1;
  const turned: Readonly<Record<Direction, Direction>> = { "<": ">", ">": "<", "=": "=", "*": "*" };
  return {
    directions: state.backward ? directions.map((x) => turned[x]) : directions,
    distances: system.tracked.map((r) => {
      const distance = isConstant(r)
        ? r[0]!
        : state.carrier === undefined
          ? onlyValue(system.inequalities, r)
          : undefined;
      return distance === undefined ? undefined : sign * distance || 0;
    }),
  };
}
