/** Layouts chosen one group after the other: what selection starts from, and is never worse than. */
import type { ValueId } from "../../ir/support/ids.ts";
import type { FormCandidate, FormReading, FormSet, Forms } from "./layout-forms.ts";

export interface GreedyLayouts {
  /** The candidate of each group. */
  readonly candidates: readonly number[];
  /** The forms that each value then exists in. */
  readonly sets: ReadonlyMap<ValueId, FormSet>;
}

/** Each group in order takes the candidate that is cheapest given how its inputs were made. */
export function greedyLayouts(candidates: readonly (readonly FormCandidate[])[], forms: Forms): GreedyLayouts {
  const made = new Map<ValueId, number>();
  const sets = new Map<ValueId, Set<number>>();
  const exists = (v: ValueId, form: number): void => void sets.set(v, (sets.get(v) ?? new Set()).add(form));
  const labels = candidates.map((list) => {
    const options = list.map((c) => {
      const inputs = [...c.reads].map(([v, readings]) => nearest(v, readings, made.get(v) ?? 0, forms));
      return { inputs, makes: c.makes, cycles: inputs.reduce((sum, n) => sum + n.cycles, c.candidate.cycles) };
    });
    const best = options.reduce((a, b) => (b.cycles < a.cycles ? b : a));
    for (const { v, form } of best.inputs) exists(v, form);
    for (const [v, form] of best.makes) {
      made.set(v, form);
      exists(v, form);
    }
    return options.indexOf(best);
  });
  for (const v of sets.keys()) if (!made.has(v) || forms.isOutput(v)) exists(v, 0);
  return { candidates: labels, sets: new Map([...sets].map(([v, set]) => [v, [...set].sort((a, b) => a - b)])) };
}

/** The form of an input that is cheapest to make and read. */
function nearest(v: ValueId, readings: readonly FormReading[], from: number, forms: Forms) {
  const ways = readings.map((r) => ({ v, form: r.form, cycles: r.cycles + forms.of(v).conversion(from, r.form) }));
  return ways.reduce((a, b) => (b.cycles < a.cycles ? b : a));
}
