import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { fastestTile, selectWinograd } from "../../../passes/graph/select-winograd.ts";
import { transformWeights, winogradMatrices, winogradTiles } from "../../../passes/graph/winograd-transforms.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { Tensor } from "../../../src/tensor.ts";

const machine = { lanes: 16, registers: 32, l1Bytes: 32768, l2Bytes: 1 << 20, fmaPerCycle: 1 };
const product = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number[][] =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, x, k) => sum + x * b[k]![j]!, 0)));
const transposed = (a: readonly (readonly number[])[]): number[][] => a[0]!.map((_, j) => a.map((row) => row[j]!));
const wave = (n: number, step: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * step));

describe("the transforms", () => {
  it.each(winogradTiles)("F(%i×%i, 3×3) is a correlation with the filter", (m) => {
    const { alpha, input, weight, output } = winogradMatrices(m);
    const data = Array.from({ length: alpha }, (_, i) => Array.from({ length: alpha }, (_, j) => Math.sin(3 * i + j)));
    const filter = [
      [1, -2, 0.5],
      [0.25, 3, -1],
      [2, 0, 1.5],
    ];
    const v = product(product(input, data), transposed(input));
    const u = product(product(weight, filter), transposed(weight));
    const y = product(
      product(
        output,
        v.map((row, i) => row.map((x, j) => x * u[i]![j]!)),
      ),
      transposed(output),
    );
    for (let i = 0; i < m; i++)
      for (let j = 0; j < m; j++) {
        let direct = 0;
        for (let p = 0; p < 3; p++) for (let q = 0; q < 3; q++) direct += data[i + p]![j + q]! * filter[p]![q]!;
        expect(y[i]![j]!).toBeCloseTo(direct, 9);
      }
    const packed = transformWeights(Float32Array.from(filter.flat()), 1, m);
    expect([...packed]).toEqual(u.flat().map(Math.fround));
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
async function run(graph: Graph, math: "default" | "strict", threads: number): Promise<Float32Array> {
  const net = await compile(graph, { math, threads, cache: false });
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
    expect(fastestTile(shape(64, 56), machine)).toBe(6);
    expect(fastestTile(shape(256, 14), machine)).toBe(4);
    expect([2, 4]).toContain(fastestTile(shape(512, 7), machine));
  });
  it("leaves strides, dilations, groups and thin inputs alone", () => {
    const b = new GraphBuilder();
    const x = b.value("x", { dtype: "float32", dims: [1, 32, 16, 16] });
    const w = b.constant("w", tensorValue("float32", [32, 32, 3, 3]));
    const g = b.constant("g", tensorValue("float32", [32, 1, 3, 3]));
    const [s] = b.node("Conv", [x, w], { attributes: { strides: [2, 2] } });
    const [d] = b.node("Conv", [x, w], { attributes: { dilations: [2, 2] } });
    const [e] = b.node("Conv", [x, g], { attributes: { group: 32 } });
    for (const [v, size] of [
      [s, 7],
      [d, 12],
      [e, 14],
    ] as const)
      b.update(v!, { type: { dtype: "float32", dims: [1, 32, size, size] } });
    const graph = b.finish({ name: "t", inputs: [x], outputs: [s!, d!, e!] });
    expect(selectWinograd(graph, machine)).toBe(graph);
  });
});
