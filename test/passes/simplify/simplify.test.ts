import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  add,
  and,
  binary,
  bool,
  broadcast,
  buffer,
  cast,
  compare,
  constant,
  floordiv,
  floormod,
  index,
  load,
  max,
  min,
  mul,
  not,
  or,
  ramp,
  select,
  sub,
  unary,
  variable,
} from "../../../ir/expr/build.ts";
import { dtype, float32, indexType, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr, Var } from "../../../ir/expr/expr.ts";
import { evaluateExpr, evaluateVector } from "../../../ir/interp/interpret.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import {
  extentRanges,
  type Interval,
  intervalOf,
  proveDivides,
  proveEqual,
} from "../../../passes/analysis/interval.ts";
import { sameExpr } from "../../../passes/analysis/order.ts";
import { indexSimplifier, simplify } from "../../../passes/simplify/index.ts";
import { share } from "../../property/support/share.ts";

const ids = new IdSource();
const [i, j, k] = ["i", "j", "k"].map((n) => variable(ids, n)) as [Var, Var, Var];
const ranges = new Map<VarId, Interval>([
  [i.id, { min: 0, max: 3 }],
  [j.id, { min: 0, max: 7 }],
  [k.id, { min: -3, max: 2 }],
]);
/** Every assignment of the variables within their ranges. */
const assignments: ReadonlyMap<VarId, number>[] = [];
for (let a = 0; a <= 3; a++)
  for (let b = 0; b <= 7; b++)
    for (let c = -3; c <= 2; c++)
      assignments.push(
        new Map([
          [i.id, a],
          [j.id, b],
          [k.id, c],
        ]),
      );

const arithmetic: readonly BinaryOp[] = ["add", "add", "sub", "sub", "min", "max"];
const byConstant: readonly BinaryOp[] = ["mul", "mul", "floordiv", "floordiv", "floormod", "floormod", "div", "mod"];
const comparisons: readonly CompareOp[] = ["eq", "ne", "lt", "le", "gt", "ge"];

const { value: indexExpr, condition } = fc.letrec<{ value: Expr; condition: Expr }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: "medium", withCrossShrink: true },
    { weight: 3, arbitrary: fc.constantFrom<Expr>(i, j, k) },
    { weight: 1, arbitrary: fc.integer({ min: -20, max: 20 }).map((n): Expr => index(n)) },
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.constantFrom(...arithmetic), tie("value"), tie("value"))
        .map(([op, a, b]) => binary(op, a, b)),
    },
    {
      weight: 6,
      arbitrary: fc
        .tuple(fc.constantFrom(...byConstant), tie("value"), fc.integer({ min: 1, max: 16 }))
        .map(([op, a, b]) => binary(op, a, b)),
    },
    { weight: 1, arbitrary: fc.tuple(tie("value"), tie("value")).map(([a, b]) => mul(a, b)) },
    {
      weight: 1,
      arbitrary: fc.tuple(tie("condition"), tie("value"), tie("value")).map(([c, a, b]) => select(c, a, b)),
    },
    { weight: 1, arbitrary: tie("value").map((a) => unary("neg", a)) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(tie("value"), fc.constantFrom<ScalarType>("int32", "int8", "uint8"))
        .map(([a, s]) => cast("int64", cast(s, a))),
    },
  ),
  condition: fc.oneof(
    { maxDepth: 3 },
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.constantFrom(...comparisons), tie("value"), tie("value"))
        .map(([op, a, b]) => compare(op, a, b)),
    },
    { weight: 1, arbitrary: fc.tuple(tie("condition"), tie("condition")).map(([a, b]) => and(a, b)) },
    { weight: 1, arbitrary: fc.tuple(tie("condition"), tie("condition")).map(([a, b]) => or(a, b)) },
    { weight: 1, arbitrary: tie("condition").map(not) },
  ),
}));

const show = (e: Expr): string => {
  switch (e.kind) {
    case "var":
      return e.name;
    case "const":
      return String(e.value);
    case "binary":
    case "compare":
      return `(${show(e.a)} ${e.op} ${show(e.b)})`;
    case "select":
      return `(${show(e.condition)} ? ${show(e.then)} : ${show(e.otherwise)})`;
    case "unary":
    case "cast":
    case "broadcast":
      return `${e.kind === "unary" ? e.op : e.kind === "cast" ? e.dtype.scalar : "x"}(${show(e.value)})`;
    case "ramp":
      return `ramp(${show(e.base)}, ${show(e.stride)}, ${e.dtype.lanes})`;
    default:
      return e.kind;
  }
};
function checkSimplified(e: Expr): void {
  const next = simplify(e, ranges);
  for (const env of assignments) {
    const before = evaluateExpr(e, env);
    const after = evaluateExpr(next, env);
    if (before !== after)
      throw new Error(`${show(e)} ⇒ ${show(next)}: ${before} became ${after} at ${[...env.values()]}`);
  }
  const again = simplify(next, ranges);
  if (again !== next) throw new Error(`${show(e)} ⇒ ${show(next)}, then ⇒ ${show(again)}`);
}

describe("simplify keeps values and is idempotent", () => {
  it("on index expressions", () => {
    fc.assert(fc.property(indexExpr, checkSimplified), { numRuns: share(3000), seed: 11 });
  });
  it("on conditions", () => {
    fc.assert(fc.property(condition, checkSimplified), { numRuns: share(2000), seed: 12 });
  });

  it("on vectors of indices", () => {
    const lanes = 4;
    const vector = fc.oneof(
      fc.tuple(indexExpr, fc.integer({ min: -4, max: 4 })).map(([b, s]): Expr => ramp(b, s, lanes)),
      indexExpr.map((e): Expr => broadcast(e, lanes)),
    );
    const op = fc.constantFrom<BinaryOp>("add", "sub", "mul", "min", "max");
    const division = fc.constantFrom<BinaryOp>("floordiv", "floormod");
    const whole = fc.oneof(
      fc.tuple(op, vector, vector).map(([o, a, b]) => binary(o, a, b)),
      fc
        .tuple(division, vector, fc.integer({ min: 1, max: 9 }))
        .map(([o, a, m]) => binary(o, a, broadcast(index(m), lanes))),
      fc.tuple(fc.constantFrom(...comparisons), vector, vector).map(([o, a, b]) => compare(o, a, b)),
    );
    fc.assert(
      fc.property(whole, (e) => {
        const next = simplify(e, ranges);
        for (const env of assignments) expect(evaluateVector(next, env)).toEqual(evaluateVector(e, env));
        expect(simplify(next, ranges)).toBe(next);
      }),
      { numRuns: share(300), seed: 13 },
    );
  });

  it("on wrapping integers of every other type", () => {
    const types: readonly ScalarType[] = ["int8", "uint8", "int16", "int32", "uint32", "uint64"];
    const ops: readonly BinaryOp[] = ["add", "sub", "mul", "min", "max", "and", "or", "xor", "shl", "shr"];
    const divisions: readonly BinaryOp[] = ["div", "mod", "floordiv", "floormod"];
    const typed = fc.constantFrom(...types).chain((scalar) => {
      const type = dtype(scalar);
      const vars = ["x", "y"].map((n) => variable(ids, n, type));
      const signed = scalar.startsWith("int");
      const literal = fc.integer({ min: signed ? -128 : 0, max: 127 });
      const { e } = fc.letrec<{ e: Expr }>((tie) => ({
        e: fc.oneof(
          { maxDepth: 4 },
          fc.constantFrom<Expr>(...vars),
          literal.map((n): Expr => constant(type, n)),
          fc.tuple(fc.constantFrom(...ops), tie("e"), tie("e")).map(([op, a, b]) => binary(op, a, b)),
          fc
            .tuple(fc.constantFrom(...divisions), tie("e"), fc.integer({ min: 1, max: 100 }))
            .map(([op, a, n]) => binary(op, a, constant(type, n))),
          fc
            .tuple(fc.constantFrom(...comparisons), tie("e"), tie("e"), tie("e"))
            .map(([op, a, b, c]) => select(compare(op, a, b), c, a)),
        ),
      }));
      return fc.tuple(e, fc.constant(vars), fc.array(fc.tuple(literal, literal), { minLength: 12, maxLength: 12 }));
    });
    fc.assert(
      fc.property(typed, ([e, vars, points]) => {
        const next = simplify(e);
        for (const [x, y] of points) {
          const env = new Map([
            [vars[0]!.id, x],
            [vars[1]!.id, y],
          ]);
          expect(evaluateExpr(next, env), `${show(e)} ⇒ ${show(next)} at ${x}, ${y}`).toBe(evaluateExpr(e, env));
        }
        expect(simplify(next)).toBe(next);
      }),
      { numRuns: share(1500), seed: 14 },
    );
  });

  it("on floats, to the bit, with special values", () => {
    const specials = [0, -0, 1, -1, 0.1, 3.4e38, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const [x, y] = [variable(ids, "x", float32), variable(ids, "y", float32)];
    const ops: readonly BinaryOp[] = ["add", "sub", "mul", "div", "min", "max"];
    const { e: floats } = fc.letrec<{ e: Expr }>((tie) => ({
      e: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom<Expr>(x, y),
        fc.constantFrom(...specials).map((n): Expr => constant(float32, n)),
        fc.tuple(fc.constantFrom(...ops), tie("e"), tie("e")).map(([op, a, b]) => binary(op, a, b)),
        tie("e").map((a) => unary("neg", a)),
        fc
          .tuple(fc.constantFrom(...comparisons), tie("e"), tie("e"), tie("e"))
          .map(([op, a, b, c]) => select(compare(op, a, b), c, b)),
      ),
    }));
    fc.assert(
      fc.property(floats, (e) => {
        const next = simplify(e);
        for (const a of specials)
          for (const b of specials) {
            const env = new Map([
              [x.id, Math.fround(a)],
              [y.id, Math.fround(b)],
            ]);
            expect(Object.is(evaluateExpr(next, env), evaluateExpr(e, env)), `${show(e)} ⇒ ${show(next)}`).toBe(true);
          }
      }),
      { numRuns: share(1500), seed: 15 },
    );
  });
});

describe("intervals", () => {
  it("contain every value", () => {
    fc.assert(
      fc.property(indexExpr, (e) => {
        const r = intervalOf(e, ranges);
        for (const env of assignments) {
          const v = Number(evaluateExpr(e, env));
          if (v < r.min || v > r.max) throw new Error(`${show(e)} = ${v} is not in [${r.min}, ${r.max}]`);
        }
      }),
      { numRuns: share(3000), seed: 21 },
    );
  });
  it("are exact for affine expressions", () => {
    const coefficient = fc.integer({ min: -9, max: 9 });
    fc.assert(
      fc.property(coefficient, coefficient, coefficient, coefficient, (a, b, c, d) => {
        const e = add(add(mul(i, a), sub(mul(j, b), mul(i, 3))), add(mul(k, c), d));
        const values = assignments.map((env) => Number(evaluateExpr(e, env)));
        expect(intervalOf(e, ranges)).toEqual({ min: Math.min(...values), max: Math.max(...values) });
      }),
      { numRuns: share(300), seed: 22 },
    );
  });
  it("prove divisibility and equality only where they hold", () => {
    fc.assert(
      fc.property(indexExpr, indexExpr, fc.integer({ min: 2, max: 6 }), (a, b, m) => {
        if (proveDivides(m, a, ranges))
          for (const env of assignments) expect(Math.abs(Number(evaluateExpr(a, env)) % m)).toBe(0);
        if (proveEqual(a, b, ranges))
          for (const env of assignments) expect(evaluateExpr(a, env)).toBe(evaluateExpr(b, env));
      }),
      { numRuns: share(2000), seed: 23 },
    );
    expect(proveDivides(8, add(mul(i, 24), mul(floordiv(j, 2), 8)), ranges)).toBe(true);
    expect(proveEqual(j, add(mul(floordiv(j, 4), 4), floormod(j, 4)), ranges)).toBe(true);
  });
});

/** x by its indices in a buffer [?, rows, columns]. */
const throughRows = (x: Expr, rows: number, columns: number): Expr =>
  add(
    add(mul(floordiv(x, rows * columns), rows * columns), mul(floormod(floordiv(x, columns), rows), columns)),
    floormod(x, columns),
  );

describe("simplify", () => {
  const cb = variable(ids, "cb");
  const ci = variable(ids, "ci");
  const known = extentRanges([
    [cb.id, 4],
    [ci.id, 16],
    [i.id, 4],
    [j.id, 8],
  ]);
  const cases: readonly (readonly [string, Expr, Expr])[] = [
    ["quotient of a split index", floordiv(add(mul(cb, 16), ci), 16), cb],
    ["remainder of a split index", floormod(add(mul(cb, 16), ci), 16), ci],
    ["coarser blocks", floordiv(add(mul(cb, 8), j), 16), floordiv(cb, 2)],
    ["remainder in coarser blocks", floormod(add(mul(cb, 8), j), 16), add(mul(floormod(cb, 2), 8), j)],
    ["quotient and remainder meet again", add(mul(floordiv(ci, 4), 4), floormod(ci, 4)), ci],
    ["remainder from a difference", sub(ci, mul(floordiv(ci, 4), 4)), floormod(ci, 4)],
    ["nested quotients", floordiv(floordiv(ci, 2), 4), floordiv(ci, 8)],
    ["a quotient in a sum", floordiv(add(cb, floordiv(j, 3)), 2), floordiv(add(mul(cb, 3), j), 6)],
    ["a flat index of rows shorter than vectors", throughRows(add(mul(cb, 16), ci), 2, 14), add(mul(cb, 16), ci)],
    ["minimum by bounds", min(add(mul(i, 4), j), 40), add(mul(i, 4), j)],
    ["minimum with common terms", min(add(cb, 3), add(cb, 1)), add(cb, 1)],
    ["maximum by bounds", max(sub(j, 9), 0), index(0)],
    ["comparison proven", compare("lt", add(mul(cb, 16), ci), 64), bool(true)],
    ["comparison without its remainder", compare("lt", add(mul(cb, 16), ci), 48), compare("lt", cb, 3)],
    [
      "comparison with its constant right",
      compare("ge", sub(add(mul(i, 2), cb), 1), 0),
      compare("ge", add(mul(i, 2), cb), 1),
    ],
    [
      "select under its own condition",
      select(compare("ge", i, 1), max(i, 1), index(0)),
      select(compare("ge", i, 1), i, index(0)),
    ],
    ["sum of broadcasts", add(broadcast(i, 4), broadcast(j, 4)), broadcast(add(i, j), 4)],
    ["ramp and broadcast", add(ramp(mul(i, 16), 1, 16), broadcast(j, 16)), ramp(add(mul(i, 16), j), 1, 16)],
    ["vector quotient", floordiv(ramp(mul(i, 16), 1, 16), broadcast(index(16), 16)), broadcast(i, 16)],
  ];
  for (const [name, from, to] of cases)
    it(`rewrites: ${name}`, () => {
      expect(show(simplify(from, known))).toBe(show(to));
    });

  it("gives back the same object when nothing changes", () => {
    const b = buffer(ids, "b", "float32", [64]);
    const kept = [
      add(mul(cb, 16), ci),
      load(b, [add(mul(i, 4), j)]),
      binary("add", load(b, [i]), binary("mul", load(b, [j]), load(b, [ci]))),
      floordiv(add(mul(i, 3), j), 4),
    ];
    for (const e of kept) expect(simplify(e, known)).toBe(e);
  });
  it("does not reorder floats, nor add zero to a negative zero", () => {
    const [x, y, z] = ["x", "y", "z"].map((n) => variable(ids, n, float32)) as [Var, Var, Var];
    const sum = add(add(z, y), x);
    expect(simplify(sum)).toBe(sum);
    const kept = add(x, constant(float32, 0));
    expect(simplify(kept)).toBe(kept);
  });
  it("does not divide out data that may wrap", () => {
    const b = buffer(ids, "b", "int64", [4]);
    const e = floordiv(mul(load(b, [index(0)]), 8), 8);
    expect(simplify(e)).toBe(e);
    const inner = floordiv(add(floordiv(j, 3), load(b, [index(0)])), 2);
    expect(simplify(inner)).toBe(inner);
    const compared = compare("lt", add(load(b, [index(0)]), 1), 1);
    expect(simplify(compared)).toBe(compared);
  });
  it("serves a ComputeBuilder", () => {
    const e = floormod(add(mul(cb, 16), ci), 16);
    const extents = new Map([
      [cb.id, 4],
      [ci.id, 16],
    ]);
    expect(indexSimplifier(e, extents)).toBe(ci);
    expect(sameExpr(indexSimplifier(index(3), extents), index(3))).toBe(true);
    expect(indexType.scalar).toBe("int64");
  });
});
