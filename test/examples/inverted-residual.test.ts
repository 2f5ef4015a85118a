/** The fused block agrees with the interpreter on the computation as it was written, fused or not. */
import { describe, expect, test } from "vitest";
import { blockArguments, invertedResidual, scheduleInvertedResidual } from "../../examples/inverted-residual.ts";
import { interpret } from "../../ir/interp/interpret.ts";
import { addonAvailable } from "../../native/addon.ts";
import { build, programOf } from "../../src/index.ts";

describe.skipIf(!addonAvailable())("inverted residual", () => {
  test.each([true, false])("fused: %s", async (fused) => {
    const shape = { height: 28, width: 28, channels: 32, wide: 48 };
    const args = blockArguments(shape);
    const wanted = args.Y.slice();
    interpret(programOf(invertedResidual(shape), { name: "block" }), "block", { ...args, Y: wanted });
    const f = await build(scheduleInvertedResidual(shape, { rows: 14, fused }), { target: "host", threads: 2 });
    f.run(args);
    f.dispose();
    const worst = args.Y.reduce((most, v, i) => Math.max(most, Math.abs(v - wanted[i]!)), 0);
    expect(worst).toBeLessThan(1e-4);
  });
});
