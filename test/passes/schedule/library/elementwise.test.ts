/** The recipe of element-wise stages keeps their values, whatever their indices. */
import { expect, test } from "vitest";
import { scheduleElementwise } from "../../../../passes/schedule/library/elementwise.ts";
import { contextOf } from "../../../../passes/schedule/library/recipe.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import { compute, placeholder, programOf, type Scalar } from "../../../../src/dsl.ts";
import { keepsValues } from "../fixtures.ts";

/** The blocks of `size` × `size` pixels of three channels as a pixel's lanes, as SpaceToDepth has them. */
function blocksAsLanes(size: number) {
  const X = placeholder("X", [3, 4 * size, 5 * size]);
  const pixel = (l: Scalar) => l.floordiv(3);
  return programOf(
    compute("Y", [4, 5, 3 * size * size], (h, w, l) =>
      X.at(l!.mod(3), h!.mul(size).add(pixel(l!).floordiv(size)), w!.mul(size).add(pixel(l!).mod(size))),
    ),
  );
}
const scheduled = (size: number) => {
  const program = blocksAsLanes(size);
  const s = new Schedule(program);
  scheduleElementwise.schedule(s, contextOf({}));
  keepsValues(program, s, 7);
  return s.print();
};

test("lanes whose indices divide are written out up to a vector of them", () => {
  expect(scheduled(2)).toContain("unrolled for");
  expect(scheduled(3)).not.toContain("unrolled for");
});
