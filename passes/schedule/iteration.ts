/**
 * Which loop iterations can meet: index expressions as sums of digits of loop variables (after TVM's IterMap), and what
 * equality of two such sums says about the loops. Sound, not complete: what is not understood forces nothing.
 *
 * A digit is floormod(floordiv(source, lower), extent) · scale; a source is a loop variable, or a sum under a division
 * (a mark) that is itself a sum of digits.
 */
import { constantValue } from "../../ir/expr/build.ts";
import type { Binary, Expr } from "../../ir/expr/expr.ts";
import { some } from "../../ir/expr/traverse.ts";
import type { For } from "../../ir/loop/program.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { keyOf } from "../analysis/order.ts";

export { keyOf } from "../analysis/order.ts";

/** Closed interval of integers; infinite where unknown. */
interface Interval {
  readonly lo: number;
  readonly hi: number;
}
const zero: Interval = { lo: 0, hi: 0 };
const everything: Interval = { lo: Number.NEGATIVE_INFINITY, hi: Number.POSITIVE_INFINITY };

interface Digit {
  readonly source: string;
  readonly lower: number;
  readonly extent: number;
  readonly scale: number;
}
/** Σ digits + Σ fixed + something within `rest` (constants included). */
export interface DigitSum {
  readonly digits: readonly Digit[];
  /** Terms over variables that do not change, with factors, as text. */
  readonly fixed: readonly string[];
  readonly rest: Interval;
}

/** What is known about variables: loops that are told apart, loops that range freely, variables bound inside. */
export interface IterationContext {
  /** Loops whose iterations are compared: become digits. */
  readonly compared: ReadonlyMap<VarId, For>;
  /** Other loops that range freely in both instances. */
  readonly free: ReadonlyMap<VarId, For>;
  /** Whether the variable has one value during all iterations compared. */
  readonly isFixed: (id: VarId) => boolean;
}

/** Sums under a division, by the text that stands for them as sources. */
type Marks = Map<string, { readonly sum: DigitSum; readonly extent: number }>;

const sourceOf = (id: VarId): string => `v${id}`;
const extentOf = (l: For): number => constantValue(l.extent) ?? Number.POSITIVE_INFINITY;

class Normalizer {
  readonly marks: Marks = new Map();
  readonly ctx: IterationContext;
  constructor(ctx: IterationContext) {
    this.ctx = ctx;
  }

  sum(e: Expr): DigitSum {
    const value = constantValue(e);
    if (value !== undefined) return { digits: [], fixed: [], rest: { lo: value, hi: value } };
    if (this.#isFixed(e)) return { digits: [], fixed: [`1*${keyOf(e)}`], rest: zero };
    if (e.kind === "var") return this.#variable(e.id);
    if (e.kind === "binary") return this.#binary(e);
    return this.#unknown(e);
  }
  #isFixed(e: Expr): boolean {
    return !some(e, (n) => n.kind === "load" || (n.kind === "var" && !this.ctx.isFixed(n.id)));
  }
  #variable(id: VarId): DigitSum {
    const loop = this.ctx.compared.get(id);
    if (loop) {
      const digit = { source: sourceOf(id), lower: 1, extent: extentOf(loop), scale: 1 };
      return plus({ digits: [digit], fixed: [], rest: zero }, this.sum(loop.min));
    }
    const free = this.ctx.free.get(id);
    return { digits: [], fixed: [], rest: free ? this.#range(free) : everything };
  }
  #range(l: For): Interval {
    const min = constantValue(l.min);
    return min === undefined ? everything : { lo: min, hi: min + extentOf(l) - 1 };
  }
  #binary(e: Binary): DigitSum {
    const by = constantValue(e.b);
    switch (e.op) {
      case "add":
        return plus(this.sum(e.a), this.sum(e.b));
      case "sub":
        return plus(this.sum(e.a), times(this.sum(e.b), -1));
      case "mul": {
        const left = constantValue(e.a);
        if (by !== undefined) return times(this.sum(e.a), by);
        return left !== undefined ? times(this.sum(e.b), left) : this.#unknown(e);
      }
      case "floordiv":
      case "floormod":
        return by !== undefined && by > 0 ? this.#divide(e, this.sum(e.a), by) : this.#unknown(e);
      default:
        return this.#unknown(e);
    }
  }
  /** floordiv or floormod of `s` by `c`. */
  #divide(e: Binary, s: DigitSum, c: number): DigitSum {
    const low = s.digits.filter((d) => d.scale % c !== 0);
    const lowSum = intervalOfSum({ digits: low, fixed: [], rest: s.rest });
    if (s.fixed.length === 0 && lowSum.lo >= 0 && lowSum.hi < c) {
      if (e.op === "floormod") return { digits: low, fixed: [], rest: s.rest };
      const high = s.digits.filter((d) => d.scale % c === 0).map((d) => ({ ...d, scale: d.scale / c }));
      return { digits: high, fixed: [], rest: zero };
    }
    const one = s.digits.length === 1 && isZero(s) ? s.digits[0]! : undefined;
    const digit = one?.scale === 1 ? this.#divideDigit(e.op, one, c) : undefined;
    return digit ? { digits: [digit], fixed: [], rest: zero } : this.#mark(e, s, c);
  }
  #divideDigit(op: Binary["op"], d: Digit, c: number): Digit | undefined {
    const top = d.lower * d.extent >= this.#sourceExtent(d.source);
    if (!top && d.extent % c !== 0) return undefined;
    if (op === "floormod") return { ...d, extent: Math.min(d.extent, c) };
    return { ...d, lower: d.lower * c, extent: Math.ceil(d.extent / c) };
  }
  #sourceExtent(source: string): number {
    const mark = this.marks.get(source);
    if (mark) return mark.extent;
    for (const [id, l] of this.ctx.compared) if (sourceOf(id) === source) return extentOf(l);
    return Number.POSITIVE_INFINITY;
  }
  /** The division of a sum of several digits: the sum becomes a source of its own. */
  #mark(e: Binary, s: DigitSum, c: number): DigitSum {
    if (s.rest.lo !== s.rest.hi || s.digits.length === 0) return this.#unknown(e);
    const bounds = intervalOfSum(s);
    const extent = bounds.lo >= 0 ? bounds.hi + 1 : Number.POSITIVE_INFINITY;
    const source = `(${keyOfSum(s)}+${s.rest.lo})`;
    this.marks.set(source, { sum: s, extent });
    const digit = this.#divideDigit(e.op, { source, lower: 1, extent, scale: 1 }, c);
    return digit ? { digits: [digit], fixed: [], rest: zero } : this.#unknown(e);
  }
  #unknown(e: Expr): DigitSum {
    return { digits: [], fixed: [], rest: this.interval(e) };
  }
  /** Bounds of an expression over compared and free loops. */
  interval(e: Expr): Interval {
    const value = constantValue(e);
    if (value !== undefined) return { lo: value, hi: value };
    if (e.kind === "var") {
      const l = this.ctx.compared.get(e.id) ?? this.ctx.free.get(e.id);
      return l ? this.#range(l) : everything;
    }
    if (e.kind !== "binary") return everything;
    const a = this.interval(e.a);
    const b = this.interval(e.b);
    const c = constantValue(e.b);
    switch (e.op) {
      case "add":
        return { lo: a.lo + b.lo, hi: a.hi + b.hi };
      case "sub":
        return { lo: a.lo - b.hi, hi: a.hi - b.lo };
      case "mul":
        return c === undefined ? everything : scaleInterval(a, c);
      case "min":
        return { lo: Math.min(a.lo, b.lo), hi: Math.min(a.hi, b.hi) };
      case "max":
        return { lo: Math.max(a.lo, b.lo), hi: Math.max(a.hi, b.hi) };
      case "floordiv":
        return c !== undefined && c > 0 ? { lo: Math.floor(a.lo / c), hi: Math.floor(a.hi / c) } : everything;
      case "floormod":
        return c !== undefined && c > 0 ? { lo: 0, hi: c - 1 } : everything;
      default:
        return everything;
    }
  }
}

const isZero = (s: DigitSum): boolean => s.fixed.length === 0 && s.rest.lo === 0 && s.rest.hi === 0;
const scaleInterval = (r: Interval, c: number): Interval => {
  if (c === 0) return zero;
  return c > 0 ? { lo: r.lo * c, hi: r.hi * c } : { lo: r.hi * c, hi: r.lo * c };
};
function intervalOfSum(s: DigitSum): Interval {
  if (s.fixed.length > 0) return everything;
  let { lo, hi } = s.rest;
  for (const d of s.digits) {
    const span = d.extent <= 1 ? 0 : (d.extent - 1) * d.scale;
    lo += Math.min(0, span);
    hi += Math.max(0, span);
  }
  return { lo, hi };
}
function plus(a: DigitSum, b: DigitSum): DigitSum {
  const digits = [...a.digits];
  for (const d of b.digits) {
    const same = digits.findIndex((x) => x.source === d.source && x.lower === d.lower && x.extent === d.extent);
    if (same < 0) digits.push(d);
    else digits[same] = { ...d, scale: d.scale + digits[same]!.scale };
  }
  return {
    digits: digits.filter((d) => d.scale !== 0),
    fixed: [...a.fixed, ...b.fixed].sort(),
    rest: { lo: a.rest.lo + b.rest.lo, hi: a.rest.hi + b.rest.hi },
  };
}
const times = (s: DigitSum, c: number): DigitSum => ({
  digits: c === 0 ? [] : s.digits.map((d) => ({ ...d, scale: d.scale * c })),
  fixed: c === 0 ? [] : s.fixed.map((f) => `${c}*${f}`),
  rest: scaleInterval(s.rest, c),
});

const keyOfDigit = (d: Digit): string => `${d.source}/${d.lower}%${d.extent}*${d.scale}`;
const keyOfSum = (s: DigitSum): string => [...s.digits.map(keyOfDigit).sort(), ...s.fixed].join("+");

/** A coordinate of an access: [min, min + extent). */
export interface Coordinate {
  readonly min: Expr;
  readonly extent: number;
}

/**
 * The compared loops that have equal iterations whenever the boxes `a` and `b` (evaluated at two different iterations
 * each) share an element.
 */
export function forcedEqual(
  a: readonly Coordinate[],
  b: readonly Coordinate[],
  ctx: IterationContext,
): ReadonlySet<VarId> {
  const n = new Normalizer(ctx);
  const known = new Map<string, Digit[]>();
  a.forEach((c, i) => {
    const other = b[i]!;
    const x = widen(n.sum(c.min), c.extent);
    const same = c === other || (c.min === other.min && c.extent === other.extent);
    const y = same ? x : widen(n.sum(other.min), other.extent);
    if (!same && keyOfSum(x) !== keyOfSum(y)) return;
    const slack = Math.max(Math.abs(y.rest.hi - x.rest.lo), Math.abs(x.rest.hi - y.rest.lo));
    learn(known, x.digits, slack);
  });
  expandMarks(known, n.marks);
  const result = new Set<VarId>();
  for (const [id, l] of ctx.compared)
    if (extentOf(l) <= 1 || covers(known.get(sourceOf(id)) ?? [], extentOf(l))) result.add(id);
  return result;
}
const widen = (s: DigitSum, extent: number): DigitSum => ({
  ...s,
  rest: { lo: s.rest.lo, hi: s.rest.hi + extent - 1 },
});
/** From |Σ scale·(d − d')| ≤ slack: the digits, largest first, that are equal because their scale exceeds all below. */
function learn(known: Map<string, Digit[]>, digits: readonly Digit[], slack: number): void {
  const ordered = [...digits].filter((d) => d.extent > 1).sort((x, y) => Math.abs(y.scale) - Math.abs(x.scale));
  const spans = ordered.map((d) => (d.extent - 1) * Math.abs(d.scale));
  for (const [i, d] of ordered.entries()) {
    const below = spans.slice(i + 1).reduce((s, v) => s + v, slack);
    if (!(Math.abs(d.scale) > below)) return;
    known.set(d.source, [...(known.get(d.source) ?? []), d]);
  }
}
/** A mark whose digits are all known is known, and so are the digits of its sum. */
function expandMarks(known: Map<string, Digit[]>, marks: Marks): void {
  const open = new Map(marks);
  for (let changed = true; changed; ) {
    changed = false;
    for (const [source, mark] of open) {
      if (!covers(known.get(source) ?? [], mark.extent)) continue;
      learn(known, mark.sum.digits, 0);
      open.delete(source);
      changed = true;
    }
  }
}
/** Whether the digits determine all of 0..extent. */
function covers(digits: readonly Digit[], extent: number): boolean {
  let covered = 1;
  for (const d of [...digits].sort((x, y) => x.lower - y.lower)) {
    if (covered % d.lower !== 0) continue;
    covered = Math.max(covered, d.lower * d.extent);
  }
  return covered >= extent;
}

/**
 * Whether the coordinates are least, all at once, where the compared loops start, whatever their order: each is a sum of
 * digits of single loops with positive scales. (A digit of a sum of loops is not: 3·a + b wraps before a does.)
 */
export function growsWithLoops(exprs: readonly Expr[], ctx: IterationContext): boolean {
  const n = new Normalizer(ctx);
  const sums = exprs.map((e) => n.sum(e));
  return n.marks.size === 0 && sums.every((s) => s.rest.lo === s.rest.hi && s.digits.every((d) => d.scale > 0));
}
