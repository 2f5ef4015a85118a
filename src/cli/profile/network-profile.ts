/** A profile as data: what the texts, the trace and the page show. */
import type { Machine } from "../../../native/machine.ts";
import type { StepFacts } from "../../runtime/profile/analyse.ts";
import type { StepCounters } from "../../runtime/profile/hardware.ts";
import type { Limit, MachineModel, Verdict } from "../../runtime/profile/limits.ts";
import type { Timeline } from "../../runtime/profile/timeline.ts";
import type { KernelRow } from "../kernel-table.ts";

/** A kernel with what it does and what bounds it. */
export interface ProfiledKernel extends KernelRow, Omit<StepFacts, "phases">, Verdict {
  /** Operations for each byte touched. */
  readonly intensity: number;
  /** The part of its threads' time that they spend in its parallel regions; absent where there is none. */
  readonly busy?: number;
  /** The longest first. */
  readonly limits: readonly Limit[];
  /** One sentence: what bounds it, by how much, from which counts. */
  readonly summary: string;
  readonly remarks: readonly string[];
  /** In one thread; absent where the system does not count. */
  readonly hardware?: StepCounters;
}

/** A network's kernels in the order of execution. */
export interface NetworkProfile {
  readonly kernels: readonly ProfiledKernel[];
  readonly timeline: Timeline;
  readonly machine: Machine;
  readonly model: MachineModel;
  readonly peakGflops: number;
  /** What could not be found out, and why. */
  readonly missing: readonly string[];
}
