import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { UnsupportedError } from "../../../ir/support/errors.ts";
import { loadOnnx, loadOnnxSync, loadOnnxTensor } from "../../../src/onnx/load.ts";
import { codeOf, info, modelBytes, node, reluGraph, sharedData, shown } from "./models.ts";

const valueNamed = (graph: ReturnType<typeof loadOnnxSync>, name: string) =>
  [...graph.values.values()].find((v) => v.name === name);

describe("loadOnnx", () => {
  it("reads nodes, values and types", async () => {
    const graph = await loadOnnx(modelBytes(reluGraph(), { producerName: "maker", producerVersion: "2" }));
    expect(shown(graph)).toMatchObject({
      name: "g",
      inputs: ["x"],
      outputs: ["y"],
      nodes: [{ name: "Relu_0", op: "Relu", domain: "", opset: 17, inputs: ["x"], outputs: ["y"], attributes: [] }],
      metadata: [
        ["producer_name", "maker"],
        ["producer_version", "2"],
      ],
    });
    expect(valueNamed(graph, "y")?.type).toEqual({ dtype: "float32", dims: [1, 4] });
  });

  it.skipIf(sharedData === undefined)("gives the same graph from a path, synchronously or not", async () => {
    const path = `${sharedData}models/mnist-cntk/model.onnx`;
    const graph = await loadOnnx(path);
    expect(shown(loadOnnxSync(path))).toEqual(shown(graph));
    expect(shown(loadOnnxSync(readFileSync(path)))).toEqual(shown(graph));
    expect(graph.inputs.map((i) => graph.values.get(i)?.name)).toEqual(["Input3"]);
  });

  it("decodes every kind of attribute", () => {
    const attribute = [
      { name: "f", type: 1, f: 0.5 },
      { name: "i", type: 2, i: -3n },
      { name: "big", type: 2, i: 2n ** 62n },
      { name: "s", type: 3, s: new TextEncoder().encode("linear") },
      { name: "t", type: 4, t: { dataType: 6, dims: [2n], int32Data: [1, -2] } },
      { name: "g", type: 5, g: { name: "body" } },
      { name: "fs", type: 6, floats: [1, 2.5] },
      { name: "is", type: 7, ints: [1n, 2n] },
      { name: "ss", type: 8, strings: [new TextEncoder().encode("a")] },
      { name: "tp", type: 13, tp: {} },
    ];
    const graph = loadOnnxSync(modelBytes(reluGraph({ node: [node("Relu", ["x"], ["y"], { attribute })] })));
    expect(Object.fromEntries(graph.nodes[0]!.attributes)).toEqual({
      f: { kind: "float", value: 0.5 },
      i: { kind: "int", value: -3 },
      big: { kind: "int", value: 2n ** 62n },
      s: { kind: "string", value: "linear" },
      t: { kind: "tensor", value: { type: "int32", dims: [2], data: Int32Array.of(1, -2) } },
      g: { kind: "opaque", what: "graph" },
      fs: { kind: "floats", value: [1, 2.5] },
      is: { kind: "ints", value: [1, 2] },
      ss: { kind: "strings", value: ["a"] },
      tp: { kind: "opaque", what: "type" },
    });
  });

  it("turns Constant nodes of every form into constant values", () => {
    const constant = (name: string, attribute: object) =>
      node("Constant", [], [name], { attribute: [attribute as { name: string }] });
    const graph = loadOnnxSync(
      modelBytes(
        reluGraph({
          node: [
            constant("a", { name: "value_int", type: 2, i: 7n }),
            constant("b", { name: "value_floats", type: 6, floats: [1, 2] }),
            constant("c", { name: "value_ints", type: 7, ints: [3n] }),
            constant("d", { name: "value_float", type: 1, f: 0.5 }),
            constant("e", { name: "value", type: 4, t: { dataType: 2, dims: [], int32Data: [9] } }),
            node("Relu", ["x"], ["y"]),
          ],
        }),
      ),
    );
    expect(graph.nodes.map((n) => n.op)).toEqual(["Relu"]);
    expect(["a", "b", "c", "d", "e"].map((n) => valueNamed(graph, n)?.constant)).toEqual([
      { type: "int64", dims: [], data: BigInt64Array.of(7n) },
      { type: "float32", dims: [2], data: Float32Array.of(1, 2) },
      { type: "int64", dims: [1], data: BigInt64Array.of(3n) },
      { type: "float32", dims: [], data: Float32Array.of(0.5) },
      { type: "uint8", dims: [], data: Uint8Array.of(9) },
    ]);
  });

  it("keeps absent optional inputs and outputs, and nodes of unknown domains", () => {
    const nodes = [node("Gelu", ["x", "", ""], ["y", ""], { domain: "com.example", name: "n" })];
    const graph = loadOnnxSync(
      modelBytes(reluGraph({ node: nodes }), { opsetImport: [{ domain: "com.example", version: 3n }] }),
    );
    const [x, y] = [graph.inputs[0], graph.outputs[0]];
    expect(graph.nodes[0]).toMatchObject({
      domain: "com.example",
      opset: 3,
      inputs: [x, undefined, undefined],
      outputs: [y, undefined],
    });
  });

  it("takes inputs that have an initializer as constants", () => {
    const graph = loadOnnxSync(
      modelBytes(
        reluGraph({
          node: [node("Add", ["x", "w"], ["y"])],
          input: [info("w", [1]), info("x", [1])],
          initializer: [{ name: "w", dims: [1n], dataType: 1, floatData: [2] }],
        }),
      ),
    );
    expect(shown(graph).inputs).toEqual(["x"]);
  });

  it("names every node that needs an unsupported type, with its opset", () => {
    const graph = {
      name: "g",
      node: [
        node("StringNormalizer", ["s"], ["t"], { name: "first" }),
        node("Cast", ["e4"], ["u"], { name: "second" }),
        node("Constant", [], ["c"], { name: "third", attribute: [{ name: "value_string", type: 3 }] }),
      ],
      input: [info("s", [1], 8)],
      initializer: [{ name: "e4", dims: [1n], dataType: 17, rawData: Uint8Array.of(1) }],
    };
    const load = () => loadOnnxSync(modelBytes(graph));
    expect(load).toThrow(UnsupportedError);
    try {
      load();
    } catch (error) {
      expect((error as UnsupportedError).items).toMatchObject([
        { op: "StringNormalizer", opset: 17, node: "first", reason: 'value "s" has elements of type string' },
        { op: "Cast", opset: 17, node: "second", reason: 'initializer "e4" has elements of type float8e4m3fn' },
      ]);
    }
  });

  it("refuses opsets it does not know, node by node", () => {
    const at = (version: bigint, op = "Relu") =>
      codeOf(() =>
        loadOnnxSync(
          modelBytes(reluGraph({ node: [node(op, ["x"], ["y"])] }), { opsetImport: [{ domain: "ai.onnx", version }] }),
        ),
      );
    expect(at(6n)).toBe("onnx/unsupported");
    expect(at(6n, "Not")).toBe("none");
    expect(at(7n)).toBe("none");
    expect(at(26n)).toBe("none");
    expect(at(28n)).toBe("onnx/unsupported");
    expect(at(0n)).toBe("onnx/bad-opset");
  });

  it("says what a file that cannot be read is", () => {
    expect(codeOf(() => loadOnnxSync("/nonexistent/model.onnx"))).toBe("onnx/unreadable");
    expect(codeOf(() => loadOnnxSync(new URL(".", import.meta.url).pathname))).toBe("onnx/unreadable");
    expect(codeOf(() => loadOnnxSync(new Uint8Array(0)))).toBe("onnx/malformed");
  });

  it.skipIf(sharedData === undefined)("reads tensor files", () => {
    const { name, value } = loadOnnxTensor(`${sharedData}models/mnist-cntk/test_data_set_0/input_0.pb`);
    expect([name, value.type, value.dims]).toEqual(["Input3", "float32", [1, 1, 28, 28]]);
  });

  it.skipIf(sharedData === undefined)("reads or refuses every model of the ONNX project's tests", () => {
    const folder = `${sharedData}onnx/node/`;
    const core = new Set(readFileSync(`${sharedData}onnx/core-tier.txt`, "utf8").split("\n"));
    const paths = readdirSync(folder).filter((d) => existsSync(`${folder}${d}/model.onnx`));
    const codes = paths.map((d) => ({ d, code: codeOf(() => loadOnnxSync(`${folder}${d}/model.onnx`)) }));
    expect(codes.filter(({ d, code }) => core.has(d) && code !== "none")).toEqual([]);
    expect(codes.filter(({ code }) => code !== "none" && code !== "onnx/unsupported")).toEqual([]);
    expect(paths.length).toBeGreaterThan(1700);
  });
});
