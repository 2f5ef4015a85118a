/** The same model gives the same code: nothing random, no clock, no order of maps decides what is compiled. */
import { expect, test } from "vitest";
import type { Graph } from "../../../ir/graph/graph.ts";
import { buildMobileNetV2 } from "../../../src/models/mobilenet-v2.ts";
import { loadOnnx } from "../../../src/onnx/load.ts";
import { writeOnnx } from "../../../src/onnx/write.ts";
import { compileGraph, kernelContext } from "../../../src/runtime/compile.ts";
import { lowerGroup } from "../../../src/runtime/kernels.ts";

const small = { width: 0.35, resolution: 96 };

/** IR text and object code of every kernel, and the memory plan, compiled without a cache. */
async function compiled(graph: Graph, threads: number) {
  const context = kernelContext({ threads, cache: false });
  const { fused, steps, kernels, plan } = await compileGraph(graph, context, {});
  const texts = steps.map((group, i) => lowerGroup(fused.graph, group, context, kernels[i]!.symbol).text);
  const objects = kernels.map((kernel) => Buffer.from(kernel.object).toString("base64"));
  const places = [...plan.locations.values()];
  return { symbols: kernels.map((kernel) => kernel.symbol), texts, objects, places, arenaBytes: plan.arenaBytes };
}

test.each([1, 2])("two compilations of one model agree to the byte with %i threads", async (threads) => {
  const first = await compiled(buildMobileNetV2(small), threads);
  const second = await compiled(buildMobileNetV2(small), threads);
  expect(second.symbols).toEqual(first.symbols);
  expect(second.texts).toEqual(first.texts);
  expect(second.objects).toEqual(first.objects);
  expect(second.places).toEqual(first.places);
  expect(second.arenaBytes).toBe(first.arenaBytes);
});

test("a model read back from ONNX bytes compiles to the same kernels", async () => {
  const graph = buildMobileNetV2(small);
  const direct = await compiled(graph, 1);
  const throughBytes = await compiled(await loadOnnx(writeOnnx(graph)), 1);
  expect(throughBytes.symbols).toEqual(direct.symbols);
  expect(throughBytes.objects).toEqual(direct.objects);
});
