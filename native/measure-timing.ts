/** Timing loops of measure-loops.ts. */
import {
  addressOf,
  allocAligned,
  compileIr,
  freeAligned,
  hostCpu,
  type JitHandle,
  jitCreate,
  type PoolHandle,
  type TimingOptions,
  timeEntry,
} from "./addon.ts";

/** In how many threads a loop runs. */
export interface Run {
  readonly threads: number;
  readonly rt: PoolHandle;
}

/** As many passes as make a sample of a sixteenth of a figure's time: some lie between what other programs do. */
export function passesFor(nsPerPass: (passes: number) => number, figureMs: number): number {
  return Math.max(1, Math.round((figureMs * 1e6) / 16 / nsPerPass(1)));
}

interface Work {
  readonly passes: number;
  readonly tasks: number;
  readonly figureMs: number;
  readonly slice?: { readonly buffer: ArrayBuffer; readonly sliceBytes: number };
}

/** The shortest time of a call: what disturbs a measurement only ever makes it longer. */
export function bestNs(entry: bigint, run: Run, work: Work): number {
  const { figureMs } = work;
  return Math.min(...timesNs(entry, run, work, { repeats: 5, minTimeMs: figureMs / 2, maxTimeMs: figureMs * 20 }));
}

/** Times of calls one after another, after a first one that is not counted. */
export function timesNs(entry: bigint, run: Run, work: Omit<Work, "figureMs">, timing: TimingOptions): Float64Array {
  const sink = allocAligned(work.tasks * 64);
  const address = work.slice ? addressOf(work.slice.buffer) : 0n;
  const slice = BigInt(work.slice?.sliceBytes ?? 0);
  const constants = BigUint64Array.of(BigInt(work.passes), address, slice, addressOf(sink), BigInt(work.tasks));
  const io = new BigUint64Array(1);
  const samples = timeEntry(entry, run.rt, 0n, addressOf(constants), io, { warmup: 1, ...timing });
  freeAligned(sink);
  return samples;
}

/** Compiles loops for this machine. */
export function linkLoops(text: string): JitHandle {
  const cpu = hostCpu();
  const options = { triple: cpu.triple, cpu: cpu.name, features: cpu.features };
  return jitCreate([compileIr(`declare void @tw_parallel_for(ptr, ptr, ptr, i64)\n${text}`, options)]);
}
