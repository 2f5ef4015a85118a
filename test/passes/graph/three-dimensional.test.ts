/** Three-dimensional convolutions as batches of frames: the same results, and what stays between them. */
import { describe, expect, it } from "vitest";
import { type AttributeRecord, GraphBuilder, staticDims } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { giveFrames } from "../../../passes/graph/three-dimensional.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { patternOf } from "../../../src/runtime/prepare.ts";
import { wave } from "./support.ts";

const shape = [2, 3, 7, 6, 5];
function network(build: (b: GraphBuilder, x: ValueId) => ValueId[]): Graph {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: shape });
  return inferGraph(b.finish({ name: "t", inputs: [x], outputs: build(b, x) }));
}
/** Sums in another order: equal to some roundings of the largest. */
function expectEqual(before: Graph, after: Graph): void {
  const x = wave(shape, 0.3);
  const [expected, actual] = [interpretGraph(before, { x }), interpretGraph(inferGraph(after), { x })];
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, { dims, data }] of Object.entries(expected)) {
    expect(actual[name]!.dims).toEqual(dims);
    const [theirs, ours] = [data as Float32Array, actual[name]!.data as Float32Array];
    const most = Math.max(...theirs.map(Math.abs));
    const error = Math.max(...theirs.map((v, i) => Math.abs(v - ours[i]!)));
    expect(error).toBeLessThanOrEqual(2e-6 * most);
  }
}
const opsOf = (graph: Graph): string[] => graph.nodes.map((n) => n.op);
const ranks = (graph: Graph, op: string): number[] =>
  graph.nodes.filter((n) => n.op === op).map((n) => staticDims(graph, n.outputs[0]!).length);

describe("giveFrames", () => {
  const windows: readonly (readonly [string, readonly number[], AttributeRecord])[] = [
    ["of 3×3×3 with padding", [4, 3, 3, 3, 3], { pads: [1, 1, 1, 1, 1, 1] }],
    ["without padding", [4, 3, 3, 2, 1], {}],
    ["with strides", [4, 3, 3, 3, 3], { strides: [2, 1, 2], pads: [1, 0, 1, 1, 1, 0] }],
    ["with dilation", [4, 3, 2, 3, 2], { dilations: [3, 2, 1], pads: [2, 2, 0, 1, 2, 1] }],
    ["of one frame", [4, 3, 1, 3, 3], { pads: [0, 1, 1, 0, 1, 1] }],
    ["of every other frame", [4, 3, 1, 1, 1], { strides: [2, 2, 2] }],
    ["of one pixel", [4, 3, 3, 1, 1], { pads: [1, 0, 0, 1, 0, 0] }],
    ["of all", [4, 3, 7, 6, 5], {}],
    ["with padding for the same extent", [4, 3, 3, 4, 2], { auto_pad: "SAME_UPPER" }],
    ["with the larger padding first", [4, 3, 2, 4, 3], { auto_pad: "SAME_LOWER", strides: [2, 1, 2] }],
    ["that say they have no padding", [4, 3, 3, 4, 2], { auto_pad: "VALID" }],
  ];
  it.each(windows)("makes convolutions %s such of frames", (_, weights, attributes) => {
    const graph = network((b, x) => {
      const inputs = [x, b.constant("w", wave(weights, 0.7)), b.constant("b", wave([4], 0.2))];
      return b.node("Conv", inputs, { attributes, outputs: ["y"] });
    });
    const frames = giveFrames(graph, patternOf);
    expect(ranks(frames, "Conv")).toEqual([4]);
    expectEqual(graph, frames);
  });

  it("keeps groups", () => {
    const graph = network((b, x) => {
      const [six] = b.node("Conv", [x, b.constant("w", wave([6, 3, 1, 1, 1], 0.7))]);
      const attributes = { group: 2, pads: [1, 1, 1, 1, 1, 1], strides: [2, 1, 1] };
      return b.node("Conv", [six, b.constant("v", wave([4, 3, 3, 3, 3], 0.4))], { attributes, outputs: ["y"] });
    });
    const frames = giveFrames(graph, patternOf);
    expect(ranks(frames, "Conv")).toEqual([4, 4]);
    expectEqual(graph, frames);
  });

  it.each<[string, readonly number[], AttributeRecord]>([
    ["of 2×2×2", [3, 4, 2, 2, 2], { strides: [2, 2, 2] }],
    ["with padding in the frame", [3, 4, 1, 3, 3], { strides: [1, 2, 2], pads: [0, 1, 0, 0, 1, 1] }],
    ["with output padding", [3, 4, 3, 3, 3], { strides: [3, 2, 2], output_padding: [0, 1, 1] }],
  ])("makes transposed convolutions %s such of frames", (_, weights, attributes) => {
    const graph = network((b, x) => {
      const inputs = [x, b.constant("w", wave(weights, 0.7)), b.constant("b", wave([4], 0.2))];
      return b.node("ConvTranspose", inputs, { attributes, outputs: ["y"] });
    });
    const frames = giveFrames(graph, patternOf);
    expect(ranks(frames, "ConvTranspose")).toEqual([4]);
    expectEqual(graph, frames);
  });

  it("keeps what lies between convolutions on frames", () => {
    const graph = network((b, x) => {
      const conv = (v: ValueId, weights: readonly number[], attributes: AttributeRecord) =>
        b.node("Conv", [v, b.constant("w", wave(weights, 0.7))], { attributes })[0]!;
      const first = conv(x, [4, 3, 3, 3, 3], { pads: [1, 1, 1, 1, 1, 1] });
      const facts = ["s", "t", "m"].map((name, i) => b.constant(name, wave([4], 0.2 + i)));
      const variance = b.constant("v", tensorValue("float32", [4], new Float32Array(4).fill(0.5)));
      const [n] = b.node("BatchNormalization", [first, ...facts, variance]);
      const [slope] = [b.constant("slope", wave([4, 1, 1, 1], 0.4))];
      const [r] = b.node("PRelu", [n, slope]);
      const [half] = b.node("Mul", [r, b.constant("half", tensorValue("float32", [], Float32Array.of(0.5)))]);
      const sum = b.node("Add", [half, conv(r!, [4, 4, 1, 1, 1], {})])[0]!;
      const pool = { kernel_shape: [3, 2, 2], strides: [2, 2, 1], pads: [1, 0, 1, 1, 0, 0] };
      const [p] = b.node("MaxPool", [sum], { attributes: pool });
      return b.node("Identity", [conv(p!, [2, 4, 2, 2, 2], {})], { outputs: ["y"] });
    });
    const frames = giveFrames(graph, patternOf);
    expect(ranks(frames, "Conv")).toEqual([4, 4, 4]);
    expect(opsOf(frames).filter((op) => op === "Transpose").length).toBe(2);
    expectEqual(graph, frames);
  });

  it("gives back five axes where something else reads them", () => {
    const graph = network((b, x) => {
      const [c] = b.node("Conv", [x, b.constant("w", wave([3, 3, 2, 2, 2], 0.7))], { outputs: ["c"] });
      const [g] = b.node("GlobalAveragePool", [c]);
      const [scaled] = b.node("Mul", [c, b.node("Sigmoid", [g])[0]], { outputs: ["scaled"] });
      const [joined] = b.node("Concat", [c, c], { attributes: { axis: 2 }, outputs: ["joined"] });
      const [ceiled] = b.node("MaxPool", [c], {
        attributes: { kernel_shape: [2, 2, 2], strides: [2, 2, 2], ceil_mode: 1 },
        outputs: ["ceiled"],
      });
      return [c!, scaled!, joined!, ceiled!];
    });
    expectEqual(graph, giveFrames(graph, patternOf));
  });

  it("leaves others alone", () => {
    const graph = network((b, x) => [
      ...b.node("Conv", [x, b.constant("w", wave([3, 1, 2, 2, 2], 0.7))], { attributes: { group: 3 } }),
      ...b.node("ConvTranspose", [x, b.constant("w", wave([3, 2, 3, 2, 2], 0.7))], {
        attributes: { strides: [2, 2, 2] },
      }),
      ...b.node("Relu", [x]),
    ]);
    expect(giveFrames(graph, patternOf)).toBe(graph);
  });
});
