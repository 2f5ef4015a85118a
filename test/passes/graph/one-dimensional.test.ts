import { describe, expect, it } from "vitest";
import { GraphBuilder, staticDims } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { giveRows } from "../../../passes/graph/one-dimensional.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { patternOf } from "../../../src/runtime/prepare.ts";
import { wave } from "./support.ts";

/** Input [2, 4, 19], then what `build` makes of it. */
function network(build: (b: GraphBuilder, x: ValueId) => ValueId[]): Graph {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [2, 4, 19] });
  return inferGraph(b.finish({ name: "t", inputs: [x], outputs: build(b, x) }));
}
function expectSameBits(before: Graph, after: Graph): void {
  const x = wave([2, 4, 19], 0.3);
  expect(interpretGraph(inferGraph(after), { x })).toEqual(interpretGraph(before, { x }));
}
const opsOf = (graph: Graph): string[] => graph.nodes.map((n) => n.op);

describe("giveRows", () => {
  it("keeps what lies between convolutions on maps of one row", () => {
    const graph = network((b, x) => {
      const w = b.constant("w", wave([6, 2, 3], 0.7));
      const scale = b.constant("scale", wave([6, 1], 0.4));
      const facts = ["s", "t", "m"].map((name, i) => b.constant(name, wave([6], 0.2 + i)));
      const variance = b.constant("v", tensorValue("float32", [6], new Float32Array(6).fill(0.5)));
      const attributes = { group: 2, strides: [2], pads: [2, 1], dilations: [2] };
      const [c] = b.node("Conv", [x, w, facts[0]], { attributes });
      const [n] = b.node("BatchNormalization", [c, ...facts, variance]);
      const [r] = b.node("Relu", [b.node("Mul", [n, scale])[0]]);
      const [p] = b.node("MaxPool", [r], { attributes: { kernel_shape: [3], strides: [1], pads: [1, 1] } });
      const [a] = b.node("AveragePool", [r], {
        attributes: { kernel_shape: [3], strides: [1], auto_pad: "SAME_UPPER" },
      });
      const [joined] = b.node("Concat", [p, b.node("Add", [r, a])[0]], { attributes: { axis: 1 } });
      const [y] = b.node("Conv", [joined, b.constant("last", wave([3, 12, 1], 1.1))], { outputs: ["y"] });
      return [y!];
    });
    const rows = giveRows(graph, patternOf);
    expect(opsOf(rows)).toEqual([
      "Reshape",
      "Conv",
      "BatchNormalization",
      "Mul",
      "Relu",
      "MaxPool",
      "AveragePool",
      "Add",
      "Concat",
      "Conv",
      "Reshape",
    ]);
    expectSameBits(graph, rows);
  });

  it("gives transposed convolutions maps of one row", () => {
    const graph = network((b, x) => {
      const attributes = { strides: [3], pads: [1, 2], output_padding: [1], dilations: [2] };
      return b.node("ConvTranspose", [x, b.constant("w", wave([4, 3, 5], 0.7))], { attributes, outputs: ["y"] });
    });
    const rows = giveRows(graph, patternOf);
    expect(opsOf(rows)).toEqual(["Reshape", "ConvTranspose", "Reshape"]);
    expectSameBits(graph, rows);
    const asked = network((b, x) => {
      const attributes = { strides: [2], output_shape: [38] };
      return b.node("ConvTranspose", [x, b.constant("w", wave([4, 3, 2], 0.7))], { attributes, outputs: ["y"] });
    });
    expect(giveRows(asked, patternOf)).toBe(asked);
  });

  it("gives back three axes where something else reads them", () => {
    const graph = network((b, x) => {
      const [c] = b.node("Conv", [x, b.constant("w", wave([3, 4, 2], 0.7))], { attributes: { kernel_shape: [2] } });
      const [last] = b.node("Concat", [c, c], { attributes: { axis: -1 } });
      const [s] = b.node("Softmax", [last], { attributes: { axis: -1 } });
      const [t] = b.node("Transpose", [c], { attributes: { perm: [2, 0, 1] } });
      const [g] = b.node("GlobalAveragePool", [c]);
      return [c!, s!, t!, g!];
    });
    const rows = giveRows(graph, patternOf);
    for (const [i, o] of rows.outputs.entries())
      expect(staticDims(rows, o)).toEqual(staticDims(graph, graph.outputs[i]!));
    expect(opsOf(rows).filter((op) => op === "Reshape").length).toBe(4);
    expectSameBits(graph, rows);
  });

  it("leaves graphs without such convolutions alone", () => {
    const graph = network((b, x) => b.node("Relu", [x]));
    expect(giveRows(graph, patternOf)).toBe(graph);
  });
});
