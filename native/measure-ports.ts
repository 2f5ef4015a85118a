import {
  allocAligned,
  freeAligned,
  type JitHandle,
  jitDispose,
  jitLookup,
  poolCreate,
  poolDispose,
  serial,
} from "./addon.ts";
import { machineFacts } from "./machine.ts";
import { vectorWidths } from "./measure.ts";
import {
  type Bits,
  type Chains,
  chainBody,
  clockBody,
  emptyBody,
  entryText,
  issueBody,
  readBody,
  readStreams,
  stepsPerPass,
  writeBody,
} from "./measure-loops.ts";
import { bestNs, linkLoops, passesFor, type Run } from "./measure-timing.ts";

/** Nanoseconds that an instruction of one vector width keeps its units busy: the inverse of how many run at once. */
export interface PortCosts {
  readonly bits: Bits;
  readonly multiplyAdd: number;
  readonly add: number;
  readonly divide: number;
  /** Exclusive or: what any vector unit can do. */
  readonly logic: number;
  /** Of data in the first-level cache. */
  readonly load: number;
  readonly store: number;
}

/** What one core does at best, and what it costs to use several. Nanoseconds; cycles where named so. */
export interface CoreCosts {
  /** Of additions that wait for each other, which take a cycle each. */
  readonly cycle: number;
  /** An instruction that needs no unit: the width of the front end. */
  readonly instruction: number;
  readonly multiplyAddLatencyCycles: number;
  readonly addLatencyCycles: number;
  readonly ports: readonly PortCosts[];
  /** What a parallel region of `threads` takes beyond its share of the work, workers awake; 0 for 1 thread. */
  readonly forkJoin: number;
  readonly threads: number;
}

const single: Run = { threads: 1, rt: serial };
const independent = { chains: 12, links: 1 } as const;
const dependent = { chains: 1, links: 8 } as const;
const clockLinks = 64;
const issued = 240;
const figureMs = 3;
const tasksPerThread = 16;

/**
 * Measures what instructions cost one core of this machine, and a parallel region of `threads`; takes a third of a second.
 * @throws UnavailableError without the add-on
 */
export function measureCore(threads = 1): CoreCosts {
  const widths = vectorWidths();
  const jit = linkLoops([...widths.map(portLoops), coreLoops()].join("\n"));
  try {
    // What disturbs one round seldom disturbs the other.
    const [first, second] = [measureRound(jit, widths), measureRound(jit, widths)];
    const { cycle, instruction, multiplyAddLatency, addLatency } = fasterOf(first.core, second.core);
    return {
      cycle,
      instruction,
      multiplyAddLatencyCycles: multiplyAddLatency / cycle,
      addLatencyCycles: addLatency / cycle,
      ports: first.ports.map((costs, i) => fasterOf(costs, second.ports[i]!)),
      forkJoin: threads > 1 ? forkJoinNs(jit, threads) : 0,
      threads,
    };
  } finally {
    jitDispose(jit);
  }
}

function measureRound(jit: JitHandle, widths: readonly Bits[]) {
  const latency = (name: string): number => costOf(jit, name, dependent.links * stepsPerPass);
  const core = {
    cycle: costOf(jit, "clock", clockLinks),
    instruction: costOf(jit, "issue", issued),
    multiplyAddLatency: latency("latency_multiplyAdd"),
    addLatency: latency("latency_add"),
  };
  return { core, ports: widths.map((bits) => portCosts(jit, bits)) };
}

/** The lower of both, field by field. */
function fasterOf<T extends object>(a: T, b: T): T {
  const lower = Object.keys(a).map((key) => [key, Math.min(a[key as keyof T] as number, b[key as keyof T] as number)]);
  return Object.fromEntries(lower) as T;
}

function portLoops(bits: Bits): string {
  const chain = (operation: Chains["operation"]) => {
    const name = `${operation}${bits}`;
    return [chainBody(name, bits, { operation, ...independent }), entryText(name)];
  };
  return [
    ...(["multiplyAdd", "add", "divide", "logic"] as const).flatMap(chain),
    readBody(`load${bits}`, bits),
    entryText(`load${bits}`),
    writeBody(`store${bits}`, bits),
    entryText(`store${bits}`),
  ].join("\n");
}

function coreLoops(): string {
  const latency = (operation: Chains["operation"]) => {
    const name = `latency_${operation}`;
    return [chainBody(name, 128, { operation, ...dependent }), entryText(name)];
  };
  return [
    clockBody("clock", clockLinks),
    issueBody("issue", issued),
    emptyBody("empty"),
    ...["clock", "issue", "empty"].map(entryText),
    ...(["multiplyAdd", "add"] as const).flatMap(latency),
  ].join("\n");
}

/** Nanoseconds of one of the `count` things that a pass of a loop does. */
function costOf(
  jit: JitHandle,
  name: string,
  count: number,
  slice?: { buffer: ArrayBuffer; sliceBytes: number },
): number {
  const entry = jitLookup(jit, name);
  const nsOf = (passes: number) => bestNs(entry, single, { passes, tasks: 1, figureMs, ...(slice ? { slice } : {}) });
  const passes = passesFor(nsOf, figureMs);
  return nsOf(passes) / passes / count;
}

function portCosts(jit: JitHandle, bits: Bits): PortCosts {
  const chain = (operation: string): number => costOf(jit, `${operation}${bits}`, independent.chains * stepsPerPass);
  const stepBytes = (bits / 8) * readStreams;
  const sliceBytes = Math.floor(machineFacts().caches.l1dBytes / 2 / stepBytes) * stepBytes;
  const buffer = allocAligned(sliceBytes, { populate: true });
  const access = (name: string): number =>
    costOf(jit, `${name}${bits}`, sliceBytes / (bits / 8), { buffer, sliceBytes });
  const costs = {
    bits,
    multiplyAdd: chain("multiplyAdd"),
    add: chain("add"),
    divide: chain("divide"),
    logic: chain("logic"),
    load: access("load"),
    store: access("store"),
  };
  freeAligned(buffer);
  return costs;
}

/** A region of some ten microseconds in `threads`, less the same time's work in one thread. */
function forkJoinNs(jit: JitHandle, threads: number): number {
  const pool = poolCreate(threads);
  try {
    const widest = vectorWidths().at(-1)!;
    const entry = jitLookup(jit, `multiplyAdd${widest}`);
    const nsOf = (run: Run) => bestNs(entry, run, { passes: 1, tasks: tasksPerThread * run.threads, figureMs });
    const empty = bestNs(jitLookup(jit, "empty"), { threads, rt: pool }, { passes: 1, tasks: threads, figureMs });
    return Math.max(empty, nsOf({ threads, rt: pool }) - nsOf(single));
  } finally {
    poolDispose(pool);
  }
}
