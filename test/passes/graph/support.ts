/** What tests of graph passes share: values, a machine, the targets at hand. */

import { expect } from "vitest";
import { elementCount, tensorValue } from "../../../ir/graph/tensor-value.ts";
import type { Target } from "../../../ir/target/target.ts";
import { genericMachine } from "../../../passes/schedule/library/plan.ts";
import { missingHere, resolveTarget } from "../../../src/runtime/host.ts";

/** A float32 tensor of a sine's values. */
export const wave = (dims: readonly number[], step: number) =>
  tensorValue(
    "float32",
    dims,
    Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(i * step)),
  );

/** 512-bit vectors in two halves: blocks of 8 channels are as fast an element. */
export const machine = {
  lanes: 16,
  registers: 32,
  l1Bytes: 32768,
  l2Bytes: 1 << 20,
  fmaPerCycle: 1,
  loadsPerCycle: 2,
  reads: genericMachine.reads,
};

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
function pick({ reads, caches, fmaPerCycle, loadsPerCycle }: Target): Partial<Target> {
  return { reads, caches, fmaPerCycle, loadsPerCycle };
}

/** Expects values that differ by roundings. */
export const close = (actual: ArrayLike<number>, expected: Float32Array): void =>
  expected.forEach((v, i) => void expect(actual[i]).toBeCloseTo(v, 4));
