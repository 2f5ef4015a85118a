/**
 * How many elements of each buffer a statement touches, and how often its blocks run. Exact where indices, loop bounds and
 * conditions are affine, or fused and split loops in quotients and remainders; an upper bound elsewhere, which says so.
 * The loops around are in the middle of their iterations.
 */
import { add, binary, constantValue, index, mul } from "../../ir/expr/build.ts";
import { bytesOf, indexType } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr, Var } from "../../ir/expr/expr.ts";
import { freeVars, substitute } from "../../ir/expr/traverse.ts";
import type { For, Stmt } from "../../ir/loop/program.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { type Access, accessesIn } from "./accesses.ts";
import { addScaled, boundsOfForm, type QuasiAffine, toQuasiAffine } from "./affine.ts";
import type { Interval, Ranges } from "./bounds.ts";
import { decide, loopInterval } from "./interval.ts";
import {
  clipped,
  type Factor,
  type Form,
  type Product,
  tuplesOf,
  unionCount,
  type ValueSet,
  valuesOf,
} from "./value-sets.ts";

/** What a statement touches of one buffer. */
export interface Footprint {
  readonly buffer: Buffer;
  readonly elements: number;
  readonly bytes: number;
  /** Whether `elements` is the number, not only a bound from above. */
  readonly exact: boolean;
}

/** The footprint of a statement in each buffer that it touches, in order of first use. */
export function footprintsOf(s: Stmt, around: readonly For[] = []): Footprint[] {
  const groups = new Map<number, Access[]>();
  for (const a of accessesIn(s)) groups.set(a.buffer.id, [...(groups.get(a.buffer.id) ?? []), a]);
  const middle = middleOf(around);
  return [...groups.values()].map((list) => {
    const { buffer } = list[0]!;
    const { count, exact } = unionCount(
      list.map((a) => productOf(a, middle)),
      buffer.shape.length,
    );
    const whole = buffer.shape.reduce((n, e) => n * (constantValue(e) ?? Number.POSITIVE_INFINITY), 1);
    const elements = Math.min(count, whole);
    return { buffer, elements, bytes: elements * bytesOf(buffer.dtype.scalar), exact: exact || count === 0 };
  });
}

type Values = ReadonlyMap<VarId, Expr>;
/** Loop variables in the middle of their ranges: away from borders, where guards leave out what is outside. */
export function middleOf(loops: readonly For[], known: Values = new Map()): Values {
  const values = new Map(known);
  for (const l of loops) {
    const [from, extent] = [l.min, l.extent].map((e) => substitute(e, values));
    const half = Math.max(0, Math.floor((numberOf(extent!) ?? 0) / 2));
    values.set(l.var.id, half === 0 ? from! : add(from!, half));
  }
  return values;
}

/** Where the iterations of some loops are: each variable in an interval from 0, what is added to it, and whether that is all. */
interface Space {
  readonly shifts: Values;
  readonly ranges: Ranges;
  readonly exact: boolean;
}
function spaceOf(loops: readonly For[], fixed: Values): Space {
  const shifts = new Map(fixed);
  const ranges = new Map<VarId, Interval>();
  let exact = true;
  for (const l of loops) {
    const [from, extent] = [l.min, l.extent].map((e) => numberOf(substitute(e, shifts)));
    if (from !== undefined && extent !== undefined) {
      if (from !== 0) shifts.set(l.var.id, { kind: "binary", op: "add", a: l.var, b: index(from), dtype: l.var.dtype });
      ranges.set(l.var.id, { min: 0, max: extent - 1 });
    } else {
      ranges.set(
        l.var.id,
        loopInterval({ ...l, min: substitute(l.min, shifts), extent: substitute(l.extent, shifts) }, ranges),
      );
      exact = false;
    }
  }
  return { shifts, ranges, exact };
}
function numberOf(e: Expr): number | undefined {
  if (e.kind === "const") return constantValue(e);
  const { terms, constant } = toQuasiAffine(e);
  return terms.length === 0 ? constant : undefined;
}
const isEmpty = (s: Space): boolean => [...s.ranges.values()].some((r) => r.max < r.min);
const nothing: Product = { factors: [{ dims: [0], values: { from: 0, to: -1, count: 0 } }], exact: true };

function productOf(a: Access, middle: Values): Product {
  const scalar = spaceOf(a.loops.slice(a.privateLoops), middleOf(a.loops.slice(0, a.privateLoops), middle));
  if (isEmpty(scalar)) return scalar.exact ? nothing : { ...nothing, exact: false };
  const lanes = Math.max(1, ...a.indices.map((e) => e.dtype.lanes));
  const ranges = lanes === 1 ? scalar.ranges : new Map(scalar.ranges).set(lane.id, { min: 0, max: lanes - 1 });
  const indices = a.indices.map(acrossLanes);
  const understood = !a.masked && indices.every((e) => e !== undefined);
  return tuplesIn(
    { ...scalar, ranges, exact: scalar.exact && understood },
    a.buffer.shape.map((n, k) => ({ expr: indices[k], most: constantValue(n) })),
    a.conditions,
  );
}
/** The place in a vector, which runs like a loop within the others. */
const lane: Var = { kind: "var", name: "lane", id: -1 as VarId, dtype: indexType };
/** What a vector of indices holds at `lane`; undefined where that is more than sums of steps. */
function acrossLanes(e: Expr): Expr | undefined {
  if (e.dtype.lanes === 1) return e;
  if (e.kind === "broadcast") return e.value;
  if (e.kind === "ramp") return add(e.base, mul(e.stride, lane));
  if (e.kind !== "binary") return undefined;
  const [a, b] = [acrossLanes(e.a), acrossLanes(e.b)];
  return a && b && binary(e.op, a, b);
}
/** One dimension of tuples; without an expression, or where that is not understood, anything from 0 to below `most`. */
interface Dimension {
  readonly expr: Expr | undefined;
  readonly most: number | undefined;
}
/** The tuples of some expressions over a space, where conditions hold. */
function tuplesIn(space: Space, dims: readonly Dimension[], conditions: readonly Expr[]): Product {
  const sums = dims.map(({ expr }) => expr && toQuasiAffine(substitute(expr, space.shifts), space.ranges));
  const limits = limitsOf(
    conditions.map((c) => substitute(c, space.shifts)),
    sums,
    space.ranges,
  );
  if (limits.never) return nothing;
  const digits = digitsOf([...sums.flatMap((s) => s ?? [])], space.ranges);
  const forms = sums.map((s) => s && formOf(s, digits));
  let exact = space.exact && limits.all && digits.exact;
  const factors = groupsOf(forms).map((group): Factor => {
    const known = group.map((d) => forms[d]);
    if (group.length > 1) {
      const tuples = tuplesOf(known as Form[]);
      const inside = tuples?.filter((t) => group.every((d, j) => t[j]! >= limits.from[d]! && t[j]! <= limits.to[d]!));
      if (inside) return { dims: group, tuples: inside };
      exact = false;
    }
    return { dims: [group[0]!], values: { from: 0, to: -1, count: 0 } };
  });
  // Groups that were too large to list fall back to one factor a dimension.
  const listed = new Set(factors.flatMap((f) => ("tuples" in f ? f.dims : [])));
  const single = dims.flatMap((dim, d): Factor[] => {
    if (listed.has(d)) return [];
    const form = forms[d];
    const found = form ? valuesOf(form) : { values: within(dim, sums[d], space.ranges), exact: dim.expr === undefined };
    exact &&= found.exact;
    return [{ dims: [d], values: clipped(found.values, limits.from[d]!, limits.to[d]!) }];
  });
  return { factors: [...factors.filter((f) => "tuples" in f), ...single], exact };
}
/** The interval of a sum that is not understood further, as far as the dimension goes. */
function within(
  { most = Number.POSITIVE_INFINITY }: Dimension,
  sum: QuasiAffine | undefined,
  ranges: Ranges,
): ValueSet {
  const bounds = sum ? boundsOfForm(sum, ranges) : { min: 0, max: most - 1 };
  const [from, to] = [Math.max(0, bounds.min), Math.min(most - 1, bounds.max)];
  return { from, to, count: Math.max(0, to - from + 1) };
}
/** Dimensions in groups that share a digit. */
function groupsOf(forms: readonly (Form | undefined)[]): number[][] {
  const groups: { dims: number[]; digits: Set<string> }[] = [];
  forms.forEach((f, d) => {
    const digits = new Set(f?.terms.filter((t) => t.extent > 1).map((t) => t.digit));
    const touching = groups.filter((g) => [...digits].some((x) => g.digits.has(x)));
    for (const g of touching) groups.splice(groups.indexOf(g), 1);
    groups.push({
      dims: [...touching.flatMap((g) => g.dims), d].sort((x, y) => x - y),
      digits: new Set([...digits, ...touching.flatMap((g) => [...g.digits])]),
    });
  });
  return groups.map((g) => g.dims);
}

/** Intervals that conditions leave of the dimensions; `all` when they say nothing else. */
interface Limits {
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly all: boolean;
  readonly never: boolean;
}
function limitsOf(conditions: readonly Expr[], sums: readonly (QuasiAffine | undefined)[], ranges: Ranges): Limits {
  const from = sums.map(() => Number.NEGATIVE_INFINITY);
  const to = sums.map(() => Number.POSITIVE_INFINITY);
  const others: Expr[] = [];
  let never = false;
  for (const c of conditions.flatMap(conjuncts)) {
    const known = decide(c, ranges);
    if (known === true) continue;
    never ||= known === false;
    const half = halfLine(c, sums, ranges);
    if (!half) others.push(c);
    else {
      from[half.dim] = Math.max(from[half.dim]!, half.from);
      to[half.dim] = Math.min(to[half.dim]!, half.to);
    }
  }
  const holds = others.length === 0 || holdSomewhere(others, sums, ranges);
  return { from, to, all: holds === true, never: never || holds === false };
}
/** Whether conditions on variables that no dimension uses hold for some of their values; undefined when it is not known. */
function holdSomewhere(conditions: readonly Expr[], sums: readonly (QuasiAffine | undefined)[], ranges: Ranges) {
  const used = new Set(sums.flatMap((s) => s?.terms.flatMap((t) => [...freeVars(t.atom)]) ?? []));
  for (const [sum, list] of groupedBy(
    conditions,
    conditions.map((c) => sumOf(c, ranges)),
  )) {
    const variables = sum.terms.flatMap((t) => [...freeVars(t.atom)]);
    const space = boundedSum(sum, list, ranges);
    if (!space || variables.some((v) => used.has(v))) return undefined;
    if (space.left.count === 0) return false;
    for (const v of variables) used.add(v);
  }
  return true;
}
/** The values of a sum, and those that conditions on it leave; undefined when they are not known exactly. */
function boundedSum(sum: QuasiAffine, conditions: readonly Expr[], ranges: Ranges) {
  const digits = digitsOf([sum], ranges);
  const form = formOf(sum, digits);
  const halves = conditions.map((c) => halfLine(c, [sum], ranges));
  if (sum.terms.length === 0 || !form || !digits.exact || halves.some((h) => !h)) return undefined;
  const { values, exact } = valuesOf(form);
  const left = clipped(values, Math.max(...halves.map((h) => h!.from)), Math.min(...halves.map((h) => h!.to)));
  return exact ? { form, values, left } : undefined;
}
const conjuncts = (e: Expr): Expr[] =>
  e.kind === "binary" && e.op === "and" && e.dtype.scalar === "bool" ? [...conjuncts(e.a), ...conjuncts(e.b)] : [e];
/** A comparison that bounds one dimension: its sides differ by that dimension's sum (or its negation) and a constant. */
function halfLine(c: Expr, sums: readonly (QuasiAffine | undefined)[], ranges: Ranges) {
  if (c.kind !== "compare" || c.a.dtype.lanes !== 1 || c.a.dtype.scalar !== "int64") return undefined;
  const apart = addScaled(toQuasiAffine(c.a, ranges), toQuasiAffine(c.b, ranges), -1);
  for (const [dim, sum] of sums.entries())
    for (const sign of [1, -1]) {
      const rest = sum && addScaled(apart, sum, -sign);
      if (!rest || rest.terms.length > 0) continue;
      return lineOf(c.op, sign, rest.constant, dim);
    }
  return undefined;
}
/** sign · x + constant (op) 0, in terms of x. */
function lineOf(op: string, sign: number, constant: number, dim: number) {
  const at = -constant * sign;
  const below = sign > 0 ? ["lt", "le"] : ["gt", "ge"];
  const above = sign > 0 ? ["gt", "ge"] : ["lt", "le"];
  const strict = op === "lt" || op === "gt" ? 1 : 0;
  if (op === "eq") return { dim, from: at, to: at };
  if (below.includes(op)) return { dim, from: Number.NEGATIVE_INFINITY, to: at - strict };
  return above.includes(op) ? { dim, from: at + strict, to: Number.POSITIVE_INFINITY } : undefined;
}

// Note [Digits]
// Fused and split loops appear as v // m, v % m and (v // m) % k. When all divisors of a variable divide each other, its
// value is a number in a mixed radix, and each such atom is a run of its digits: independent variables from 0. A top
// digit that is not always full makes the count a bound.
interface Digits {
  readonly cuts: ReadonlyMap<VarId, readonly number[]>;
  readonly ranges: Ranges;
  readonly exact: boolean;
}
/** floor(v / low) mod (high / low). */
interface Run {
  readonly id: VarId;
  readonly low: number;
  readonly high: number;
}
function runOf(atom: Expr): Run | undefined {
  if (atom.kind === "var") return { id: atom.id, low: 1, high: Number.POSITIVE_INFINITY };
  if (atom.kind !== "binary" || (atom.op !== "floordiv" && atom.op !== "floormod")) return undefined;
  const by = constantValue(atom.b);
  const of = runOf(atom.a);
  if (by === undefined || by <= 0 || !of) return undefined;
  if (atom.op === "floormod") return { ...of, high: Math.min(of.high, of.low * by) };
  return of.low * by < of.high ? { ...of, low: of.low * by } : undefined;
}
function digitsOf(sums: readonly QuasiAffine[], ranges: Ranges): Digits {
  const found = new Map<VarId, Set<number>>();
  for (const { terms } of sums)
    for (const { atom } of terms) {
      const run = runOf(atom);
      if (!run) continue;
      const cuts = found.get(run.id) ?? new Set([1]);
      for (const c of [run.low, run.high]) if (Number.isFinite(c)) cuts.add(c);
      found.set(run.id, cuts);
    }
  let exact = true;
  const cuts = new Map<VarId, readonly number[]>();
  for (const [id, set] of found) {
    const list = [...set].sort((a, b) => a - b);
    const extent = (ranges.get(id)?.max ?? Number.NaN) + 1;
    if (!list.every((c, k) => k === 0 || c % list[k - 1]! === 0)) continue;
    const below = list.filter((c) => c === 1 || c < extent);
    if (extent % below.at(-1)! !== 0) exact = false;
    cuts.set(id, below);
  }
  return { cuts, ranges, exact };
}
function formOf(sum: QuasiAffine, digits: Digits): Form | undefined {
  const terms: Form["terms"][number][] = [];
  for (const { atom, coefficient } of sum.terms) {
    const run = runOf(atom);
    const cuts = run && digits.cuts.get(run.id);
    const extent = run && (digits.ranges.get(run.id)?.max ?? Number.NaN) + 1;
    if (!run || !cuts || extent === undefined || !Number.isFinite(extent)) return undefined;
    cuts.forEach((c, k) => {
      if (c < run.low || c >= run.high) return;
      const count = Math.ceil(Math.min(extent, cuts[k + 1] ?? Number.POSITIVE_INFINITY) / c);
      terms.push({ digit: `${run.id}/${c}`, extent: count, coefficient: (coefficient * c) / run.low });
    });
  }
  return { constant: sum.constant, terms: merged(terms) };
}
function merged(terms: Form["terms"]): Form["terms"] {
  const byDigit = new Map<string, Form["terms"][number]>();
  for (const t of terms) {
    const before = byDigit.get(t.digit);
    byDigit.set(t.digit, before ? { ...t, coefficient: t.coefficient + before.coefficient } : t);
  }
  return [...byDigit.values()].filter((t) => t.coefficient !== 0);
}

/** How often a statement runs within loops, where conditions hold. */
export interface Runs {
  readonly count: number;
  readonly exact: boolean;
}
/** How often what stands in `loops` under `conditions` runs, the loops in `around` in the middle of theirs. */
export function runsOf(loops: readonly For[], conditions: readonly Expr[], around: readonly For[]): Runs {
  const space = spaceOf(loops, middleOf(around));
  if (isEmpty(space)) return { count: 0, exact: space.exact };
  const total = [...space.ranges.values()].reduce((n, r) => n * (r.max + 1), 1);
  const open = conditions.map((c) => substitute(c, space.shifts)).filter((c) => decide(c, space.ranges) !== true);
  if (open.length === 0) return { count: total, exact: space.exact };
  const guarded = guardedRuns(space, open.flatMap(conjuncts), total);
  return guarded ?? { count: total, exact: false };
}
/** Each condition bounds a sum of loop variables that no other uses: the runs are a product. */
function guardedRuns(space: Space, conditions: readonly Expr[], total: number): Runs | undefined {
  const sums = conditions.map((c) => sumOf(c, space.ranges));
  let left = total;
  const used = new Set<string>();
  for (const [sum, list] of groupedBy(conditions, sums)) {
    const bounded = boundedSum(sum, list, space.ranges);
    if (!bounded || bounded.form.terms.some((t) => used.has(t.digit))) return undefined;
    for (const t of bounded.form.terms) used.add(t.digit);
    const each = bounded.form.terms.reduce((n, t) => n * t.extent, 1);
    // One run a value: otherwise the number of runs is not the number of values.
    if (bounded.values.count !== each) return undefined;
    left = (left / each) * bounded.left.count;
  }
  return { count: left, exact: space.exact };
}
/** The non-constant part of the difference of a comparison's sides. */
function sumOf(c: Expr, ranges: Ranges): QuasiAffine | undefined {
  if (c.kind !== "compare" || c.a.dtype.scalar !== "int64") return undefined;
  const { terms } = addScaled(toQuasiAffine(c.a, ranges), toQuasiAffine(c.b, ranges), -1);
  return {
    terms:
      terms.length > 0 && terms[0]!.coefficient < 0 ? terms.map((t) => ({ ...t, coefficient: -t.coefficient })) : terms,
    constant: 0,
  };
}
function groupedBy(
  conditions: readonly Expr[],
  sums: readonly (QuasiAffine | undefined)[],
): (readonly [QuasiAffine, Expr[]])[] {
  const groups: [QuasiAffine, Expr[]][] = [];
  conditions.forEach((c, k) => {
    const sum = sums[k] ?? { terms: [], constant: 0 };
    const known = groups.find(([s]) => addScaled(s, sum, -1).terms.length === 0);
    if (known) known[1].push(c);
    else groups.push([sum, [c]]);
  });
  return groups;
}
