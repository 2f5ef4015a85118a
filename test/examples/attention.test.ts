/** The fused attention agrees with the interpreter on the computation as it is usually written. */
import { describe, expect, test } from "vitest";
import { attention, onlineAttention, scheduleAttention } from "../../examples/attention.ts";
import { interpret } from "../../ir/interp/interpret.ts";
import { addonAvailable } from "../../native/addon.ts";
import { build, programOf } from "../../src/index.ts";

const inputs = ({ n, d }: { n: number; d: number }) => {
  // Large scores, so that a tile whose peak is higher makes all weights before it small.
  const values = (step: number, scale: number) =>
    Float32Array.from({ length: n * d }, (_, i) => scale * Math.sin(i * step));
  return { Q: values(1.3, 3), K: values(2.1, 3), V: values(0.7, 1) };
};
const worst = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);
/** Attention in double precision. */
function expected({ n, d }: { n: number; d: number }): Float32Array {
  const { Q, K, V } = inputs({ n, d });
  const dot = (i: number, j: number): number =>
    Q.subarray(i * d, i * d + d).reduce((s, q, p) => s + q * K[j * d + p]!, 0);
  const out = new Float32Array(n * d);
  for (let i = 0; i < n; i++) {
    const scores = Float64Array.from({ length: n }, (_, j) => dot(i, j) / Math.sqrt(d));
    const peak = scores.reduce((a, b) => Math.max(a, b));
    const weights = scores.map((v) => Math.exp(v - peak));
    const total = weights.reduce((a, b) => a + b);
    for (let c = 0; c < d; c++) out[i * d + c] = weights.reduce((s, w, j) => s + w * V[j * d + c]!, 0) / total;
  }
  return out;
}

test("the computation as it is usually written", () => {
  const shape = { n: 16, d: 8 };
  const out = new Float32Array(shape.n * shape.d);
  interpret(programOf(attention(shape), { name: "attention" }), "attention", { ...inputs(shape), out });
  expect(worst(out, expected(shape))).toBeLessThan(2e-6);
});
test.each([1, 2, 4])("softmax over %i tiles of keys is softmax", (tiles) => {
  const shape = { n: 16, d: 8 };
  const out = new Float32Array(shape.n * shape.d);
  const program = programOf(onlineAttention(shape, shape.n / tiles), { name: "online" });
  interpret(program, "online", { ...inputs(shape), out });
  expect(worst(out, expected(shape))).toBeLessThan(2e-6);
});
describe.skipIf(!addonAvailable())("attention", () => {
  // Two tiles and states that are kept whole; three, of which the last two are kept.
  test.each([
    [1, 256],
    [2, 256],
    [2, 384],
  ])("%i threads, %i rows", async (threads, n) => {
    const shape = { n, d: 64 };
    const out = new Float32Array(n * 64);
    const f = await build(scheduleAttention(shape, { keys: 128 }), { target: "host", threads });
    f.run({ ...inputs(shape), out });
    f.dispose();
    expect(worst(out, expected(shape))).toBeLessThan(1e-5);
  });
});
