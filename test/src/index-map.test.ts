/** Index maps as functions, and what they may be. */
import { describe, expect, test } from "vitest";
import { UsageError } from "../../ir/support/errors.ts";
import { compute, indexMap, type Operand, placeholder, type Scalar, schedule } from "../../src/dsl.ts";

type Map = (...axes: Scalar[]) => readonly Operand[];
const whole = (axis: number) => ({ axis, divisor: 1 });

describe("an index map", () => {
  const legal: readonly (readonly [string, Map, object])[] = [
    ["swaps", (i, j) => [j!, i!], [whole(1), whole(0)]],
    [
      "blocks",
      (i, j) => [j!.floordiv(8), i!, j!.floormod(8)],
      [{ axis: 1, divisor: 8 }, whole(0), { ...whole(1), modulus: 8 }],
    ],
    [
      "blocks with truncating division",
      (i) => [i!.div(4), i!.mod(4)],
      [
        { axis: 0, divisor: 4 },
        { ...whole(0), modulus: 4 },
      ],
    ],
    [
      "blocks twice",
      (i) => [i!.floordiv(4).floordiv(8), i!.floordiv(4).floormod(8), i!.floormod(4)],
      [
        { axis: 0, divisor: 32 },
        { axis: 0, divisor: 4, modulus: 8 },
        { ...whole(0), modulus: 4 },
      ],
    ],
    [
      "takes quotients of remainders",
      (i) => [i!.floordiv(32), i!.floormod(32).floordiv(4), i!.floormod(32).floormod(4)],
      [
        { axis: 0, divisor: 32 },
        { axis: 0, divisor: 4, modulus: 8 },
        { ...whole(0), modulus: 4 },
      ],
    ],
    ["takes a remainder that changes nothing", (i) => [i!.floormod(4).floormod(8)], [{ ...whole(0), modulus: 4 }]],
  ];
  for (const [what, map, dims] of legal)
    test(what, () => {
      expect(indexMap(map)).toEqual(dims);
    });

  const A = placeholder("A", [4]);
  const illegal: readonly (readonly [string, Map, number])[] = [
    ["a sum", (i, j) => [i!, i!.add(j!)], 1],
    ["a number", (i) => [0, i!], 0],
    ["a multiple", (i) => [i!.mul(2)], 0],
    ["data", (i) => [i!, A.at(i!)], 1],
    ["a quotient by zero", (i) => [i!.floordiv(0)], 0],
    ["a quotient by an axis", (i, j) => [i!, j!.floordiv(i!)], 1],
    ["a remainder that is cut unevenly", (i) => [i!.floormod(6).floormod(4)], 0],
    ["a remainder that is divided unevenly", (i) => [i!.floormod(6).floordiv(4)], 0],
  ];
  for (const [what, map, at] of illegal)
    test(`is not ${what}`, () => {
      expect(() => indexMap(map)).toThrow(UsageError);
      expect(() => indexMap(map)).toThrow(`dimension ${at} of the index map`);
    });

  test("lays a buffer out", () => {
    const B = compute("B", [6, 16], (i, j) => placeholder("A", [6, 16]).at(i, j).mul(2));
    const s = schedule(compute("C", [6, 16], (i, j) => B.at(i, j).add(1)));
    s.transformLayout(
      s.block("B"),
      "B",
      indexMap((i, j) => [j.floordiv(8), i, j.floormod(8)]),
    );
    expect(s.print()).toContain("allocate B: float32[2, 6, 8]");
    const lossy = indexMap((i, j) => [j.floordiv(8), i]);
    expect(s.probe("transformLayout", { block: s.block("C"), buffer: "B", dims: lossy })?.rule).toBe("bijective");
    const dims = indexMap((i, j) => [j, i]);
    const refusal = s.probe("transformLayout", { block: s.block("C"), buffer: "C", dims });
    expect(refusal).toMatchObject({ rule: "not-parameter", instead: expect.stringContaining("cacheWrite") });
  });
});
