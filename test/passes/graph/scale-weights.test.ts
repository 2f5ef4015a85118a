import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { scaleWeights } from "../../../passes/graph/scale-weights.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { close, machine, targets, wave } from "./support.ts";

interface Spec {
  readonly inputs: number;
  readonly outputs: number;
  /** Height and width of the map. */
  readonly map: readonly [number, number];
  readonly kernel?: number;
  readonly batch?: number;
  readonly group?: number;
  /** Writes the factors on the left. */
  readonly factorsFirst?: boolean;
  /** What else is a result. */
  readonly also?: "product";
}
/** Squeeze-and-excite (Hu et al. 2018) before a convolution. */
function network(spec: Spec): Graph {
  const { inputs, outputs, map, kernel = 1, batch = 1, group = 1 } = spec;
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [batch, inputs, ...map] });
  const weights = (dims: readonly number[], step: number) => b.constant("w", wave(dims, step));
  const one = (op: string, args: readonly ValueId[], attributes = {}) => b.node(op, args, { attributes })[0]!;
  const squeezed = one("Conv", [one("GlobalAveragePool", [x]), weights([4, inputs, 1, 1], 0.7)]);
  const excited = one("Conv", [one("Relu", [squeezed]), weights([inputs, 4, 1, 1], 1.3)]);
  const factors = one("HardSigmoid", [excited]);
  const product = one("Mul", spec.factorsFirst ? [factors, x] : [x, factors]);
  const w = weights([outputs, inputs / group, kernel, kernel], 0.9);
  const pads = Array(4).fill(Math.floor(kernel / 2));
  const [y] = b.node("Conv", [product, w, weights([outputs], 2.1)], { attributes: { group, pads }, outputs: ["y"] });
  return inferGraph(b.finish({ name: "t", inputs: [x], outputs: spec.also ? [y!, product] : [y!] }));
}
const wide: Spec = { inputs: 24, outputs: 16, map: [14, 13] };

describe("scaled maps before pointwise convolutions", () => {
  it.each([
    ["factors on the right", wide],
    ["factors on the left", { ...wide, factorsFirst: true }],
    ["odd channels", { inputs: 7, outputs: 5, map: [9, 11] }],
  ] as const)("scale the weights instead: %s", (_, spec) => {
    const graph = network(spec);
    const scaled = scaleWeights(graph, machine);
    expect(scaled.nodes.at(-1)!.inputs[0]).toBe(graph.inputs[0]);
    const x = wave([1, spec.inputs, ...spec.map], 0.3);
    const [before, after] = [graph, scaled].map((g) => interpretGraph(g, { x }).y!.data as Float32Array);
    close(after!, before!);
  });

  it.each([
    ["weights are more than pixels", { ...wide, outputs: 200 }],
    ["images have factors of their own", { ...wide, batch: 2 }],
    ["the window is more than one pixel", { ...wide, kernel: 3 }],
    ["channels have groups", { ...wide, group: 2 }],
    ["the product is a result", { ...wide, also: "product" }],
  ] as const)("stay where %s", (_, spec) => {
    const graph = network(spec);
    expect(scaleWeights(graph, machine)).toBe(graph);
  });

  it.each(targets.flatMap((target) => [1, 2].map((threads) => ({ target, threads }))))(
    "compile to the same results for $target with $threads threads",
    async ({ target, threads }) => {
      for (const spec of [
        wide,
        { inputs: 7, outputs: 5, map: [9, 11] },
        { inputs: 40, outputs: 24, map: [28, 28] },
        { inputs: 36, outputs: 50, map: [12, 12] },
      ] satisfies Spec[]) {
        const graph = network(spec);
        const x = wave([1, spec.inputs, ...spec.map], 0.3);
        const compiled = await compile(graph, { target, threads, cache: false });
        const { y } = compiled.runSync({ x: { ...x, type: "float32" } });
        close(y!.data as Float32Array, interpretGraph(graph, { x }).y!.data as Float32Array);
        compiled.dispose();
      }
    },
  );
});
