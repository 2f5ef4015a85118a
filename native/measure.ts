import {
  addressOf,
  allocAligned,
  compileIr,
  freeAligned,
  hostCpu,
  type JitHandle,
  jitCreate,
  jitDispose,
  jitLookup,
  type PoolHandle,
  poolCreate,
  poolDispose,
  serial,
  timeEntry,
} from "./addon.ts";
import { machineFacts } from "./machine.ts";

/** Highest rate of float32 multiply-adds, one of which counts as two operations. */
export interface FmaPeak {
  /** Vector width of the instructions. */
  readonly bits: 128 | 256 | 512;
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

type Bits = 128 | 256 | 512;

/** Independent chains: latency times pipes is 8 to 10 on current cores, and 12 leave registers for the operands. */
const accumulators = 12;
const fmaStepsPerPass = 256;
const tasksPerThread = 16;
const readStreams = 8;

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
  const jit = buildLoops(widths);
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

function vectorWidths(): Bits[] {
  const features = new Set(hostCpu().features.split(","));
  const widths: Bits[] = [128];
  if (features.has("+avx2")) widths.push(256);
  if (features.has("+avx512f")) widths.push(512);
  return widths;
}

interface Run {
  readonly threads: number;
  readonly rt: PoolHandle;
}

function measureFma(jit: JitHandle, bits: Bits, run: Run & { figureMs: number }): FmaPeak {
  const tasks = run.threads * tasksPerThread;
  const nsPerPass = (passes: number) =>
    bestNs(jitLookup(jit, `fma${bits}`), run, { passes, tasks, figureMs: run.figureMs });
  const passes = passesFor(nsPerPass, run.figureMs);
  const operations = 2 * (bits / 32) * accumulators * fmaStepsPerPass * passes * tasks;
  return { bits, threads: run.threads, gflops: operations / nsPerPass(passes) };
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
  if (caches.l3Bytes > caches.l2Bytes) places.push({ level: "L3", bytes: caches.l3Bytes / 2, shared: true });
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

/** As many passes as make a sample of about a quarter of a figure's time. */
function passesFor(nsPerPass: (passes: number) => number, figureMs: number): number {
  return Math.max(1, Math.round((figureMs * 1e6) / 4 / nsPerPass(1)));
}

interface Work {
  readonly passes: number;
  readonly tasks: number;
  readonly figureMs: number;
  readonly slice?: { readonly buffer: ArrayBuffer; readonly sliceBytes: number };
}

/** The shortest time of a call: what disturbs a measurement only ever makes it longer. */
function bestNs(entry: bigint, run: Run, work: Work): number {
  const sink = allocAligned(work.tasks * 64);
  const address = work.slice ? addressOf(work.slice.buffer) : 0n;
  const slice = BigInt(work.slice?.sliceBytes ?? 0);
  const constants = BigUint64Array.of(BigInt(work.passes), address, slice, addressOf(sink), BigInt(work.tasks));
  const io = new BigUint64Array(1);
  const samples = timeEntry(entry, run.rt, 0n, addressOf(constants), io, {
    warmup: 1,
    repeats: 5,
    minTimeMs: work.figureMs / 2,
    maxTimeMs: work.figureMs * 5,
  });
  freeAligned(sink);
  return Math.min(...samples);
}

function buildLoops(widths: readonly Bits[]): JitHandle {
  const text = `declare void @tw_parallel_for(ptr, ptr, ptr, i64)\n${widths.map(loopsText).join("\n")}`;
  const cpu = hostCpu();
  return jitCreate([compileIr(text, { triple: cpu.triple, cpu: cpu.name, features: cpu.features })]);
}

/** Context of the loops: { i64 passes, ptr buffer, i64 sliceBytes, ptr sink, i64 tasks }; a sink is 64 bytes a task. */
function loopsText(bits: Bits): string {
  return [fmaBody(bits), readBody(bits), entryText(`fma${bits}`), entryText(`read${bits}`)].join("\n");
}

function entryText(name: string): string {
  return `define i32 @${name}(ptr %rt, ptr %arena, ptr %context, ptr %io) nounwind {
  %slot = getelementptr i64, ptr %context, i64 4
  %tasks = load i64, ptr %slot
  call void @tw_parallel_for(ptr %rt, ptr @${name}_body, ptr %context, i64 %tasks)
  ret i32 0
}
`;
}

/** A body that runs `loop` for every task; `%task`, `%passes`, `%buffer`, `%slice` and `%sink` are at hand. */
function bodyText(name: string, bits: Bits, loop: string): string {
  return `define internal void @${name}_body(ptr %context, i64 %begin, i64 %end) nounwind \
"prefer-vector-width"="${bits}" "min-legal-vector-width"="${bits}" {
entry:
  %passes = load i64, ptr %context
  %slot1 = getelementptr i64, ptr %context, i64 1
  %buffer = load ptr, ptr %slot1
  %slot2 = getelementptr i64, ptr %context, i64 2
  %slice = load i64, ptr %slot2
  %slot3 = getelementptr i64, ptr %context, i64 3
  %sinks = load ptr, ptr %slot3
  br label %each
each:
  %task = phi i64 [ %begin, %entry ], [ %next_task, %finish ]
  %sink_offset = mul i64 %task, 64
  %sink = getelementptr i8, ptr %sinks, i64 %sink_offset
${loop}
finish:
  %next_task = add i64 %task, 1
  %more_tasks = icmp slt i64 %next_task, %end
  br i1 %more_tasks, label %each, label %done
done:
  ret void
}
`;
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Adds up values `%prefix0 …` with `operator`, one after the other; the last is `%total`. */
function reduceText(prefix: string, count: number, operator: string): string {
  return range(count - 1)
    .map((i) => {
      const left = i === 0 ? `%${prefix}0` : `%sum${i}`;
      const name = i === count - 2 ? "%total" : `%sum${i + 1}`;
      return `  ${name} = ${operator} ${left}, %${prefix}${i + 1}`;
    })
    .join("\n");
}

/** `accumulators` independent chains of multiply-adds on registers. */
function fmaBody(bits: Bits): string {
  const vector = `<${bits / 32} x float>`;
  const steps = `  %scale = load volatile ${vector}, ptr %sink, align 64
  %steps = mul i64 %passes, ${fmaStepsPerPass}
  br label %loop
loop:
  %step = phi i64 [ 0, %each ], [ %next_step, %loop ]
${range(accumulators)
  .map((i) => `  %acc${i} = phi ${vector} [ splat (float ${i}.0), %each ], [ %new${i}, %loop ]`)
  .join("\n")}
${range(accumulators)
  .map(
    (i) =>
      `  %product${i} = fmul contract ${vector} %acc${i}, %scale\n  %new${i} = fadd contract ${vector} %product${i}, %scale`,
  )
  .join("\n")}
  %next_step = add i64 %step, 1
  %more = icmp ult i64 %next_step, %steps
  br i1 %more, label %loop, label %sum
sum:
${reduceText("new", accumulators, `fadd ${vector}`)}
  store ${vector} %total, ptr %sink, align 64
  br label %finish`;
  return bodyText(`fma${bits}`, bits, steps);
}

/** Reads the task's slice `passes` times, `readStreams` vectors a step. */
function readBody(bits: Bits): string {
  const vector = `<${bits / 32} x i32>`;
  const stepBytes = (bits / 8) * readStreams;
  const loop = `  %offset = mul i64 %task, %slice
  %start = getelementptr i8, ptr %buffer, i64 %offset
  br label %pass
pass:
  %round = phi i64 [ 0, %each ], [ %next_round, %passed ]
${range(readStreams)
  .map((i) => `  %kept${i} = phi ${vector} [ zeroinitializer, %each ], [ %new${i}, %passed ]`)
  .join("\n")}
  br label %loop
loop:
  %at = phi i64 [ 0, %pass ], [ %next_at, %loop ]
${range(readStreams)
  .map((i) => `  %acc${i} = phi ${vector} [ %kept${i}, %pass ], [ %new${i}, %loop ]`)
  .join("\n")}
  %cursor = getelementptr i8, ptr %start, i64 %at
${range(readStreams)
  .map(
    (i) => `  %p${i} = getelementptr i8, ptr %cursor, i64 ${(i * bits) / 8}
  %v${i} = load ${vector}, ptr %p${i}, align ${bits / 8}
  %new${i} = add ${vector} %acc${i}, %v${i}`,
  )
  .join("\n")}
  %next_at = add i64 %at, ${stepBytes}
  %more = icmp ult i64 %next_at, %slice
  br i1 %more, label %loop, label %passed
passed:
  %next_round = add i64 %round, 1
  %again = icmp ult i64 %next_round, %passes
  br i1 %again, label %pass, label %sum
sum:
${reduceText("new", readStreams, `add ${vector}`)}
  store ${vector} %total, ptr %sink, align 64
  br label %finish`;
  return bodyText(`read${bits}`, bits, loop);
}
