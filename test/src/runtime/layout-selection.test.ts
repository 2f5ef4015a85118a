/** Networks whose layouts are not obvious: how much they move, and that their values stay. */
import { describe, expect, it } from "vitest";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { fuseGroups } from "../../../passes/graph/fuse-groups.ts";
import { selectLayouts } from "../../../passes/graph/select-layouts.ts";
import { genericMachine } from "../../../passes/schedule/library/plan.ts";
import type { Feeds } from "../../../src/runtime/executable.ts";
import { isView, storageBytes } from "../../../src/runtime/memory-plan.ts";
import { layOut, patternOf, simplifyGraph } from "../../../src/runtime/prepare.ts";
import { check, configurations } from "../../e2e/fuzz/check.ts";
import { type Known, Source } from "../../e2e/fuzz/source.ts";

type Build = (s: Source) => readonly Known[];

const conv = (s: Source, x: Known, channels: number, kernel = 1, group = 1) =>
  s.one("Conv", [x, s.constant([channels, x.dims[1]! / group, kernel, kernel])], {
    pads: Array(4).fill((kernel - 1) / 2),
    group,
  });
const dense = (s: Source, x: Known, columns: number) =>
  s.one("Add", [s.one("MatMul", [x, s.constant([x.dims.at(-1)!, columns])]), s.constant([columns])]);
const norm = (s: Source, x: Known) => {
  const size = [x.dims.at(-1)!];
  return s.one("LayerNormalization", [x, s.constant(size), s.constant(size)], { axis: -1 });
};
const channelsLast = (s: Source, x: Known) => s.one("Transpose", [x], { perm: [0, 2, 3, 1] });
const channelsFirst = (s: Source, x: Known) => s.one("Transpose", [x], { perm: [0, 3, 1, 2] });
/** Twice as high and wide. */
const scales = (s: Source): Known => {
  const value = tensorValue("float32", [4], Float32Array.of(1, 1, 2, 2));
  return { id: s.builder.constant("scales", value), dims: [4], type: "float32", exact: true };
};
const reshape = (s: Source, x: Known, dims: readonly number[]) => s.one("Reshape", [x, s.ints(dims)]);
/** A convolution of a channels-last value, as exporters from TensorFlow write it. */
const lastConv = (s: Source, x: Known, channels: number, kernel = 1, group = 1) =>
  channelsLast(s, conv(s, channelsFirst(s, x), channels, kernel, group));

/** Kernels that only move elements and the bytes they write, now and where each group has its way in turn. */
type Moved = readonly [kernels: number, bytes: number];
const cases: Readonly<Record<string, { readonly moved: Moved; readonly before: Moved; readonly build: Build }>> = {
  "channels-last convolutions between transpositions": {
    moved: [2, 12032],
    before: [20, 87808],
    build: (s) => {
      let x = s.one("Relu", [lastConv(s, s.input([1, 6, 5, 32]), 32, 3)]);
      for (let i = 0; i < 2; i++) {
        const y = s.one("Relu", [lastConv(s, x, 32, 3, 32)]);
        x = s.one("Add", [x, lastConv(s, y, 32)]);
      }
      return [x];
    },
  },
  "normalizations over channels between convolutions": {
    moved: [1, 1920],
    before: [9, 32640],
    build: (s) => {
      let x = conv(s, s.input([1, 8, 6, 5]), 32);
      for (let i = 0; i < 2; i++) {
        const y = dense(s, s.one("Relu", [dense(s, norm(s, channelsLast(s, conv(s, x, 32, 3, 32))), 64)]), 32);
        x = s.one("Add", [x, channelsFirst(s, y)]);
      }
      return [conv(s, x, 16)];
    },
  },
  "patches of a picture, then attention": {
    moved: [1, 1152],
    before: [6, 6912],
    build: (s) => {
      const patches = s.one("Conv", [s.input([1, 3, 12, 12]), s.constant([32, 3, 4, 4])], { strides: [4, 4] });
      const x = s.one("Transpose", [reshape(s, patches, [1, 32, 9])], { perm: [0, 2, 1] });
      const tokens = s.one("Add", [x, s.constant([1, 9, 32])]);
      const heads = (perm: number[]) => s.one("Transpose", [reshape(s, dense(s, tokens, 32), [1, 9, 2, 16])], { perm });
      const [q, k, v] = [heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])];
      const weights = s.one("Softmax", [s.one("MatMul", [q, k])], { axis: -1 });
      const mixed = s.one("Transpose", [s.one("MatMul", [weights, v])], { perm: [0, 2, 1, 3] });
      return [dense(s, reshape(s, mixed, [1, 9, 32]), 32)];
    },
  },
  "channels shuffled between groups": {
    moved: [3, 34816],
    before: [4, 44032],
    build: (s) => {
      const x = conv(s, s.input([1, 8, 6, 6]), 64);
      const grouped = s.one("Relu", [conv(s, x, 64, 1, 2)]);
      const turned = s.one("Transpose", [reshape(s, grouped, [1, 2, 32, 6, 6])], { perm: [0, 2, 1, 3, 4] });
      return [s.one("Add", [x, conv(s, conv(s, reshape(s, turned, [1, 64, 6, 6]), 64, 3, 64), 64, 1, 2)])];
    },
  },
  "channels weighted by their means": {
    moved: [2, 6592],
    before: [2, 15808],
    build: (s) => {
      const x = conv(s, s.input([1, 16, 7, 7]), 48, 3);
      const means = s.one("ReduceMean", [x], { axes: [2, 3], keepdims: 1 });
      const gate = s.one("Sigmoid", [conv(s, s.one("Relu", [conv(s, means, 12)]), 48)]);
      return [s.one("ReduceMean", [s.one("Mul", [x, gate])], { axes: [2, 3], keepdims: 0 })];
    },
  },
  "few channels, up and down": {
    moved: [2, 11664],
    before: [3, 27216],
    build: (s) => {
      const a = s.one("Relu", [conv(s, s.input([1, 1, 16, 16]), 4, 3)]);
      const pooled = s.one("MaxPool", [a], { kernel_shape: [2, 2], strides: [2, 2] });
      const up = s.one("Resize", [conv(s, pooled, 8, 3), undefined, scales(s)], { mode: "nearest" });
      return [s.one("Sigmoid", [conv(s, s.one("Concat", [a, up], { axis: 1 }), 4, 3)])];
    },
  },
};

/** Counts conversions, transpositions, reshapes and concatenations that are no views. */
function moved(build: Build): Moved {
  const s = new Source(1);
  const fused = layOut(simplifyGraph(s.finish("network", build(s)), { math: "default" }), genericMachine);
  const moving = new Set(["Identity", "Transpose", "Reshape", "Flatten", "Concat", "Pad"]);
  const kernels = fused.groups.filter((g) => g.nodes.every((n) => moving.has(n.op)) && !isView(fused, g));
  return [kernels.length, kernels.reduce((sum, g) => sum + storageBytes(fused, g.outputs[0]!), 0)];
}

describe.each(Object.entries(cases))("%s", (_, { moved: expected, before, build }) => {
  it(`moves ${expected[1]} bytes instead of ${before[1]}`, () => {
    expect(moved(build)).toEqual(expected);
    expect(expected[1]).toBeLessThan(before[1]);
  });
  it("costs no more than group by group", () => {
    const s = new Source(1);
    const fused = fuseGroups(simplifyGraph(s.finish("network", build(s)), { math: "default" }), patternOf);
    const { cycles, greedyCycles } = selectLayouts(fused, genericMachine);
    expect(cycles).toBeLessThanOrEqual(greedyCycles());
  });
  it.each(configurations.slice(0, 3))("has its values: $label", async (options) => {
    const s = new Source(1);
    const graph = s.finish("network", build(s));
    const feeds = [0, 1].map(() =>
      Object.fromEntries(s.inputs.map((i) => [graph.values.get(i.id)!.name, s.values(i.type, i.dims)])),
    ) as [Feeds, Feeds];
    const { by, failure } = await check(graph, feeds as never, options);
    expect({ by, failure }).toEqual({ by: expect.not.stringMatching("nobody"), failure: undefined });
  });
});
