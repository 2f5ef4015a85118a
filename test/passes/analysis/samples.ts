/** Random expressions, conditions, systems and sets for the tests of this folder. */
import {
  add,
  and,
  binary,
  buffer,
  cast,
  compare,
  index,
  load,
  mul,
  not,
  or,
  select,
  unary,
  variable,
} from "../../../ir/expr/build.ts";
import type { BinaryOp, CompareOp, Expr, Var } from "../../../ir/expr/expr.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import type { Interval } from "../../../passes/analysis/bounds.ts";
import type { Row } from "../../../passes/analysis/integer-system.ts";
import { type Form, type Product, tuplesOf, valuesOf } from "../../../passes/analysis/value-sets.ts";
import type { Random } from "../../property/support/random.ts";

const ids = new IdSource();
export const variables = ["i", "j", "k"].map((n) => variable(ids, n)) as [Var, Var, Var];
const data = buffer(ids, "D", "int64", [64]);
const arithmetic: readonly BinaryOp[] = ["add", "add", "sub", "sub", "min", "max", "mul"];
const divisions: readonly BinaryOp[] = ["mul", "mul", "floordiv", "floordiv", "floormod", "floormod", "div", "mod"];
const comparisons: readonly CompareOp[] = ["eq", "ne", "lt", "le", "gt", "ge"];

/** Bounds of the three variables: a few values each, at times all there are. */
export function randomRanges(r: Random): Map<VarId, Interval> {
  return new Map(
    variables.flatMap((v) => {
      if (r.chance(0.1)) return [];
      const from = r.chance(0.6) ? 0 : r.int(-6, 6);
      return [[v.id, { min: from, max: from + r.pick([0, 1, 3, 3, 6, 7, 15]) }] as const];
    }),
  );
}
/** An index over the three variables, mostly affine with divisions by constants. */
export function randomIndex(r: Random, depth: number): Expr {
  if (depth === 0 || r.chance(0.15)) {
    if (r.chance(0.25)) return index(r.int(-9, 12));
    return r.chance(0.05) ? load(data, [r.pick(variables)]) : r.pick(variables);
  }
  const a = randomIndex(r, depth - 1);
  const kind = r.int(0, 99);
  if (kind < 45) return binary(r.pick(divisions), a, index(r.pick([1, 2, 2, 3, 4, 4, 8, 12, -1, -4])));
  if (kind < 85) return binary(r.pick(arithmetic), a, randomIndex(r, depth - 1));
  if (kind < 89) return select(randomCondition(r, 1), a, randomIndex(r, depth - 1));
  if (kind < 92) return unary(r.pick(["neg", "abs"]), a);
  if (kind < 95) return cast("int64", cast("int32", a));
  return binary("xor", a, index(r.int(0, 7)));
}
/** A sum in which quotients and remainders of one number may stand beside each other. */
export function randomSplit(r: Random): Expr {
  const by = r.pick([2, 3, 4, 8]);
  const value = randomIndex(r, r.int(0, 2));
  const other = r.chance(0.8) ? value : randomIndex(r, 1);
  const k = r.pick([1, 1, 2, -1]);
  const whole = mul(binary("floordiv", value, index(by)), index(r.chance(0.8) ? k * by : by));
  const rest = r.chance(0.5) ? mul(binary("floormod", other, index(by)), index(k)) : mul(other, index(-k));
  return add(r.chance(0.5) ? add(whole, rest) : add(rest, whole), randomIndex(r, r.int(0, 1)));
}
/** A condition over the three variables. */
export function randomCondition(r: Random, depth: number): Expr {
  if (depth > 0 && r.chance(0.5)) {
    const a = randomCondition(r, depth - 1);
    if (r.chance(0.25)) return not(a);
    return (r.chance(0.6) ? and : or)(a, randomCondition(r, depth - 1));
  }
  const right = r.chance(0.6) ? index(r.int(-4, 16)) : randomIndex(r, 1);
  return compare(r.pick(comparisons), randomIndex(r, r.int(0, 2)), right);
}

/** Rows over a few columns with small coefficients. */
export const randomRows = (r: Random, count: number, columns: number): Row[] =>
  Array.from({ length: count }, () => [
    r.int(-9, 9),
    ...Array.from({ length: columns }, () => r.pick([0, 0, 1, 1, -1, -1, 2, -2, 3, -3, 5])),
  ]);

/** A sum of digits. */
export function randomForm(r: Random, digits: readonly string[]): Form {
  const terms = digits
    .filter(() => r.chance(0.7))
    .map((digit) => ({ digit, extent: extentOf(digit), coefficient: r.pick([1, 1, 2, 3, 4, 5, -1, -2, 8]) }));
  return { constant: r.int(-3, 3), terms };
}
const extentOf = (digit: string): number => 1 + (digit.charCodeAt(0) % 5);
/** A product of sets in up to three dimensions, some of them together. */
export function randomProduct(r: Random, rank: number): Product {
  const form = (digits: readonly string[]) => randomForm(r, digits);
  if (rank > 1 && r.chance(0.4)) {
    const joint = [form(["a", "b"]), form(["b", "c"])];
    const others = Array.from({ length: rank - 2 }, (_, k) => ({
      dims: [k + 2] as const,
      values: valuesOf(form(["d", "e"])).values,
    }));
    return { factors: [{ dims: [0, 1], tuples: tuplesOf(joint)! }, ...others], exact: r.chance(0.85) };
  }
  const factors = Array.from({ length: rank }, (_, k) => ({
    dims: [k] as const,
    values: r.chance(0.4)
      ? valuesOf({ constant: r.int(0, 2), terms: [{ digit: "a", extent: r.int(1, 4), coefficient: 1 }] }).values
      : valuesOf(form(["d", "e"])).values,
  }));
  return { factors, exact: r.chance(0.85) };
}
