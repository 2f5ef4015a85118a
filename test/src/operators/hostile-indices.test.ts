/** Indices that data gives never reach outside a tensor: the interpreter throws on any access that does. */
import { describe, expect, it } from "vitest";
import type { AttributeRecord } from "../../../ir/graph/build.ts";
import type { TensorValue } from "../../../ir/graph/tensor-value.ts";
import { numbersOf, tensorOf } from "../../../src/operators/elements.ts";
import { f32, i64, run, runNumbers } from "./nodes.ts";

const far = 2 ** 52;
const i64At = (dims: readonly number[], values: readonly number[]): TensorValue => tensorOf("int64", dims, values);
const ramp = (...dims: number[]): TensorValue =>
  f32(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i),
  );

describe("reads at places from data", () => {
  it("wrap once, then stop at the ends", () => {
    const indices = i64At([1, 5], [-3, -1, far, -far, 1]);
    expect(runNumbers("GatherElements", [ramp(1, 5), indices], { axis: 1 })).toEqual([2, 4, 4, 0, 1]);
    const tuples = i64At([3, 2], [-1, -1, far, -far, 0, 7]);
    expect(runNumbers("GatherND", [ramp(2, 3), tuples])).toEqual([5, 3, 2]);
  });
  it("leave OneHot without a mark outside the depth", () => {
    const got = runNumbers("OneHot", [i64(-3, -4, 3, far), tensorOf("int64", [], [3]), f32([2], [0, 1])]);
    expect(got).toEqual([1, 0, 0, ...Array<number>(9).fill(0)]);
  });
  it("limit positions of a rotary embedding, batches of regions and coordinates that are not numbers", () => {
    const cache = f32([2, 1], [1, 0]);
    const turned = run(
      "RotaryEmbedding",
      [ramp(1, 1, 2, 2), cache, cache, i64At([1, 2], [far, -far])],
      {},
      { opset: 23 },
    );
    expect(numbersOf(turned).every(Number.isFinite)).toBe(true);
    const region = [ramp(1, 1, 2, 2), f32([2, 4], [0, 0, 2, 2, -1e30, Number.NaN, 1e30, 1e30]), i64(far, -far)];
    expect(run("RoiAlign", region, { sampling_ratio: 2 }).dims).toEqual([2, 1, 1, 1]);
    const grid = f32([1, 1, 3, 2], [Number.NaN, 1e38, -1e38, Number.POSITIVE_INFINITY, 0, 0]);
    for (const padding_mode of ["zeros", "border", "reflection"])
      for (const mode of ["nearest", "linear", "cubic"])
        expect(run("GridSample", [ramp(1, 1, 2, 2), grid], { padding_mode, mode }).dims).toEqual([1, 1, 1, 3]);
  });
});

describe("writes at places from data", () => {
  it("wrap once and are left out beyond the ends; the last of several wins", () => {
    const scatter = (attributes: AttributeRecord): number[] =>
      runNumbers(
        "ScatterElements",
        [f32([1, 4], [1, 2, 3, 4]), i64At([1, 5], [-1, 9, -9, 1, 1]), f32([1, 5], [10, 20, 30, 40, 50])],
        { axis: 1, ...attributes },
      );
    expect(scatter({})).toEqual([1, 50, 3, 10]);
    expect(scatter({ reduction: "add" })).toEqual([1, 92, 3, 14]);
    expect(scatter({ reduction: "max" })).toEqual([1, 50, 3, 10]);
    const tuples = i64At([3, 1], [-1, far, -far]);
    expect(runNumbers("ScatterND", [ramp(3), tuples, f32([3], [7, 8, 9])])).toEqual([0, 1, 7]);
  });
  it("leave a cache and an unpooled image alone where they miss", () => {
    const cache = [ramp(1, 3, 1), f32([1, 2, 1], [8, 9]), i64(2)];
    expect(runNumbers("TensorScatter", cache, {}, { opset: 24 })).toEqual([0, 1, 8]);
    expect(runNumbers("TensorScatter", cache, { mode: "circular" }, { opset: 24 })).toEqual([9, 1, 8]);
    const pooled = [f32([1, 1, 1, 2], [5, 6]), i64At([1, 1, 1, 2], [1, far])];
    expect(runNumbers("MaxUnpool", pooled, { kernel_shape: [2, 1], strides: [2, 1] })).toEqual([0, 5, 0, 0]);
  });
});
