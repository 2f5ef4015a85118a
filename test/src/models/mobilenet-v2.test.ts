import { describe, expect, it } from "vitest";
import { elementCount } from "../../../ir/graph/tensor-value.ts";
import { buildMobileNetV2 } from "../../../src/models/mobilenet-v2.ts";

const weights = (graph: ReturnType<typeof buildMobileNetV2>) =>
  [...graph.values.values()].flatMap((v) => (v.constant === undefined ? [] : [v.constant]));

describe("buildMobileNetV2", () => {
  const graph = buildMobileNetV2();

  it("has the layers of the paper", () => {
    const counts = new Map<string, number>();
    for (const n of graph.nodes) counts.set(n.op, (counts.get(n.op) ?? 0) + 1);
    expect(Object.fromEntries(counts)).toEqual({
      Conv: 52,
      BatchNormalization: 52,
      Clip: 35,
      Add: 10,
      GlobalAveragePool: 1,
      Flatten: 1,
      Gemm: 1,
    });
  });

  it("has the parameters of the paper: 3.50 million, of which 1.28 million classify", () => {
    const count = weights(graph).reduce((sum, w) => sum + elementCount(w.dims), 0);
    const runningStatistics = 2 * 17_056;
    expect(count - runningStatistics - 2).toBe(3_504_872);
  });

  it("depends on the seed only", () => {
    const options = { width: 0.25, resolution: 32, classes: 3 };
    const of = (seed: number) => weights(buildMobileNetV2({ ...options, seed })).map((w) => w.data);
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
  });

  it("has He-normal weights", () => {
    const stem = [...graph.values.values()].find((v) => v.name === "stem.weight")!.constant!;
    const data = stem.data as Float32Array;
    const variance = data.reduce((sum, x) => sum + x * x, 0) / data.length;
    expect(variance / (2 / 27)).toBeCloseTo(1, 0);
  });

  it("scales its channels", () => {
    const wide = buildMobileNetV2({ width: 1.4, resolution: 32, classes: 3 });
    const head = [...wide.values.values()].find((v) => v.name === "head.weight")!;
    expect(head.type?.dims).toEqual([1792, 448, 1, 1]);
  });
});
