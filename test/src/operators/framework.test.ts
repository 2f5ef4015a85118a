/** Inference over whole graphs, rows by opset, and the programs of groups. */
import { describe, expect, it } from "vitest";
import { GraphBuilder, staticDims, valueOf } from "../../../ir/graph/build.ts";
import type { Graph, TensorType } from "../../../ir/graph/graph.ts";
import { InputError, UnsupportedError } from "../../../ir/support/errors.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { buildGroupProgram } from "../../../src/operators/build-program.ts";
import { numbersOf } from "../../../src/operators/elements.ts";
import { inferGraph, inferNode } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { allRows, attributeReader, lookupRow, nodeContext } from "../../../src/operators/registry.ts";
import { f32, i64, makeNode } from "./nodes.ts";

const batch: TensorType = { dtype: "float32", dims: [{ symbol: "batch" }, 4] };

/** A graph with inputs of these types; `build` gives the outputs. */
function graphOf(
  types: Readonly<Record<string, TensorType>>,
  build: (b: GraphBuilder, inputs: Readonly<Record<string, ValueId>>) => readonly ValueId[],
): Graph {
  const b = new GraphBuilder();
  const inputs = Object.fromEntries(Object.entries(types).map(([name, t]) => [name, b.value(name, t)]));
  const outputs = build(b, inputs);
  return b.finish({ name: "g", inputs: Object.values(inputs), outputs });
}
const caught = (f: () => unknown): unknown => {
  try {
    f();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("rows by opset", () => {
  it("are the newest that is not past the node's", () => {
    expect(lookupRow("Clip", "", 10)?.since).toBeUndefined();
    expect(lookupRow("Clip", "ai.onnx", 13)?.since).toBe(11);
    expect(lookupRow("Resize", "", 9)).toBeUndefined();
    expect(lookupRow("Relu", "com.example", 13)).toBeUndefined();
  });
  it("are distinct, and each can be folded, computed or expanded", () => {
    const keys = allRows().map((r) => `${r.domain ?? ""}:${r.op}:${r.since ?? 1}`);
    expect(new Set(keys).size).toBe(keys.length);
    expect(allRows().filter((r) => !r.fold && !r.compute && !r.expand)).toEqual([]);
  });
});

describe("attributes and contexts", () => {
  it("read whole floats, empty lists and defaults, and refuse another kind", () => {
    const node = makeNode("Elu", [f32([1], [1])], { alpha: 2, axes: [], name: "x" });
    const a = attributeReader(node);
    expect([a.float("alpha", 1), a.ints("axes"), a.floats("axes"), a.int("missing", 7)]).toEqual([2, [], [], 7]);
    expect(() => a.int("name", 0)).toThrow(/attribute name is string, not int/);
  });
  it("answer for absent inputs and unknown values", () => {
    const b = new GraphBuilder();
    const x = b.value("x", { dtype: "float32", dims: [2] });
    const node = { ...makeNode("Reshape", [f32([2], [1, 2])]), inputs: [x, undefined] };
    const c = nodeContext(b, node);
    expect([c.type(1), c.constant(0), c.constantInts(1)]).toEqual([undefined, undefined, undefined]);
    expect(() => c.require(1)).toThrow(InputError);
    expect(() => c.requireConstant(0)).toThrow(/input 0 must be known at compile time/);
    expect(() => inferNode(b.values, { ...node, op: "Nonsense" })).toThrow(/no such operator/);
  });
});

describe("inferGraph", () => {
  it("resolves shape computations and keeps only the real work", () => {
    const graph = graphOf({ x: batch }, (b, { x }) => {
      const [shape] = b.node("Shape", [x]);
      const [first] = b.node("Gather", [shape, b.constant("zero", i64(0))]);
      const [target] = b.node("Concat", [first, b.constant("rest", i64(2, -1))], { attributes: { axis: 0 } });
      return b.node("Reshape", [x, target]);
    });
    const typed = inferGraph(graph, { x: [3, 4] });
    expect(typed.nodes.map((n) => n.op)).toEqual(["Reshape"]);
    expect(staticDims(typed, typed.outputs[0]!)).toEqual([3, 2, 2]);
    expect(graph.values.get(graph.outputs[0]!)?.type).toBeUndefined();
  });
  it("asks for shapes that the model leaves open and refuses contradictions", () => {
    const graph = graphOf({ x: batch, y: batch }, (b, { x, y }) => b.node("Add", [x, y]));
    expect(() => inferGraph(graph)).toThrow(/give the shapes of these inputs: x: \[batch, 4\]; y/);
    expect(staticDims(inferGraph(graph, { x: [2, 4] }), graph.outputs[0]!)).toEqual([2, 4]);
    expect(() => inferGraph(graph, { x: [2, 5] })).toThrow(/shape \[2,5\] of input x: the model says 4 at dimension 1/);
    expect(() => inferGraph(graph, { x: [2, 4], y: [3, 4] })).toThrow(/batch is already 2/);
    expect(() => inferGraph(graph, { z: [1] })).toThrow(/no input "z"; there are x, y/);
  });
  it("lists every unsupported node at once, with opset, attributes and shapes", () => {
    const graph = graphOf({ x: { dtype: "float32", dims: [2] } }, (b, { x }) => {
      const [a] = b.node("Mystery", [x], { attributes: { depth: 3 }, name: "m", domain: "com.example", opset: 1 });
      const [c] = b.node("Relu", [a]);
      const [d] = b.node("Riddle", [x], { name: "r" });
      return [c!, d!];
    });
    const error = caught(() => inferGraph(graph)) as UnsupportedError;
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.items.map((i) => [i.domain, i.op, i.opset, i.node])).toEqual([
      ["com.example", "Mystery", 1, "m"],
      ["", "Riddle", 22, "r"],
    ]);
    expect(error.message).toContain('com.example::Mystery "m" (opset 1): no such operator');
    expect(error.message).toContain("inputs float32[2]; attributes depth=3");
  });
  it("fixes an offered input only where a shape depends on it", () => {
    const int64: TensorType = { dtype: "int64", dims: [1] };
    const graph = graphOf({ x: { dtype: "float32", dims: [2] }, n: int64, k: int64 }, (b, { x, n, k }) => {
      const [doubled] = b.node("Add", [n, n]);
      const [y] = b.node("Reshape", [x, b.node("Concat", [doubled, n], { attributes: { axis: 0 } })[0]]);
      return [y!, ...b.node("Neg", [k])];
    });
    expect(() => inferGraph(graph)).toThrow(/input 1 must be known at compile time/);
    const offered = { x: f32([2], [1, 2]), n: i64(1), k: i64(5) };
    const typed = inferGraph(graph, {}, offered);
    expect(typed.inputs.map((id) => valueOf(typed, id).name)).toEqual(["x", "k"]);
    expect(typed.nodes.map((n) => n.op)).toEqual(["Reshape", "Neg"]);
  });
  it("folds constants exactly and leaves graph outputs made by a node", () => {
    const graph = graphOf({ x: { dtype: "float32", dims: [1] } }, (b, { x }) => {
      const [sum] = b.node("Add", [b.constant("a", f32([2], [1, 2])), b.constant("b", f32([2], [3, 4]))]);
      return [...b.node("Mul", [sum, sum]), ...b.node("Add", [x, sum])];
    });
    const typed = inferGraph(graph);
    expect(typed.nodes.map((n) => n.op)).toEqual(["Identity", "Add"]);
    const outputs = Object.values(interpretGraph(typed, { x: f32([1], [10]) }));
    expect(outputs.map(numbersOf)).toEqual([
      [16, 36],
      [14, 16],
    ]);
  });
});
describe("group programs", () => {
  it("take what is read as parameters, in order, and one-element constants as literals", () => {
    const graph = inferGraph(
      graphOf({ x: { dtype: "float32", dims: [2, 3] } }, (b, { x }) => {
        const [y] = b.node("Gemm", [
          x,
          b.constant("w/é", f32([3, 4], Array(12).fill(1))),
          b.constant("c", f32([1], [5])),
        ]);
        const [z] = b.node("Reshape", [y, b.constant("shape", i64(8, 1))]);
        return b.node("Clip", [z, b.constant("low", f32([], [0]))]);
      }),
    );
    const [x] = graph.inputs;
    const inputs = [...new Set(graph.nodes.flatMap((n) => n.inputs))].filter(
      (i) => i !== undefined && (i === x || valueOf(graph, i).constant),
    ) as ValueId[];
    const group = { nodes: graph.nodes, anchor: graph.nodes[0]!, inputs, outputs: graph.outputs };
    const { program, params } = buildGroupProgram(graph, group, { name: "kernel", math: "strict" });
    const func = program.functions[0]!;
    expect(params.map((p) => [valueOf(graph, p.value).name, p.role])).toEqual([
      ["x", "input"],
      ["w/é", "constant"],
      ["Clip", "output"],
    ]);
    expect(func.params.map((p) => /^[A-Za-z0-9_]+$/.test(p.buffer.name))).toEqual([true, true, true]);
    expect([func.name, func.math]).toEqual(["kernel", "strict"]);
  });
});
