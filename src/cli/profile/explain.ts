/** What bounds a kernel, in words. */
import { byteText, digits } from "../../../ir/text/units.ts";
import {
  bandwidth,
  type KernelFacts,
  type Limit,
  type MachineModel,
  phaseTimes,
  type Verdict,
} from "../../runtime/profile/limits.ts";
import { countOf, type HotLoop, type Mix, type Phase } from "../../runtime/profile/mix.ts";
import { clip, countText, duration } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import type { NetworkProfile, ProfiledKernel } from "./network-profile.ts";

/** What bounds a kernel, by how much, and the counts that say so. */
export function summaryOf(facts: KernelFacts, limits: readonly Limit[], verdict: Verdict, ns: number): string {
  const near = percent(verdict.explained);
  if (verdict.bound === undefined) {
    const [nearest] = limits.filter((l) => l.ns <= ns);
    return nearest
      ? `nothing counted explains its time; ${nearest.name} come${isPlural(nearest) ? "" : "s"} nearest with ${near}`
      : "nothing was counted that takes time";
  }
  const limit = limits.find((l) => l.name === verdict.bound)!;
  const counts = `(${[limitText(limit), ...loopCounts(facts)].join("; ")})`;
  if (limit.name === "L2" || limit.name === "L3" || limit.name === "memory")
    return `bound by ${limit.name}: ${digits(limit.amount / ns)} GB/s of ${digits(limit.amount / limit.ns)} ${counts}`;
  if (limit.name === "latency") return `bound by latency: dependent arithmetic takes ${near} of its time ${counts}`;
  if (limit.name === "fork-join") return `bound by fork-join: ${near} of its time ${counts}`;
  return `bound by ${limit.name}: ${near} of what ${isPlural(limit) ? "they allow" : "it allows"} ${counts}`;
}

const isPlural = ({ name }: Limit): boolean => name.endsWith("ports");
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
/** `11.2 M multiply-adds of 512 bits`. */
export const limitText = (l: Limit): string =>
  /^bytes/.test(l.unit)
    ? `${byteText(Math.round(l.amount))} ${l.unit.replace(/^bytes /, "")}`
    : `${countText(Math.round(l.amount))} ${l.unit}`;

/** What an iteration of the hottest loop holds, where that loop is most of the kernel. */
function loopCounts({ execution }: KernelFacts): string[] {
  const loop = execution?.hotLoop;
  return loop && loop.share >= 0.5 ? [`an iteration: ${compositionText(loop)}`] : [];
}

function compositionText({ iteration: i }: HotLoop): string {
  const kinds: readonly (readonly [string, number])[] = [
    ["multiply-adds", countOf(i.multiplyAdds)],
    ["products", countOf(i.multiplies)],
    ["sums", countOf(i.adds)],
    ["quotients", countOf(i.divides)],
    ["other vector instructions", countOf(i.vectors)],
    ["loads", countOf(i.loads)],
    ["stores", countOf(i.stores)],
  ];
  const counted = kinds.map(([name, n]) => [name, Math.round(n)] as const).filter(([, n]) => n > 0);
  return counted.map(([name, n]) => `${countText(n)} ${n === 1 ? name.slice(0, -1) : name}`).join(", ");
}

/** What else is worth knowing: spills, narrow code, calls, threads that have nothing to do, data that others evicted. */
export function remarksOn(
  facts: KernelFacts & { readonly busy?: number; readonly phases?: readonly Phase[] },
  verdict: Verdict,
  ns: number,
  machine: MachineModel,
): string[] {
  const { execution, regions = [], traffic } = facts;
  const remarks: string[] = [];
  if (facts.phases) remarks.push(...phaseRemarks(facts.phases, regions, verdict, ns, machine));
  if (execution) remarks.push(...codeRemarks(execution.total, execution.hotLoop, machine));
  const few = regions.filter((n) => n > 1 && n < machine.threads);
  if (few.length > 0) remarks.push(`a parallel region has ${few[0]} iterations for ${machine.threads} threads`);
  if (facts.busy !== undefined && facts.busy < 0.9)
    remarks.push(`its threads are busy ${percent(facts.busy)} of its time and wait for each other the rest`);
  if (machine.threads > 1 && facts.regions?.length === 0) remarks.push("runs in one thread: it has no parallel loop");
  const far = traffic ? traffic.from.L3 + traffic.from.memory : 0;
  const memory = bandwidth(machine, "memory");
  if (
    verdict.bound === undefined &&
    traffic &&
    far > traffic.touched / 2 &&
    far / ns > 0.75 * memory &&
    far / ns < 1.15 * memory
  )
    remarks.push(
      `${byteText(far)} arrive at ${digits(far / ns)} GB/s, which is what memory gives (${digits(memory)}): L3 seems not to have kept them`,
    );
  return remarks;
}

/** Loops that different limits bind add up to more than any limit alone. */
function phaseRemarks(
  phases: readonly Phase[],
  regions: readonly number[],
  verdict: Verdict,
  ns: number,
  machine: MachineModel,
): string[] {
  const times = phaseTimes(phases, regions, machine);
  const sum = times.reduce((total, [, time]) => total + time, 0) / ns;
  if (sum < verdict.explained + 0.05) return [];
  const parts = times.filter(([, time]) => time >= 0.02 * ns).map(([name, time]) => `${name} ${percent(time / ns)}`);
  return [`loop by loop, what binds each adds up to ${percent(sum)} of its time: ${parts.join(", ")}`];
}

function codeRemarks(total: Mix, loop: HotLoop | undefined, { core }: MachineModel): string[] {
  const remarks: string[] = [];
  const narrow = narrowShare(total, core);
  if (narrow > 0)
    remarks.push(`${percent(narrow)} of its multiply-adds are narrower than what this processor does best`);
  const spills = Math.round(loop?.iteration.vectorSpills ?? 0);
  if (loop && loop.share >= 0.5 && spills > 0)
    remarks.push(`an iteration moves ${spills} ${spills === 1 ? "vector" : "vectors"} from or to the stack`);
  const outside = Object.entries(total.calls).filter(([name]) => name !== "tw_parallel_for");
  for (const [name, n] of outside)
    remarks.push(`calls ${name} ${countText(Math.round(n))} times, whose instructions are not counted`);
  return remarks;
}

/** The part of multiply-adds whose width costs a tenth more an element than the cheapest one; 0 where that is less than half. */
function narrowShare({ multiplyAdds }: Mix, { ports }: MachineModel["core"]): number {
  const best = Math.min(...ports.map((p) => p.multiplyAdd / p.bits));
  const costly = ports.filter((p) => p.multiplyAdd / p.bits > 1.1 * best);
  const share = costly.reduce((n, p) => n + multiplyAdds[p.bits], 0) / Math.max(1, countOf(multiplyAdds));
  return share >= 0.5 ? share : 0;
}

/** The report of `--explain`: kernels in the order of execution, each with its limits beside the measured time. */
export function explanationText(profile: NetworkProfile, { colors }: Terminal): string {
  const blocks = profile.kernels.map((k) =>
    [
      `${colors.bold(`#${k.step} ${clip(k.title, 60)}`)}  ${k.title === k.name ? "" : `${clip(k.name, 40)}  `}${duration(k.ns)}, ${(100 * k.share).toFixed(1)} % of the run, ${digits(k.gflops)} GFLOP/s (${percent(k.ofPeak)} of peak)`,
      `  ${k.bound ? k.summary : colors.yellow(k.summary)}`,
      ...limitLines(k),
      ...loopLines(k),
      ...hardwareLines(k),
      ...k.remarks.map((r) => `  note: ${r}`),
      ...refusalLines(k),
    ].join("\n"),
  );
  return [machineText(profile), ...profile.missing.map((m) => `missing: ${m}`), "", ...blocks].join("\n");
}

/** Why a kernel has a simpler schedule than the one meant for it. */
const refusalLines = ({ refusals = [] }: Pick<ProfiledKernel, "refusals">): string[] =>
  refusals.map((r) => `  recipe refused: ${r.recipe}, because of ${r.reason}`);

/** The measured machine in one line. */
export function machineText({ machine, model, peakGflops }: NetworkProfile): string {
  const { core, threads } = model;
  const reads = (["L1", "L2", "L3", "memory"] as const).flatMap((level) => {
    const rate = bandwidth(model, level);
    return rate > 0 ? [`${level} ${digits(rate)}`] : [];
  });
  const join = threads > 1 ? `, fork-join ${duration(core.forkJoin)}` : "";
  return `${machine.model}, ${threads} ${threads === 1 ? "thread" : "threads"}, ${digits(1 / core.cycle)} GHz: ${digits(peakGflops)} GFLOP/s; GB/s: ${reads.join(", ")}${join}`;
}

/** Limits of a tenth of the time and more. */
function limitLines(k: ProfiledKernel): string[] {
  const shown = k.limits.filter((l) => l.ns >= 0.1 * k.ns).slice(0, 5);
  const width = Math.max(0, ...shown.map((l) => l.name.length));
  return shown.map(
    (l) =>
      `    ${l.name.padEnd(width)}  ${duration(l.ns).padStart(8)}  ${percent(l.ns / k.ns).padStart(5)}  ${limitText(l)}${l.estimated ? " (estimated)" : ""}`,
  );
}

const loopLines = (k: ProfiledKernel): string[] => {
  const text = loopText(k);
  return text === undefined ? [] : [`    hot loop: ${text}`];
};

/** What an iteration of the hottest loop holds, and how often it runs. */
export function loopText({ execution }: ProfiledKernel): string | undefined {
  const loop = execution?.hotLoop;
  if (!loop) return undefined;
  const counts = compositionText(loop);
  return `${digits(loop.iteration.instructions)} instructions${counts ? ` (${counts})` : ""}, ${countText(Math.round(loop.iterations))} iterations, ${percent(loop.share)} of all instructions`;
}

function hardwareLines({ hardware }: ProfiledKernel): string[] {
  if (!hardware) return [];
  const { cycles = 0, instructions = 0 } = hardware;
  const rate = cycles > 0 ? [`${digits(instructions / cycles)} instructions a cycle`] : [];
  return [
    `    counters, one thread: ${[...Object.entries(hardware).map(([name, n]) => `${countText(n)} ${name}`), ...rate].join(", ")}`,
  ];
}
