/** Stencils keep their values, and compute every row of their stages once in a strip. */
import { expect, test } from "vitest";
import { stencil } from "../../../../passes/schedule/library/stencil.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import { compute, placeholder, programOf, reduceAxis, sum } from "../../../../src/dsl.ts";
import { keepsValues } from "../fixtures.ts";

/** Blur across, blur down, and the difference to the picture. */
function unsharp(height: number, width: number) {
  const X = placeholder("X", [height + 2, width + 2]);
  const across = compute("across", [height + 2, width], (y, x) =>
    X.at(y, x)
      .add(X.at(y, x.add(1)))
      .add(X.at(y, x.add(2))),
  );
  const down = compute("down", [height, width], (y, x) =>
    across
      .at(y, x)
      .add(across.at(y.add(1), x))
      .add(across.at(y.add(2), x)),
  );
  return programOf(
    compute("sharp", [height, width], (y, x) =>
      X.at(y.add(1), x.add(1))
        .mul(2)
        .sub(down.at(y, x).mul(1 / 9)),
    ),
  );
}
/** Windows of sums over windows of sums. */
function twice(height: number, width: number, kernel: number) {
  const reach = 2 * (kernel - 1);
  const X = placeholder("X", [height + reach, width + reach]);
  const axes = () => [reduceAxis("a", kernel), reduceAxis("b", kernel)] as const;
  const [[a, b], [c, d]] = [axes(), axes()];
  const first = compute("first", [height + kernel - 1, width + kernel - 1], (y, x) =>
    sum(X.at(y.add(a), x.add(b)), a, b),
  );
  return programOf(compute("second", [height, width], (y, x) => sum(first.at(y.add(c), x.add(d)), c, d)));
}

for (const [h, w] of [
  [1, 1],
  [2, 17],
  [7, 5],
  [16, 16],
  [37, 33],
  [40, 70],
] as const)
  for (const options of [{}, { rows: 8, threads: 2 }, { rows: 3 }]) {
    test(`unsharp ${h}×${w} ${JSON.stringify(options)}`, () => {
      const s = new Schedule(unsharp(h, w));
      stencil(s, "sharp", options);
      keepsValues(unsharp(h, w), s);
    });
    test(`windows of windows ${h}×${w} ${JSON.stringify(options)}`, () => {
      const s = new Schedule(twice(h, w, 3));
      stencil(s, "second", options);
      keepsValues(twice(h, w, 3), s, 81);
    });
  }

test("rows slide through a buffer of four", () => {
  const s = new Schedule(unsharp(64, 32));
  stencil(s, "sharp", { rows: 16 });
  expect(s.print()).toContain("allocate across: float32[4, 32]");
  expect(s.blocks().map((b) => b.name)).toContain("across_head");
});
