/** What bounds a kernel: how long it would take if only one thing about the machine were limited, for each such thing. */
import type { MachineRates } from "../../../native/measure.ts";
import type { CoreCosts, PortCosts } from "../../../native/measure-ports.ts";
import { type ByWidth, countOf, type Execution, type Phase } from "./mix.ts";
import type { Traffic } from "./traffic.ts";
import { widths } from "./x86.ts";

export type LimitName =
  | "FMA ports"
  | "add ports"
  | "vector ports"
  | "divider"
  | "load ports"
  | "store ports"
  | "front end"
  | "latency"
  | "L2"
  | "L3"
  | "memory"
  | "fork-join";

/** The least time that one limit allows. */
export interface Limit {
  readonly name: LimitName;
  readonly ns: number;
  /** What was counted, in all threads. */
  readonly amount: number;
  /** Of the amount, as `multiply-adds of 16 lanes`. */
  readonly unit: string;
  /** The amount is not counted: a model says so. */
  readonly estimated?: boolean;
}

/** What is known of one call of a kernel. */
export interface KernelFacts {
  /** By the direct algorithm; a multiply-add is two. */
  readonly flops: number;
  /** Touched at least once. */
  readonly bytes: number;
  /** Counted instructions; absent where there is no assembly to count in. */
  readonly execution?: Execution;
  readonly traffic?: Traffic;
  /** Iterations of each parallel region. */
  readonly regions?: readonly number[];
}

/** Measured rates of the machine. */
export interface MachineModel {
  readonly rates: MachineRates;
  readonly core: CoreCosts;
  readonly threads: number;
}

/** Every limit that the facts say something about, the longest time first. */
export function limitsOf(facts: KernelFacts, machine: MachineModel): Limit[] {
  const share = longestShare(facts.regions ?? [], machine.threads);
  const { execution } = facts;
  const core = execution ? coreLimits(execution, machine.core) : [directLimit(facts, machine)];
  const limits = [
    ...core.map((l) => ({ ...l, ns: l.ns * (execution ? share : 1) })),
    ...memoryLimits(facts, machine),
    ...forkJoin(facts, machine),
  ];
  return limits.filter((l) => l.ns > 0).sort((a, b) => b.ns - a.ns);
}

/** The largest part of a kernel's work that one of the threads has to do. */
function longestShare(regions: readonly number[], threads: number): number {
  const shares = regions.filter((n) => n > 0).map((n) => Math.ceil(n / threads) / n);
  return shares.length === 0 ? 1 : Math.min(...shares);
}

/** Nanoseconds by the limit that binds each phase, the longest first: what a core needs if no two phases overlap. */
export function phaseTimes(
  phases: readonly Phase[],
  regions: readonly number[],
  machine: MachineModel,
): (readonly [LimitName, number])[] {
  const share = longestShare(regions, machine.threads);
  const times = new Map<LimitName, number>();
  for (const phase of phases) {
    const longest = coreLimits(phase, machine.core).reduce((a, b) => (b.ns > a.ns ? b : a));
    times.set(longest.name, (times.get(longest.name) ?? 0) + share * longest.ns);
  }
  return [...times].sort((a, b) => b[1] - a[1]);
}

function coreLimits({ total, chainCycles }: Phase, core: CoreCosts): Limit[] {
  const cost = (counts: ByWidth, of: (p: PortCosts) => number): number =>
    widths.reduce((ns, w) => ns + counts[w] * (core.ports.some((p) => p.bits === w) ? of(portOf(core, w)) : 0), 0);
  const products = sumOf(total.multiplyAdds, total.multiplies);
  const arithmetic = sumOf(products, total.adds, total.divides, total.vectors);
  const limit = (name: LimitName, counts: ByWidth, what: string, of: (p: PortCosts) => number): Limit => ({
    name,
    ns: cost(counts, of),
    amount: countOf(counts),
    unit: `${what} ${widthText(counts)}`,
  });
  return [
    limit(
      "FMA ports",
      products,
      countOf(total.multiplies) > 0 ? "multiply-adds and products" : "multiply-adds",
      (p) => p.multiplyAdd,
    ),
    limit("add ports", total.adds, "sums", (p) => p.add),
    limit("vector ports", arithmetic, "vector instructions", (p) => p.logic),
    limit("divider", total.divides, "quotients and roots", (p) => p.divide),
    limit("load ports", total.loads, "loads", (p) => p.load),
    limit("store ports", total.stores, "stores", (p) => p.store),
    { name: "front end", ns: total.instructions * core.instruction, amount: total.instructions, unit: "instructions" },
    { name: "latency", ns: chainCycles * core.cycle, amount: chainCycles, unit: "cycles of dependent arithmetic" },
  ];
}

const portOf = (core: CoreCosts, bits: number): PortCosts => core.ports.find((p) => p.bits === bits)!;
function sumOf(...counts: readonly ByWidth[]): ByWidth {
  const sum = (w: keyof ByWidth): number => counts.reduce((n, c) => n + c[w], 0);
  return { 128: sum(128), 256: sum(256), 512: sum(512) };
}

/** The width that most have, or all that occur. */
function widthText(counts: ByWidth): string {
  const total = countOf(counts);
  const common = widths.find((w) => counts[w] >= 0.95 * total);
  if (common !== undefined) return common === 128 ? "of up to 128 bits" : `of ${common} bits`;
  return `(${widths.flatMap((w) => (counts[w] > 0 ? `${Math.round((100 * counts[w]) / total)} % of ${w} bits` : [])).join(", ")})`;
}

/** Without counted instructions: the operations of the direct algorithm at the measured peak. */
function directLimit(facts: KernelFacts, { rates, threads }: MachineModel): Limit {
  const peak = Math.max(0, ...rates.fma.filter((f) => f.threads === threads).map((f) => f.gflops));
  return {
    name: "FMA ports",
    ns: peak > 0 ? facts.flops / peak : 0,
    amount: facts.flops,
    unit: "operations of the direct algorithm",
    estimated: true,
  };
}

/** Bytes from a level pass through those before it too. */
function memoryLimits({ traffic, bytes }: KernelFacts, machine: MachineModel): Limit[] {
  const limit = (name: "L2" | "L3" | "memory", amount: number, unit: string): Limit => {
    const gigabytesPerSecond = bandwidth(machine, name);
    return { name, ns: gigabytesPerSecond > 0 ? amount / gigabytesPerSecond : 0, amount, unit };
  };
  if (!traffic) {
    const level = nearestLevel(bytes, machine.rates);
    return level === "L1" ? [] : [{ ...limit(level, bytes, "bytes touched, if none is nearer"), estimated: true }];
  }
  const { L2, L3, memory } = traffic.from;
  const amounts = { L2: L2 + L3 + memory, L3: L3 + memory, memory };
  return (["L2", "L3", "memory"] as const).map((name) => ({
    ...limit(name, amounts[name], name === "memory" ? "bytes from memory" : `bytes from ${name} and beyond`),
    // What is fetched again is no more than a model of the loops says.
    ...(amounts[name] > traffic.touched ? { estimated: true } : {}),
  }));
}

/** Measured with as many threads; private caches are measured with one. */
export function bandwidth({ rates, threads }: MachineModel, level: "L1" | "L2" | "L3" | "memory"): number {
  const of = (n: number) => rates.reads.find((r) => r.level === level && r.threads === n)?.gigabytesPerSecond;
  return of(threads) ?? threads * (of(1) ?? 0);
}

/** Footprints are measured at half of a cache's size. */
function nearestLevel(bytes: number, rates: MachineRates): "L1" | "L2" | "L3" | "memory" {
  return rates.reads.find((r) => r.level !== "memory" && bytes <= 2 * r.footprintBytes)?.level ?? "memory";
}

function forkJoin({ regions = [] }: KernelFacts, { core, threads }: MachineModel): Limit[] {
  const count = threads > 1 ? regions.filter((n) => n > 1).length : 0;
  return [
    {
      name: "fork-join",
      ns: count * core.forkJoin,
      amount: count,
      unit: count === 1 ? "parallel region" : "parallel regions",
    },
  ];
}

/** What bounds a kernel. */
export interface Verdict {
  /** The limit whose time is nearest to the measured one; absent where none explains at least half of it. */
  readonly bound: LimitName | undefined;
  /** The longest of the limits' times by the measured time; 0 where nothing was counted. */
  readonly explained: number;
}

/**
 * The longest limit is what bounds a kernel; an estimate that is longer than the measured time is refuted.
 * @param limits the longest first, as `limitsOf` gives them
 */
export function verdictOf(limits: readonly Limit[], measuredNs: number): Verdict {
  const longest = limits.find((l) => !(l.estimated && l.ns > measuredNs));
  const explained = longest && measuredNs > 0 ? longest.ns / measuredNs : 0;
  return { bound: explained >= 0.5 ? longest!.name : undefined, explained };
}
