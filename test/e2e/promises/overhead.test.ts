/** A run costs little beyond its kernels. `npm run bench:overhead` prints the figures. */
import { expect, test } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import { allocAligned } from "../../../native/addon.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { Tensor } from "../../../src/tensor.ts";

function pooledImage() {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [1, 3, 224, 224] });
  const [y] = b.node("GlobalAveragePool", [x], { opset: 17 });
  return b.finish({ name: "pooled-image", inputs: [x], outputs: [y!] });
}

test("run() takes at most 20 µs beyond the kernels when the input is used in place", async () => {
  const net = await compile(pooledImage(), { cache: false });
  const values = new Float32Array(allocAligned(4 * 3 * 224 * 224)).subarray(0, 3 * 224 * 224).fill(0.5);
  const feeds = { x: new Tensor("float32", values, [1, 3, 224, 224]) };
  // The least of many batches on either side: what disturbs a measurement only ever makes it longer.
  let overheadUs = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < 60 && overheadUs > 10; batch++) {
    const nativeUs = Math.min(...net.time(feeds, { warmup: 5, repeats: 50 })) / 1000;
    const start = performance.now();
    for (let i = 0; i < 50; i++) await net.run(feeds);
    overheadUs = Math.min(overheadUs, ((performance.now() - start) * 1000) / 50 - nativeUs);
  }
  net.dispose();
  expect(overheadUs).toBeLessThan(20);
});
