import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { selectWinograd } from "../../../passes/graph/select-winograd.ts";
import { fastestTile } from "../../../passes/graph/winograd-costs.ts";
import { alphaOf, tileSizes, transformWeights, winogradMatrices } from "../../../passes/graph/winograd-transforms.ts";
import { sharingOf, winogradTile } from "../../../passes/schedule/library/winograd-plan.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { Tensor } from "../../../src/tensor.ts";
import { machine, meshMachine, meshTarget, ringTarget, schedulesOf } from "./support.ts";

const product = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number[][] =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, x, k) => sum + x * b[k]![j]!, 0)));
const transposed = (a: readonly (readonly number[])[]): number[][] => a[0]!.map((_, j) => a.map((row) => row[j]!));
const wave = (n: number, step: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * step));

const axes = [
  [2, 3, 1],
  [4, 3, 1],
  [6, 3, 1],
  [3, 3, 1],
  [5, 3, 1],
  [3, 3, 2],
  [2, 3, 2],
  [4, 3, 2],
  [6, 3, 2],
  [4, 2, 1],
  [4, 5, 1],
  [2, 5, 2],
  [4, 5, 2],
  [2, 7, 1],
  [4, 7, 2],
  [1, 1, 1],
  [1, 1, 2],
] as const;
describe("the transforms", () => {
  it.each(axes)("F(%i, %i) of stride %i is a correlation with the filter", (outputs, taps, stride) => {
    const axis = { outputs, taps, stride };
    const alpha = alphaOf(axis);
    const { input, weight, output } = winogradMatrices(axis);
    const data = Array.from({ length: alpha }, (_, i) => Array.from({ length: alpha }, (_, j) => Math.sin(3 * i + j)));
    const filter = Array.from({ length: taps }, (_, i) => Array.from({ length: taps }, (_, j) => Math.cos(5 * i - j)));
    const v = product(product(input, data), transposed(input));
    const u = product(product(weight, filter), transposed(weight));
    const products = v.map((row, i) => row.map((x, j) => x * u[i]![j]!));
    const y = product(product(output, products), transposed(output));
    for (let i = 0; i < outputs; i++)
      for (let j = 0; j < outputs; j++) {
        let direct = 0;
        for (let p = 0; p < taps; p++)
          for (let q = 0; q < taps; q++) direct += data[i * stride + p]![j * stride + q]! * filter[p]![q]!;
        expect(y[i]![j]!).toBeCloseTo(direct, 9);
      }
    const packed = transformWeights(Float32Array.from(filter.flat()), 1, [axis, axis]);
    for (const [k, x] of u.flat().entries()) expect(packed[k]!).toBeCloseTo(x, 6);
  });
  it("takes as many outputs as there are points for", () => {
    expect(tileSizes(3, 1)).toEqual([2, 3, 4, 5, 6]);
    expect(tileSizes(3, 2)).toEqual([2, 3, 4, 5, 6]);
    expect(tileSizes(5, 1)).toEqual([2, 3, 4]);
    expect(tileSizes(7, 1)).toEqual([2]);
    expect(tileSizes(1, 1)).toEqual([1]);
  });
});

/** 1×1 convolution (so that maps are blocked), then a padded 3×3 one with bias, residual and activation. */
function network(channels: number, out: number, height: number, width: number, batch: number): Graph {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [batch, channels, height, width] });
  const w0 = b.constant("w0", tensorValue("float32", [out, channels, 1, 1], wave(out * channels, 0.7)));
  const w = b.constant("w", tensorValue("float32", [out, out, 3, 3], wave(out * out * 9, 1.3)));
  const bias = b.constant("bias", tensorValue("float32", [out], wave(out, 0.9)));
  const [a] = b.node("Conv", [x, w0]);
  const [c] = b.node("Conv", [a, w, bias], { attributes: { pads: [1, 1, 1, 1] } });
  const [sum] = b.node("Add", [c, a]);
  const [y] = b.node("Relu", [sum], { outputs: ["y"] });
  return b.finish({ name: "t", inputs: [x], outputs: [y!] });
}
async function run(graph: Graph, math: "default" | "strict", threads: number, target = ringTarget) {
  const net = await compile(graph, { math, threads, target, cache: false });
  const port = net.inputs[0]!;
  const feed = new Tensor(
    "float32",
    wave(
      port.dims.reduce((p, d) => p * d, 1),
      0.37,
    ),
    port.dims as number[],
  );
  const { y } = net.runSync({ x: feed });
  expect(net.steps.some((s) => s.name.startsWith("Winograd"))).toBe(math !== "strict");
  net.dispose();
  return y!.data as Float32Array;
}

describe("a convolution in Winograd's form", () => {
  it("fetches the weights of the next position on a mesh, and not on a ring", () => {
    const graph = inferGraph(network(64, 96, 29, 31, 1));
    const fetching = [meshMachine, machine].map((m) =>
      schedulesOf(graph, m).filter((text) => text.includes("winograd_product") && text.includes("prefetch(")),
    );
    expect(fetching.map((kernels) => kernels.length)).toEqual([1, 0]);
  });
  it.each([1, 2])("equals the direct one on a mesh, %i threads", async (threads) => {
    const graph = network(64, 96, 29, 31, 1);
    const direct = await run(graph, "strict", 1);
    const fast = await run(graph, "default", threads, meshTarget);
    const largest = direct.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
    expect(fast.reduce((a, v, i) => Math.max(a, Math.abs(v - direct[i]!)), 0) / largest).toBeLessThan(5e-5);
  });
  const shapes = [
    [16, 16, 6, 6, 1],
    [24, 24, 13, 7, 1],
    [17, 33, 28, 28, 1],
    [32, 48, 31, 20, 2],
    [64, 64, 55, 5, 1],
    [40, 40, 4, 4, 3],
  ] as const;
  it.each(shapes)("equals the direct one: %i → %i channels at %i×%i, batch %i", async (c, o, h, w, n) => {
    const graph = network(c, o, h, w, n);
    const direct = await run(graph, "strict", 1);
    const largest = direct.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
    for (const threads of [1, 2]) {
      const fast = await run(graph, "default", threads);
      const error = fast.reduce((a, v, i) => Math.max(a, Math.abs(v - direct[i]!)), 0);
      expect(error / largest).toBeLessThan(5e-5);
    }
  });
});

/** A convolution of any window and stride over a blocked map, with a bias and an activation. */
function windows(c: number, [h, w]: readonly [number, number], kernel: readonly number[], strides: readonly number[]) {
  const [kh, kw] = kernel as [number, number];
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [1, c, h, w] });
  const w0 = b.constant("w0", tensorValue("float32", [c, c, 1, 1], wave(c * c, 0.7)));
  const w1 = b.constant("w", tensorValue("float32", [c + 7, c, kh, kw], wave((c + 7) * c * kh * kw, 1.3)));
  const bias = b.constant("bias", tensorValue("float32", [c + 7], wave(c + 7, 0.9)));
  const [a] = b.node("Conv", [x, w0]);
  const pads = [kh >> 1, kw >> 1, (kh - 1) >> 1, (kw - 1) >> 1];
  const [d] = b.node("Conv", [a, w1, bias], { attributes: { pads, strides: [...strides] } });
  const [y] = b.node("Relu", [d], { outputs: ["y"] });
  return b.finish({ name: "t", inputs: [x], outputs: [y!] });
}
describe("windows of other sizes and strides", () => {
  it.each([
    [64, [28, 28], [3, 3], [2, 2]],
    [48, [33, 21], [3, 3], [2, 2]],
    [64, [14, 14], [3, 3], [2, 1]],
    [32, [28, 28], [5, 5], [1, 1]],
    [40, [19, 23], [5, 5], [2, 2]],
    [64, [17, 17], [1, 7], [1, 1]],
    [64, [17, 17], [7, 1], [1, 1]],
    [48, [12, 20], [3, 1], [1, 1]],
    [128, [24, 48], [1, 3], [1, 1]],
    [32, [20, 20], [3, 5], [1, 1]],
    [32, [20, 20], [2, 2], [1, 1]],
  ] as const)("equal the direct convolution: %i channels at %o, %o, strides %o", async (c, size, kernel, strides) => {
    const graph = windows(c, size, kernel, strides);
    const direct = await run(graph, "strict", 1);
    const largest = direct.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
    for (const threads of [1, 2]) {
      const fast = await run(graph, "default", threads);
      const error = fast.reduce((a, v, i) => Math.max(a, Math.abs(v - direct[i]!)), 0);
      expect(error / largest).toBeLessThan(5e-5);
    }
  });
});

describe("the choice", () => {
  const shape = (channels: number, size: number) =>
    ({
      batch: 1,
      inputChannels: channels,
      outputChannels: channels,
      inputHeight: size,
      inputWidth: size,
      outputHeight: size,
      outputWidth: size,
      kernel: [3, 3],
      strides: [1, 1],
      dilations: [1, 1],
      pads: [1, 1, 1, 1],
      group: 1,
      depthwise: false,
    }) as const;
  it("takes large tiles on large maps and smaller ones on small maps", () => {
    const outputs = (channels: number, size: number, threads = 1) =>
      fastestTile(shape(channels, size), machine, { threads, constantBytes: 0 })?.map((a) => a.outputs);
    expect(outputs(64, 56)).toEqual([6, 6]);
    expect(outputs(256, 14)).toEqual([5, 5]);
    // Two threads wait for the memory that weights come from sooner than one does.
    expect(outputs(512, 7)).toEqual([3, 3]);
    expect(outputs(512, 7, 2)).toEqual([2, 2]);
  });
  it("counts on a mesh what weights cost, the same for any number of threads", () => {
    const outputs = (channels: number, size: number, constantBytes = 0, threads = 1) =>
      fastestTile(shape(channels, size), meshMachine, { threads, constantBytes })?.map((a) => a.outputs);
    expect(outputs(64, 56)).toEqual([4, 4]);
    expect(outputs(64, 56, 0, 2)).toEqual([4, 4]);
    // 17 MB of weights for tiles of 2 × 2 take longer to read than the direct convolution to compute.
    expect(outputs(512, 7, 100 << 20)).toBe(undefined);
  });
  it("has many points to a vector of weights where those come slowly", () => {
    const products = { tileRows: 2, tileColumns: 10, inputChannels: 64, outputChannels: 64 };
    expect([meshMachine, machine].map((m) => winogradTile(m, products))).toEqual([
      { points: 10, vectors: 2 },
      { points: 5, vectors: 4 },
    ]);
  });
  it("leaves large strides, dilations, groups and thin inputs alone", () => {
    const b = new GraphBuilder();
    const x = b.value("x", { dtype: "float32", dims: [1, 32, 16, 16] });
    const w = b.constant("w", tensorValue("float32", [32, 32, 3, 3]));
    const g = b.constant("g", tensorValue("float32", [32, 1, 3, 3]));
    const [s] = b.node("Conv", [x, w], { attributes: { strides: [3, 3] } });
    const [d] = b.node("Conv", [x, w], { attributes: { dilations: [2, 2] } });
    const [e] = b.node("Conv", [x, g], { attributes: { group: 32 } });
    for (const [v, size] of [
      [s, 5],
      [d, 12],
      [e, 14],
    ] as const)
      b.update(v!, { type: { dtype: "float32", dims: [1, 32, size, size] } });
    const graph = b.finish({ name: "t", inputs: [x], outputs: [s!, d!, e!] });
    expect(selectWinograd(graph, machine)).toBe(graph);
  });
});

describe("threads", () => {
  const products = (size: number, channels: number, positions: number, outputs: number) => ({
    positions,
    tileRows: Math.ceil(size / outputs),
    tileColumns: Math.ceil(size / outputs),
    inputChannels: channels,
    outputChannels: channels,
  });
  it("share rows evenly on a mesh where the weights stay near", () =>
    expect(sharingOf(meshMachine, products(56, 64, 36, 4), 4, 2)).toEqual({ rows: 1, by: "blocks" }));
  it("share channels on a mesh where each would read all weights", () =>
    expect(sharingOf(meshMachine, products(14, 256, 16, 2), 2, 2)).toEqual({ rows: 7, by: "channels" }));
  it("have what one thread has on a ring", () =>
    expect(sharingOf(machine, products(56, 64, 36, 4), 4, 2)).toEqual({ rows: 2, by: "blocks" }));
});
