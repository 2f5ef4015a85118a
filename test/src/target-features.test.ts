/** Intrinsics that a target does not have are refused by the schedule when it knows the target, else by `build`. */
import { expect, test } from "vitest";
import { UnsupportedError } from "../../ir/support/errors.ts";
import { vnniDot } from "../../passes/schedule/library/intrinsics.ts";
import { build, compute, placeholder, reduceAxis, schedule, sum } from "../../src/index.ts";

const A = placeholder("A", [4, 8], "uint8");
const B = placeholder("B", [2, 16, 4], "int8");
const [ko, ki] = [reduceAxis("ko", 2), reduceAxis("ki", 4)];
const C = compute(
  "C",
  [4, 16],
  (i, j) =>
    sum(
      A.at(i, ko.mul(4).add(ki))
        .cast("int32")
        .mul(B.at(ko, j, ki).cast("int32")),
      ko,
      ki,
    ),
  "int32",
);
function prepared(target?: string) {
  const s = schedule(C, target === undefined ? {} : { target });
  const [, j, outer] = s.loops("C");
  s.reorder(outer!, j!);
  s.decomposeReduction(s.block("C"), outer!);
  return { s, at: { loop: j!, intrinsic: vnniDot } };
}
test("the schedule refuses what its target has not", () => {
  const old = prepared("x86-64-v3");
  expect(old.s.probe("tensorize", old.at)?.rule).toBe("target-features");
  const young = prepared("znver4");
  expect(young.s.probe("tensorize", young.at)).toBe(undefined);
});
test("build refuses what its target has not", async () => {
  const { s, at } = prepared();
  s.apply("tensorize", at);
  const refused = await build(s, { target: "x86-64-v3" }).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(refused).toBeInstanceOf(UnsupportedError);
  expect((refused as UnsupportedError).message).toBe("vnni-dot needs avx512vnni, which x86-64-v3 does not have");
});
