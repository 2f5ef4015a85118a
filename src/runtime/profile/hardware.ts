/** Hardware counters of each step, where the system lets us read them (Linux, `perf_event_open`). */
import * as native from "../../../native/addon.ts";
import { machineFacts } from "../../../native/machine.ts";
import type { Executable, ExecutableParts, Feeds } from "../executable.ts";
import { withInstrument } from "./shims.ts";

/** One event, as <linux/perf_event.h> numbers it. */
export interface CounterEvent {
  readonly name: string;
  readonly type: number;
  readonly config: number;
}

/** Medians over several runs in one thread: of each step, events by name. */
export type StepCounters = Readonly<Record<string, number>>;
export type HardwareCounts = { readonly steps: readonly StepCounters[] } | { readonly reason: string };

/** PERF_TYPE_HARDWARE, PERF_TYPE_HW_CACHE and PERF_TYPE_RAW. */
const [generic, cache, raw] = [0, 3, 4];
/** Misses of the second-level cache by loads have no generic number. AMD: LsRdBlkC of L2CacheReqStat; Intel: L2_RQSTS.MISS. */
const l2Misses: readonly (readonly [RegExp, number])[] = [
  [/AMD/, 0x0864],
  [/Intel/, 0x3f24],
];

/** Cycles first: without them there are no counters. */
function processorEvents(model = machineFacts().model): CounterEvent[] {
  const ofL2 = l2Misses.find(([vendor]) => vendor.test(model))?.[1];
  return [
    { name: "cycles", type: generic, config: 0 },
    { name: "instructions", type: generic, config: 1 },
    { name: "L1D read misses", type: cache, config: 0x10000 },
    ...(ofL2 === undefined ? [] : [{ name: "L2 misses", type: raw, config: ofL2 }]),
    { name: "stalled cycles", type: generic, config: 8 },
  ];
}

/** Counts events in every step, in one thread; a reason where the first event cannot be counted. */
export function countHardware(
  net: Executable,
  parts: ExecutableParts,
  feeds: Feeds,
  events: readonly CounterEvent[] = processorEvents(),
): HardwareCounts {
  const outcomes = native.countersOpen(events.map(({ type, config }) => [type, config]));
  const open = events.filter((_, i) => outcomes[i] === 0);
  if (outcomes[0] !== 0) {
    native.countersTake();
    return { reason: reasonOf(outcomes[0] ?? 0) };
  }
  const repeats = 5;
  const readings = withInstrument("counters", parts, (profileEntry) => {
    net.record(feeds, { repeats, warmup: 1, variant: { profileEntry, serial: true } });
    return native.countersTake();
  });
  const perRun = (net.steps.length + 1) * open.length;
  const at = (run: number, stamp: number, event: number): number =>
    readings[(run + 1) * perRun + stamp * open.length + event] ?? Number.NaN;
  const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
  return {
    steps: net.steps.map((_, step) =>
      Object.fromEntries(
        open.map(({ name }, event) => {
          const counts = Array.from(
            { length: repeats },
            (_run, run) => at(run, step + 1, event) - at(run, step, event),
          );
          return [name, median(counts)];
        }),
      ),
    ),
  };
}

const reasons: Readonly<Record<number, string>> = {
  1: "the system does not permit it (kernel.perf_event_paranoid, or the container's rules)",
  2: "this machine has none (virtual machines often hide them)",
  13: "the system does not permit it (kernel.perf_event_paranoid, or the container's rules)",
  19: "this machine has none (virtual machines often hide them)",
  38: "this system has no perf_event_open",
};
const reasonOf = (code: number): string => reasons[code] ?? `perf_event_open fails with error ${code}`;
