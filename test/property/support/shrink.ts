/** Makes failing schedules small: steps are left out as long as what remains still fails. */
import type { EncodedValue, TraceJson, TraceStep } from "../../../passes/schedule/trace.ts";

type Traces = readonly TraceJson[];

/** The shortest traces found that still fail. */
export async function shrink(traces: Traces, fails: (traces: Traces) => Promise<boolean>): Promise<Traces> {
  let best = traces;
  for (let changed = true; changed; ) {
    changed = false;
    for (const smaller of candidates(best)) {
      if (!(await fails(smaller))) continue;
      best = smaller;
      changed = true;
      break;
    }
  }
  return best;
}
/** Traces without some steps: prefixes first, which drop the most. */
function* candidates(traces: Traces): Generator<Traces> {
  for (const [t, trace] of traces.entries()) {
    const other = (steps: readonly TraceStep[]): Traces => traces.with(t, { ...trace, steps });
    const n = trace.steps.length;
    for (const keep of [0, n >> 1, n - 1]) if (keep >= 0 && keep < n) yield other(trace.steps.slice(0, keep));
    for (let k = 0; k < n - 1; k++) yield other(without(trace.steps, k));
  }
}
/** The steps without step `k` and what uses its results; later steps are numbered anew. */
export function without(steps: readonly TraceStep[], k: number): TraceStep[] {
  const places = new Map<number, number>();
  const kept: TraceStep[] = [];
  for (const [i, step] of steps.entries()) {
    const args = i === k ? undefined : renumbered(step.args, places);
    if (args === undefined) continue;
    kept.push({ ...step, args: args as TraceStep["args"] });
    places.set(i + 1, kept.length);
  }
  return kept;
}
/** Arguments with their references to steps renumbered; undefined where one is gone. */
function renumbered(v: EncodedValue | undefined, places: ReadonlyMap<number, number>): EncodedValue | undefined {
  if (typeof v !== "object" || v === null) return v;
  if (Array.isArray(v)) {
    const list = v.map((x) => renumbered(x, places));
    return list.some((x, i) => x === undefined && v[i] !== undefined) ? undefined : (list as EncodedValue[]);
  }
  const entries: [string, EncodedValue][] = [];
  for (const [key, x] of Object.entries(v)) {
    const isStep = (key === "step" || key === "sampled") && typeof x === "number";
    const next = isStep ? places.get(x) : renumbered(x, places);
    if (next === undefined) return undefined;
    entries.push([key, next]);
  }
  return Object.fromEntries(entries);
}
