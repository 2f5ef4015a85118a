/**
 * Affine and quasi-affine normal forms of int64 index expressions.
 *
 * Note [Quasi-affine form]. An index expression becomes Σ coefficient·atom + constant. Atoms are variables, canonical
 * floordiv/floormod by constants, and whatever else is not linear (min, select, loads …). Floor divisions are split as
 * (g·Q + R) // m with R within one step of g, so that (io·4 + ii) // 4 is io when ii is in 0..4; quotients of a quotient
 * become one, so that (y + x//4) // 2 is (4·y + x) // 8; a quotient and a remainder of the same number recombine, so that
 * x//4·4 + x%4 is x.
 *
 * The ring operations hold modulo 2^64 too; splitting a division does not, so numerators that hold data (loads) are only
 * split where their bounds show that nothing wraps.
 */
import { add, constantValue, floordiv, floormod, index, mul, sub } from "../../ir/expr/build.ts";
import { indexType } from "../../ir/expr/dtype.ts";
import type { Binary, BinaryOp, Expr } from "../../ir/expr/expr.ts";
import { mapChildren, some } from "../../ir/expr/traverse.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import {
  addIntervals,
  boundsOf,
  fitType,
  type Interval,
  noRanges,
  point,
  type Ranges,
  scaleInterval,
} from "./bounds.ts";
import { compareExprs, sameExpr } from "./order.ts";

/** Σ terms·var + constant with integer coefficients, none of them 0. */
export interface Affine {
  readonly terms: ReadonlyMap<VarId, number>;
  readonly constant: number;
}
interface Term {
  readonly atom: Expr;
  readonly coefficient: number;
}
/** Σ coefficient·atom + constant; atoms differ from each other, no coefficient is 0. See Note [Quasi-affine form]. */
export interface QuasiAffine {
  readonly terms: readonly Term[];
  readonly constant: number;
}

/** Brings non-linear subexpressions (atoms to be) into canonical form. */
export interface AtomNormalizer {
  /** Normalizes an expression that is not linear, operands included. */
  readonly atom: (e: Expr) => Expr;
  /** Normalizes a binary node whose operands are canonical already. */
  readonly node: (e: Binary) => Expr;
}

const constantForm = (constant: number): QuasiAffine => ({ terms: [], constant });
const atomForm = (atom: Expr): QuasiAffine => ({ terms: [{ atom, coefficient: 1 }], constant: 0 });

const isSafe = Number.isSafeInteger;
const wholeQuotient = (n: number, m: number): number => {
  const q = Math.trunc(n / m);
  return q === 0 ? 0 : q;
};
const floorRemainder = (n: number, m: number): number => n - Math.floor(n / m) * m;
export function gcd(a: number, b: number): number {
  let x = Math.abs(a);
  let y = Math.abs(b);
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/** x + k·y. */
export function addScaled(x: QuasiAffine, y: QuasiAffine, k: number): QuasiAffine {
  const constant = x.constant + k * y.constant;
  if (y.terms.length === 0 || k === 0) return { terms: x.terms, constant };
  const terms = x.terms.slice();
  for (const t of y.terms) {
    const at = terms.findIndex((o) => sameExpr(o.atom, t.atom));
    if (at < 0) terms.push(k === 1 ? t : { atom: t.atom, coefficient: k * t.coefficient });
    else {
      const coefficient = terms[at]!.coefficient + k * t.coefficient;
      if (coefficient === 0) terms.splice(at, 1);
      else terms[at] = { atom: t.atom, coefficient };
    }
  }
  return { terms, constant };
}
export const scale = (x: QuasiAffine, k: number): QuasiAffine =>
  k === 1
    ? x
    : k === 0
      ? constantForm(0)
      : {
          terms: x.terms.map((t) => ({ atom: t.atom, coefficient: t.coefficient * k })),
          constant: x.constant * k === 0 ? 0 : x.constant * k,
        };
const safe = (x: QuasiAffine): boolean => isSafe(x.constant) && x.terms.every((t) => isSafe(t.coefficient));

/** The bounds of Σ coefficient·atom + constant. */
export function boundsOfForm(x: QuasiAffine, ranges: Ranges): Interval {
  let sum = point(x.constant);
  for (const t of x.terms) sum = addIntervals(sum, scaleInterval(boundsOf(t.atom, ranges), t.coefficient));
  return sum;
}

/** Larger coefficients first, positive before negative, then by atom: `io * 4 + ii`. */
const byTerm = (x: Term, y: Term): number =>
  Number(y.coefficient > 0) - Number(x.coefficient > 0) ||
  Math.abs(y.coefficient) - Math.abs(x.coefficient) ||
  compareExprs(x.atom, y.atom);

/** The canonical expression of a form: positive terms by falling coefficient, then negative ones, the constant last. */
export function fromQuasiAffine(x: QuasiAffine): Expr {
  const terms = x.terms.length > 1 ? x.terms.slice().sort(byTerm) : x.terms;
  const first = terms[0];
  if (!first) return index(x.constant);
  const leading = first.coefficient > 0;
  let sum: Expr = leading ? mul(first.atom, first.coefficient) : index(x.constant);
  for (const t of leading ? terms.slice(1) : terms)
    sum = t.coefficient > 0 ? add(sum, mul(t.atom, t.coefficient)) : subtract(sum, mul(t.atom, -t.coefficient));
  if (!leading || x.constant === 0) return sum;
  return x.constant > 0 ? add(sum, x.constant) : sub(sum, -x.constant);
}
const subtract = (a: Expr, b: Expr): Expr => sub(a, b);

/** Terms of `n` divisible by `g` as a quotient, the rest reduced to one step of g; undefined when the rest crosses. */
function splitBy(n: QuasiAffine, g: number, ranges: Ranges): { q: QuasiAffine; r: QuasiAffine } | undefined {
  const q: Term[] = [];
  const r: Term[] = [];
  for (const t of n.terms) {
    if (t.coefficient % g === 0) q.push({ atom: t.atom, coefficient: t.coefficient / g });
    else r.push(t);
  }
  let constant = floorRemainder(n.constant, g);
  let whole = (n.constant - constant) / g;
  if (r.length > 0) {
    const { min, max } = boundsOfForm({ terms: r, constant }, ranges);
    const k = Math.floor(min / g);
    if (!Number.isFinite(k) || Math.floor(max / g) !== k) return undefined;
    whole += k;
    constant -= k * g;
  }
  return { q: { terms: q, constant: whole }, r: { terms: r, constant } };
}
/** Steps worth trying for a division by `m`, largest first: m, then the divisors it shares with coefficients. */
function stepsFor(n: QuasiAffine, m: number): number[] {
  const steps = [m];
  for (const t of n.terms) {
    const g = gcd(t.coefficient, m);
    if (g > 1 && !steps.includes(g)) steps.push(g);
  }
  return steps.length > 2 ? steps.sort((a, b) => b - a) : steps;
}
/** A floordiv or floormod by a positive constant. */
function constantDivision(e: Expr, op: "floordiv" | "floormod"): { value: Expr; by: number } | undefined {
  if (e.kind !== "binary" || e.op !== op) return undefined;
  const by = constantValue(e.b);
  return by !== undefined && by > 0 ? { value: e.a, by } : undefined;
}
const isOne = (t: Term | undefined): t is Term => t !== undefined && t.coefficient === 1;

/** floordiv(n, m) for m ≥ 1. */
function divideForm(n: QuasiAffine, m: number, ranges: Ranges): QuasiAffine {
  if (m === 1) return n;
  for (const g of stepsFor(n, m)) {
    const s = splitBy(n, g, ranges);
    if (s) return g === m ? s.q : divideForm(s.q, m / g, ranges);
  }
  const q: Term[] = [];
  const r: Term[] = [];
  for (const t of n.terms) {
    const whole = wholeQuotient(t.coefficient, m);
    if (whole !== 0) q.push({ atom: t.atom, coefficient: whole });
    const rest = t.coefficient - whole * m;
    if (rest !== 0) r.push({ atom: t.atom, coefficient: rest });
  }
  const constant = floorRemainder(n.constant, m);
  const quotient = { terms: q, constant: (n.constant - constant) / m };
  if (q.length > 0) return addScaled(quotient, divideForm({ terms: r, constant }, m, ranges), 1);
  return addScaled(quotient, divideRest({ terms: r, constant }, m, ranges), 1);
}
function divideRest(r: QuasiAffine, m: number, ranges: Ranges): QuasiAffine {
  const whole = withoutInnerQuotient(r, m, ranges);
  if (whole) return divideForm(whole.numerator, whole.by, ranges);
  const only = r.terms.length === 1 ? r.terms[0] : undefined;
  if (isOne(only)) {
    const mod = constantDivision(only.atom, "floormod");
    if (mod && r.constant === 0 && mod.by % m === 0)
      return moduloForm(divideForm(splitSum(mod.value), m, ranges), mod.by / m, ranges);
  }
  return atomForm(floordiv(fromQuasiAffine(r), m));
}
/** (x + v // d) // m is (d·x + v) // (d·m). */
function withoutInnerQuotient(
  r: QuasiAffine,
  m: number,
  ranges: Ranges,
): { numerator: QuasiAffine; by: number } | undefined {
  const inner = r.terms.filter((t) => isOne(t) && constantDivision(t.atom, "floordiv"));
  const [t] = inner;
  const div = inner.length === 1 ? constantDivision(t!.atom, "floordiv") : undefined;
  if (!t || !div || !isSafe(div.by * m)) return undefined;
  const rest = { terms: r.terms.filter((o) => o !== t), constant: r.constant };
  const numerator = addScaled(splitSum(div.value), rest, div.by);
  return safe(numerator) && !mayWrap(numerator, ranges) ? { numerator, by: div.by * m } : undefined;
}

/** floormod(n, m) for m ≥ 1. */
export function moduloForm(n: QuasiAffine, m: number, ranges: Ranges): QuasiAffine {
  if (m === 1) return constantForm(0);
  const terms: Term[] = [];
  for (const t of n.terms) {
    const coefficient = t.coefficient % m;
    if (coefficient !== 0) terms.push(coefficient === t.coefficient ? t : { atom: t.atom, coefficient });
  }
  const reduced = { terms, constant: floorRemainder(n.constant, m) };
  for (const g of stepsFor(reduced, m)) {
    const s = splitBy(reduced, g, ranges);
    if (s) return g === m ? s.r : addScaled(s.r, moduloForm(s.q, m / g, ranges), g);
  }
  const inner = withoutInnerModulo(reduced, m);
  if (inner) return moduloForm(inner, m, ranges);
  return atomForm(floormod(fromQuasiAffine(reduced), m));
}
/** k·(x % a) is k·x modulo m where m divides k·a. */
function withoutInnerModulo(n: QuasiAffine, m: number): QuasiAffine | undefined {
  for (const t of n.terms) {
    const mod = constantDivision(t.atom, "floormod");
    if (!mod || (t.coefficient * mod.by) % m !== 0) continue;
    const rest = { terms: n.terms.filter((o) => o !== t), constant: n.constant };
    const next = addScaled(rest, splitSum(mod.value), t.coefficient);
    return safe(next) ? next : undefined;
  }
  return undefined;
}

/** Reads a canonical sum back into its form; no rule is applied. */
export function splitSum(e: Expr): QuasiAffine {
  if (e.kind === "const") return typeof e.value === "number" ? constantForm(e.value) : atomForm(e);
  if (e.kind !== "binary") return atomForm(e);
  if (e.op === "add" || e.op === "sub") return addScaled(splitSum(e.a), splitSum(e.b), e.op === "add" ? 1 : -1);
  if (e.op === "mul" && e.b.kind === "const" && typeof e.b.value === "number") return scale(splitSum(e.a), e.b.value);
  return atomForm(e);
}

/** Quotients and remainders of the same number come together again; see Note [Quasi-affine form]. */
export function recombine(x: QuasiAffine, ranges: Ranges): QuasiAffine {
  let hasDiv = false;
  for (const t of x.terms) if (t.atom.kind === "binary" && t.atom.op === "floordiv") hasDiv = true;
  if (!hasDiv || x.terms.length < 2) return x;
  const next = joinQuotient(x, ranges) ?? formRemainder(x);
  return next && safe(next) ? recombine(next, ranges) : x;
}
/** k·c·(v // c) + k·(v % c) = k·v. */
function joinQuotient(x: QuasiAffine, ranges: Ranges): QuasiAffine | undefined {
  for (const t of x.terms) {
    const mod = constantDivision(t.atom, "floormod");
    if (!mod) continue;
    const value = splitSum(mod.value);
    const quotient = divideForm(value, mod.by, ranges).terms;
    const div = quotient.length === 1 && isOne(quotient[0]) ? quotient[0].atom : undefined;
    if (!div) continue;
    const mate = x.terms.find((o) => o.coefficient === t.coefficient * mod.by && sameExpr(o.atom, div));
    if (!mate) continue;
    const rest = { terms: x.terms.filter((o) => o !== t && o !== mate), constant: x.constant };
    return addScaled(rest, value, t.coefficient);
  }
  return undefined;
}
/** k·v - k·c·(v // c) = k·(v % c), where every term of v is there. */
function formRemainder(x: QuasiAffine): QuasiAffine | undefined {
  for (const t of x.terms) {
    const div = constantDivision(t.atom, "floordiv");
    if (!div || t.coefficient % div.by !== 0) continue;
    const k = -t.coefficient / div.by;
    const value = splitSum(div.value);
    const present = value.terms.every((v) =>
      x.terms.some((o) => o.coefficient === k * v.coefficient && sameExpr(o.atom, v.atom)),
    );
    if (!present) continue;
    const rest = addScaled({ terms: x.terms.filter((o) => o !== t), constant: x.constant }, value, -k);
    return addScaled(rest, moduloForm(value, div.by, noRanges), k);
  }
  return undefined;
}

/** Whether the expression holds data, whose arithmetic may wrap. */
const holdsData = (e: Expr): boolean => e.kind !== "var" && some(e, (n) => n.kind === "load" || n.kind === "call");
/** Whether a sum over data may leave int64; index arithmetic never does. */
export function mayWrap(x: QuasiAffine, ranges: Ranges): boolean {
  if (!x.terms.some((t) => holdsData(t.atom))) return false;
  const whole = boundsOfForm(x, ranges);
  return !(isSafe(whole.min) && isSafe(whole.max)) || fitType(whole, "int64") !== whole;
}

/**
 * The quasi-affine form of an int64 scalar expression. `ranges` lets divisions split by what is known of variables;
 * `normalizer` is applied to what is not linear.
 */
export function linearize(e: Expr, ranges: Ranges, normalizer: AtomNormalizer): QuasiAffine {
  invariant(e.dtype === indexType, "only int64 scalars have a quasi-affine form");
  if (e.kind === "const") return typeof e.value === "number" ? constantForm(e.value) : atomForm(e);
  if (e.kind === "var") return atomForm(e);
  if (e.kind === "binary" && linear.has(e.op)) {
    const x = linearize(e.a, ranges, normalizer);
    const y = linearize(e.b, ranges, normalizer);
    const form = linearizeBinary(e.op, x, y, ranges);
    return form && safe(form) ? form : splitAtom(normalizer.node(withOperands(e, x, y)));
  }
  if (e.kind === "unary" && e.op === "neg") return scale(linearize(e.value, ranges, normalizer), -1);
  return splitAtom(normalizer.atom(e));
}
const linear: ReadonlySet<BinaryOp> = new Set(["add", "sub", "mul", "div", "mod", "floordiv", "floormod"]);
const splitAtom = (atom: Expr): QuasiAffine => (atom.kind === "var" ? atomForm(atom) : splitSum(atom));
function withOperands(e: Binary, x: QuasiAffine, y: QuasiAffine): Binary {
  const a = fromQuasiAffine(x);
  const b = fromQuasiAffine(y);
  return sameExpr(a, e.a) && sameExpr(b, e.b) ? e : { ...e, a, b };
}

function linearizeBinary(op: BinaryOp, x: QuasiAffine, y: QuasiAffine, ranges: Ranges): QuasiAffine | undefined {
  switch (op) {
    case "add":
    case "sub":
      return recombine(addScaled(x, y, op === "add" ? 1 : -1), ranges);
    case "mul":
      if (y.terms.length === 0) return scale(x, y.constant);
      return x.terms.length === 0 ? scale(y, x.constant) : undefined;
    default:
      return linearizeDivision(op, x, y, ranges);
  }
}
/** Division by a positive constant; truncating division of a nonnegative number is floor division. */
function linearizeDivision(op: BinaryOp, x: QuasiAffine, y: QuasiAffine, ranges: Ranges): QuasiAffine | undefined {
  if (y.terms.length > 0 || y.constant <= 0 || mayWrap(x, ranges)) return undefined;
  if ((op === "div" || op === "mod") && !(boundsOfForm(x, ranges).min >= 0)) return undefined;
  return op === "div" || op === "floordiv" ? divideForm(x, y.constant, ranges) : moduloForm(x, y.constant, ranges);
}

/** Normalizes the int64 operands of an atom; what the analyses use, while the simplifier brings its own rules. */
export function normalizeOperands(ranges: Ranges): AtomNormalizer {
  const operand = (e: Expr): Expr => {
    if (e.dtype !== indexType) return mapChildren(e, operand);
    const next = fromQuasiAffine(linearize(e, ranges, normalizer));
    return sameExpr(next, e) ? e : next;
  };
  const normalizer: AtomNormalizer = { atom: (e) => mapChildren(e, operand), node: (e) => e };
  return normalizer;
}
/** The quasi-affine form of an int64 expression, using what is known of variables. */
export const toQuasiAffine = (e: Expr, ranges: Ranges = noRanges): QuasiAffine =>
  linearize(e, ranges, normalizeOperands(ranges));

/** The affine form of an int64 expression over variables only; undefined when it has one with other atoms, or none. */
export function toAffine(e: Expr): Affine | undefined {
  if (e.dtype !== indexType) return undefined;
  const form = toQuasiAffine(e);
  const terms = new Map<VarId, number>();
  for (const t of form.terms) {
    if (t.atom.kind !== "var") return undefined;
    terms.set(t.atom.id, t.coefficient);
  }
  return { terms, constant: form.constant };
}
