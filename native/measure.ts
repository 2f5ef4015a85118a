import {
  allocAligned,
  freeAligned,
  hostCpu,
  type JitHandle,
  jitDispose,
  jitLookup,
  poolCreate,
  poolDispose,
  serial,
} from "./addon.ts";
import { machineFacts } from "./machine.ts";
import { type Bits, chainBody, entryText, readBody, readStreams, stepsPerPass } from "./measure-loops.ts";
import { bestNs, linkLoops, passesFor, type Run, timesNs } from "./measure-timing.ts";

/** Highest rate of float32 multiply-adds, one of which counts as two operations. */
export interface FmaPeak {
  /** Vector width of the instructions. */
  readonly bits: Bits;
  readonly threads: number;
  readonly gflops: number;
}

/** Rate of reading a buffer that lies in one level of the memory hierarchy. */
export interface ReadBandwidth {
  readonly level: "L1" | "L2" | "L3" | "memory";
  /** Bytes read over and over, in all threads together. */
  readonly footprintBytes: number;
  readonly threads: number;
  readonly gigabytesPerSecond: number;
}

/** What the machine does at best, measured with small loops of our own code generator's kind. */
export interface MachineRates {
  readonly fma: readonly FmaPeak[];
  readonly reads: readonly ReadBandwidth[];
  readonly elapsedMs: number;
}

/** How long to measure. */
export interface MeasureOptions {
  /** Thread counts beside 1; the number of cores if absent. */
  readonly threads?: number;
  /** Milliseconds a figure; 4 if absent, which keeps the whole below half a second. */
  readonly figureMs?: number;
}

/** Independent chains: latency times pipes is 8 to 10 on current cores, and 12 leave registers for the operands. */
const accumulators = 12;
const tasksPerThread = 16;

/**
 * Measures peak multiply-add rates for every vector width of this processor and read bandwidth for every level of its
 * memory, with 1 thread and with all.
 * @throws UnavailableError without the add-on
 */
export function measureMachine(options: MeasureOptions = {}): MachineRates {
  const start = performance.now();
  const machine = machineFacts();
  const threads = options.threads ?? machine.cores;
  const figureMs = options.figureMs ?? 4;
  const widths = vectorWidths();
  const jit = linkLoops(widths.map(loopsText).join("\n"));
  const pool = threads > 1 ? poolCreate(threads) : serial;
  try {
    const runs =
      threads > 1
        ? [
            { threads: 1, rt: serial },
            { threads, rt: pool },
          ]
        : [{ threads: 1, rt: serial }];
    const fma = widths.flatMap((bits) => runs.map((run) => measureFma(jit, bits, { ...run, figureMs })));
    const reads = footprints(machine.caches).flatMap((place) => measureReads(jit, place, runs, figureMs));
    return { fma, reads, elapsedMs: performance.now() - start };
  } finally {
    poolDispose(pool);
    jitDispose(jit);
  }
}

/** The best multiply-add rate among the measured ones for a number of threads, in GFLOP/s. */
export function peakGflops(rates: MachineRates, threads: number): number {
  return Math.max(0, ...rates.fma.filter((peak) => peak.threads === threads).map((peak) => peak.gflops));
}

/** A peak that is measured again and again, in turn with what is compared with it: clocks change under load. */
export interface FmaPeakProbe {
  /** Rates of so many runs of about a millisecond, one after another, in GFLOP/s. */
  measure(runs: number): number[];
  dispose(): void;
}

/**
 * Prepares to measure the multiply-add rate of vectors of one width.
 * @throws UnavailableError without the add-on
 */
export function fmaPeakProbe(options: { readonly bits: Bits; readonly threads: number }): FmaPeakProbe {
  const { bits, threads } = options;
  const jit = linkLoops(loopsText(bits));
  const run = { threads, rt: threads > 1 ? poolCreate(threads) : serial };
  const entry = jitLookup(jit, `fma${bits}`);
  const tasks = threads * tasksPerThread;
  const passes = fmaPasses(entry, run, 16);
  return {
    measure: (runs) => {
      const times = timesNs(entry, run, { passes, tasks }, { repeats: runs, minTimeMs: 0 });
      return Array.from(times, (ns) => fmaOperations(bits, passes * tasks) / ns);
    },
    dispose: () => {
      poolDispose(run.rt);
      jitDispose(jit);
    },
  };
}

/** The vector widths of this processor, narrow ones first. */
export function vectorWidths(): Bits[] {
  const features = new Set(hostCpu().features.split(","));
  const widths: Bits[] = [128];
  if (features.has("+avx2")) widths.push(256);
  if (features.has("+avx512f")) widths.push(512);
  return widths;
}

function measureFma(jit: JitHandle, bits: Bits, run: Run & { figureMs: number }): FmaPeak {
  const { threads, figureMs } = run;
  const entry = jitLookup(jit, `fma${bits}`);
  const tasks = threads * tasksPerThread;
  const passes = fmaPasses(entry, run, figureMs);
  return {
    bits,
    threads,
    gflops: fmaOperations(bits, passes * tasks) / bestNs(entry, run, { passes, tasks, figureMs }),
  };
}

function fmaPasses(entry: bigint, run: Run, figureMs: number): number {
  const tasks = run.threads * tasksPerThread;
  return passesFor((passes) => bestNs(entry, run, { passes, tasks, figureMs }), figureMs);
}

/** Operations of so many passes of the multiply-add loop. */
function fmaOperations(bits: Bits, passes: number): number {
  return 2 * (bits / 32) * accumulators * stepsPerPass * passes;
}

interface Place {
  readonly level: ReadBandwidth["level"];
  readonly bytes: number;
  /** A private cache is measured with one slice a thread, so only for 1 thread. */
  readonly shared: boolean;
}

function footprints(caches: { l1dBytes: number; l2Bytes: number; l3Bytes: number }): Place[] {
  const places: Place[] = [
    { level: "L1", bytes: caches.l1dBytes / 2, shared: false },
    { level: "L2", bytes: caches.l2Bytes / 2, shared: false },
  ];
  // Of a server's last cache, which many cores share, a core has what lies a few times in its own.
  const share = Math.min(caches.l3Bytes / 2, 16 * caches.l2Bytes);
  if (caches.l3Bytes > caches.l2Bytes) places.push({ level: "L3", bytes: share, shared: true });
  const beyond = Math.min(256 << 20, Math.max(64 << 20, 4 * Math.max(caches.l2Bytes, caches.l3Bytes)));
  return [...places, { level: "memory", bytes: beyond, shared: true }];
}

function measureReads(jit: JitHandle, place: Place, runs: readonly Run[], figureMs: number): ReadBandwidth[] {
  const buffer = allocAligned(place.bytes, { hugePages: place.bytes >= 2 << 20, populate: true });
  const bits = vectorWidths().at(-1) ?? 128;
  const rows = runs
    .filter((run) => place.shared || run.threads === 1)
    .map((run) => {
      const tasks = place.shared ? run.threads * tasksPerThread : 1;
      const stepBytes = (bits / 8) * readStreams;
      const sliceBytes = Math.floor(place.bytes / tasks / stepBytes) * stepBytes;
      const nsPerPass = (passes: number) =>
        bestNs(jitLookup(jit, `read${bits}`), run, { passes, tasks, figureMs, slice: { buffer, sliceBytes } });
      const passes = place.level === "memory" ? 1 : passesFor(nsPerPass, figureMs);
      const footprintBytes = sliceBytes * tasks;
      const gigabytesPerSecond = (footprintBytes * passes) / nsPerPass(passes);
      return { level: place.level, footprintBytes, threads: run.threads, gigabytesPerSecond };
    });
  freeAligned(buffer);
  return rows;
}

/** Chains of multiply-adds, and reading. */
function loopsText(bits: Bits): string {
  const multiplyAdd = { operation: "multiplyAdd", chains: accumulators, links: 1 } as const;
  return [
    chainBody(`fma${bits}`, bits, multiplyAdd),
    readBody(`read${bits}`, bits),
    entryText(`fma${bits}`),
    entryText(`read${bits}`),
  ].join("\n");
}
