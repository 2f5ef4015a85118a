/** What DESIGN says of hostile model files, sentence by sentence, as far as the reader is concerned. */

import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InputError } from "../../../ir/support/errors.ts";
import { loadOnnx, loadOnnxSync } from "../../../src/onnx/load.ts";
import { codeOf, constantGraph, type GraphInit, info, modelBytes, node, reluGraph, type TensorInit } from "./models.ts";

const code = (graph: GraphInit, options = {}) => codeOf(() => loadOnnxSync(modelBytes(graph), options));

describe("lengths, dimensions, products and offsets are checked before anything is allocated", () => {
  const tensor = (dims: bigint[]) => code(constantGraph({ dataType: 1, dims, rawData: new Uint8Array(4) }));
  it("refuses negative and huge dimensions", () => {
    expect(tensor([-1n])).toBe("onnx/bad-dimension");
    expect(tensor([2n ** 63n - 1n])).toBe("onnx/bad-dimension");
    expect(tensor([2n ** 41n])).toBe("onnx/too-large");
    expect(code(reluGraph({ input: [info("x", [-1])] }))).toBe("onnx/bad-dimension");
    expect(code(reluGraph({ output: [info("y", [2n ** 62n])] }))).toBe("onnx/bad-dimension");
    const inner = [node("Relu", ["x"], ["m"]), node("Relu", ["m"], ["y"])];
    expect(code(reluGraph({ node: inner, valueInfo: [info("m", [1, -7])] }))).toBe("onnx/bad-dimension");
    expect(code(reluGraph({ output: [info("y", [1, -7])] }))).toBe("onnx/bad-dimension");
  });
  it("refuses more axes than NumPy has", () => {
    const many = new Array<bigint>(65).fill(1n);
    expect(tensor(many)).toBe("onnx/bad-dimension");
    expect(tensor(many.slice(1))).toBe("none");
    expect(code(reluGraph({ input: [info("x", many)] }))).toBe("onnx/bad-dimension");
    expect(code(reluGraph({ input: [info("x", many.map(String))] }))).toBe("onnx/bad-dimension");
  });
  it("refuses products that overflow, also where an extent is zero", () => {
    expect(tensor([2n ** 32n, 2n ** 32n])).toBe("onnx/too-large");
    expect(tensor([0n, 2n ** 50n, 2n ** 50n])).toBe("onnx/too-large");
    expect(code(reluGraph({ input: [info("x", [2n ** 30n, 2n ** 30n])] }))).toBe("onnx/too-large");
  });
  it("allocates nothing for a shape that its data does not fill", () => {
    const before = process.memoryUsage().arrayBuffers;
    expect(tensor([2n ** 30n])).toBe("onnx/length-mismatch");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 26);
  });
  it("refuses lengths past the end of their message, and other damage, with the byte", () => {
    const bytes = modelBytes(reluGraph());
    expect(codeOf(() => loadOnnxSync(bytes.subarray(0, bytes.length - 1)))).toBe("onnx/malformed");
    const damaged = (...start: number[]) => codeOf(() => loadOnnxSync(Uint8Array.from(start)));
    expect(damaged(0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f)).toBe("onnx/malformed");
    expect(damaged(0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)).toBe("onnx/malformed");
    expect(damaged(0x3a, 0x02, 0x0a, 0x05)).toBe("onnx/malformed");
    expect(damaged(0x3b)).toBe("onnx/malformed");
    expect(damaged(0x00)).toBe("onnx/malformed");
    expect(damaged(0x38, 0x01)).toBe("onnx/malformed");
    expect(() => loadOnnxSync(Uint8Array.of(0x3a, 0x05))).toThrow(/byte 2/);
  });
});

describe("external data stays inside the model's folder, and only regular files with one link are read", () => {
  let root: string;
  let model: string;
  const external = (entries: Record<string, string>): TensorInit => ({
    dataType: 1,
    dims: [2n],
    dataLocation: 1,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });
  const load = (entries: Record<string, string>) => {
    writeFileSync(model, modelBytes(constantGraph(external(entries))));
    return loadOnnxSync(model);
  };
  const refusal = (entries: Record<string, string>): string => {
    try {
      load(entries);
      return "none";
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      expect((error as InputError).code).toBe("onnx/external-data");
      return (error as InputError).message;
    }
  };

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "tilewright-external-"));
    const folder = join(root, "model");
    model = join(folder, "model.onnx");
    const data = new Uint8Array(Float32Array.of(9, 9, 1.5, -2, 9).buffer);
    mkdirSync(join(folder, "sub"), { recursive: true });
    mkdirSync(join(root, "model-other"));
    for (const f of ["model/w.bin", "model/sub/w.bin", "secret.bin", "model-other/w.bin", "model/twice.bin"])
      writeFileSync(join(root, f), data);
    linkSync(join(folder, "twice.bin"), join(folder, "twin.bin"));
    linkSync(join(root, "secret.bin"), join(folder, "hard.bin"));
    symlinkSync(join(root, "secret.bin"), join(folder, "soft.bin"));
    symlinkSync("w.bin", join(folder, "inside.bin"));
    symlinkSync(root, join(folder, "up"));
    execFileSync("mkfifo", [join(folder, "pipe.bin")]);
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it("reads the range an entry names", async () => {
    const entries = { location: "w.bin", offset: "8", length: "8" };
    const values = (graph: ReturnType<typeof load>) =>
      [...graph.values.values()].find((v) => v.constant)?.constant?.data;
    expect(values(load(entries))).toEqual(Float32Array.of(1.5, -2));
    expect(values(await loadOnnx(model))).toEqual(Float32Array.of(1.5, -2));
    expect(values(load({ location: "sub/../sub/w.bin" }))).toEqual(Float32Array.of(9, 9));
    expect(values(load({ location: "inside.bin", offset: "8" }))).toEqual(Float32Array.of(1.5, -2));
  });
  it("refuses paths that lead out", () => {
    expect(refusal({ location: "../secret.bin" })).toContain("out of the model's folder");
    expect(refusal({ location: "../model-other/w.bin" })).toContain("out of the model's folder");
    expect(refusal({ location: "sub/../../secret.bin" })).toContain("out of the model's folder");
    expect(refusal({ location: join(root, "secret.bin") })).toContain("not a relative path");
    expect(refusal({ location: "w.bin\0.txt" })).toContain("not a relative path");
    expect(refusal({ location: "C:\\secret.bin" })).toContain("not a relative path");
    expect(refusal({ location: "" })).toContain("no location");
    expect(refusal({ offset: "0" })).toContain("no location");
  });
  it("takes the folder that the model's path names, links in it resolved", () => {
    writeFileSync(model, modelBytes(constantGraph(external({ location: "w.bin" }))));
    expect(codeOf(() => loadOnnxSync(join(root, "model", "up", "model", "model.onnx")))).toBe("none");
  });
  it("refuses links that lead out, after resolving every one", () => {
    expect(refusal({ location: "soft.bin" })).toContain("out of the model's folder");
    expect(refusal({ location: "up/secret.bin" })).toContain("out of the model's folder");
    expect(refusal({ location: "hard.bin" })).toContain("2 links");
    expect(refusal({ location: "twin.bin" })).toContain("2 links");
  });
  it("refuses what is not a regular file, without waiting for it", () => {
    expect(refusal({ location: "pipe.bin" })).toContain("regular file");
    expect(refusal({ location: "sub" })).toContain("regular file");
    expect(refusal({ location: "absent.bin" })).toContain("ENOENT");
    expect(refusal({ location: "." })).toContain("out of the model's folder");
  });
  it("checks offsets and lengths", () => {
    expect(refusal({ location: "w.bin", offset: "16" })).toContain("reach past");
    expect(refusal({ location: "w.bin", offset: "9007199254740990" })).toContain("reach past");
    expect(refusal({ location: "w.bin", offset: "-8" })).toContain("not a number of bytes");
    expect(refusal({ location: "w.bin", offset: "99999999999999999999" })).toContain("not a number of bytes");
    expect(refusal({ location: "w.bin", offset: "0x8" })).toContain("not a number of bytes");
    expect(refusal({ location: "w.bin", length: "4" })).toContain("its shape asks for 8");
  });
  it("has no folder for a model given as bytes, unless it is told one", () => {
    const bytes = modelBytes(constantGraph(external({ location: "w.bin" })));
    expect(codeOf(() => loadOnnxSync(bytes))).toBe("onnx/external-data");
    expect(codeOf(() => loadOnnxSync(bytes, { externalDataFolder: join(root, "model") }))).toBe("none");
    expect(codeOf(() => loadOnnxSync(bytes, { externalDataFolder: join(root, "absent") }))).toBe("onnx/unreadable");
  });
});

describe("nesting and inlining are bounded", () => {
  it("refuses deep nesting of graphs and of types", () => {
    let body: GraphInit = { name: "leaf" };
    for (let i = 0; i < 40; i++)
      body = { name: "b", node: [node("If", [], [], { attribute: [{ name: "then_branch", type: 5, g: body }] })] };
    expect(code(body)).toBe("onnx/too-deep");
    expect(codeOf(() => loadOnnxSync(nested(100_000)))).toBe("onnx/too-deep");
  });
  const call = (name: string, from = "a", to = "b") => node(name, [from], [to], { domain: "local" });
  const functionOf = (name: string, ...body: ReturnType<typeof node>[]) => ({
    name,
    domain: "local",
    input: ["a"],
    output: ["b"],
    node: body,
    opsetImport: [
      { domain: "", version: 17n },
      { domain: "local", version: 1n },
    ],
  });
  const withFunctions = (functions: ReturnType<typeof functionOf>[], limits = {}) =>
    codeOf(() => loadOnnxSync(modelBytes(reluGraph({ node: [call("F0", "x", "y")] }), { functions }), { limits }));
  it("refuses functions that call themselves, directly or not", () => {
    expect(withFunctions([functionOf("F0", call("F0"))])).toBe("onnx/recursive-function");
    expect(withFunctions([functionOf("F0", call("F1")), functionOf("F1", call("F0"))])).toBe("onnx/recursive-function");
  });
  it("refuses chains of functions that are too deep", () => {
    const chain = Array.from({ length: 40 }, (_, i) =>
      functionOf(`F${i}`, i === 39 ? node("Relu", ["a"], ["b"]) : call(`F${i + 1}`)),
    );
    expect(withFunctions(chain)).toBe("onnx/too-deep");
    expect(withFunctions(chain, { functionDepth: 40 })).toBe("none");
  });
  it("refuses functions that double at every level", () => {
    const doubling = Array.from({ length: 31 }, (_, i) =>
      i === 30
        ? functionOf("F30", node("Relu", ["a"], ["b"]))
        : functionOf(`F${i}`, call(`F${i + 1}`, "a", "m"), call(`F${i + 1}`, "m", "b")),
    );
    expect(withFunctions(doubling, { nodes: 10_000 })).toBe("onnx/too-large");
  });
});

/** A model whose input type nests `depth` optional types, built from the inside. */
function nested(depth: number): Uint8Array {
  const parts: number[][] = [];
  let length = 0;
  const wrap = (tag: number) => {
    const head = [tag, ...varint(length)];
    parts.push(head);
    length += head.length;
  };
  for (let i = 0; i < depth; i++) {
    wrap(0x0a);
    wrap(0x4a);
  }
  for (const tag of [0x12, 0x5a, 0x3a]) wrap(tag);
  return Uint8Array.from(parts.reverse().flat());
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 0x80);
  }
}

describe("names from the file are harmless", () => {
  const odd = ["__proto__", "constructor", "a\nb", 'q"; drop', "\u0000", "../../etc/passwd", "\u202e", " ", "é", "%s"];
  it("keeps odd names as they are, as map keys", () => {
    for (const name of odd) {
      const graph = loadOnnxSync(
        modelBytes(
          reluGraph({
            name,
            input: [info(name, [1])],
            node: [node("Relu", [name], ["y"], { name, attribute: [{ name, type: 2, i: 1n }] })],
          }),
          { metadataProps: [{ key: name, value: name }] },
        ),
        { shapes: JSON.parse(`{${JSON.stringify(name)}: [1]}`) },
      );
      expect(graph.values.get(graph.inputs[0]!)?.name).toBe(name);
      expect(graph.nodes[0]?.attributes.get(name)).toEqual({ kind: "int", value: 1 });
      expect(graph.metadata.get(`custom:${name}`)).toBe(name);
    }
    expect(Object.hasOwn(Object.prototype, "custom:__proto__")).toBe(false);
  });
  it("escapes them in messages, and cuts long ones", () => {
    const message = (name: string) => {
      try {
        loadOnnxSync(modelBytes(reluGraph({ node: [node("Relu", [name], ["y"])] })));
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    };
    expect(message("a\nb\u001b[31m\u202e")).toContain('"a\\nb\\u001b[31m\\u202e"');
    expect(message("n".repeat(100_000)).length).toBeLessThan(1000);
  });
  it("reads bytes that are no UTF-8", () => {
    const bytes = modelBytes(reluGraph({ name: "zzzz" }));
    const at = bytes.findIndex((_, i) => bytes.subarray(i, i + 4).every((b) => b === 0x7a));
    bytes.fill(0xff, at, at + 4);
    expect(codeOf(() => loadOnnxSync(bytes))).toBe("none");
  });
});

describe("resource use has limits that a user can raise", () => {
  const bytes = modelBytes(reluGraph({ node: [node("Relu", ["x"], ["m"]), node("Relu", ["m"], ["y"])] }));
  const weights = modelBytes(constantGraph({ dataType: 1, dims: [100n], floatData: new Array<number>(100).fill(1) }));
  it.each([
    ["modelBytes", bytes, 10, 1000],
    ["nodes", bytes, 1, 2],
    ["messages", bytes, 5, 100],
    ["messageDepth", bytes, 3, 64],
    ["tensorBytes", weights, 399, 4000],
    ["elements", weights, 99, 100],
    ["listElements", weights, 50, 1000],
  ] as const)("%s", (name, model, low, high) => {
    const at = (most: number) => codeOf(() => loadOnnxSync(model, { limits: { [name]: most } }));
    expect(at(low)).toMatch(/^onnx\/too-(large|deep)$/);
    expect(at(high)).toBe("none");
    expect(at(Number.NaN)).toBe("onnx/limit");
  });
  it("names the limit to raise", () => {
    expect(() => loadOnnxSync(bytes, { limits: { nodes: 1 } })).toThrow(/limit nodes = 1, which can be raised/);
  });
  it("refuses many tiny messages before it makes objects of them", () => {
    const many = new Uint8Array(10_000_000);
    for (let i = 0; i < many.length; i += 2) many[i] = 0x0a;
    const model = Uint8Array.from([0x3a, ...varint(many.length)]);
    const whole = new Uint8Array(model.length + many.length);
    whole.set(model);
    whole.set(many, model.length);
    const start = performance.now();
    expect(codeOf(() => loadOnnxSync(whole))).toBe("onnx/too-large");
    expect(performance.now() - start).toBeLessThan(2000);
  });
});

describe("graphs that are none", () => {
  it.each<readonly [string, GraphInit]>([
    ["onnx/undefined-value", reluGraph({ node: [node("Relu", ["q"], ["y"])] })],
    ["onnx/undefined-value", reluGraph({ output: [info("q", [1])] })],
    ["onnx/not-sorted", reluGraph({ node: [node("Relu", ["m"], ["y"]), node("Relu", ["x"], ["m"])] })],
    ["onnx/not-sorted", reluGraph({ node: [node("Add", ["x", "y"], ["y"])] })],
    ["onnx/not-sorted", reluGraph({ node: [node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])] })],
    ["onnx/duplicate-name", reluGraph({ node: [node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])] })],
    ["onnx/duplicate-name", reluGraph({ node: [node("Relu", ["x"], ["x"])] })],
    ["onnx/duplicate-name", reluGraph({ input: [info("x", [1]), info("x", [1])] })],
    ["onnx/duplicate-name", reluGraph({ output: [info("y", [1]), info("y", [1])] })],
    ["onnx/malformed", reluGraph({ input: [info("", [1]), info("x", [1])] })],
    ["onnx/untyped-input", reluGraph({ input: [{ name: "x" }] })],
    ["onnx/bad-type", reluGraph({ input: [info("x", [1], 77)] })],
  ])("%s", (expected, graph) => {
    expect(code(graph)).toBe(expected);
  });
  it("refuses attributes given twice, of no type, or that refer to a function's outside one", () => {
    const one = (...attribute: object[]) =>
      code(reluGraph({ node: [node("Relu", ["x"], ["y"], { attribute: attribute as { name: string }[] })] }));
    expect(one({ name: "a", type: 2 }, { name: "a", type: 2 })).toBe("onnx/duplicate-name");
    expect(one({ name: "a", type: 77 })).toBe("onnx/malformed");
    expect(one({ name: "a" })).toBe("onnx/malformed");
    expect(one({ name: "a", i: 3n })).toBe("none");
    expect(one({ name: "a", type: 2, refAttrName: "b" })).toBe("onnx/attribute-reference");
    expect(one({ name: "a", type: 4 })).toBe("onnx/malformed");
  });
});
