/** What `bench --profile` and `bench --explain` find out about a network. */
import { machineFacts } from "../../../native/machine.ts";
import { measureMachine, peakGflops } from "../../../native/measure.ts";
import { measureCore } from "../../../native/measure-ports.ts";
import { type Feeds, stepMedians } from "../../runtime/executable.ts";
import { analyse, withoutCode } from "../../runtime/profile/analyse.ts";
import { countHardware } from "../../runtime/profile/hardware.ts";
import { limitsOf, verdictOf } from "../../runtime/profile/limits.ts";
import { busyShares, timelineOf } from "../../runtime/profile/timeline.ts";
import { kernelRows } from "../kernel-table.ts";
import type { OpenedForProfile } from "../model.ts";
import { remarksOn, summaryOf } from "./explain.ts";
import type { NetworkProfile, ProfiledKernel } from "./network-profile.ts";

/** Runs that the timeline shows. */
const shownRuns = 5;

/** Measures machine and network, and counts what its kernels execute. The network's own code runs as it is. */
export async function profileNetwork(opened: OpenedForProfile, feeds: Feeds, repeats: number): Promise<NetworkProfile> {
  const { net, parts, compiled } = opened;
  const { threads } = net;
  const [rates, core] = [measureMachine({ threads }), measureCore(threads)];
  const model = { rates, core, threads };
  const peak = peakGflops(rates, threads);
  const times = stepMedians(net.record(feeds, { repeats: Math.min(repeats, 50) }));
  const timeline = timelineOf(net, parts, feeds, Math.min(repeats, shownRuns));
  const latencies = { multiplyAdd: core.multiplyAddLatencyCycles, add: core.addLatencyCycles };
  const analysis = compiled ? await analyse(compiled, net, feeds, latencies) : withoutCode(net);
  const hardware = countHardware(net, parts, feeds);
  const busy = busyShares(timeline, threads);
  const kernels = kernelRows(net.steps, times, peak).map((row, i): ProfiledKernel => {
    const { phases, ...counted } = analysis.steps[i]!;
    const facts = { ...counted, ...busyOf(busy[i]) };
    const limits = limitsOf(facts, model);
    const verdict = verdictOf(limits, row.ns);
    return {
      ...row,
      ...facts,
      ...verdict,
      intensity: facts.bytes > 0 ? facts.flops / facts.bytes : 0,
      limits,
      summary: summaryOf(facts, limits, verdict, row.ns),
      remarks: remarksOn({ ...facts, phases }, verdict, row.ns, model),
      ...("steps" in hardware ? { hardware: hardware.steps[i]! } : {}),
    };
  });
  const missing = [...analysis.missing, ...("reason" in hardware ? [`no hardware counters: ${hardware.reason}`] : [])];
  return { kernels, timeline, machine: machineFacts(), model, peakGflops: peak, missing };
}

const busyOf = (share: number | undefined) => (share === undefined ? {} : { busy: share });
