/** Real runs of a network with their times: when each step ran, and what each thread did meanwhile. */
import * as native from "../../../native/addon.ts";
import type { Executable, ExecutableParts, Feeds } from "../executable.ts";
import { withInstrument } from "./shims.ts";

/** From when to when; nanoseconds since the first run began. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}
/** One run. */
export interface TimedRun {
  readonly steps: readonly Interval[];
}
/** A chunk of a parallel region; thread 0 is the one that calls. */
export interface TimedChunk extends Interval {
  readonly thread: number;
}
export interface Timeline {
  readonly runs: readonly TimedRun[];
  /** Empty where the network runs in one thread. */
  readonly chunks: readonly TimedChunk[];
}

/** Chunks of a parallel region: about six a thread, at most sixteen. */
const chunksPerThread = 16;

/** Runs a network `repeats` times. In several threads, a copy of its code that logs chunks runs in its place. */
export function timelineOf(net: Executable, parts: ExecutableParts, feeds: Feeds, repeats: number): Timeline {
  if (net.threads === 1) return timelineFrom(net.record(feeds, { repeats }), new Float64Array(), 0);
  return withInstrument("chunks", parts, (profileEntry) => {
    const warmup = 2;
    const regions = 8 * net.steps.length;
    const caller = native.chunkLogStart((warmup + repeats) * regions * chunksPerThread * net.threads);
    const stamps = net.record(feeds, { repeats, warmup, variant: { profileEntry } });
    return timelineFrom(stamps, native.chunkLogTake(), caller);
  });
}

/** @param log thread, start and end of each chunk; `caller` is the number of the calling thread */
export function timelineFrom(stamps: readonly BigInt64Array[], log: Float64Array, caller: number): Timeline {
  const origin = Number(stamps[0]?.[0] ?? 0n);
  const runs = stamps.map((times) => ({
    steps: [...times.slice(1)].map((end, i) => ({ start: Number(times[i]!) - origin, end: Number(end) - origin })),
  }));
  const chunks = Array.from({ length: log.length / 3 }, (_, i) => {
    const [thread, start, end] = log.subarray(3 * i, 3 * i + 3);
    return { thread: thread!, start: start! - origin, end: end! - origin };
  });
  const workers = [...new Set(chunks.map((c) => c.thread).filter((t) => t !== caller))].sort((a, b) => a - b);
  return {
    runs,
    chunks: chunks
      .filter((c) => c.start >= 0)
      .map((c) => ({ ...c, thread: c.thread === caller ? 0 : 1 + workers.indexOf(c.thread) })),
  };
}

/** For each step, how much of its threads' time chunks fill, as the median of the runs; undefined where it has none. */
export function busyShares({ runs, chunks }: Timeline, threads: number): (number | undefined)[] {
  const steps = runs[0]?.steps.length ?? 0;
  const shares = runs.map((run) => {
    const filled = new Float64Array(steps);
    for (const c of chunks) {
      const step = run.steps.findIndex((s) => c.start >= s.start && c.start < s.end);
      if (step >= 0) filled[step]! += c.end - c.start;
    }
    return run.steps.map((s, i) => filled[i]! / (threads * (s.end - s.start)));
  });
  return Array.from({ length: steps }, (_, i) => {
    const sorted = shares.map((run) => run[i]!).sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1]!;
    return median > 0 ? median : undefined;
  });
}
