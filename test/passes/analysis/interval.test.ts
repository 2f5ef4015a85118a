/** What is known of conditions and of variables where they hold, against every value of small ranges. */
import { describe, expect, it } from "vitest";
import {
  add,
  and,
  bool,
  broadcast,
  compare,
  constant,
  floordiv,
  index,
  mul,
  or,
  ramp,
  sub,
  unary,
  variable,
} from "../../../ir/expr/build.ts";
import { boolType, dtype } from "../../../ir/expr/dtype.ts";
import type { CompareOp, Expr, Var } from "../../../ir/expr/expr.ts";
import { evaluateExpr } from "../../../ir/interp/interpret.ts";
import { emptyStmt, forLoop } from "../../../ir/loop/build.ts";
import type { For } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import {
  assume,
  decide,
  decideCompare,
  differenceOf,
  extentRanges,
  type Interval,
  intervalOf,
  loopInterval,
  negate,
  proveDivides,
  proveEqual,
  proveTrue,
  rangesOfLoops,
} from "../../../passes/analysis/interval.ts";

const ids = new IdSource();
const [x, y] = [variable(ids, "x"), variable(ids, "y")];
const flag = variable(ids, "flag", boolType);
const small = variable(ids, "small", dtype("uint8"));
const real = variable(ids, "real", dtype("float32"));
const inf = Number.POSITIVE_INFINITY;
const of = (min: number, max: number): Interval => ({ min, max });
const where = (a: Interval, b: Interval = of(0, 0)) =>
  new Map<VarId, Interval>([
    [x.id, a],
    [y.id, b],
  ]);
const ops: readonly CompareOp[] = ["lt", "le", "gt", "ge", "eq", "ne"];
const holds = (cond: Expr, a: number, b = 0): boolean =>
  Number(
    evaluateExpr(
      cond,
      new Map([
        [x.id, a],
        [y.id, b],
      ]),
    ),
  ) !== 0;
/** Without a negative zero. */
const plain = (r: Interval): Interval => of(r.min + 0, r.max + 0);
const within = (r: Interval): number[] => Array.from({ length: r.max - r.min + 1 }, (_, k) => r.min + k);
const some: readonly Interval[] = [of(-3, -1), of(-2, 0), of(0, 0), of(0, 2), of(1, 3), of(-2, 2)];
/** What all values say; undefined where they disagree. */
function truth(cond: Expr, a: Interval, b: Interval): boolean | undefined {
  const all = within(a).flatMap((p) => within(b).map((q) => holds(cond, p, q)));
  return all.every((v) => v) ? true : all.some((v) => v) ? undefined : false;
}

describe("a condition", () => {
  for (const op of ops)
    it(`${op} is decided exactly where all values agree`, () => {
      for (const d of some) {
        const all = within(d).map((v) => holds(compare(op, x, 0), v));
        const expected = all.every((v) => v) ? true : all.some((v) => v) ? undefined : false;
        expect(decideCompare(op, d), `${JSON.stringify(d)}`).toBe(expected);
        expect(decide(compare(op, x, 0), where(d))).toBe(expected);
        expect(proveTrue(compare(op, x, 0), where(d))).toBe(expected === true);
      }
      for (const a of some)
        for (const b of some) {
          const cond = compare(op, x, y);
          expect(decide(cond, where(a, b)), `${JSON.stringify([a, b])}`).toBe(truth(cond, a, b));
        }
    });
  it("joined from others is decided as soon as they suffice", () => {
    const known = [bool(true), bool(false), compare("ge", x, 0), compare("gt", x, 9), compare("eq", x, 2)];
    for (const a of known)
      for (const b of known) {
        const here = where(of(0, 4));
        const [p, q] = [decide(a, here), decide(b, here)];
        const both = p === false || q === false ? false : p && q ? true : undefined;
        const either = p || q ? true : p === false && q === false ? false : undefined;
        expect(decide({ kind: "binary", op: "and", a, b, dtype: boolType }, here)).toBe(both);
        expect(decide({ kind: "binary", op: "or", a, b, dtype: boolType }, here)).toBe(either);
        expect(decide(unary("not", a), here)).toBe(p === undefined ? undefined : !p);
      }
  });
  it("of floats, vectors and unknown flags is not decided", () => {
    const one = constant(dtype("float32"), 1);
    for (const op of ops) expect(decide(compare(op, real, one), new Map())).toBe(undefined);
    expect(decide(compare("lt", ramp(index(0), 1, 4), broadcast(index(9), 4)), new Map())).toBe(undefined);
    expect(decide(flag, new Map())).toBe(undefined);
    expect(decide(small, new Map([[small.id, of(1, 1)]]))).toBe(undefined);
  });
  it("on narrow integers is decided by their type", () => {
    const limit = (v: number): Expr => constant(dtype("uint8"), v);
    expect(decide(compare("ge", small, limit(0)), new Map())).toBe(true);
    expect(decide(compare("lt", small, limit(9)), new Map([[small.id, of(2, 8)]]))).toBe(true);
    expect(decide(compare("lt", small, limit(8)), new Map([[small.id, of(2, 8)]]))).toBe(undefined);
    expect(differenceOf(small, limit(4), new Map([[small.id, of(2, 8)]]))).toEqual(of(-2, 4));
  });
});

describe("the negation", () => {
  const negations = (cond: Expr): void => {
    const other = negate(cond)!;
    for (let a = -2; a <= 2; a++) for (let b = -2; b <= 2; b++) expect(holds(other, a, b)).toBe(!holds(cond, a, b));
  };
  it("of comparisons, and of what joins them, is true where they are not", () => {
    for (const op of ops) negations(compare(op, x, y));
    negations(unary("not", compare("lt", x, y)));
    negations(or(compare("lt", x, 0), compare("gt", x, y)));
    negations(and(compare("lt", x, 0), compare("gt", x, y)));
  });
  it("of what has none is not made up", () => {
    expect(negate(flag)).toBe(undefined);
    expect(negate(compare("lt", real, constant(dtype("float32"), 1)))).toBe(undefined);
    expect(negate(or(flag, compare("lt", x, 0)))).toBe(undefined);
    expect(negate(or(compare("lt", x, 0), flag))).toBe(undefined);
    expect(negate(and(flag, compare("lt", x, 0)))).toBe(undefined);
    expect(negate(unary("not", small))).toBe(undefined);
    expect(negate(binaryOf("or", small, small))).toBe(undefined);
    expect(negate(binaryOf("add", small, small))).toBe(undefined);
  });
});
const binaryOf = (op: "or" | "add", a: Expr, b: Expr): Expr => ({ kind: "binary", op, a, b, dtype: a.dtype });

describe("where a condition holds", () => {
  const tight = (cond: Expr, a: Interval, b: Interval, v: Var): void => {
    const pairs = within(a).flatMap((p) => within(b).map((q) => [p, q] as const));
    const values = pairs.filter(([p, q]) => holds(cond, p, q)).map(([p, q]) => (v === x ? p : q));
    const range = assume(where(a, b), cond).get(v.id)!;
    if (values.length > 0) expect(plain(range)).toEqual(of(Math.min(...values), Math.max(...values)));
  };
  it("one variable against a constant is as narrow as can be", () => {
    for (const op of ops)
      for (let limit = -4; limit <= 4; limit++) {
        if (op === "ne") continue;
        for (const k of [1, -1, 2, -2, 3]) {
          const cond = compare(op, mul(x, k), limit);
          tight(cond, of(-4, 4), of(0, 0), x);
          tight(compare(op, limit, mul(x, k)), of(-4, 4), of(0, 0), x);
        }
      }
  });
  it("two variables narrow each other", () => {
    for (const op of ["lt", "le", "gt", "ge", "eq"] as const)
      for (const v of [x, y]) {
        tight(compare(op, x, y), of(-2, 5), of(0, 3), v);
        tight(compare(op, add(x, y), 3), of(0, 5), of(-1, 3), v);
        tight(compare(op, sub(x, y), 3), of(0, 5), of(-1, 3), v);
      }
  });
  it("both sides of an and are used, and the inside of a not", () => {
    const within3 = and(compare("ge", x, 1), compare("lt", x, 4));
    expect(assume(where(of(0, 9)), within3).get(x.id)).toEqual(of(1, 3));
    expect(assume(where(of(0, 9)), unary("not", compare("ge", x, 4))).get(x.id)).toEqual(of(0, 3));
    const outside = or(compare("lt", x, 1), compare("ge", x, 4));
    expect(assume(where(of(0, 9)), unary("not", outside)).get(x.id)).toEqual(of(1, 3));
  });
  it("nothing is concluded from what says nothing of a range", () => {
    const before = where(of(0, 9), of(0, 9));
    for (const cond of [
      compare("ne", x, 0),
      flag,
      unary("not", flag),
      or(compare("lt", x, 3), compare("lt", y, 3)),
      compare("lt", floordiv(x, 2), 3),
      compare("lt", x, 10),
      compare("lt", small, constant(dtype("uint8"), 3)),
      binaryOf("or", small, small),
    ])
      expect(assume(before, cond).get(x.id)).toEqual(of(0, 9));
    expect(assume(before, compare("lt", x, 10))).toBe(before);
    expect(assume(before, compare("ne", x, 0))).toBe(before);
  });
  it("that cannot hold leaves ranges as they were", () => {
    expect(assume(where(of(0, 4)), compare("gt", x, 4)).get(x.id)).toEqual(of(0, 4));
    expect(assume(where(of(0, 4)), compare("ge", x, 4)).get(x.id)).toEqual(of(4, 4));
    expect(plain(assume(where(of(0, 4)), compare("le", x, 0)).get(x.id)!)).toEqual(of(0, 0));
  });
});

describe("an expression", () => {
  const here = where(of(0, 3), of(-2, 5));
  it("lies between bounds from which what is common has cancelled", () => {
    expect(intervalOf(index(7), here)).toEqual(of(7, 7));
    expect(intervalOf(x, here)).toEqual(of(0, 3));
    expect(intervalOf(sub(add(mul(x, 4), y), mul(x, 4)), here)).toEqual(of(-2, 5));
    expect(intervalOf(variable(ids, "free"), here)).toEqual(of(-inf, inf));
    expect(intervalOf(add(small, small), new Map([[small.id, of(1, 3)]]))).toEqual(of(2, 6));
    expect(differenceOf(add(x, y), add(y, 2), here)).toEqual(of(-2, 1));
  });
  it("is divided by what divides all of its terms", () => {
    expect(proveDivides(4, add(mul(x, 8), mul(y, -4)), here)).toBe(true);
    expect(proveDivides(-4, mul(x, 8), here)).toBe(true);
    expect(proveDivides(4, add(mul(x, 8), 2), here)).toBe(false);
    expect(proveDivides(4, add(mul(x, 8), 4), here)).toBe(true);
    expect(proveDivides(4, add(mul(x, 8), y), here)).toBe(false);
    expect(proveDivides(0, index(0), here)).toBe(false);
    expect(proveDivides(1, x, here)).toBe(true);
  });
  it("is equal to another where their difference is 0", () => {
    expect(proveEqual(x, x, here)).toBe(true);
    expect(proveEqual(real, real, here)).toBe(true);
    expect(proveEqual(add(x, y), add(y, x), here)).toBe(true);
    expect(proveEqual(add(x, 1), x, here)).toBe(false);
    expect(proveEqual(x, y, where(of(0, 3), of(0, 3)))).toBe(false);
    expect(proveEqual(x, y, where(of(3, 3), of(3, 3)))).toBe(true);
    expect(proveEqual(x, y, where(of(0, 3), of(3, 3)))).toBe(false);
    expect(proveEqual(x, y, where(of(3, 5), of(3, 3)))).toBe(false);
  });
});

describe("a loop", () => {
  const loop = (v: Var, extent: Expr, min?: Expr): For => forLoop(v, extent, emptyStmt, min ? { min } : {}) as For;
  const n = variable(ids, "n");
  it("gives its variable's values", () => {
    expect(loopInterval(loop(x, index(8)), new Map())).toEqual(of(0, 7));
    expect(loopInterval(loop(x, index(8), index(3)), new Map())).toEqual(of(3, 10));
    expect(loopInterval(loop(x, index(8), y), where(of(0, 0), of(2, 5)))).toEqual(of(2, 12));
    expect(loopInterval(loop(x, index(1)), new Map())).toEqual(of(0, 0));
    expect(loopInterval(loop(x, index(0), index(3)), new Map())).toEqual(of(3, 3));
    expect(loopInterval(loop(x, n), new Map())).toEqual(of(0, inf));
    expect(loopInterval(loop(x, n), new Map([[n.id, of(1, 6)]]))).toEqual(of(0, 5));
    expect(loopInterval(loop(x, n, index(2)), new Map([[n.id, of(0, 0)]]))).toEqual(of(2, 2));
  });
  it("that ends where another variable says ends there", () => {
    const bounded = where(of(0, 0), of(0, 5));
    expect(loopInterval(loop(x, sub(6, y), y), bounded)).toEqual(of(0, 5));
    expect(loopInterval(loop(x, add(y, 1)), bounded)).toEqual(of(0, 5));
    expect(loopInterval(loop(x, add(y, 1), sub(0, y)), bounded)).toEqual(of(-5, 0));
  });
  it("inside another uses the outer one's values", () => {
    const ranges = rangesOfLoops([loop(x, index(4)), loop(y, index(2), mul(x, 2))], new Map([[n.id, of(1, 1)]]));
    expect([ranges.get(x.id), ranges.get(y.id), ranges.get(n.id)]).toEqual([of(0, 3), of(0, 7), of(1, 1)]);
    const extents = extentRanges([
      [x.id, 4],
      [y.id, 0],
    ]);
    expect([extents.get(x.id), extents.get(y.id)]).toEqual([of(0, 3), of(0, 0)]);
  });
});
