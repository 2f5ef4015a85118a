import { describe, expect, it } from "vitest";
import { loadOnnxSync } from "../../../src/onnx/load.ts";
import { codeOf, modelBytes, node, reluGraph, shown } from "./models.ts";

const imports = [
  { domain: "", version: 18n },
  { domain: "local", version: 1n },
];
const call = (name: string, input: string[], output: string[], attribute: object[] = []) =>
  node(name, input, output, { domain: "local", attribute: attribute as { name: string }[] });
const load = (nodes: ReturnType<typeof node>[], functions: object[]) =>
  loadOnnxSync(modelBytes(reluGraph({ node: nodes }), { functions: functions as { name: string }[] }));
const fn = (name: string, input: string[], output: string[], body: ReturnType<typeof node>[], rest = {}) => ({
  name,
  domain: "local",
  input,
  output,
  node: body,
  opsetImport: imports,
  ...rest,
});

describe("local functions", () => {
  it("are inlined, with names of their own for every call", () => {
    const twice = fn("Twice", ["a"], ["b"], [node("Relu", ["a"], ["m"]), node("Abs", ["m"], ["b"])]);
    const graph = load([call("Twice", ["x"], ["h"]), call("Twice", ["h"], ["y"])], [twice]);
    expect(shown(graph).nodes.map((n) => [n.op, n.opset, ...n.inputs, ...n.outputs])).toEqual([
      ["Relu", 18, "x", "Twice.1/m"],
      ["Abs", 18, "Twice.1/m", "h"],
      ["Relu", 18, "h", "Twice.2/m"],
      ["Abs", 18, "Twice.2/m", "y"],
    ]);
  });

  it("call functions", () => {
    const inner = fn("Inner", ["a"], ["b"], [node("Relu", ["a"], ["b"])]);
    const outer = fn("Outer", ["a"], ["b"], [call("Inner", ["a"], ["m"]), call("Inner", ["m"], ["b"])]);
    const graph = load([call("Outer", ["x"], ["y"])], [outer, inner]);
    expect(shown(graph).nodes.map((n) => [...n.inputs, ...n.outputs])).toEqual([
      ["x", "Outer.1/m"],
      ["Outer.1/m", "y"],
    ]);
  });

  it("pass attributes on, with defaults, and leave absent ones out", () => {
    const body = [
      node("LeakyRelu", ["a"], ["b"], {
        attribute: [
          { name: "alpha", type: 1, refAttrName: "slope" },
          { name: "beta", type: 1, refAttrName: "other" },
          { name: "gamma", type: 2, refAttrName: "absent" },
        ],
      }),
    ];
    const leaky = fn("Leaky", ["a"], ["b"], body, {
      attribute: ["slope", "absent"],
      attributeProto: [{ name: "other", type: 1, f: 2 }],
    });
    const graph = load([call("Leaky", ["x"], ["y"], [{ name: "slope", type: 1, f: 0.5 }])], [leaky]);
    expect([...graph.nodes[0]!.attributes]).toEqual([
      ["alpha", { kind: "float", value: 0.5 }],
      ["beta", { kind: "float", value: 2 }],
    ]);
  });

  it("take fewer inputs and give fewer outputs than they have", () => {
    const two = fn("Two", ["a", "o"], ["b", "c"], [node("Clip", ["a", "o"], ["b"]), node("Abs", ["a"], ["c"])]);
    const graph = load([call("Two", ["x"], ["y"])], [two]);
    expect(shown(graph).nodes.map((n) => [...n.inputs, ...n.outputs])).toEqual([
      ["x", null, "y"],
      ["x", "Two.1/c"],
    ]);
    expect(codeOf(() => load([call("Two", ["x", "x", "x"], ["y"])], [two]))).toBe("onnx/bad-call");
  });

  it("may give an input as output, or a constant", () => {
    const same = fn("Same", ["a"], ["a"], []);
    expect(shown(load([call("Same", ["x"], ["y"])], [same])).nodes).toMatchObject([
      { op: "Identity", inputs: ["x"], outputs: ["y"] },
    ]);
    const one = node("Constant", [], ["b"], { attribute: [{ name: "value_float", type: 1, f: 1 }] });
    const graph = load([call("One", [], ["y"])], [fn("One", [], ["b"], [one])]);
    expect(graph.nodes).toEqual([]);
    expect(graph.values.get(graph.outputs[0]!)?.constant?.data).toEqual(Float32Array.of(1));
  });

  it("see neither the values of the graph nor outputs that nothing makes", () => {
    expect(codeOf(() => load([call("F", ["x"], ["y"])], [fn("F", ["a"], ["b"], [node("Relu", ["x"], ["b"])])]))).toBe(
      "onnx/undefined-value",
    );
    expect(codeOf(() => load([call("F", ["x"], ["y"])], [fn("F", ["a"], ["b"], [])]))).toBe("onnx/undefined-value");
  });

  it("are told apart by overload, and may not be defined twice", () => {
    const relu = fn("F", ["a"], ["b"], [node("Relu", ["a"], ["b"])]);
    const abs = fn("F", ["a"], ["b"], [node("Abs", ["a"], ["b"])], { overload: "two" });
    const calls = [call("F", ["x"], ["h"]), { ...call("F", ["h"], ["y"]), overload: "two" }];
    expect(load(calls as ReturnType<typeof node>[], [relu, abs]).nodes.map((n) => n.op)).toEqual(["Relu", "Abs"]);
    expect(codeOf(() => load([call("F", ["x"], ["y"])], [relu, relu]))).toBe("onnx/duplicate-name");
  });
});
