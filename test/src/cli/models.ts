/** Small models for tests of the command line. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Dim } from "../../../ir/graph/graph.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { writeOnnx } from "../../../src/onnx/write.ts";

const weights = (dims: readonly number[]) => {
  const count = dims.reduce((a, b) => a * b, 1);
  return tensorValue(
    "float32",
    dims,
    Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1) / 4),
  );
};

/** Writes a network for images, `x` [n, 3, 8, 8] to `scores` [n, 5]; gives its path. */
export function writeClassifier(
  folder: string,
  options: { readonly batch?: Dim; readonly softmax?: boolean } = {},
): string {
  const g = new GraphBuilder();
  const batch = options.batch ?? 1;
  const x = g.value("x", { dtype: "float32", dims: [batch, 3, 8, 8] });
  const conv = g.node("Conv", [x, g.constant("w", weights([8, 3, 3, 3]))], {
    attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
  });
  const relu = g.node("Relu", conv);
  const flat = g.node("Flatten", g.node("GlobalAveragePool", relu));
  const gemm = { attributes: { transB: 1 }, outputs: [options.softmax ? "logits" : "scores"] };
  const scores = g.node("Gemm", [flat[0], g.constant("fc", weights([5, 8]))], gemm);
  const outputs = options.softmax ? g.node("Softmax", scores, { outputs: ["scores"] }) : scores;
  return save(folder, "classifier", g, [x], outputs);
}

/** Writes `sum` = `a` + `b` over [2, 3]; gives its path. */
export function writeAdder(folder: string): string {
  const g = new GraphBuilder();
  const [a, b] = ["a", "b"].map((name) => g.value(name, { dtype: "float32", dims: [2, 3] }));
  return save(folder, "adder", g, [a!, b!], g.node("Add", [a, b], { outputs: ["sum"] }));
}

/** Writes `y` = `x` [6] reshaped to what the input `shape` (int64 [2]) says; gives its path. */
export function writeReshaper(folder: string): string {
  const g = new GraphBuilder();
  const x = g.value("x", { dtype: "float32", dims: [6] });
  const shape = g.value("shape", { dtype: "int64", dims: [2] });
  const reshaped = g.node("Reshape", g.node("Neg", [x]).concat(shape));
  return save(folder, "reshaper", g, [x, shape], g.node("Exp", reshaped, { outputs: ["y"] }));
}

/** Writes a model with two operators that nobody has; gives its path. */
export function writeUnsupported(folder: string): string {
  const g = new GraphBuilder();
  const x = g.value("x", { dtype: "float32", dims: [2] });
  const y = g.node("Frobnicate", [x]);
  const z = g.node("Wibble", [x], { outputs: ["z"] });
  return save(folder, "unsupported", g, [x], [...y, ...z]);
}

function save(
  folder: string,
  name: string,
  g: GraphBuilder,
  inputs: Parameters<GraphBuilder["finish"]>[0]["inputs"],
  outputs: Parameters<GraphBuilder["finish"]>[0]["outputs"],
): string {
  const path = join(folder, `${name}.onnx`);
  const metadata = new Map([["producer_name", "tests"]]);
  writeFileSync(path, writeOnnx(g.finish({ name, inputs, outputs, metadata })));
  return path;
}
