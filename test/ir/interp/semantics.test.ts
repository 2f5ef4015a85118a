/** `ir/loop/semantics.md`, sentence by sentence, as a table: expression text and its value. */
import { describe, expect, test } from "vitest";
import type { Expr } from "../../../ir/expr/expr.ts";
import { evaluateExpr, evaluateVector, InterpreterError } from "../../../ir/interp/interpret.ts";
import { visitExprs } from "../../../ir/loop/traverse.ts";
import { parseProgram } from "../../../ir/text/parser.ts";

function parse(text: string): Expr {
  const p = parseProgram(`program f():\n  evaluate ${text}\n`);
  let found: Expr | undefined;
  visitExprs(p.functions[0]!.body, (e) => {
    found = e;
  });
  return found!;
}
const value = (text: string): number | bigint => evaluateExpr(parse(text));
const table = (title: string, rows: [text: string, expected: number | bigint][]): void =>
  void describe(title, () => {
    test.each(rows)("%s = %s", (text, expected) => expect(value(text)).toBe(expected));
  });
const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

table("integers wrap modulo 2^bits", [
  ["127i8 + 1i8", -128],
  ["-128i8 - 1i8", 127],
  ["255u8 + 1u8", 0],
  ["0u8 - 1u8", 255],
  ["16i8 * 16i8", 0],
  ["32767i16 + 1i16", -32768],
  ["65535u16 * 65535u16", 1],
  ["2147483647i32 + 1i32", -2147483648],
  ["65537i32 * 65537i32", 131073],
  ["4294967295u32 * 4294967295u32", 1],
  ["9223372036854775807 + 1", -(2n ** 63n)],
  ["4294967296 * 4294967296", 0],
  ["3037000500 * 3037000500", 9223372037000250000n - 2n ** 64n],
  ["18446744073709551615u64 + 1u64", 0],
  ["0u64 - 1u64", 2n ** 64n - 1n],
  ["9007199254740991 + 2", 9007199254740993n],
  ["-(-128i8)", -128],
  ["abs(-128i8)", -128],
  ["abs(-9223372036854775808)", -(2n ** 63n)],
  ["~0u32", 4294967295],
  ["~0u64", 2n ** 64n - 1n],
  ["pow(3i8, 5i8)", -13],
  ["pow(2, 63)", -(2n ** 63n)],
]);
table("div and mod truncate", [
  ["7 / -2", -3],
  ["-7 / 2", -3],
  ["mod(-7, 2)", -1],
  ["mod(7, -2)", 1],
  ["7i32 / -2i32", -3],
  ["-128i8 / -1i8", -128],
  ["-2147483648i32 / -1i32", -2147483648],
  ["-9223372036854775808 / -1", -(2n ** 63n)],
  ["9223372036854775807 / 10", 922337203685477580n],
]);
table("floordiv and floormod round towards minus infinity", [
  ["7 // -2", -4],
  ["-7 // 2", -4],
  ["-7 % 2", 1],
  ["7 % -2", -1],
  ["-8 % 4", 0],
  ["-7i8 // 2i8", -4],
  ["-7i8 % 2i8", 1],
  ["-9223372036854775808 // 3", -3074457345618258603n],
  ["-9223372036854775808 % 3", 1],
]);
describe("floordiv and floormod together give the dividend", () => {
  const numbers = [-9, -7, -1, 0, 1, 5, 8];
  test.each(numbers.flatMap((a) => [-4, -3, 1, 2, 3].map((b) => [a, b] as const)))("%d and %d", (a, b) => {
    const [q, r] = [Number(value(`${a} // ${b}`)), Number(value(`${a} % ${b}`))];
    expect(q * b + r).toBe(a);
    expect(r === 0 || Math.sign(r) === Math.sign(b)).toBe(true);
  });
});
describe("division by zero throws", () => {
  test.each(["1 / 0", "1 // 0", "1 % 0", "mod(1i8, 0i8)", "9223372036854775807 / 0", "pow(0, -1)"])("%s", (text) => {
    try {
      value(text);
    } catch (e) {
      expect(e).toBeInstanceOf(InterpreterError);
      expect((e as InterpreterError).code).toBe("interp/division-by-zero");
      return;
    }
    expect.fail("nothing was thrown");
  });
});
table("shifts by a negative amount, or the width or more", [
  ["1i8 << 8i8", 0],
  ["1i8 << -1i8", 0],
  ["-5i8 >> 8i8", -1],
  ["-5i8 >> -1i8", -1],
  ["5i8 >> 8i8", 0],
  ["-8i8 >> 1i8", -4],
  ["200u8 >> 8u8", 0],
  ["128u8 >> 1u8", 64],
  ["1i8 << 7i8", -128],
  ["1i32 << 31i32", -2147483648],
  ["-1 >> 64", -1],
  ["1 << 64", 0],
  ["1 << 62", 2n ** 62n],
  ["18446744073709551615u64 >> 63u64", 1],
]);
table("bits", [
  ["12i32 & 10i32", 8],
  ["12u8 | 3u8", 15],
  ["-1 ^ 1", -2],
  ["true and false", 0],
  ["true or false", 1],
  ["true ^ true", 0],
  ["not false", 1],
]);
table("floats round to their type after every operation", [
  ["0.1 + 0.2", Math.fround(Math.fround(0.1) + Math.fround(0.2))],
  ["16777216.0 + 1.0", 16777216],
  ["0.1f64 + 0.2f64", 0.1 + 0.2],
  ["2048.0f16 + 1.0f16", 2048],
  ["2049.0f64 + 0.0f64", 2049],
  ["65504.0f16 + 32.0f16", inf],
  ["65504.0f16 + 8.0f16", 65504],
  ["256.0bf16 + 1.0bf16", 256],
  ["1.0 / 3.0", Math.fround(1 / 3)],
  ["1.0f16 / 3.0f16", 0.333251953125],
  ["exp(1.0)", Math.fround(Math.E)],
  ["fma(0.1f64, 10.0f64, -1.0f64)", 5.551115123125783e-17],
  ["fma(16777217.0f64, 16777217.0f64, -281475010265088.0f64)", 1],
  ["fma(4097.0, 4097.0, 0.0)", Math.fround(4097 * 4097)],
  ["pow(1.0, nan)", 1],
  ["pow(-1.0, inf)", 1],
  ["pow(2.0, 0.5)", Math.fround(Math.SQRT2)],
]);
table("min and max are comparisons; with NaN the result is the second operand", [
  ["max(nan, 1.0)", 1],
  ["max(1.0, nan)", nan],
  ["min(nan, 1.0)", 1],
  ["min(1.0, nan)", nan],
  ["max(0.0, nan)", nan],
  ["max(-0.0, 0.0)", 0],
  ["max(0.0, -0.0)", -0],
  ["max(-3i8, 2i8)", 2],
  ["min(3, 9223372036854775807)", 3],
]);
table("comparisons with NaN are false, ne is true", [
  ["nan == nan", 0],
  ["nan != nan", 1],
  ["nan < 1.0", 0],
  ["nan >= 1.0", 0],
  ["1.0 <= nan", 0],
  ["9223372036854775807 == 9223372036854775807", 1],
  ["9223372036854775807 > 5", 1],
  ["-0.0 == 0.0", 1],
]);
table("round is half-to-even; sign of NaN is NaN, of zeros 0", [
  ["round(0.5)", 0],
  ["round(1.5)", 2],
  ["round(2.5)", 2],
  ["round(-0.5)", -0],
  ["round(-1.5)", -2],
  ["round(-0.3)", -0],
  ["round(0.49999997)", 0],
  ["round(8388609.0)", 8388609],
  ["round(inf)", inf],
  ["sign(nan)", nan],
  ["sign(-0.0)", 0],
  ["sign(0.0)", 0],
  ["sign(-3.0)", -1],
  ["sign(-3i8)", -1],
  ["isnan(nan)", 1],
  ["isinf(-inf)", 1],
  ["isnan(1.0)", 0],
]);
table("casts", [
  ["int8(200)", -56],
  ["uint8(-1)", 255],
  ["uint64(-1)", 2n ** 64n - 1n],
  ["int64(18446744073709551615u64)", -1],
  ["int32(9223372036854775807)", -1],
  ["int8(3.9)", 3],
  ["int8(-3.9)", -3],
  ["int8(300.0)", 127],
  ["int8(-300.0)", -128],
  ["uint8(-1.0)", 0],
  ["int32(nan)", 0],
  ["int64(inf)", 2n ** 63n - 1n],
  ["int64(-inf)", -(2n ** 63n)],
  ["uint64(1e20f64)", 2n ** 64n - 1n],
  ["int64(1e18f64)", 10n ** 18n],
  ["bool(nan)", 1],
  ["bool(-0.0)", 0],
  ["bool(0.25)", 1],
  ["bool(256)", 1],
  ["float32(true)", 1],
  ["int8(true)", 1],
  ["float16(2049.0)", 2048],
  ["float16(2051.0)", 2052],
  ["bfloat16(257.0)", 256],
  ["float16(65520.0)", inf],
  ["float16(1e-8f64)", 0],
  ["float32(16777217)", 16777216],
  ["float32(9007199791611905)", 9007200328482816],
  ["float64(9223372036854775807)", 2 ** 63],
  ["bitcast(int32, 1.0)", 0x3f800000],
  ["bitcast(float32, 2143289344i32)", nan],
  ["bitcast(uint16, 1.0f16)", 0x3c00],
]);
table("erf to 1e-15", [
  ["erf(0.0f64)", 0],
  ["erf(inf_f64)", 1],
  ["erf(nan_f64)", nan],
]);
test.each([
  [0.1, 0.1124629160182849],
  [0.5, 0.5204998778130465],
  [1, 0.8427007929497149],
  [2, 0.9953222650189527],
  [2.5, 0.9995930479825551],
  [3, 0.9999779095030014],
  [-1, -0.8427007929497149],
])("erf(%d)", (x, expected) => expect(Number(value(`erf(${x.toFixed(1)}f64)`))).toBeCloseTo(expected, 14));

describe("select is lazy; vectors keep their lanes in order", () => {
  test("the arm that is not chosen is not evaluated", () => expect(value("select(false, 1 / 0, 5)")).toBe(5));
  const lanes = (text: string): readonly (number | bigint)[] => evaluateVector(parse(text), new Map());
  test.each<[string, (number | bigint)[]]>([
    ["ramp(3, 2, 4)", [3, 5, 7, 9]],
    ["ramp(100i8, 20i8, 3)", [100, 120, -116]],
    ["broadcast(1.5, 2)", [1.5, 1.5]],
    ["shuffle([ramp(0, 1, 3), broadcast(9, 1)], [3, 0, 2])", [9, 0, 2]],
    ["select(ramp(0, 1, 3) == broadcast(1, 3), broadcast(7, 3) / ramp(0, 1, 3), broadcast(0, 3))", [0, 7, 0]],
    ["bitcast(uint8x4, 67305985i32)", [1, 2, 3, 4]],
  ])("%s", (text, expected) => expect(lanes(text)).toEqual(expected));
  test("vectorReduce in order", () => expect(value("vectorReduce(add, ramp(1.0, 1.0, 4))")).toBe(10));
  test("vectorReduce of min", () => expect(value("vectorReduce(min, ramp(5, -2, 3))")).toBe(1));
});
