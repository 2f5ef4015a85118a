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

/** Values from `min` to `min + extent - 1`, both met, no two neighbours further apart than `gap`. */
interface Steps {
  readonly min: Linear;
  readonly extent: number;
  readonly gap: number;
}
/** The span of `l` while the variables of `inner` run over all their (bounded, independent) values within `limits`. */
export function spanOf(l: Linear, inner: Ranges, ranges: Ranges, limits: Limits = []): Span | undefined {
  const s = stepsOf(l, inner, ranges, limits);
  return s && { min: s.min, extent: s.extent, exact: s.gap === 1 };
}
function stepsOf(l: Linear, inner: Ranges, ranges: Ranges, limits: Limits = []): Steps | undefined {
  let min: Linear = constantLinear(l.constant);
  const moving: { width: number; gap: number }[] = [];
  const seen = new Set<VarId>();
  let isShared = false;
  const clipped = clipTerms(l, inner, ranges, limits);
  if (clipped) {
    min = addLinear(min, constantLinear(clipped.min));
    moving.push({ width: clipped.extent - 1, gap: clipped.gap });
    for (const key of clipped.terms) for (const v of freeVars(l.terms.get(key)!.atom)) seen.add(v);
  }
  for (const [key, t] of l.terms) {
    if (clipped?.terms.has(key)) continue;
    const used = [...freeVars(t.atom)].filter((v) => inner.has(v));
    if (used.length === 0) {
      min = addLinear(min, { terms: new Map([[key, t]]), constant: 0 });
      continue;
    }
    if (used.some((v) => seen.has(v))) isShared = true;
    for (const v of used) seen.add(v);
    const s = stepsOfAtom(t.atom, inner, ranges);
    if (!s) return undefined;
    const start = t.coefficient > 0 ? s.min : addLinear(s.min, constantLinear(s.extent - 1));
    min = addLinear(min, start, t.coefficient);
    const factor = Math.abs(t.coefficient);
    moving.push({ width: factor * (s.extent - 1), gap: s.extent === 1 ? 1 : factor * s.gap });
  }
  const sum = sumOf(moving);
  return { min, extent: sum.extent, gap: isShared ? Number.POSITIVE_INFINITY : sum.gap };
}
/** A sum of independent movers has no gap where each moves in steps that the finer ones fill. */
function sumOf(moving: readonly { width: number; gap: number }[]): { extent: number; gap: number } {
  let extent = 1;
  let gap = 1;
  for (const m of [...moving].sort((a, b) => a.gap - b.gap)) {
    if (m.gap > extent) gap = Math.max(gap, m.gap);
    extent += m.width;
  }
  return { extent, gap };
}
/** Terms of `l` whose sum a limit bounds: their joint clipped steps. */
function clipTerms(l: Linear, inner: Ranges, ranges: Ranges, limits: Limits) {
  for (const q of limits) {
    const keys = [...q.terms.keys()];
    const within = (k: string) =>
      l.terms.get(k)?.coefficient === q.terms.get(k)!.coefficient &&
      [...freeVars(q.terms.get(k)!.atom)].every((v) => inner.has(v));
    if (keys.length === 0 || !keys.every(within)) continue;
    const s = stepsOf({ terms: q.terms, constant: 0 }, inner, ranges);
    if (!s || s.min.terms.size > 0) continue;
    const extent = Math.min(s.extent, 1 - q.constant - s.min.constant);
    if (extent < 1) continue;
    return { terms: new Set(keys), min: s.min.constant, extent, gap: s.gap === 1 ? 1 : Number.POSITIVE_INFINITY };
  }
  return undefined;
}
function stepsOfAtom(e: Expr, inner: Ranges, ranges: Ranges): Steps | undefined {
  if (e.kind === "var") return finiteSteps(inner.get(e.id)!, 1);
  const other = e.kind === "binary" ? constantValue(e.b) : undefined;
  if (e.kind === "binary" && other !== undefined) {
    const a = stepsOf(linearOf(e.a, ranges), inner, ranges);
    if (a && e.op === "floordiv" && other > 0) return quotientSteps(a, other, ranges);
    if (a && e.op === "floormod" && other > 0) return remainderSteps(a, other);
    if (a && (e.op === "min" || e.op === "max") && a.min.terms.size === 0) return clippedSteps(a, e.op, other);
  }
  const bounds = boundsOf({ terms: new Map([["", { atom: e, coefficient: 1 }]]), constant: 0 }, ranges);
  return finiteSteps(bounds, Number.POSITIVE_INFINITY);
}
function finiteSteps(b: Bounds, gap: number): Steps | undefined {
  const extent = b.max - b.min + 1;
  return Number.isFinite(extent) && extent >= 1
    ? { min: constantLinear(b.min), extent, gap: extent === 1 ? 1 : gap }
    : undefined;
}
const divides = (l: Linear, c: number): boolean =>
  l.constant % c === 0 && [...l.terms.values()].every((t) => t.coefficient % c === 0);
function quotientSteps(a: Steps, c: number, ranges: Ranges): Steps {
  const min = linearOf(floordiv(exprOf(a.min), c), ranges);
  if (!divides(a.min, c)) {
    const extent = Math.floor((a.extent + c - 2) / c) + 1;
    return { min, extent, gap: a.extent === 1 ? 1 : Number.POSITIVE_INFINITY };
  }
  return { min, extent: Math.floor((a.extent - 1) / c) + 1, gap: Math.max(1, Math.ceil(a.gap / c)) };
}
function remainderSteps(a: Steps, c: number): Steps {
  const start = constantLinear(a.min.constant - Math.floor(a.min.constant / c) * c);
  const aligned = divides({ terms: a.min.terms, constant: 0 }, c);
  if (aligned && start.constant + a.extent <= c) return { min: start, extent: a.extent, gap: a.gap };
  return { min: constantLinear(0), extent: c, gap: a.gap === 1 && a.extent >= c ? 1 : Number.POSITIVE_INFINITY };
}
function clippedSteps(a: Steps, op: "min" | "max", limit: number): Steps {
  const clip = (x: number): number => (op === "min" ? Math.min(x, limit) : Math.max(x, limit));
  const lo = clip(a.min.constant);
  const hi = clip(a.min.constant + a.extent - 1);
  return { min: constantLinear(lo), extent: hi - lo + 1, gap: a.gap };
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
  const s = finiteSteps(bounds, Number.POSITIVE_INFINITY);
  return s && { min: s.min, extent: s.extent, exact: false };
}
/** Whether `outer` provably holds all of `inner`. */
export function spanCovers(outer: Span, inner: Span, ranges: Ranges): boolean {
  const start = addLinear(inner.min, outer.min, -1);
  const b = boundsOf(start, ranges);
  return b.min >= 0 && b.max + inner.extent <= outer.extent;
}
/** Whether two spans provably share no point. */
function spansDisjoint(a: Span, b: Span, ranges: Ranges): boolean {
  const d = boundsOf(addLinear(b.min, a.min, -1), ranges);
  return d.min >= a.extent || d.max + b.extent <= 0;
}
/** Whether two boxes provably share no element. */
export const boxesDisjoint = (a: Box, b: Box, ranges: Ranges): boolean =>
  a.spans.some((s, d) => {
    const t = b.spans[d];
    return s !== undefined && t !== undefined && spansDisjoint(s, t, ranges);
  });
