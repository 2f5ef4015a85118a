import { describe, expect, it } from "vitest";
import { attributesOf, GraphBuilder, valueOf } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { convShapeOf } from "../../../passes/graph/contraction-shapes.ts";
import { phasesAsChannels, phasesOfMap, phasesOfWeights } from "../../../passes/graph/phases-as-channels.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { Tensor } from "../../../src/tensor.ts";

const wave = (n: number, step: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * step));

interface Layer {
  readonly batch?: number;
  readonly channels: number;
  readonly outputs: number;
  readonly size: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
}
const outputSize = ({ size, kernel, strides, pads }: Layer): number[] =>
  [0, 1].map((i) => Math.floor((size[i]! + pads[i]! + pads[i + 2]! - kernel[i]!) / strides[i]!) + 1);
/** An image's first layer: the convolution with a bias, and an activation. */
function firstLayer(l: Layer): Graph {
  const { batch = 1, channels, outputs, size, kernel } = l;
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [batch, channels, ...size] });
  const taps = kernel[0] * kernel[1];
  const w = b.constant(
    "w",
    tensorValue("float32", [outputs, channels, ...kernel], wave(outputs * channels * taps, 1.3)),
  );
  const bias = b.constant("bias", tensorValue("float32", [outputs], wave(outputs, 0.9)));
  const [c] = b.node("Conv", [x, w, bias], { attributes: { pads: [...l.pads], strides: [...l.strides] } });
  b.update(c!, { type: { dtype: "float32", dims: [batch, outputs, ...outputSize(l)] } });
  const [y] = b.node("Relu", [c], { outputs: ["y"] });
  return b.finish({ name: "t", inputs: [x], outputs: [y!] });
}
async function run(graph: Graph, { batch = 1, channels, size }: Layer, math: "default" | "strict", threads: number) {
  const net = await compile(graph, { math, threads, cache: false });
  const dims = [batch, channels, ...size];
  const { y } = net.runSync({ x: new Tensor("float32", wave(batch * channels * size[0] * size[1], 0.37), dims) });
  const { steps } = net;
  net.dispose();
  return { result: y!.data as Float32Array, names: steps.map((s) => s.name), steps };
}

const layers: readonly Layer[] = [
  { channels: 3, outputs: 64, size: [64, 64], kernel: [7, 7], strides: [2, 2], pads: [3, 3, 3, 3] },
  { channels: 3, outputs: 40, size: [61, 75], kernel: [7, 7], strides: [2, 2], pads: [3, 2, 3, 2] },
  { channels: 4, outputs: 32, size: [50, 38], kernel: [7, 7], strides: [2, 2], pads: [0, 0, 0, 0] },
  { channels: 3, outputs: 64, size: [67, 67], kernel: [11, 11], strides: [4, 4], pads: [2, 2, 2, 2] },
  { batch: 2, channels: 3, outputs: 48, size: [45, 33], kernel: [5, 5], strides: [2, 2], pads: [2, 2, 2, 2] },
  { channels: 5, outputs: 64, size: [40, 40], kernel: [6, 7], strides: [2, 2], pads: [2, 3, 2, 3] },
  { channels: 2, outputs: 64, size: [63, 65], kernel: [9, 9], strides: [3, 3], pads: [4, 4, 4, 4] },
];
const title = ({ channels, outputs, size, kernel, strides, pads }: Layer): string =>
  `${channels} → ${outputs} channels at ${size.join("×")}, ${kernel.join("×")}, strides ${strides}, pads ${pads}`;

/** The same layer with the phases of its map as channels, still by the direct algorithm. */
function inPhases(l: Layer): Graph {
  const graph = firstLayer(l);
  const [layer, relu] = graph.nodes as [(typeof graph.nodes)[0], (typeof graph.nodes)[0]];
  const shape = convShapeOf(graph, layer)!;
  const phases = phasesAsChannels(shape)!;
  const b = new GraphBuilder(graph);
  const map = phasesOfMap(b, layer, shape, phases);
  const weights = phasesOfWeights(valueOf(graph, layer.inputs[1]!).constant!.data as Float32Array, shape, phases);
  const dims = [shape.outputChannels, phases.shape.inputChannels, ...phases.shape.kernel];
  const w = b.constant("w_phases", tensorValue("float32", dims, weights));
  const inputs = [map.at(-1)!.outputs[0], w, layer.inputs[2]];
  const attributes = attributesOf({ pads: [...phases.shape.pads] });
  return { ...graph, nodes: [...map, { ...layer, inputs, attributes }, relu], values: b.values, nextId: b.ids.next };
}
const differ = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0) /
  b.reduce((most, v) => Math.max(most, Math.abs(v)), 0);

describe("phases of an image as channels", () => {
  it.each(layers.map((l) => [title(l), l] as const))("are the same convolution: %s", async (_, l) => {
    const { result: direct } = await run(firstLayer(l), l, "strict", 1);
    const { result, names } = await run(inPhases(l), l, "strict", 1);
    expect(names.join()).toContain("SpaceToDepth");
    expect(differ(result, direct)).toBeLessThan(1e-5);
  });
  it.each(layers.map((l) => [title(l), l] as const))(
    "give what the convolution gives where they are taken: %s",
    async (_, l) => {
      const graph = firstLayer(l);
      const { result: direct } = await run(graph, l, "strict", 1);
      for (const threads of [1, 2]) {
        const { result } = await run(graph, l, "default", threads);
        expect(differ(result, direct)).toBeLessThan(5e-5);
      }
    },
  );
  it("are taken for large windows over images", async () => {
    const { names, steps } = await run(firstLayer(layers[0]!), layers[0]!, "default", 1);
    // Written as the convolution reads it: no copy stands between.
    expect(names.slice(0, 2)).toEqual(["SpaceToDepth", "WinogradConv+Relu"]);
    // Reports count what the model's convolution takes by the direct algorithm: two operations a tap, and the activation.
    const convolution = steps.find((step) => step.name.startsWith("WinogradConv"))!;
    expect(convolution.flops).toBe((2 * 3 * 7 * 7 + 1) * 64 * 32 * 32);
  });
  it("keep every output, and pad by whole strides", () => {
    for (const l of layers) {
      const graph = firstLayer(l);
      const phases = phasesAsChannels(convShapeOf(graph, graph.nodes[0]!)!)!;
      const { inputHeight, inputWidth, kernel, pads, outputHeight, outputWidth } = phases.shape;
      expect([inputHeight + pads[0] + pads[2] - kernel[0] + 1, inputWidth + pads[1] + pads[3] - kernel[1] + 1]).toEqual(
        [outputHeight, outputWidth],
      );
      for (const i of [0, 1] as const) expect((l.pads[i] + phases.lead[i]) % phases.stride).toBe(0);
    }
  });
  it("are not for unequal strides, dilations, or inputs that end behind the last window", () => {
    const of = (change: Partial<Layer>) => {
      const graph = firstLayer({ ...layers[0]!, ...change });
      return phasesAsChannels(convShapeOf(graph, graph.nodes[0]!)!);
    };
    expect(of({})?.shape.kernel).toEqual([4, 4]);
    expect(of({ strides: [2, 1] })).toBeUndefined();
    expect(of({ strides: [1, 1] })).toBeUndefined();
    expect(of({ kernel: [2, 2], size: [65, 65], pads: [0, 0, 0, 0] })).toBeUndefined();
  });
});
