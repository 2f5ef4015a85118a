/** Lanes that lie a few elements apart are read from whole vectors, and nothing beyond the last of them is. */
import { expect, test } from "vitest";
import { Schedule } from "../../passes/schedule/schedule.ts";
import { compute, placeholder, programOf } from "../../src/dsl.ts";
import { difference, randomInputs, run } from "../property/support/judge.ts";
import { Random } from "../property/support/random.ts";
import { assemblyOf, describeNative, runNative } from "./native-run.ts";

/** Every `stride`-th of the elements from `first` on, which end with the last one read; `n` are lanes. */
function every(stride: number, first: number, n: number) {
  const A = placeholder("A", [first + (n - 1) * stride + 1]);
  const s = new Schedule(programOf(compute("B", [n], (i) => A.at(i!.mul(stride).add(first)))));
  s.vectorize(s.loop("i0"));
  return s.program;
}

describeNative("strided loads", () => {
  test.each([2, 3, 4, 5])("every element of %i", (stride) => {
    for (const n of [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 100])
      for (const first of [0, 1, 5])
        for (const vectorBits of [128, 256, 512]) {
          const program = every(stride, first, n);
          const inputs = randomInputs(program, new Random(7));
          const got = runNative(program, inputs as never, { vectorBits });
          expect(
            difference(run(program, inputs), got as never, 0),
            `${n} from ${first}, ${vectorBits}`,
          ).toBeUndefined();
        }
  });
  test("one shuffle for sixteen pairs", () => {
    const assembly = assemblyOf(every(2, 0, 16));
    expect(assembly).toMatch(/vpermt2ps|vpermi2ps|vpermt2pd|vshufps/);
    expect(assembly).not.toContain("vinsertps");
  });
});
