/** A total order of expressions: structure and identity decide, names do not. */
import { describe, expect, it } from "vitest";
import {
  binary,
  broadcast,
  buffer,
  call,
  cast,
  compare,
  constant,
  index,
  load,
  ramp,
  select,
  shuffle,
  unary,
  variable,
  vectorReduce,
} from "../../../ir/expr/build.ts";
import { dtype } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { compareExprs, sameExpr } from "../../../passes/analysis/order.ts";

const ids = new IdSource();
const f32 = dtype("float32");
const [x, y] = [variable(ids, "v"), variable(ids, "v")];
const [a, b] = [buffer(ids, "a", "int64", [9]), buffer(ids, "a", "int64", [9])];
const narrow = variable(ids, "v", dtype("int32"));
const lanes = (e: Expr): Expr => broadcast(e, 4);
/** From the first to the last; each is built anew, so that no two are one object. */
const inOrder: readonly (() => Expr)[] = [
  () => x,
  () => y,
  () => narrow,
  () => binary("add", x, x),
  () => binary("add", x, y),
  () => binary("add", y, x),
  () => binary("max", x, y),
  () => binary("mul", x, y),
  () => unary("abs", x),
  () => unary("neg", x),
  () => unary("neg", y),
  () => compare("eq", x, y),
  () => compare("lt", x, y),
  () => select(compare("eq", x, y), x, y),
  () => select(compare("eq", x, y), y, x),
  () => cast("int32", x),
  () => cast("uint8", x),
  () => load(a, [x]),
  () => load(a, [y]),
  () => load(b, [x]),
  () => ramp(x, 1, 4),
  () => ramp(x, 1, 8),
  () => broadcast(x, 4),
  () => broadcast(x, 8),
  () => shuffle([lanes(x)], [0, 1]),
  () => shuffle([lanes(x)], [1, 0]),
  () => vectorReduce("add", lanes(x)),
  () => vectorReduce("max", lanes(x)),
  () => call("bitcast", [constant(f32, 1)], f32),
  () => call("fma", [constant(f32, 1), constant(f32, 2), constant(f32, 3)], f32),
  () => constant(f32, -1),
  () => constant(f32, 2),
  () => index(-3),
  () => index(0),
  () => index(5),
];
const sign = (n: number): number => Math.sign(n) + 0;

describe("expressions", () => {
  it("are equal to what is built the same way, and to nothing else", () => {
    inOrder.forEach((one, i) => {
      inOrder.forEach((other, j) => {
        expect(sameExpr(one(), other()), `${i} and ${j}`).toBe(i === j);
      });
    });
  });
  it("are in one order, whoever asks", () => {
    inOrder.forEach((one, i) => {
      inOrder.forEach((other, j) => {
        expect(sign(compareExprs(one(), other())), `${i} and ${j}`).toBe(Math.sign(i - j) + 0);
      });
    });
  });
  it("of fewer operands come first", () => {
    const two = load(buffer(ids, "c", "int64", [2, 2]), [x, y]);
    const one = { ...two, indices: [x] };
    expect(sign(compareExprs(one, two))).toBe(-1);
    expect(sign(compareExprs(two, one))).toBe(1);
    expect(sameExpr(one, two)).toBe(false);
  });
  it("tell zeros and what is no number apart", () => {
    const [zero, minus, nan] = [constant(f32, 0), constant(f32, -0), constant(f32, Number.NaN)];
    expect(sameExpr(zero, minus)).toBe(false);
    expect(sign(compareExprs(minus, zero))).toBe(-1);
    expect(sign(compareExprs(zero, minus))).toBe(1);
    expect(sameExpr(nan, constant(f32, Number.NaN))).toBe(true);
    expect(compareExprs(nan, constant(f32, Number.NaN))).toBe(0);
    expect(sign(compareExprs(zero, nan))).toBe(-1);
    expect(sign(compareExprs(nan, zero))).toBe(1);
  });
});
