import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import { channelBlocked } from "../../../ir/graph/layout.ts";
import { buildMobileNetV2 } from "../../../src/models/mobilenet-v2.ts";
import { loadOnnxSync } from "../../../src/onnx/load.ts";
import { writeOnnx } from "../../../src/onnx/write.ts";
import { codeOf, modelBytes, sharedData, shown } from "./models.ts";

describe("writeOnnx", () => {
  it("writes what the reader reads back: every dtype, attribute and kind of dimension", () => {
    const b = new GraphBuilder();
    const x = b.value("x", { dtype: "float16", dims: [{ symbol: "N" }, 3, { symbol: "?x.2" }] });
    const constants = [
      b.constant("bool", { type: "bool", dims: [2], data: Uint8Array.of(1, 0) }),
      b.constant("i8", { type: "int8", dims: [1], data: Int8Array.of(-5) }),
      b.constant("i64", { type: "int64", dims: [], data: BigInt64Array.of(-(2n ** 60n)) }),
      b.constant("u64", { type: "uint64", dims: [1], data: BigUint64Array.of(2n ** 63n) }),
      b.constant("u32", { type: "uint32", dims: [1], data: Uint32Array.of(2 ** 32 - 1) }),
      b.constant("bf", { type: "bfloat16", dims: [1, 1], data: Uint16Array.of(0x3f80) }),
      b.constant("f64", { type: "float64", dims: [0], data: new Float64Array(0) }),
    ];
    const tensor = { type: "uint16", dims: [1], data: Uint16Array.of(65535) } as const;
    const attributes = {
      a: 1,
      b: 2n ** 62n,
      c: 0.25,
      d: [1, 2],
      e: [0.5, 2],
      f: "é\u0000",
      g: ["p", "q"],
      h: tensor,
      i: { kind: "float", value: 3 },
      j: { kind: "floats", value: [] },
    } as const;
    const [y, z] = b.node("Op", [x, undefined, ...constants], {
      attributes,
      outputs: ["y", "z"],
      domain: "com.example",
      opset: 5,
    });
    const [inner] = b.node("Relu", [z], { outputs: ["inner"], opset: 21 });
    b.update(inner!, { type: { dtype: "float32", dims: [4] } });
    const metadata = new Map([
      ["producer_name", "me"],
      ["model_version", "3"],
      ["custom:k", "v"],
    ]);
    const graph = b.finish({ name: "g", inputs: [x], outputs: [y!], metadata });
    const again = loadOnnxSync(writeOnnx(graph));
    expect(shown(again)).toEqual(shown(graph));
    expect(writeOnnx(again)).toEqual(writeOnnx(graph));
  });

  it("round-trips the demo network", () => {
    const graph = buildMobileNetV2({ resolution: 32, width: 0.25, classes: 10 });
    expect(shown(loadOnnxSync(writeOnnx(graph)))).toEqual(shown(graph));
  });

  it.skipIf(sharedData === undefined)("round-trips every model of the shared data", () => {
    const folder = `${sharedData}models/`;
    const models = readdirSync(folder).filter((d) => !d.endsWith(".md"));
    for (const d of models) {
      const graph = loadOnnxSync(`${folder}${d}/model.onnx`);
      expect(shown(loadOnnxSync(writeOnnx(graph)))).toEqual(shown(graph));
    }
    expect(models.length).toBeGreaterThan(3);
  });

  it("writes a graph without nodes", () => {
    const b = new GraphBuilder();
    const x = b.value("x", { dtype: "float32", dims: [1] });
    const graph = b.finish({ name: "", inputs: [x], outputs: [x] });
    expect(shown(loadOnnxSync(writeOnnx(graph)))).toMatchObject({ inputs: ["x"], outputs: ["x"], nodes: [] });
  });

  it("gives every node a name of its own", () => {
    const b = new GraphBuilder();
    let x = b.value("x", { dtype: "float32", dims: [1] });
    const input = x;
    for (const name of ["Relu", "Relu", "Relu_1", "Relu"]) [x] = b.node("Relu", [x], { name }) as [typeof x];
    const again = loadOnnxSync(writeOnnx(b.finish({ name: "g", inputs: [input], outputs: [x] })));
    expect(again.nodes.map((n) => n.name)).toEqual(["Relu", "Relu_2", "Relu_1", "Relu_3"]);
  });

  it("refuses what a file cannot say", () => {
    const b = new GraphBuilder();
    const x = b.value("x", { dtype: "float32", dims: [1, 8, 2, 2] });
    const [m] = b.node("Relu", [x], { opset: 13 });
    const [y] = b.node("Relu", [m], { opset: 14 });
    const parts = { name: "g", inputs: [x], outputs: [y!] };
    expect(codeOf(() => writeOnnx(b.finish(parts)))).toBe("onnx/mixed-opsets");
    const c = new GraphBuilder();
    const v = c.value("v");
    const [w] = c.node("If", [v], { attributes: { then_branch: { kind: "opaque", what: "graph" } } });
    expect(codeOf(() => writeOnnx(c.finish({ name: "g", inputs: [v], outputs: [w!] })))).toBe("onnx/unwritable");
    const d = new GraphBuilder();
    const blocked = d.value("v", { dtype: "float32", dims: [1, 8, 2, 2] });
    d.update(blocked, { layout: channelBlocked(4, 8) });
    expect(codeOf(() => writeOnnx(d.finish({ name: "g", inputs: [blocked], outputs: [] })))).toBe("onnx/unwritable");
  });

  it("keeps the opset of a model", () => {
    const bytes = modelBytes({ name: "g", node: [{ opType: "Abs", output: ["y"] }] } as never);
    expect(loadOnnxSync(writeOnnx(loadOnnxSync(bytes))).nodes[0]?.opset).toBe(17);
  });
});
