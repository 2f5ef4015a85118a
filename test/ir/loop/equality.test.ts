import { expect, test } from "vitest";
import { add, buffer, load, variable } from "../../../ir/expr/build.ts";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import { structuralHash } from "../../../ir/loop/hash.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { parseProgram } from "../../../ir/text/parser.ts";

const base = `program f(A: float32[8], B: output float32[8]):
  parallel for i in 0..8 @{"tile": 4}:
    block copy(vi: spatial 8 = i) where i < 8:
      reads A[vi]
      writes B[vi]
      B[vi] = A[vi] * 2.0
`;
const p = parseProgram(base);

test("names of variables, buffers and blocks do not count", () => {
  const q = parseProgram(
    base.replaceAll("vi", "w").replaceAll("A", "Left").replaceAll("copy", "blk").replace(/\bi\b/g, "j"),
  );
  expect(structurallyEqual(p, q)).toBe(true);
  expect(structuralHash(q)).toBe(structuralHash(p));
});
test("annotations compare by value, whatever the order of keys", () => {
  const [a, b] = ['{"x": 1, "y": [2]}', '{"y": [2], "x": 1}'].map((n) => parseProgram(base.replace('{"tile": 4}', n)));
  expect(structurallyEqual(a!, b!)).toBe(true);
  expect(structuralHash(a!)).toBe(structuralHash(b!));
});
test.each([
  ["function name", "program f", "program g"],
  ["role", "output", "workspace"],
  ["type", "A: float32[8]", "A: float32[9]"],
  ["strides", "A: float32[8]", "A: float32[8] strides [2]"],
  ["alignment", "A: float32[8]", "A: float32[8] align 32"],
  ["scope", "A: float32[8]", "A: float32[8] in shared"],
  ["loop kind", "parallel for", "for"],
  ["extent", "0..8 @", "0..7 @"],
  ["min", "0..8 @", "1..9 @"],
  ["annotation", '"tile": 4', '"tile": 5'],
  ["iteration kind", "spatial", "ordered"],
  ["binding", "8 = i", "8 = 0"],
  ["predicate", " where i < 8", ""],
  ["comparison", "i < 8", "i <= 8"],
  ["region", "reads A[vi]", "reads A[0..8]"],
  ["constant", "2.0", "-2.0"],
  ["operator", "* 2.0", "+ 2.0"],
  ["which buffer", "= A[vi]", "= B[vi]"],
  ["math policy", "float32[8]):", "float32[8]) math strict:"],
])("%s counts", (_, from, to) => {
  const q = parseProgram(base.replace(from, to));
  expect(structurallyEqual(p, q)).toBe(false);
  expect(structurallyEqual(q, p)).toBe(false);
  expect(structuralHash(q)).not.toBe(structuralHash(p));
});
test("zeros of different sign differ, NaN equals itself", () => {
  const value = (v: string) => parseProgram(`program f(B: output float32[1]):\n  B[0] = ${v}\n`);
  expect(structurallyEqual(value("0.0"), value("-0.0"))).toBe(false);
  expect(structurallyEqual(value("nan"), value("nan"))).toBe(true);
  expect(structuralHash(value("0.0"))).not.toBe(structuralHash(value("-0.0")));
});
test("free variables and buffers are equal only to themselves", () => {
  const ids = new IdSource();
  const [x, y] = [variable(ids, "x"), variable(ids, "x")];
  const [a, b] = [buffer(ids, "a", "float32", [8]), buffer(ids, "a", "float32", [8])];
  expect(structurallyEqual(add(x, 1), add(x, 1))).toBe(true);
  expect(structurallyEqual(add(x, 1), add(y, 1))).toBe(false);
  expect(structurallyEqual(load(a, [x]), load(a, [x]))).toBe(true);
  expect(structurallyEqual(load(a, [x]), load(b, [x]))).toBe(false);
});
test("swapped variables are not equal", () => {
  const loops = (x: string) =>
    parseProgram(`program f(A: output int64[8, 8]):\n  for i in 0..8:\n    for j in 0..8:\n      A[${x}] = 1\n`);
  expect(structurallyEqual(loops("i, j"), loops("j, i"))).toBe(false);
  expect(structuralHash(loops("i, j"))).not.toBe(structuralHash(loops("j, i")));
});
test("a bound variable on one side does not equal a free one on the other", () => {
  const shared = parseProgram("program f(A: output int64[8]):\n  for i in 0..8:\n    for j in 0..8:\n      A[i] = j\n")
    .functions[0]!.body;
  if (shared.kind !== "for" || shared.body.kind !== "for") throw new Error("two loops expected");
  const renamed = { ...shared.body, var: shared.var };
  expect(structurallyEqual(shared.body, renamed)).toBe(false);
});
