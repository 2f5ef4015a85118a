/** The scheduled image pipelines agree with the interpreter on the computation as it was written. */
import { describe, expect, test } from "vitest";
import { blur, margin, scheduleBlur } from "../../examples/blur.ts";
import { scheduleUnsharp, unsharp } from "../../examples/unsharp.ts";
import { interpret } from "../../ir/interp/interpret.ts";
import { addonAvailable } from "../../native/addon.ts";
import { build, programOf } from "../../src/index.ts";

const picture = { width: 64, height: 40 };
const noise = (length: number, most: number) =>
  Array.from({ length }, (_, i) => ((i * 7919 + 13) % 1009) * (most / 1009));

describe.skipIf(!addonAvailable())("images", () => {
  test.each([1, 2])("blur, %i threads", async (threads) => {
    const { width, height } = picture;
    const input = Uint16Array.from(noise((height + 2) * (width + margin), 16384));
    const wanted = new Uint16Array(width * height);
    interpret(programOf(blur(picture), { name: "blur" }), "blur", { input, blurY: wanted });
    const blurY = new Uint16Array(width * height);
    const f = await build(scheduleBlur(picture), { target: "host", threads });
    f.run({ input, blurY });
    f.dispose();
    expect(blurY).toEqual(wanted);
  });
  test.each([1, 2])("unsharp, %i threads", async (threads) => {
    const { width, height } = picture;
    const input = Float32Array.from(noise(3 * height * width, 1), (v) => v + 0.05);
    const wanted = new Float32Array(input.length);
    interpret(programOf(unsharp(picture), { name: "unsharp" }), "unsharp", { input, output: wanted });
    const output = new Float32Array(input.length);
    const f = await build(scheduleUnsharp(picture), { target: "host", threads });
    f.run({ input, output });
    f.dispose();
    const worst = output.reduce((most, v, i) => Math.max(most, Math.abs(v - wanted[i]!)), 0);
    expect(worst).toBeLessThan(2e-6);
  });
});
