/** The fused attention agrees with the interpreter on the computation as it was written. */
import { describe, expect, test } from "vitest";
import { attention, scheduleAttention } from "../../examples/attention.ts";
import { interpret } from "../../ir/interp/interpret.ts";
import { addonAvailable } from "../../native/addon.ts";
import { build, programOf } from "../../src/index.ts";

describe.skipIf(!addonAvailable())("attention", () => {
  test.each([1, 2])("%i threads", async (threads) => {
    const shape = { n: 64, d: 64 };
    const values = (step: number) => Float32Array.from({ length: shape.n * shape.d }, (_, i) => Math.sin(i * step));
    const args = { Q: values(1.3), K: values(2.1), V: values(0.7) };
    const wanted = new Float32Array(shape.n * shape.d);
    interpret(programOf(attention(shape), { name: "attention" }), "attention", { ...args, out: wanted });
    const out = new Float32Array(wanted.length);
    const f = await build(scheduleAttention(shape), { target: "host", threads });
    f.run({ ...args, out });
    f.dispose();
    const worst = out.reduce((most, v, i) => Math.max(most, Math.abs(v - wanted[i]!)), 0);
    expect(worst).toBeLessThan(2e-6);
  });
});
