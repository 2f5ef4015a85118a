/** Interval arithmetic against every pair of small operands, and at the borders of types. */
import { describe, expect, it } from "vitest";
import {
  binary,
  broadcast,
  buffer,
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
} from "../../../ir/expr/build.ts";
import { boolType, dtype } from "../../../ir/expr/dtype.ts";
import type { BinaryOp, Expr } from "../../../ir/expr/expr.ts";
import { evaluateExpr } from "../../../ir/interp/interpret.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import {
  boundsOf,
  fitType,
  type Interval,
  meet,
  scaleInterval,
  typeInterval,
  within,
} from "../../../passes/analysis/bounds.ts";

const ids = new IdSource();
const [x, y] = [variable(ids, "x"), variable(ids, "y")];
const [inf, safe] = [Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER];
const of = (min: number, max: number): Interval => ({ min, max });
const ranges = (a: Interval, b: Interval = of(0, 0)) =>
  new Map<VarId, Interval>([
    [x.id, a],
    [y.id, b],
  ]);
const bounds = (op: BinaryOp, a: Interval, b: Interval): Interval => boundsOf(binary(op, x, y), ranges(a, b));

const points = [-7, -4, -1, 0, 1, 3, 6];
const intervals = points.flatMap((low) => points.filter((high) => high >= low).map((high) => of(low, high)));
const known = new Map<string, number>();
function valueOf(op: BinaryOp, a: number, b: number): number {
  const key = `${op} ${a} ${b}`;
  let value = known.get(key);
  if (value === undefined) {
    const env = new Map([
      [x.id, a],
      [y.id, b],
    ]);
    value = Number(evaluateExpr(binary(op, x, y), env));
    known.set(key, value);
  }
  return value;
}
const divides: ReadonlySet<BinaryOp> = new Set(["floordiv", "floormod", "div", "mod"]);
/** The smallest interval around every value; undefined where the operator has none. */
function hullOf(op: BinaryOp, a: Interval, b: Interval): Interval | undefined {
  let [min, max] = [inf, -inf];
  for (let p = a.min; p <= a.max; p++)
    for (let q = b.min; q <= b.max; q++) {
      if (q === 0 && divides.has(op)) continue;
      const value = valueOf(op, p, q);
      [min, max] = [Math.min(min, value), Math.max(max, value)];
    }
  return min <= max ? { min: min + 0, max: max + 0 } : undefined;
}
const normal = ({ min, max }: Interval): Interval => ({ min: min + 0, max: max + 0 });

describe("bounds of an operator", () => {
  for (const op of ["add", "sub", "mul", "min", "max", "floordiv", "div"] as const)
    it(`${op} are as tight as can be`, () => {
      for (const a of intervals)
        for (const b of intervals) {
          const exact = hullOf(op, a, b);
          if (exact) expect(normal(bounds(op, a, b)), `${JSON.stringify([a, b])}`).toEqual(exact);
        }
    });
  for (const op of ["floormod", "mod", "and", "or", "xor", "shr", "shl"] as const)
    it(`${op} contain every value`, () => {
      for (const a of intervals)
        for (const b of intervals) {
          const exact = hullOf(op, a, b);
          if (exact) expect(within(exact, bounds(op, a, b)), `${JSON.stringify([a, b])}`).toBe(true);
        }
    });
  it("of a remainder by a constant are exact within one period, and a whole period else", () => {
    for (const a of intervals)
      for (const by of [1, 2, 3, 5, 8]) {
        const inOne = Math.floor(a.min / by) === Math.floor(a.max / by);
        const expected = inOne
          ? hullOf("floormod", a, of(by, by))!
          : of(0, a.min >= 0 ? Math.min(by - 1, a.max) : by - 1);
        expect(normal(bounds("floormod", a, of(by, by)))).toEqual(expected);
      }
  });
  it("of a remainder have the sign and size of the divisor", () => {
    expect(bounds("floormod", of(-9, 9), of(2, 5))).toEqual(of(0, 4));
    expect(bounds("floormod", of(0, 3), of(2, 5))).toEqual(of(0, 3));
    expect(bounds("floormod", of(-9, 9), of(-5, -2))).toEqual(of(-4, 0));
    expect(bounds("floormod", of(-9, 9), of(-5, 3))).toEqual(of(-4, 2));
    expect(bounds("floormod", of(1, 3), of(-5, 9))).toEqual(of(-4, 8));
    expect(bounds("floormod", of(-inf, 4), of(3, 3))).toEqual(of(0, 2));
    expect(bounds("floormod", of(-inf, -5), of(4, 4))).toEqual(of(0, 3));
  });
  it("of a truncated remainder have the sign of the dividend", () => {
    expect(bounds("mod", of(0, 9), of(4, 4))).toEqual(of(0, 3));
    expect(bounds("mod", of(0, 2), of(-4, 4))).toEqual(of(0, 2));
    expect(normal(bounds("mod", of(-9, 0), of(4, 4)))).toEqual(of(-3, 0));
    expect(normal(bounds("mod", of(-2, -1), of(4, 7)))).toEqual(of(-2, 0));
    expect(bounds("mod", of(-9, 9), of(-7, 4))).toEqual(of(-6, 6));
    expect(normal(bounds("mod", of(-9, 9), of(1, 1)))).toEqual(of(0, 0));
    expect(bounds("mod", of(1, 2), of(0, 0))).toEqual(of(-inf, inf));
  });
  it("of a division by what may be 0 leave 0 out", () => {
    expect(bounds("floordiv", of(6, 6), of(0, 2))).toEqual(of(3, 6));
    expect(bounds("floordiv", of(6, 6), of(-2, 0))).toEqual(of(-6, -3));
    expect(bounds("floordiv", of(6, 6), of(0, 0))).toEqual(of(-inf, inf));
  });
  it("of a division are bounded where operands are not", () => {
    expect(normal(bounds("floordiv", of(0, inf), of(2, inf)))).toEqual(of(0, inf));
    expect(normal(bounds("floordiv", of(3, 7), of(2, inf)))).toEqual(of(0, 3));
    expect(normal(bounds("floordiv", of(-3, 7), of(2, inf)))).toEqual(of(-2, 3));
    expect(normal(bounds("floordiv", of(-9, -3), of(2, inf)))).toEqual(of(-5, -1));
    expect(normal(bounds("floordiv", of(3, 7), of(-inf, -2)))).toEqual(of(-4, -1));
    expect(normal(bounds("floordiv", of(-7, -3), of(-inf, -2)))).toEqual(of(0, 3));
    expect(normal(bounds("floordiv", of(0, 0), of(-inf, -2)))).toEqual(of(0, 0));
    expect(normal(bounds("floordiv", of(-inf, 4), of(2, inf)))).toEqual(of(-inf, 2));
    expect(normal(bounds("floordiv", of(4, inf), of(-inf, -2)))).toEqual(of(-inf, -1));
    expect(normal(bounds("div", of(-9, 3), of(2, inf)))).toEqual(of(-4, 1));
    expect(normal(bounds("div", of(-9, -3), of(2, inf)))).toEqual(of(-4, 0));
  });
  it("of a product are bounded where one factor is 0", () => {
    expect(normal(bounds("mul", of(0, 4), of(0, inf)))).toEqual(of(0, inf));
    expect(normal(bounds("mul", of(0, 0), of(-inf, inf)))).toEqual(of(0, 0));
    expect(normal(bounds("mul", of(-inf, inf), of(0, 0)))).toEqual(of(0, 0));
    expect(normal(bounds("mul", of(-inf, inf), of(0, 2)))).toEqual(of(-inf, inf));
  });
  it("of bits of nonnegative numbers", () => {
    expect(bounds("and", of(0, 5), of(-3, 9))).toEqual(of(0, 5));
    expect(bounds("and", of(-3, 9), of(0, 5))).toEqual(of(0, 5));
    expect(bounds("and", of(2, 9), of(0, 5))).toEqual(of(0, 5));
    expect(bounds("and", of(0, 5), of(2, 9))).toEqual(of(0, 5));
    expect(bounds("or", of(0, 4), of(0, 3))).toEqual(of(0, 7));
    expect(bounds("xor", of(0, 8), of(0, 3))).toEqual(of(0, 15));
    expect(bounds("or", of(0, 0), of(0, 0))).toEqual(of(0, 0));
    expect(bounds("or", of(0, 1), of(0, 7))).toEqual(of(0, 7));
    expect(bounds("xor", of(0, 7), of(0, 0))).toEqual(of(0, 7));
    const whole = typeInterval("int64");
    for (const op of ["and", "or", "xor"] as const) expect(bounds(op, of(-1, 5), of(-1, 5))).toEqual(whole);
    for (const op of ["or", "xor"] as const) {
      expect(bounds(op, of(-1, 5), of(0, 5))).toEqual(whole);
      expect(bounds(op, of(0, 5), of(-1, 5))).toEqual(whole);
      expect(bounds(op, of(0, inf), of(0, 5))).toEqual(whole);
    }
  });
  it("of a shift by a constant", () => {
    expect(bounds("shr", of(-9, 9), of(1, 1))).toEqual(of(-5, 4));
    expect(bounds("shr", of(3, 9), of(0, 0))).toEqual(of(3, 9));
    expect(bounds("shr", of(3, 9), of(52, 52))).toEqual(of(0, 0));
    const whole = typeInterval("int64");
    expect(bounds("shr", of(3, 9), of(53, 53))).toEqual(whole);
    expect(bounds("shr", of(3, 9), of(0, 1))).toEqual(whole);
    expect(bounds("shr", of(3, 9), of(-1, -1))).toEqual(whole);
    expect(bounds("shr", of(3, inf), of(1, 1))).toEqual(whole);
    expect(bounds("shr", of(-inf, 3), of(1, 1))).toEqual(whole);
    expect(bounds("shl", of(3, 9), of(1, 1))).toEqual(whole);
  });
});

describe("bounds of a type", () => {
  const u8 = variable(ids, "u", dtype("uint8"));
  const i32 = variable(ids, "i", dtype("int32"));
  const b = variable(ids, "b", boolType);
  const f = variable(ids, "f", dtype("float32"));
  const at = (e: Expr, pairs: readonly (readonly [VarId, Interval])[] = []): Interval => boundsOf(e, new Map(pairs));
  const everything = of(-inf, inf);

  it("are its least and greatest values", () => {
    expect(typeInterval("uint8")).toEqual(of(0, 255));
    expect(typeInterval("int8")).toEqual(of(-128, 127));
    expect(typeInterval("bool")).toEqual(of(0, 1));
    expect(typeInterval("float32")).toEqual(everything);
    expect(typeInterval("uint8")).toBe(typeInterval("uint8"));
  });
  it("hold for variables and loads of which nothing else is known", () => {
    const data = buffer(ids, "data", "uint8", [4]);
    expect(at(u8)).toEqual(of(0, 255));
    expect(at(b)).toEqual(of(0, 1));
    expect(at(x)).toEqual(everything);
    expect(at(load(data, [0]))).toEqual(of(0, 255));
    expect(at(u8, [[u8.id, of(3, 4)]])).toEqual(of(3, 4));
  });
  it("replace what may have wrapped", () => {
    expect(at(binary("add", u8, u8))).toEqual(of(0, 255));
    expect(at(binary("add", u8, u8), [[u8.id, of(0, 127)]])).toEqual(of(0, 254));
    expect(at(binary("sub", u8, u8), [[u8.id, of(1, 3)]])).toEqual(of(0, 255));
    expect(at(unary("neg", i32), [[i32.id, of(-3, 7)]])).toEqual(of(-7, 3));
    expect(at(unary("neg", u8), [[u8.id, of(1, 3)]])).toEqual(of(0, 255));
    expect(at(unary("abs", i32), [[i32.id, of(-3, 7)]])).toEqual(typeInterval("int32"));
    expect(at(unary("neg", f))).toEqual(everything);
    expect(at(binary("add", f, f))).toEqual(everything);
    expect(at(binary("min", f, constant(dtype("float32"), 3)))).toEqual(everything);
  });
  it("keep what fits", () => {
    expect(fitType(of(0, 255), "uint8")).toEqual(of(0, 255));
    expect(fitType(of(0, 256), "uint8")).toEqual(of(0, 255));
    expect(fitType(of(-1, 3), "uint8")).toEqual(of(0, 255));
    expect(fitType(of(-128, 127), "int8")).toEqual(of(-128, 127));
    for (const kept of [of(-inf, 3), of(3, inf), of(-safe, safe)]) expect(fitType(kept, "int64")).toBe(kept);
    for (const lost of [of(-safe - 3, 0), of(0, safe + 3), of(-inf, safe + 3), of(-safe - 3, inf)])
      expect(fitType(lost, "int64")).toEqual(typeInterval("int64"));
  });
  it("limit casts", () => {
    expect(at(cast("uint8", i32), [[i32.id, of(3, 255)]])).toEqual(of(3, 255));
    expect(at(cast("uint8", i32), [[i32.id, of(3, 256)]])).toEqual(of(0, 255));
    expect(at(cast("uint8", i32), [[i32.id, of(-1, 6)]])).toEqual(of(0, 255));
    expect(at(cast("int32", f))).toEqual(typeInterval("int32"));
    const truth = (min: number, max: number): Interval => at(cast("bool", i32), [[i32.id, of(min, max)]]);
    expect(truth(1, 4)).toEqual(of(1, 1));
    expect(truth(-4, -1)).toEqual(of(1, 1));
    expect(truth(0, 0)).toEqual(of(0, 0));
    expect(truth(0, 4)).toEqual(of(0, 1));
    expect(truth(-4, 0)).toEqual(of(0, 1));
    expect(truth(-4, 4)).toEqual(of(0, 1));
  });
  it("of conditions are those of truth", () => {
    expect(at(compare("lt", x, y))).toEqual(of(0, 1));
    expect(at(binary("and", b, b))).toEqual(of(0, 1));
    expect(at(unary("not", b))).toEqual(of(0, 1));
    expect(at(binary("or", b, b), [[b.id, of(0, 0)]])).toEqual(of(0, 1));
  });
});

describe("bounds of lanes and choices", () => {
  const where = ranges(of(2, 5), of(-3, 1));
  it("join both arms", () => {
    expect(boundsOf(select(compare("lt", x, y), x, y), where)).toEqual(of(-3, 5));
    expect(boundsOf(broadcast(x, 4), where)).toEqual(of(2, 5));
    expect(boundsOf(shuffle([broadcast(x, 2), broadcast(y, 2)], [0, 2]), where)).toEqual(of(-3, 5));
  });
  it("of a ramp reach its last lane", () => {
    expect(boundsOf(ramp(x, 2, 4), where)).toEqual(of(2, 11));
    expect(boundsOf(ramp(x, -1, 4), where)).toEqual(of(-1, 5));
    expect(boundsOf(ramp(index(7), y, 3), where)).toEqual(of(1, 9));
  });
});

describe("intervals", () => {
  it("meet in what both hold, and keep the first where they are disjoint", () => {
    expect(meet(of(0, 5), of(3, 9))).toEqual(of(3, 5));
    expect(meet(of(0, 5), of(5, 9))).toEqual(of(5, 5));
    expect(meet(of(0, 5), of(6, 9))).toEqual(of(0, 5));
  });
  it("lie within each other", () => {
    expect(within(of(1, 3), of(1, 3))).toBe(true);
    expect(within(of(0, 3), of(1, 3))).toBe(false);
    expect(within(of(1, 4), of(1, 3))).toBe(false);
  });
  it("are scaled", () => {
    expect(scaleInterval(of(-2, 3), 2)).toEqual(of(-4, 6));
    expect(scaleInterval(of(-2, 3), -2)).toEqual(of(-6, 4));
    expect(scaleInterval(of(-inf, inf), 0)).toEqual(of(0, 0));
    expect(Object.is(scaleInterval(of(-2, 3), 0).min, 0)).toBe(true);
  });
});
