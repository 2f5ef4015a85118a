/**
 * Runs the ONNX backend tests on Tilewright: `node ../shared/conformance/run-suite.mjs --executor
 * test/conformance/executor.mjs`. Needs a built package (`npm run build`).
 */
import { readFileSync } from "node:fs";
import { compile, Tensor, UnsupportedError } from "../../dist/src/index.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

export const name = `tilewright ${version}`;

/** A refusal that says what is missing, or an error. */
export function classify(error) {
  return error instanceof UnsupportedError ? "unsupported" : "error";
}

/** Compiles a model for the shapes of its inputs, runs it once, and releases it. Half types are 16-bit patterns. */
export async function run(modelPath, inputs) {
  const named = Object.entries(inputs).map(([key, value]) => [key, tensorOf(key, value)]);
  const shapes = Object.fromEntries(named.map(([key, tensor]) => [key, [...tensor.dims]]));
  // Inputs that a shape depends on are compiled in; the network no longer asks for them.
  const network = await compile(modelPath, { threads: 1, shapes, values: Object.fromEntries(named) });
  try {
    const asked = new Set(network.inputs.map((port) => port.name));
    const outputs = await network.run(Object.fromEntries(named.filter(([key]) => asked.has(key))));
    return Object.fromEntries(Object.entries(outputs).map(([key, tensor]) => [key, plain(tensor)]));
  } finally {
    network.dispose();
  }
}

function tensorOf(key, value) {
  if (value.sequence !== undefined || value.optional !== undefined)
    throw new UnsupportedError("conformance/input", `input ${JSON.stringify(key)} is not a tensor`);
  return new Tensor(value.type, value.data, value.dims);
}

/** Copies, because an executable may own the memory of its outputs. */
function plain(tensor) {
  return { type: tensor.type, dims: [...tensor.dims], data: tensor.data.slice() };
}
