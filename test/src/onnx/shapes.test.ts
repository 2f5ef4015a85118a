import { describe, expect, it } from "vitest";
import { loadOnnxSync } from "../../../src/onnx/load.ts";
import { codeOf, type GraphInit, info, modelBytes, node, reluGraph, type ValueInfoInit } from "./models.ts";

const typesOf = (graph: GraphInit, shapes: Record<string, readonly number[]> = {}) => {
  const loaded = loadOnnxSync(modelBytes(graph), { shapes });
  return Object.fromEntries([...loaded.values.values()].map((v) => [v.name, v.type?.dims]));
};
const symbolic = reluGraph({
  node: [node("Add", ["x", "z"], ["y"])],
  input: [info("x", ["N", 3, null]), info("z", ["N", 1, 1])],
  output: [info("y", ["N", 3, "M"])],
});

describe("input shapes", () => {
  it("keep symbols, and unnamed dimensions equal to no other", () => {
    expect(typesOf(symbolic)).toEqual({
      x: [{ symbol: "N" }, 3, { symbol: "?x.2" }],
      z: [{ symbol: "N" }, 1, 1],
      y: [{ symbol: "N" }, 3, { symbol: "M" }],
    });
  });
  it("bind symbols everywhere", () => {
    expect(typesOf(symbolic, { x: [2, 3, 5] })).toEqual({ x: [2, 3, 5], z: [2, 1, 1], y: [2, 3, { symbol: "M" }] });
  });
  it("are checked against the file and each other", () => {
    const code = (shapes: Record<string, readonly number[]>) => codeOf(() => typesOf(symbolic, shapes));
    expect(code({ q: [1] })).toBe("onnx/unknown-input");
    expect(code({ x: [2, 3] })).toBe("onnx/shape-mismatch");
    expect(code({ x: [2, 4, 5] })).toBe("onnx/shape-mismatch");
    expect(code({ x: [2, 3, 5], z: [3, 1, 1] })).toBe("onnx/shape-mismatch");
    expect(code({ x: [2, 3, -1] })).toBe("onnx/shape-mismatch");
    expect(code({ x: [2, 3, 1.5] })).toBe("onnx/shape-mismatch");
    expect(code({ x: [2, 3, 2 ** 50] })).toBe("onnx/too-large");
  });
  it("say the shape of an input whose rank the file leaves open", () => {
    const open: ValueInfoInit = { name: "x", type: { value: { case: "tensorType", value: { elemType: 1 } } } };
    const graph = reluGraph({ input: [open] });
    expect(typesOf(graph, { x: [7] })).toMatchObject({ x: [7] });
    expect(codeOf(() => typesOf(graph))).toBe("onnx/untyped-input");
  });
});
