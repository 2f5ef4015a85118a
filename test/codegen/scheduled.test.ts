/** A slice of `npm run soak:schedules`: compiled schedules of random programs, against the interpreter. */
import { expect, test } from "vitest";
import { Trace } from "../../passes/schedule/trace.ts";
import { share } from "../property/support/share.ts";
import { builds, runCases } from "../property/support/soak.ts";
import { describeNative } from "./native-run.ts";

const programs = Number(process.env.TILEWRIGHT_COMPILED_PAIRS ?? share(400));
const firstSeed = Number(process.env.TILEWRIGHT_SEED ?? 1);
const batch = 20;

describeNative("compiled schedules", () => {
  test(`${programs} random ones compute what the programs do`, () => {
    const faults: string[] = [];
    let tried = 0;
    let accepted = 0;
    for (let from = 0; from < programs && faults.length < 3; from += batch) {
      const seeds = Array.from({ length: Math.min(batch, programs - from) }, (_, k) => firstSeed + from + k);
      const { findings, tally } = runCases(seeds, (from / batch) % builds.length);
      for (const { seed, kind, why, traces = [] } of findings)
        faults.push(
          [`seed ${seed} (${kind}): ${why}`, ...traces.map((t) => new Trace(t.func, t.steps).toSource())].join("\n"),
        );
      for (const count of Object.values(tally)) {
        tried += count.tried;
        accepted += count.accepted;
      }
    }
    console.log(`${programs} programs from seed ${firstSeed}: ${accepted} of ${tried} attempts accepted`);
    expect(faults.join("\n\n")).toBe("");
    expect(accepted / tried).toBeGreaterThan(0.4);
  }, 600_000);
});
