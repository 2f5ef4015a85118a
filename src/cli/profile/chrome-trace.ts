/** Real runs as the trace viewers of browsers read them (Trace Event Format; ui.perfetto.dev, chrome://tracing). */
import type { Interval } from "../../runtime/profile/timeline.ts";
import type { NetworkProfile, ProfiledKernel } from "./network-profile.ts";

/** Runs and kernels stand on the track of the calling thread; the chunks of parallel regions on those of their threads. */
export function chromeTrace({ kernels, timeline }: NetworkProfile): string {
  const threads = new Set([0, ...timeline.chunks.map((c) => c.thread)]);
  const names = [...threads]
    .sort((a, b) => a - b)
    .map((tid) => ({
      name: "thread_name",
      ph: "M",
      pid: 1,
      tid,
      args: { name: tid === 0 ? "calling thread" : `worker ${tid}` },
    }));
  const calls = timeline.runs.flatMap((run) =>
    run.steps.map((interval, step) => ({ interval, kernel: kernels[step]! })),
  );
  const traceEvents = [
    ...names,
    ...timeline.runs.map(({ steps }, i) =>
      complete(`run ${i + 1}`, "run", 0, { start: steps[0]?.start ?? 0, end: steps.at(-1)?.end ?? 0 }),
    ),
    ...calls.map(({ interval, kernel }) => ({
      ...complete(kernel.name, "kernel", 0, interval),
      args: argumentsOf(kernel),
    })),
    ...chunkEvents(timeline.chunks, calls),
  ];
  return `${JSON.stringify({ displayTimeUnit: "ns", traceEvents })}\n`;
}

/** Microseconds. */
const complete = (name: string, cat: string, tid: number, { start, end }: Interval) => ({
  name,
  cat,
  ph: "X",
  ts: start / 1e3,
  dur: (end - start) / 1e3,
  pid: 1,
  tid,
});

function argumentsOf(k: ProfiledKernel) {
  return {
    step: k.step,
    symbol: k.symbol,
    computes: k.title,
    nodes: k.nodes.map(({ op, name }) => (name === "" ? op : `${op} ${name}`)),
    flops: k.flops,
    bytes: k.bytes,
    medianNs: k.ns,
    gflops: k.gflops,
    gigabytesPerSecond: k.gigabytesPerSecond,
    ofPeak: k.ofPeak,
    intensity: k.intensity,
    bound: k.bound ?? "unexplained",
    explanation: k.summary,
  };
}

/** Each chunk belongs to the kernel call that it lies in. Both come in the order of time on each thread. */
function chunkEvents(
  chunks: NetworkProfile["timeline"]["chunks"],
  calls: readonly { readonly interval: Interval; readonly kernel: ProfiledKernel }[],
) {
  return chunks.flatMap((chunk) => {
    const call = calls[lastStartingBefore(calls, chunk.start)];
    return call ? [complete(call.kernel.name, "chunk", chunk.thread, chunk)] : [];
  });
}

function lastStartingBefore(calls: readonly { readonly interval: Interval }[], time: number): number {
  let [low, high] = [0, calls.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (calls[middle]!.interval.start <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
