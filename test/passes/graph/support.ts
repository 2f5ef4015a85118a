/** What tests of graph passes share: values, a machine, the targets at hand. */
import { expect } from "vitest";
import type { Graph } from "../../../ir/graph/graph.ts";
import { elementCount, tensorValue } from "../../../ir/graph/tensor-value.ts";
import type { Target } from "../../../ir/target/target.ts";
import { defaultSchedule } from "../../../passes/schedule/library/index.ts";
import { genericMachine, type Machine } from "../../../passes/schedule/library/plan.ts";
import { buildGroupProgram } from "../../../src/operators/build-program.ts";
import { machineOf, missingHere, resolveTarget } from "../../../src/runtime/host.ts";
import { layOut } from "../../../src/runtime/prepare.ts";

/** A float32 tensor of a sine's values. */
export const wave = (dims: readonly number[], step: number) =>
  tensorValue(
    "float32",
    dims,
    Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(i * step)),
  );

/** 512-bit vectors in two halves: blocks of 8 channels are as fast an element. */
export const machine = { ...genericMachine, fmaPerCycle: 1 };

/** Targets with vectors of several widths, as far as this machine can run them. */
export const targets = ["host", "x86-64-v3"].filter((target) => missingHere(resolveTarget(target)).length === 0);

const runsHere = (target: Target): boolean => missingHere(target).length === 0;
/**
 * A target whose model of costs does not depend on this machine's: its memory is reached by a ring. The widest vectors that
 * this machine has.
 */
export const ringTarget: Target =
  ["x86-64-v4", "x86-64-v3"].map((name) => resolveTarget(name)).find(runsHere) ?? resolveTarget("host");
/** The same processor on a mesh, as servers have it. */
export const meshTarget: Target = {
  ...ringTarget,
  ...pick(resolveTarget("sapphirerapids")),
  name: `${ringTarget.name} on a mesh`,
};
/** An Intel server's, as the model of costs sees it. */
export const meshMachine = machineOf(resolveTarget("sapphirerapids"));
function pick({ reads, caches, fmaPerCycle, loadsPerCycle }: Target): Partial<Target> {
  return { reads, caches, fmaPerCycle, loadsPerCycle };
}

/** The kernels of a graph as recipes schedule them for a machine, printed. */
export function schedulesOf(graph: Graph, on: Machine, threads = 1): string[] {
  const { graph: laidOut, groups } = layOut(graph, on, "default", threads);
  return groups.map((group, i) => {
    const { program } = buildGroupProgram(laidOut, group, { name: `kernel${i}` });
    return defaultSchedule(program, { machine: on, threads }).print();
  });
}

/** Expects values that differ by roundings. */
export const close = (actual: ArrayLike<number>, expected: Float32Array): void =>
  expected.forEach((v, i) => void expect(actual[i]).toBeCloseTo(v, 4));
