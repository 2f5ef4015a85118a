/** The hand-scheduled matrix product agrees with plain sums, whole tiles or not. */
import { describe, expect, test } from "vitest";
import { scheduleMatmul } from "../../examples/matmul.ts";
import { addonAvailable } from "../../native/addon.ts";
import { build } from "../../src/index.ts";

describe.skipIf(!addonAvailable())("matmul", () => {
  test.each([
    [63, 1000, 17],
    [63, 17, 1000],
    [100, 130, 200],
    [7, 65, 2100],
  ])("%i × %i × %i", async (m, n, k) => {
    const a = Float32Array.from({ length: m * k }, (_, i) => ((i * 7) % 13) - 6);
    const b = Float32Array.from({ length: k * n }, (_, i) => ((i * 5) % 11) - 5);
    const c = new Float32Array(m * n).fill(Number.NaN);
    const product = await build(scheduleMatmul({ m, n, k }), { target: "host" });
    product.run({ A: a, B: b, C: c });
    product.dispose();
    const sum = (i: number, j: number) => a.subarray(i * k, i * k + k).reduce((t, x, p) => t + x * b[p * n + j]!, 0);
    // Whole numbers of this size have exact sums in any order.
    expect(c).toEqual(Float32Array.from({ length: m * n }, (_, q) => sum(Math.floor(q / n), q % n)));
  });
});
