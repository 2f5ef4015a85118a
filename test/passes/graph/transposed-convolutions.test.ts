import { describe, expect, it } from "vitest";
import { type AttributeRecord, GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { replaceTransposedConvolutions } from "../../../passes/graph/transposed-convolutions.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { wave } from "./support.ts";

interface Case {
  readonly input: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly attributes: AttributeRecord;
}
/** 3 to 2 channels, or more, with a bias. */
function network({ input, kernel, attributes }: Case, group = 1, channels = 2): Graph {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [2, 3 * group, ...input] });
  const w = b.constant("w", wave([3 * group, channels, ...kernel], 0.7));
  const bias = b.constant("bias", wave([channels * group], 0.9));
  const [y] = b.node("ConvTranspose", [x, w, bias], { attributes: { ...attributes, group }, outputs: ["y"] });
  return inferGraph(b.finish({ name: "t", inputs: [x], outputs: [y!] }));
}
const opsOf = (graph: Graph): string[] => graph.nodes.map((n) => n.op);

describe("replaceTransposedConvolutions", () => {
  it.each<[string, Case, string[]]>([
    ["kernel and stride 2", { input: [3, 4], kernel: [2, 2], attributes: { strides: [2, 2] } }, []],
    [
      "odd outputs",
      { input: [3, 4], kernel: [2, 2], attributes: { strides: [2, 2], output_padding: [1, 1] } },
      ["Slice"],
    ],
    [
      "kernel 4 with padding",
      { input: [4, 3], kernel: [4, 4], attributes: { strides: [2, 2], pads: [1, 1, 1, 1] } },
      [],
    ],
    [
      "kernel 3 with uneven padding",
      { input: [4, 5], kernel: [3, 3], attributes: { strides: [2, 2], pads: [1, 0, 0, 1] } },
      [],
    ],
    [
      "stride 3, oblong kernel",
      { input: [2, 3], kernel: [5, 4], attributes: { strides: [3, 3], pads: [2, 1, 1, 1] } },
      ["Slice"],
    ],
    ["a kernel shorter than the stride", { input: [2, 2], kernel: [1, 2], attributes: { strides: [3, 3] } }, ["Slice"]],
  ])("keeps the values: %s", (_, c, crop) => {
    const graph = network(c);
    const replaced = replaceTransposedConvolutions(graph);
    expect(opsOf(replaced)).toEqual(["Conv", "DepthToSpace", ...crop]);
    expect(inferGraph(replaced).values.get(replaced.outputs[0]!)!.type).toEqual(
      graph.values.get(graph.outputs[0]!)!.type,
    );
    const x = wave([2, 3, ...c.input], 0.3);
    const [before, after] = [graph, replaced].map((g) => interpretGraph(g, { x }).y!.data as Float32Array);
    expect(after!.length).toBe(before!.length);
    before!.forEach((v, i) => void expect(after![i]).toBeCloseTo(v, 5));
  });

  it.each<[string, Case, string[]]>([
    ["kernel 4", { input: [4, 3], kernel: [4, 4], attributes: { strides: [2, 2], pads: [1, 1, 1, 1] } }, []],
    [
      "kernel 3, even outputs",
      { input: [4, 5], kernel: [3, 3], attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] } },
      [],
    ],
    ["kernel 3, odd outputs", { input: [4, 5], kernel: [3, 3], attributes: { strides: [2, 2] } }, ["Slice"]],
    [
      "kernels 4 and 6 with uneven padding",
      { input: [3, 5], kernel: [4, 6], attributes: { strides: [2, 2], pads: [1, 2, 0, 1] } },
      ["Slice"],
    ],
  ])("computes phases apart where one convolution would multiply by many zeros: %s", (_, c, crop) => {
    const graph = network(c, 1, 16);
    const replaced = replaceTransposedConvolutions(graph);
    expect(opsOf(replaced)).toEqual(["Conv", "Conv", "Conv", "Conv", "Concat", "DepthToSpace", ...crop]);
    const x = wave([2, 3, ...c.input], 0.3);
    const [before, after] = [graph, replaced].map((g) => interpretGraph(inferGraph(g), { x }).y!.data as Float32Array);
    expect(after!.length).toBe(before!.length);
    before!.forEach((v, i) => void expect(after![i]).toBeCloseTo(v, 5));
    // 5 taps make 36 products of 25, and 17 channels no whole vectors.
    const five = network({ ...c, kernel: [5, 5] }, 1, 16);
    expect(opsOf(replaceTransposedConvolutions(five)).slice(0, 2)).toEqual(["Conv", "DepthToSpace"]);
    expect(opsOf(replaceTransposedConvolutions(network(c, 1, 17))).slice(0, 2)).toEqual(["Conv", "DepthToSpace"]);
  });

  it.each<[string, Case, number, string[]]>([
    ["together", { input: [3, 4], kernel: [2, 3], attributes: { strides: [2, 3] } }, 2, []],
    ["of one axis", { input: [1, 5], kernel: [1, 4], attributes: { strides: [1, 2], pads: [0, 1, 0, 1] } }, 2, []],
    [
      "with a crop",
      { input: [3, 4], kernel: [3, 2], attributes: { strides: [1, 2], pads: [1, 0, 1, 1] } },
      2,
      ["Slice"],
    ],
    ["apart", { input: [3, 4], kernel: [4, 5], attributes: { strides: [2, 4], pads: [1, 0, 1, 0] } }, 16, ["Slice"]],
  ])("interleaves phases of two strides: %s", (_, c, channels, crop) => {
    const graph = network(c, 1, channels);
    const replaced = replaceTransposedConvolutions(graph);
    expect(opsOf(replaced).filter((op) => op !== "Conv" && op !== "Concat")).toEqual([
      "Reshape",
      "Transpose",
      "Reshape",
      ...crop,
    ]);
    expect(opsOf(replaced).includes("Concat")).toBe(channels === 16);
    const x = wave([2, 3, ...c.input], 0.3);
    const [before, after] = [graph, replaced].map((g) => interpretGraph(inferGraph(g), { x }).y!.data as Float32Array);
    expect(after!.length).toBe(before!.length);
    before!.forEach((v, i) => void expect(after![i]).toBeCloseTo(v, 5));
  });

  it.each<[string, Case, number, number]>([
    ["together", { input: [3, 4], kernel: [2, 2], attributes: { strides: [2, 2] } }, 2, 2],
    ["apart", { input: [3, 4], kernel: [4, 4], attributes: { strides: [2, 2], pads: [1, 1, 1, 1] } }, 16, 1],
    ["with several channels apart", { input: [3, 4], kernel: [3, 3], attributes: { strides: [2, 2] } }, 4, 8],
  ])("keeps groups: %s", (_, c, group, channels) => {
    const graph = network(c, group, channels);
    const replaced = replaceTransposedConvolutions(graph);
    expect(opsOf(replaced)).not.toContain("ConvTranspose");
    const x = wave([2, 3 * group, ...c.input], 0.3);
    const [before, after] = [graph, replaced].map((g) => interpretGraph(inferGraph(g), { x }).y!.data as Float32Array);
    before!.forEach((v, i) => void expect(after![i]).toBeCloseTo(v, 5));
  });

  it("is one convolution where the stride is 1", () => {
    const c: Case = { input: [4, 5], kernel: [3, 2], attributes: { pads: [1, 0, 1, 1] } };
    const graph = network(c);
    const replaced = replaceTransposedConvolutions(graph);
    expect(opsOf(replaced)).toEqual(["Conv"]);
    const x = wave([2, 3, ...c.input], 0.3);
    const [before, after] = [graph, replaced].map((g) => interpretGraph(g, { x }).y!.data as Float32Array);
    before!.forEach((v, i) => void expect(after![i]).toBeCloseTo(v, 5));
  });

  it.each<[string, Case, number?]>([
    ["dilations", { input: [3, 3], kernel: [2, 2], attributes: { dilations: [2, 2] } }],
    ["a crop of whole windows", { input: [5, 5], kernel: [1, 1], attributes: { strides: [2, 2], pads: [3, 0, 0, 0] } }],
    ["a shape that is asked for", { input: [3, 3], kernel: [2, 2], attributes: { output_shape: [3, 3] } }],
  ])("leaves %s alone", (_, c, group) => {
    const graph = network(c, group);
    expect(replaceTransposedConvolutions(graph)).toBe(graph);
  });
});
