/** What tests of graph passes share: values, a machine, the targets at hand. */
import { expect } from "vitest";
import { elementCount, tensorValue } from "../../../ir/graph/tensor-value.ts";
import { missingHere, resolveTarget } from "../../../src/runtime/host.ts";

/** A float32 tensor of a sine's values. */
export const wave = (dims: readonly number[], step: number) =>
  tensorValue(
    "float32",
    dims,
    Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(i * step)),
  );

/** 512-bit vectors in two halves: blocks of 8 channels are as fast an element. */
export const machine = { lanes: 16, registers: 32, l1Bytes: 32768, l2Bytes: 1 << 20, fmaPerCycle: 1 };

/** Targets with vectors of several widths, as far as this machine can run them. */
export const targets = ["host", "x86-64-v3"].filter((target) => missingHere(resolveTarget(target)).length === 0);

/** Expects values that differ by roundings. */
export const close = (actual: ArrayLike<number>, expected: Float32Array): void =>
  expected.forEach((v, i) => void expect(actual[i]).toBeCloseTo(v, 4));
