/** Bounds of index expressions over known variable ranges, and the small proofs that rest on them. */
import { indexType } from "../../ir/expr/dtype.ts";
import type { CompareOp, Expr } from "../../ir/expr/expr.ts";
import type { For } from "../../ir/loop/program.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { addScaled, boundsOfForm, fromQuasiAffine, moduloForm, normalizeOperands, toQuasiAffine } from "./affine.ts";
import { addIntervals, boundsOf, fitType, type Interval, meet, type Ranges } from "./bounds.ts";

export type { Interval, Ranges } from "./bounds.ts";

/**
 * An interval that contains every value of an integer expression. Correlated terms cancel first (i·4 + j - i·4 is j);
 * exact for affine expressions over independent variables.
 */
export function intervalOf(e: Expr, ranges: Ranges): Interval {
  if (e.kind === "const" || e.kind === "var") return boundsOf(e, ranges);
  if (e.dtype !== indexType) return boundsOf(normalizeOperands(ranges).atom(e), ranges);
  const form = toQuasiAffine(e, ranges);
  return meet(fitType(boundsOfForm(form, ranges), "int64"), boundsOf(e, ranges));
}

/** The ranges of loop variables, outermost loop first; bounds of inner loops may use outer variables. */
export function rangesOfLoops(loops: readonly For[], around: Ranges = new Map()): Map<VarId, Interval> {
  const ranges = new Map<VarId, Interval>(around);
  for (const l of loops) ranges.set(l.var.id, loopInterval(l, ranges));
  return ranges;
}
/** The values of a loop's variable, given the ranges of the variables around; one value (its min) when it never runs. */
export function loopInterval(l: For, ranges: Ranges): Interval {
  const min = intervalOf(l.min, ranges);
  if (l.extent.kind === "const") {
    const extent = Number(l.extent.value);
    return { min: min.min, max: Math.max(min.min, min.max + extent - 1) };
  }
  const start = toQuasiAffine(l.min, ranges);
  const end = boundsOfForm(addScaled(start, toQuasiAffine(l.extent, ranges), 1), ranges);
  const apart = addIntervals(min, intervalOf(l.extent, ranges));
  return { min: min.min, max: Math.max(min.min, Math.min(end.max, apart.max) - 1) };
}
/** 0..extent for each variable. */
export function extentRanges(pairs: Iterable<readonly [VarId, number]>): Map<VarId, Interval> {
  const ranges = new Map<VarId, Interval>();
  for (const [id, extent] of pairs) ranges.set(id, { min: 0, max: Math.max(0, extent - 1) });
  return ranges;
}

/** Whether `factor` provably divides `e`. */
export function proveDivides(factor: number, e: Expr, ranges: Ranges): boolean {
  if (factor === 0) return false;
  const rest = moduloForm(toQuasiAffine(e, ranges), Math.abs(factor), ranges);
  return rest.terms.length === 0 && rest.constant === 0;
}
/** The bounds of a - b, with common terms cancelled. */
export function differenceOf(a: Expr, b: Expr, ranges: Ranges): Interval {
  if (a.dtype !== indexType) {
    const x = intervalOf(a, ranges);
    const y = intervalOf(b, ranges);
    return { min: x.min - y.max, max: x.max - y.min };
  }
  const form = addScaled(toQuasiAffine(a, ranges), toQuasiAffine(b, ranges), -1);
  return boundsOfForm(toQuasiAffine(fromQuasiAffine(form), ranges), ranges);
}
/** Whether two integer expressions are provably equal. */
export function proveEqual(a: Expr, b: Expr, ranges: Ranges): boolean {
  if (a === b) return true;
  const d = differenceOf(a, b, ranges);
  return d.min === 0 && d.max === 0;
}

/** What the bounds of a - b say of a comparison; undefined when they do not decide it. */
export function decideCompare(op: CompareOp, d: Interval): boolean | undefined {
  switch (op) {
    case "lt":
      return d.max < 0 ? true : d.min >= 0 ? false : undefined;
    case "le":
      return d.max <= 0 ? true : d.min > 0 ? false : undefined;
    case "gt":
      return d.min > 0 ? true : d.max <= 0 ? false : undefined;
    case "ge":
      return d.min >= 0 ? true : d.max < 0 ? false : undefined;
    case "eq":
      return d.min === 0 && d.max === 0 ? true : d.min > 0 || d.max < 0 ? false : undefined;
    case "ne":
      return d.min > 0 || d.max < 0 ? true : d.min === 0 && d.max === 0 ? false : undefined;
  }
}
const integral = (e: Expr): boolean => Number.isFinite(boundsOf(e, new Map()).max) || e.dtype === indexType;

/** What is known of a bool expression; undefined when it is not decided. */
export function decide(cond: Expr, ranges: Ranges): boolean | undefined {
  if (cond.kind === "const") return Number(cond.value) !== 0;
  if (cond.kind === "compare") {
    if (!integral(cond.a) || cond.a.dtype.lanes !== 1) return undefined;
    return decideCompare(cond.op, differenceOf(cond.a, cond.b, ranges));
  }
  if (cond.kind === "unary" && cond.op === "not" && cond.dtype.scalar === "bool") {
    const inner = decide(cond.value, ranges);
    return inner === undefined ? undefined : !inner;
  }
  if (cond.kind === "binary" && cond.dtype.scalar === "bool" && (cond.op === "and" || cond.op === "or")) {
    const a = decide(cond.a, ranges);
    const b = decide(cond.b, ranges);
    const wins = cond.op === "or";
    if (a === wins || b === wins) return wins;
    return a === undefined || b === undefined ? undefined : !wins;
  }
  return undefined;
}
/** Whether a bool expression is provably true. */
export const proveTrue = (cond: Expr, ranges: Ranges): boolean => decide(cond, ranges) === true;

/** The ranges narrowed by a condition that holds: comparisons of one variable (times a constant) with bounded sums. */
export function assume(ranges: Ranges, cond: Expr): Ranges {
  if (cond.kind === "binary" && cond.op === "and" && cond.dtype.scalar === "bool")
    return assume(assume(ranges, cond.a), cond.b);
  if (cond.kind === "unary" && cond.op === "not") {
    const flipped = negate(cond.value);
    return flipped ? assume(ranges, flipped) : ranges;
  }
  if (cond.kind !== "compare" || cond.a.dtype !== indexType || cond.op === "ne") return ranges;
  const { terms, constant } = addScaled(toQuasiAffine(cond.a, ranges), toQuasiAffine(cond.b, ranges), -1);
  let narrowed: Map<VarId, Interval> | undefined;
  for (const t of terms) {
    if (t.atom.kind !== "var") continue;
    const rest = boundsOfForm({ terms: terms.filter((o) => o !== t), constant }, ranges);
    const before = boundsOf(t.atom, ranges);
    const after = narrow(before, t.coefficient, cond.op, rest);
    if (after.min === before.min && after.max === before.max) continue;
    narrowed ??= new Map(ranges);
    narrowed.set(t.atom.id, after);
  }
  return narrowed ?? ranges;
}
const opposite: Readonly<Record<CompareOp, CompareOp>> = { eq: "ne", ne: "eq", lt: "ge", ge: "lt", le: "gt", gt: "le" };
/** The negation of integer comparisons that `and` and `or` join. */
export function negate(cond: Expr): Expr | undefined {
  if (cond.kind === "compare" && integral(cond.a)) return { ...cond, op: opposite[cond.op] };
  if (cond.kind === "unary" && cond.op === "not" && cond.dtype.scalar === "bool") return cond.value;
  if (cond.kind === "binary" && (cond.op === "and" || cond.op === "or") && cond.dtype.scalar === "bool") {
    const a = negate(cond.a);
    const b = negate(cond.b);
    return a && b ? { ...cond, op: cond.op === "or" ? "and" : "or", a, b } : undefined;
  }
  return undefined;
}
/** Narrows v by k·v + rest (op) 0, where `rest` is within the given bounds. */
function narrow(v: Interval, k: number, op: CompareOp, rest: Interval): Interval {
  const strict = op === "lt" || op === "gt" ? 1 : 0;
  let { min, max } = v;
  // k·v ≤ -rest - strict needs k·v ≤ -rest.min - strict at most; likewise from below.
  if (op === "lt" || op === "le" || op === "eq") {
    const top = -rest.min - strict;
    if (k > 0) max = Math.min(max, Math.floor(top / k));
    else min = Math.max(min, Math.ceil(top / k));
  }
  if (op === "gt" || op === "ge" || op === "eq") {
    const bottom = -rest.max + strict;
    if (k > 0) min = Math.max(min, Math.ceil(bottom / k));
    else max = Math.min(max, Math.floor(bottom / k));
  }
  // An impossible condition guards code that never runs: any range is true there.
  return min <= max ? { min, max } : v;
}
