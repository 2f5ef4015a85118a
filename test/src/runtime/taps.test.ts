import { expect, it } from "vitest";
import { valueOf } from "../../../ir/graph/build.ts";
import { tensorValue } from "../../../ir/graph/tensor-value.ts";
import { loadOnnx } from "../../../src/onnx/load.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { type CompiledNetwork, compileNetwork } from "../../../src/runtime/compile.ts";
import { runWithTaps } from "../../../src/runtime/taps.ts";
import { Tensor } from "../../../src/tensor.ts";
import { writeClassifier } from "../cli/models.ts";
import { temporaryFolder } from "../cli/run-cli.ts";

const folder = temporaryFolder();
const x = Tensor.from({
  type: "float32",
  dims: [1, 3, 8, 8],
  data: Float32Array.from({ length: 192 }, (_, i) => Math.cos(i)),
});

/** The network with one of its constants replaced by zeros. */
function spoiled(network: CompiledNetwork, rank: number): CompiledNetwork {
  const { fused } = network;
  const values = new Map(fused.graph.values);
  for (const [id, v] of values)
    if (v.constant?.dims.length === rank)
      values.set(id, { ...v, constant: tensorValue(v.constant.type, v.constant.dims) });
  return { ...network, fused: { ...fused, graph: { ...fused.graph, values } } };
}

it("gives what flows between kernels in logical order, and shows where a wrong network leaves the right one", async () => {
  const graph = await loadOnnx(writeClassifier(folder));
  const network = await compileNetwork(graph, { cache: false });
  const right = await runWithTaps(network, { x });
  const typed = inferGraph(graph);
  // The activation is stored by blocks of channels; its name is the graph's.
  const relu = typed.nodes.find((n) => n.op === "Relu")!.outputs[0]!;
  const want = interpretGraph({ ...typed, outputs: [relu] }, { x })[valueOf(typed, relu).name]!;
  const got = right.find((i) => i.value === valueOf(typed, relu).name)!;
  expect(got.tensor.dims).toEqual([1, 8, 8, 8]);
  const gaps = Array.from(got.tensor.data as Float32Array, (v, i) => Math.abs(v - (want.data as Float32Array)[i]!));
  expect(Math.max(...gaps)).toBeLessThan(1e-6);

  const wrong = await runWithTaps(spoiled(network, 4), { x });
  const different = right.findIndex((r, i) => String(r.tensor.data) !== String(wrong[i]!.tensor.data));
  expect(right[different]!.value).toBe(got.value);
  expect(network.parts.steps[right[different]!.step]!.name).toContain("Conv");
});
