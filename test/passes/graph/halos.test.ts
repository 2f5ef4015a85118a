/** Halos are zeroed within the loops that make the map, so that threads share it. */
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { compile } from "../../../src/index.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { machine, meshTarget, ringTarget, schedulesOf, wave } from "./support.ts";

interface Shape {
  readonly channels: number;
  readonly size: readonly [number, number];
  readonly kernel: number;
  readonly pads: readonly number[];
  readonly stride?: number;
  readonly depthwise?: boolean;
  readonly batch?: number;
}
/** A convolution of one pixel, or with a window, and behind it one that reads beyond its map. */
function network(s: Shape, first = 1): Graph {
  const b = new GraphBuilder();
  const { channels: c, kernel: k, pads, stride = 1, batch = 1 } = s;
  const x = b.value("x", { dtype: "float32", dims: [batch, 8, ...s.size] });
  const pad = (first - 1) / 2;
  const [wide] = b.node("Conv", [x, b.constant("w0", wave([c, 8, first, first], 0.7))], {
    attributes: { pads: [pad, pad, pad, pad] },
  });
  const weights = b.constant("w1", wave([c, s.depthwise ? 1 : c, k, k], 1.3));
  const attributes = { pads, strides: [stride, stride], group: s.depthwise ? c : 1 };
  const [y] = b.node("Conv", [wide!, weights], { attributes, outputs: ["y"] });
  return inferGraph(b.finish({ name: "t", inputs: [x], outputs: [y!] }));
}
const around = (n: number): number[] => [n, n, n, n];
/** There the loop over rows has fewer iterations than the halo. */
const higher = "more rows of halo than of map";
const shapes: Record<string, Shape> = {
  "5×5 depthwise": { channels: 96, size: [14, 14], kernel: 5, pads: around(2), depthwise: true },
  "5×5 depthwise with strides": {
    channels: 72,
    size: [13, 13],
    kernel: 5,
    pads: around(2),
    stride: 2,
    depthwise: true,
  },
  "7×7 maps": { channels: 48, size: [7, 7], kernel: 3, pads: around(1), depthwise: true },
  "uneven pads": { channels: 32, size: [9, 12], kernel: 4, pads: [2, 0, 1, 3], depthwise: true },
  [higher]: { channels: 32, size: [2, 20], kernel: 7, pads: around(3), depthwise: true },
  "one row": { channels: 160, size: [1, 33], kernel: 3, pads: around(1), depthwise: true },
  "3×3 over many channels": { channels: 64, size: [16, 16], kernel: 3, pads: around(1) },
  "a batch": { channels: 32, size: [12, 12], kernel: 3, pads: around(1), depthwise: true, batch: 3 },
};

describe.each(Object.entries(shapes))("%s", (_, shape) => {
  it.each([
    [1, ringTarget],
    [2, ringTarget],
    [3, meshTarget],
  ] as const)("has its values, %i threads", async (threads, target) => {
    for (const first of [1, 3]) {
      const graph = network(shape, first);
      const x = wave([shape.batch ?? 1, 8, ...shape.size], 0.37);
      const [plain, fast] = await Promise.all([
        compile(graph, { math: "strict", cache: false }),
        compile(graph, { threads, target, cache: false }),
      ]);
      const expected = (await plain.run({ x })).y!.data as Float32Array;
      const actual = (await fast.run({ x })).y!.data as Float32Array;
      const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      const error = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - actual[i]!)), 0);
      // A layer in Winograd's form is within 2e-5, and there may be two.
      expect(error / largest).toBeLessThan(4e-5);
    }
  });
});
it("is not put around an axis that a layout divides", async () => {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [3, 17, 7, 2] });
  const transposed = (v: ValueId, height: number, pads: number[]) =>
    b.node("ConvTranspose", [v, b.constant("w", wave([17, 17, height, 1], 0.5))], {
      attributes: { strides: [3, 1], pads },
      outputs: [`of${height}`],
    })[0]!;
  // Its phases lie between the rows, where what follows reads them.
  const rows = transposed(x, 3, [0, 0, 0, 0]);
  const [other] = b.node("Sub", [rows, b.node("Relu", [rows])[0]]);
  const y = transposed(other!, 4, [0, 0, 1, 0]);
  const graph = inferGraph(b.finish({ name: "t", inputs: [x], outputs: [y] }));
  const [plain, fast] = await Promise.all(
    (["strict", "default"] as const).map((math) => compile(graph, { math, cache: false })),
  );
  // Memory of the first run is all zeros.
  for (const seed of [0.3, 7.9]) {
    const feeds = { x: wave([3, 17, 7, 2], seed) };
    const [expected, actual] = [plain, fast].map((n) => n!.runSync(feeds).of4!.data as Float32Array);
    expected!.forEach((v, i) => void expect(actual![i]).toBeCloseTo(v, 4));
  }
});

it.each(Object.keys(shapes).filter((name) => name !== higher))("there is one nest a kernel: %s", (name) => {
  const haloed = schedulesOf(network(shapes[name]!), machine, 2).filter((k) => k.includes('"halo": true'));
  const kernels = haloed.filter((k) => k.includes('"op": "Conv"'));
  expect(kernels.length).toBeGreaterThan(0);
  for (const k of kernels) expect(k.match(/^ {2}(?: {2})?(?:parallel )?for (?:h0|n\w*) in/gm), k).toHaveLength(1);
});
