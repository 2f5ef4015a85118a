/** Boxes of buffer elements that accesses touch while some loops run: symbolic lower bounds, constant extents. */
import { constantValue, floordiv } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import {
  addLinear,
  type Bounds,
  boundsOf,
  constantLinear,
  exprOf,
  type Linear,
  linearOf,
  type Ranges,
} from "./support-linear.ts";

/** [min, min + extent) in one dimension. */
export interface Span {
  /** Over variables outside the relaxed loops. */
  readonly min: Linear;
  readonly extent: number;
  /** Whether every point is met; otherwise the span only contains what is met. */
  readonly exact: boolean;
}
/** One span a dimension; undefined where no constant extent is known. */
export interface Box {
  readonly spans: readonly (Span | undefined)[];
  /** Whether every point of the box is met: all spans exact and no variable shared between dimensions. */
  readonly exact: boolean;
}

/** Upper limits (l ≤ 0) that hold wherever the access happens: loop guards over inner variables alone. */
export type Limits = readonly Linear[];

interface Mover {
  readonly step: number;
  readonly extent: number;
}
/** The span of `l` while the variables of `inner` run over all their (bounded, independent) values within `limits`. */
export function spanOf(l: Linear, inner: Ranges, ranges: Ranges, limits: Limits = []): Span | undefined {
  let lower: Linear = constantLinear(l.constant);
  const moving: Mover[] = [];
  const seen = new Set<VarId>();
  let exact = true;
  const clipped = clipTerms(l, inner, ranges, limits);
  if (clipped) {
    lower = addLinear(lower, constantLinear(clipped.min));
    moving.push({ step: 1, extent: clipped.extent });
    exact = clipped.exact;
  }
  for (const [key, t] of l.terms) {
    if (clipped?.terms.has(key)) continue;
    const used = [...freeVars(t.atom)].filter((v) => inner.has(v));
    if (used.length === 0) {
      lower = addLinear(lower, { terms: new Map([[key, t]]), constant: 0 });
      continue;
    }
    if (used.some((v) => seen.has(v))) exact = false;
    for (const v of used) seen.add(v);
    const s = spanOfAtom(t.atom, inner, ranges);
    if (!s) return undefined;
    exact &&= s.exact;
    const start = t.coefficient > 0 ? s.min : addLinear(s.min, constantLinear(s.extent - 1));
    lower = addLinear(lower, start, t.coefficient);
    moving.push({ step: Math.abs(t.coefficient), extent: s.extent });
  }
  const reach = reachOf(moving);
  return { min: lower, extent: reach.extent, exact: exact && reach.exact };
}
function reachOf(moving: readonly Mover[]): { extent: number; exact: boolean } {
  let extent = 1;
  let exact = true;
  for (const m of [...moving].sort((a, b) => a.step - b.step)) {
    if (m.extent > 1 && m.step > extent) exact = false;
    extent += m.step * (m.extent - 1);
  }
  return { extent, exact };
}
/** Terms of `l` whose sum a limit bounds: their joint clipped span. */
function clipTerms(l: Linear, inner: Ranges, ranges: Ranges, limits: Limits) {
  for (const q of limits) {
    const keys = [...q.terms.keys()];
    const within = (k: string) =>
      l.terms.get(k)?.coefficient === q.terms.get(k)!.coefficient &&
      [...freeVars(q.terms.get(k)!.atom)].every((v) => inner.has(v));
    if (keys.length === 0 || !keys.every(within)) continue;
    const s = spanOf({ terms: q.terms, constant: 0 }, inner, ranges);
    if (!s || s.min.terms.size > 0) continue;
    const extent = Math.min(s.extent, 1 - q.constant - s.min.constant);
    if (extent < 1) continue;
    return { terms: new Set(keys), min: s.min.constant, extent, exact: s.exact };
  }
  return undefined;
}
function spanOfAtom(e: Expr, inner: Ranges, ranges: Ranges): Span | undefined {
  if (e.kind === "var") {
    const b = inner.get(e.id)!;
    return finiteSpan(b, true);
  }
  const divisor = e.kind === "binary" ? constantValue(e.b) : undefined;
  if (e.kind === "binary" && divisor !== undefined && divisor > 0) {
    const a = spanOf(linearOf(e.a, ranges), inner, ranges);
    if (a && e.op === "floordiv") return quotientSpan(a, divisor, ranges);
    if (a && e.op === "floormod") return remainderSpan(a, divisor);
  }
  return finiteSpan(boundsOf({ terms: new Map([["", { atom: e, coefficient: 1 }]]), constant: 0 }, ranges), false);
}
function finiteSpan(b: Bounds, exact: boolean): Span | undefined {
  const extent = b.max - b.min + 1;
  return Number.isFinite(extent) && extent >= 1 ? { min: constantLinear(b.min), extent, exact } : undefined;
}
const divides = (l: Linear, c: number): boolean =>
  l.constant % c === 0 && [...l.terms.values()].every((t) => t.coefficient % c === 0);
function quotientSpan(a: Span, c: number, ranges: Ranges): Span {
  const min = linearOf(floordiv(exprOf(a.min), c), ranges);
  if (divides(a.min, c)) return { min, extent: Math.floor((a.extent - 1) / c) + 1, exact: a.exact };
  return { min, extent: Math.floor((a.extent + c - 2) / c) + 1, exact: a.extent === 1 };
}
function remainderSpan(a: Span, c: number): Span {
  const start = { terms: new Map(), constant: a.min.constant - Math.floor(a.min.constant / c) * c };
  const aligned = divides({ terms: a.min.terms, constant: 0 }, c);
  if (aligned && start.constant + a.extent <= c) return { min: start, extent: a.extent, exact: a.exact };
  return { min: constantLinear(0), extent: c, exact: a.exact && a.extent >= c };
}
/** The box of a point access while the variables of `inner` run. */
export function boxOf(indices: readonly Expr[], inner: Ranges, ranges: Ranges, limits: Limits = []): Box {
  const forms = indices.map((e) => linearOf(e, ranges));
  const spans = forms.map((l) => spanOf(l, inner, ranges, limits));
  const exact = spans.every((s) => s?.exact) && independent(forms, inner);
  return { spans, exact };
}

/** A digit of a mixed-radix number: floor(base / divisor) mod modulus. */
interface Digit {
  readonly base: VarId;
  readonly divisor: number;
  readonly modulus: number;
}
function digitOf(e: Expr): Digit | undefined {
  if (e.kind === "var") return { base: e.id, divisor: 1, modulus: Number.POSITIVE_INFINITY };
  if (e.kind !== "binary") return undefined;
  const c = constantValue(e.b);
  const a = digitOf(e.a);
  if (c === undefined || c <= 0 || !a) return undefined;
  if (e.op === "floormod") return { ...a, modulus: Math.min(a.modulus, c) };
  if (e.op === "floordiv") return { ...a, divisor: a.divisor * c, modulus: a.modulus / c };
  return undefined;
}
/** Whether no inner variable moves two dimensions, but for disjoint digits of one variable. */
function independent(forms: readonly Linear[], inner: Ranges): boolean {
  const taken = new Map<VarId, Digit[]>();
  for (const l of forms) {
    for (const t of l.terms.values()) {
      const used = [...freeVars(t.atom)].filter((v) => inner.has(v));
      if (used.length === 0) continue;
      const digit = used.length === 1 ? digitOf(t.atom) : undefined;
      for (const v of used) {
        const before = taken.get(v) ?? [];
        if (before.length > 0 && (!digit || !before.every((d) => disjointDigits(d, digit, inner.get(v)!))))
          return false;
        taken.set(v, [...before, digit ?? { base: v, divisor: 1, modulus: Number.POSITIVE_INFINITY }]);
      }
    }
  }
  return true;
}
/** Two digits take all pairs of their values when they do not overlap and the upper one ends the range evenly. */
function disjointDigits(a: Digit, b: Digit, range: Bounds): boolean {
  const [low, high] = a.divisor <= b.divisor ? [a, b] : [b, a];
  if (low.divisor * low.modulus > high.divisor) return false;
  const extent = range.max - range.min + 1;
  return range.min === 0 && extent % high.divisor === 0;
}

/** The least span that holds both; undefined when their bounds are not comparable. */
export function unionSpan(a: Span, b: Span, ranges: Ranges): Span | undefined {
  const difference = addLinear(b.min, a.min, -1);
  if (difference.terms.size === 0) {
    const d = difference.constant;
    const min = d >= 0 ? a.min : b.min;
    const extent = Math.max(a.extent, d + b.extent) - Math.min(0, d);
    const touching = d >= 0 ? d <= a.extent : -d <= b.extent;
    return { min, extent, exact: a.exact && b.exact && touching };
  }
  const lo = boundsOf(a.min, ranges);
  const other = boundsOf(b.min, ranges);
  const bounds = {
    min: Math.min(lo.min, other.min),
    max: Math.max(lo.max + a.extent, other.max + b.extent) - 1,
  };
  return finiteSpan(bounds, false);
}
/** Whether `outer` provably holds all of `inner`. */
export function spanCovers(outer: Span, inner: Span, ranges: Ranges): boolean {
  const start = addLinear(inner.min, outer.min, -1);
  const b = boundsOf(start, ranges);
  return b.min >= 0 && b.max + inner.extent <= outer.extent;
}
/** Whether two spans provably share no point. */
export function spansDisjoint(a: Span, b: Span, ranges: Ranges): boolean {
  const d = boundsOf(addLinear(b.min, a.min, -1), ranges);
  return d.min >= a.extent || d.max + b.extent <= 0;
}
/** Whether two boxes provably share no element. */
export const boxesDisjoint = (a: Box, b: Box, ranges: Ranges): boolean =>
  a.spans.some((s, d) => {
    const t = b.spans[d];
    return s !== undefined && t !== undefined && spansDisjoint(s, t, ranges);
  });
