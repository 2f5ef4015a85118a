/**
 * Linear normal form of index expressions: Σ coefficient·atom + constant, where floor divisions and remainders by
 * constants are split and dropped as far as the ranges of the variables allow. Subtraction of region bounds and
 * comparison of boxes rest on it.
 */
import {
  add,
  and,
  bool,
  compare,
  constantValue,
  floordiv,
  floormod,
  index,
  max,
  min,
  mul,
  sub,
} from "../../../ir/expr/build.ts";
import { indexType } from "../../../ir/expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr } from "../../../ir/expr/expr.ts";
import { mapChildren } from "../../../ir/expr/traverse.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { keyOf } from "../../analysis/order.ts";

/** Inclusive bounds; infinite where unknown. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}
/** Known bounds of variables. */
export type Ranges = ReadonlyMap<VarId, Bounds>;
export interface Term {
  readonly atom: Expr;
  readonly coefficient: number;
}
/** Σ terms + constant; keys name atoms structurally. */
export interface Linear {
  readonly terms: ReadonlyMap<string, Term>;
  readonly constant: number;
}

const unknown: Bounds = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
const noTerms: ReadonlyMap<string, Term> = new Map();
export const constantLinear = (constant: number): Linear => ({ terms: noTerms, constant });

/** `a` + factor·`b`; a quotient and a remainder of the same division join again. */
export function addLinear(a: Linear, b: Linear, factor = 1): Linear {
  if (b.terms.size === 0) return { terms: a.terms, constant: a.constant + factor * b.constant };
  if (a.terms.size === 0 && factor === 1) return { terms: b.terms, constant: a.constant + b.constant };
  const terms = new Map(a.terms);
  for (const [key, t] of b.terms) {
    const coefficient = (terms.get(key)?.coefficient ?? 0) + factor * t.coefficient;
    if (coefficient === 0) terms.delete(key);
    else terms.set(key, { atom: t.atom, coefficient });
  }
  return joinDivisions({ terms, constant: a.constant + factor * b.constant });
}
export const scaleLinear = (l: Linear, factor: number): Linear => addLinear(constantLinear(0), l, factor);

/** floordiv(x, c)·c·k + floormod(x, c)·k ⇒ x·k. */
function joinDivisions(l: Linear): Linear {
  for (const [key, t] of l.terms) {
    if (t.atom.kind !== "binary" || t.atom.op !== "floormod") continue;
    const c = constantValue(t.atom.b);
    if (c === undefined) continue;
    const quotient = keyOf(nestedQuotient(linearOf(t.atom.a, new Map()), c));
    if (l.terms.get(quotient)?.coefficient !== c * t.coefficient) continue;
    const rest = new Map(l.terms);
    rest.delete(key);
    rest.delete(quotient);
    return addLinear({ terms: rest, constant: l.constant }, linearOf(t.atom.a, new Map()), t.coefficient);
  }
  return l;
}
const atomLinear = (atom: Expr): Linear => {
  const value = constantValue(atom);
  if (value !== undefined) return constantLinear(value);
  return { terms: new Map([[keyOf(atom), { atom, coefficient: 1 }]]), constant: 0 };
};

/** The linear form of an index expression. */
export function linearOf(e: Expr, ranges: Ranges): Linear {
  if (e.kind === "const") return atomLinear(e);
  if (e.kind === "var") {
    const r = ranges.get(e.id);
    return r && r.min === r.max ? constantLinear(r.min) : atomLinear(e);
  }
  if (e.kind !== "binary")
    return atomLinear(mapChildren(e, (c) => (c.dtype === indexType ? simplifyIndex(c, ranges) : c)));
  return linearOfBinary(e.op, linearOf(e.a, ranges), linearOf(e.b, ranges), ranges);
}
function linearOfBinary(op: BinaryOp, a: Linear, b: Linear, ranges: Ranges): Linear {
  const divisor = b.terms.size === 0 ? b.constant : undefined;
  switch (op) {
    case "add":
      return addLinear(a, b);
    case "sub":
      return addLinear(a, b, -1);
    case "mul":
      if (divisor !== undefined) return scaleLinear(a, divisor);
      if (a.terms.size === 0) return scaleLinear(b, a.constant);
      return atomLinear(mul(exprOf(a), exprOf(b)));
    case "floordiv":
      return divisor !== undefined && divisor > 0
        ? quotient(a, divisor, ranges)
        : atomLinear(floordiv(exprOf(a), exprOf(b)));
    case "floormod":
      return divisor !== undefined && divisor > 0
        ? remainder(a, divisor, ranges)
        : atomLinear(floormod(exprOf(a), exprOf(b)));
    case "min":
    case "max": {
      const d = boundsOf(addLinear(a, b, -1), ranges);
      if (d.max <= 0) return op === "min" ? a : b;
      if (d.min >= 0) return op === "min" ? b : a;
      return atomLinear((op === "min" ? min : max)(exprOf(a), exprOf(b)));
    }
    default:
      return atomLinear({ kind: "binary", op, a: exprOf(a), b: exprOf(b), dtype: indexType });
  }
}
/** l = c·whole + rest, the rest's constant in [0, c). */
function splitBy(l: Linear, c: number): { whole: Linear; rest: Linear } {
  const whole = new Map<string, Term>();
  const rest = new Map<string, Term>();
  for (const [key, t] of l.terms) {
    if (t.coefficient % c === 0) whole.set(key, { atom: t.atom, coefficient: t.coefficient / c });
    else rest.set(key, t);
  }
  const q = Math.floor(l.constant / c);
  return { whole: { terms: whole, constant: q }, rest: { terms: rest, constant: l.constant - q * c } };
}
function quotient(l: Linear, c: number, ranges: Ranges): Linear {
  const { whole, rest } = splitBy(l, c);
  const b = boundsOf(rest, ranges);
  const low = Math.floor(b.min / c);
  if (low === Math.floor(b.max / c)) return addLinear(whole, constantLinear(low));
  return addLinear(whole, atomLinear(nestedQuotient(rest, c)));
}
/** floordiv(floordiv(x, a), b) ⇒ floordiv(x, a·b). */
function nestedQuotient(l: Linear, c: number): Expr {
  const only = l.terms.size === 1 && l.constant === 0 ? [...l.terms.values()][0]! : undefined;
  if (only?.coefficient === 1 && only.atom.kind === "binary" && only.atom.op === "floordiv") {
    const a = constantValue(only.atom.b);
    if (a !== undefined && a > 0) return floordiv(only.atom.a, a * c);
  }
  return floordiv(exprOf(l), c);
}
function remainder(l: Linear, c: number, ranges: Ranges): Linear {
  const { rest } = splitBy(l, c);
  const b = boundsOf(rest, ranges);
  const low = Math.floor(b.min / c);
  if (low === Math.floor(b.max / c)) return addLinear(rest, constantLinear(-low * c));
  return atomLinear(floormod(exprOf(rest), c));
}

/** The expression of a linear form: positive terms first, then negative, then the constant. */
export function exprOf(l: Linear): Expr {
  const terms = [...l.terms.values()];
  let e: Expr | undefined;
  for (const t of terms) if (t.coefficient > 0) e = e ? add(e, mul(t.atom, t.coefficient)) : mul(t.atom, t.coefficient);
  if (!e) e = index(l.constant);
  else if (l.constant > 0) e = add(e, l.constant);
  else if (l.constant < 0) e = sub(e, -l.constant);
  for (const t of terms) if (t.coefficient < 0) e = sub(e, mul(t.atom, -t.coefficient));
  return e;
}
/** An equal index expression in normal form. */
export const simplifyIndex = (e: Expr, ranges: Ranges): Expr => exprOf(linearOf(e, ranges));

const finite = (x: number): number => (Number.isNaN(x) ? 0 : x);
/** Bounds of a linear form. */
export function boundsOf(l: Linear, ranges: Ranges): Bounds {
  let lo = l.constant;
  let hi = l.constant;
  for (const t of l.terms.values()) {
    const b = boundsOfAtom(t.atom, ranges);
    const k = t.coefficient;
    lo += finite(k > 0 ? k * b.min : k * b.max);
    hi += finite(k > 0 ? k * b.max : k * b.min);
  }
  return { min: lo, max: hi };
}
/** Bounds of an index expression. */
const boundsOfExpr = (e: Expr, ranges: Ranges): Bounds => boundsOf(linearOf(e, ranges), ranges);

function boundsOfAtom(e: Expr, ranges: Ranges): Bounds {
  if (e.kind === "var") return ranges.get(e.id) ?? unknown;
  if (e.kind === "select") {
    const [a, b] = [boundsOfExpr(e.then, ranges), boundsOfExpr(e.otherwise, ranges)];
    return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
  }
  if (e.kind !== "binary") return unknown;
  const a = boundsOfExpr(e.a, ranges);
  const b = boundsOfExpr(e.b, ranges);
  switch (e.op) {
    case "floordiv":
      return b.min === b.max && b.min > 0
        ? { min: Math.floor(a.min / b.min), max: Math.floor(a.max / b.min) }
        : unknown;
    case "floormod":
      return b.min === b.max && b.min > 0 ? { min: 0, max: b.min - 1 } : unknown;
    case "min":
      return { min: Math.min(a.min, b.min), max: Math.min(a.max, b.max) };
    case "max":
      return { min: Math.max(a.min, b.min), max: Math.max(a.max, b.max) };
    case "mul": {
      const products = [a.min * b.min, a.min * b.max, a.max * b.min, a.max * b.max].map(finite);
      return { min: Math.min(...products), max: Math.max(...products) };
    }
    default:
      return unknown;
  }
}

/** The conditions that a conjunction joins. */
export function conjuncts(e: Expr | undefined): Expr[] {
  if (e === undefined || constantValue(e) === 1) return [];
  if (e.kind === "binary" && e.op === "and") return [...conjuncts(e.a), ...conjuncts(e.b)];
  return [e];
}
/** The conjunction of conditions; undefined for none. */
export const conjoin = (conditions: readonly Expr[]): Expr | undefined =>
  conditions.length === 0 ? undefined : conditions.reduce((a, b) => and(a, b));

/** A comparison of index expressions as linear forms l ≤ 0 that together mean it; undefined for other conditions. */
export function asInequalities(e: Expr, ranges: Ranges): Linear[] | undefined {
  if (e.kind !== "compare" || e.a.dtype !== indexType) return undefined;
  const d = addLinear(linearOf(e.a, ranges), linearOf(e.b, ranges), -1);
  const negated = scaleLinear(d, -1);
  const one = constantLinear(1);
  switch (e.op) {
    case "lt":
      return [addLinear(d, one)];
    case "le":
      return [d];
    case "gt":
      return [addLinear(negated, one)];
    case "ge":
      return [negated];
    case "eq":
      return [d, negated];
    default:
      return undefined;
  }
}
const opposite: Partial<Record<CompareOp, CompareOp>> = { lt: "ge", le: "gt", gt: "le", ge: "lt" };

/** 1 when provably true, 0 when provably false, else undefined. */
export function decide(e: Expr, ranges: Ranges): 0 | 1 | undefined {
  const known = constantValue(e);
  if (known !== undefined) return known ? 1 : 0;
  if (e.kind === "binary" && (e.op === "and" || e.op === "or")) {
    const [a, b] = [decide(e.a, ranges), decide(e.b, ranges)];
    const strong = e.op === "and" ? 0 : 1;
    if (a === strong || b === strong) return strong;
    return a !== undefined && b !== undefined ? a : undefined;
  }
  if (holds(e, ranges)) return 1;
  const op = e.kind === "compare" ? opposite[e.op] : undefined;
  if (op && e.kind === "compare" && holds(compare(op, e.a, e.b), ranges)) return 0;
  return undefined;
}
const holds = (e: Expr, ranges: Ranges): boolean =>
  asInequalities(e, ranges)?.every((l) => boundsOf(l, ranges).max <= 0) ?? false;

/** Drops the conjuncts that are provably true; the constant false when one is provably false. */
export function simplifyCondition(e: Expr, ranges: Ranges): Expr {
  const left: Expr[] = [];
  for (const c of conjuncts(e)) {
    const known = decide(c, ranges);
    if (known === 0) return bool(false);
    if (known === undefined) left.push(c);
  }
  return conjoin(left) ?? bool(true);
}
