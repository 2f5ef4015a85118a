/** The scheduled filter agrees with the interpreter and with the nests as they were written. */
import { describe, expect, test } from "vitest";
import { type Filter, localLaplacian, scheduleLocalLaplacian } from "../../examples/local-laplacian.ts";
import { interpret } from "../../ir/interp/interpret.ts";
import { addonAvailable } from "../../native/addon.ts";
import { build, programOf, schedule } from "../../src/index.ts";

const picture = ({ width, height }: Filter): Float32Array =>
  Float32Array.from({ length: 3 * width * height }, (_, i) => ((i * 7919 + 13) % 1009) / 1009);
const worst = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);

// A luminance rounded otherwise may take the next step of a curve, alpha / 256 away; nothing else may differ as much.
const step = (curves: number): number => 1 / (curves - 1) / 256;

describe.skipIf(!addonAvailable())("local Laplacian", () => {
  test("as interpreted", async () => {
    const filter = { width: 32, height: 24, levels: 4, curves: 4 };
    const input = picture(filter);
    const [wanted, output] = [new Float32Array(input.length), new Float32Array(input.length)];
    interpret(programOf(localLaplacian(filter), { name: "filter" }), "filter", { input, output: wanted });
    const f = await build(scheduleLocalLaplacian(filter, { strip: 8 }), { target: "host", threads: 2 });
    f.run({ input, output });
    f.dispose();
    expect(worst(output, wanted)).toBeLessThan(step(4));
    const apart = output.filter((v, i) => Math.abs(v - wanted[i]!) > 1e-5).length;
    expect(apart).toBeLessThan(output.length / 1000);
  });
  test("as written, with all levels", async () => {
    const filter = { width: 256, height: 128 };
    const input = picture(filter);
    const [wanted, output] = [new Float32Array(input.length), new Float32Array(input.length)];
    for (const [s, to] of [
      [schedule(localLaplacian(filter)), wanted],
      [scheduleLocalLaplacian(filter), output],
    ] as const) {
      const f = await build(s, { target: "host", threads: 2 });
      f.run({ input, output: to });
      f.dispose();
    }
    expect(worst(output, wanted)).toBeLessThan(step(8));
    const apart = output.filter((v, i) => Math.abs(v - wanted[i]!) > 1e-5).length;
    expect(apart).toBeLessThan(output.length / 1000);
  });
});
