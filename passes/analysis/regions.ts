/** Boxes of buffer elements: symbolic bounds of indices over some variables, unions, and covering. */
import { add, constantValue, floordiv, index, max, min, mul, sub } from "../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../ir/expr/expr.ts";
import { freeVars } from "../../ir/expr/traverse.ts";
import { range, region } from "../../ir/loop/build.ts";
import type { Range, Region } from "../../ir/loop/program.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { simplify } from "../simplify/expression.ts";
import type { Access } from "./access.ts";
import { toQuasiAffine } from "./affine.ts";
import { boundsOf, noRanges, type Ranges } from "./bounds.ts";
import { differenceOf } from "./interval.ts";
import { sameExpr } from "./order.ts";

/** The least and largest value of an expression while some variables run; `width` bounds max - min. */
interface SymbolicBounds {
  readonly min: Expr;
  readonly max: Expr;
  readonly width: number;
}

/**
 * The bounding box of what an access (or the regions of one buffer) touches while the variables of `over` run through
 * their ranges. The other variables stay symbolic; `around` may bound them. A box may contain more than is touched;
 * extents are constants wherever a constant bound exists. Dimensions indexed by data take the whole extent.
 */
export function regionOf(source: Access | readonly Region[], over: Ranges, around: Ranges = noRanges): Region {
  if (!isRegions(source)) return regionOfIndices(source.buffer, source.indices, over, around);
  const boxes = source.map((r) =>
    region(
      r.buffer,
      r.ranges.map((q, k) => rangeWithin(r.buffer, k, q, over, around)),
    ),
  );
  return unionRegions(boxes, around);
}
const isRegions = (s: Access | readonly Region[]): s is readonly Region[] => Array.isArray(s);

/** The bounding box of single elements at `indices`; no indices at all mean the whole buffer. */
function regionOfIndices(b: Buffer, indices: readonly Expr[], over: Ranges, around: Ranges = noRanges): Region {
  return region(
    b,
    b.shape.map((_, k) => {
      const i = indices[k];
      return i ? rangeWithin(b, k, range(i, 1), over, around) : wholeRange(b, k);
    }),
  );
}
const wholeRange = (b: Buffer, k: number): Range => range(0, b.shape[k]!);

/** The box of one dimension; the whole extent where the bound is unknown or wider (no access leaves the buffer). */
function rangeWithin(b: Buffer, k: number, q: Range, over: Ranges, around: Ranges): Range {
  const whole = wholeRange(b, k);
  const found = rangeOver(q, over, around);
  if (!found) return whole;
  const [start, extent, size] = [found.min, found.extent, whole.extent].map(constantValue);
  const wider =
    start !== undefined && extent !== undefined && size !== undefined && start <= 0 && start + extent >= size;
  return wider ? whole : found;
}
function rangeOver(q: Range, over: Ranges, around: Ranges): Range | undefined {
  const known = over.size === 0 ? around : new Map([...around, ...over]);
  const first = symbolicBounds(simplify(q.min, known), over, around);
  if (!first) return undefined;
  const fixed = q.extent.kind === "const";
  const last = fixed ? first : symbolicBounds(simplify(sub(add(q.min, q.extent), 1), known), over, around);
  if (!last) return undefined;
  const top = fixed ? add(first.max, sub(q.extent, 1)) : last.max;
  const start = simplify(first.min, around);
  const extent = simplify(add(sub(top, start), 1), around);
  if (extent.kind === "const" || !fixed || !Number.isFinite(first.width)) return range(start, extent);
  return range(start, first.width + Number(q.extent.kind === "const" ? q.extent.value : 1));
}

function symbolicBounds(e: Expr, over: Ranges, around: Ranges): SymbolicBounds | undefined {
  const form = toQuasiAffine(e, around);
  let low: Expr = index(form.constant);
  let high: Expr = low;
  let width = 0;
  for (const t of form.terms) {
    const b = atomBounds(t.atom, over, around);
    if (!b) return undefined;
    const k = t.coefficient;
    low = add(low, mul(k > 0 ? b.min : b.max, k));
    high = add(high, mul(k > 0 ? b.max : b.min, k));
    width += b.width * Math.abs(k);
  }
  return { min: low, max: high, width };
}
const independent = (e: Expr, over: Ranges): boolean => ![...freeVars(e)].some((id) => over.has(id));

/** Bounds of one atom of a canonical sum; undefined for data. */
function atomBounds(atom: Expr, over: Ranges, around: Ranges): SymbolicBounds | undefined {
  if (atom.kind === "var") {
    const r = over.get(atom.id);
    if (!r) return { min: atom, max: atom, width: 0 };
    if (!Number.isFinite(r.max - r.min)) return undefined;
    return { min: index(r.min), max: index(r.max), width: r.max - r.min };
  }
  const bounds = boundsOf(atom, over.size === 0 ? around : new Map([...around, ...over]));
  const numeric = Number.isSafeInteger(bounds.min) && Number.isSafeInteger(bounds.max);
  const constants = numeric
    ? { min: index(bounds.min), max: index(bounds.max), width: bounds.max - bounds.min }
    : undefined;
  if (atom.kind !== "binary") return constants;
  if (independent(atom, over) && !holdsLoad(atom)) return { min: atom, max: atom, width: 0 };
  switch (atom.op) {
    case "floordiv": {
      const x = symbolicBounds(atom.a, over, around);
      const by = atom.b.kind === "const" ? Number(atom.b.value) : 0;
      if (!x || by <= 0) return constants;
      return { min: floordiv(x.min, by), max: floordiv(x.max, by), width: Math.ceil(x.width / by) };
    }
    case "min":
    case "max": {
      const x = symbolicBounds(atom.a, over, around);
      const y = symbolicBounds(atom.b, over, around);
      if (!x || !y) return constants;
      const f = atom.op === "min" ? min : max;
      return { min: f(x.min, y.min), max: f(x.max, y.max), width: Math.max(x.width, y.width) };
    }
    default:
      return constants;
  }
}
const holdsLoad = (e: Expr): boolean =>
  e.kind === "load" || (e.kind === "binary" && (holdsLoad(e.a) || holdsLoad(e.b))) || e.kind === "cast";

/** The smallest box that provably contains regions of one buffer; minima that cannot be ordered become `min`. */
export function unionRegions(regions: readonly Region[], ranges: Ranges = noRanges): Region {
  const [first, ...others] = regions;
  invariant(first, "a union needs a region");
  return others.reduce((x, y) => {
    invariant(x.buffer.id === y.buffer.id, "a union is of regions of one buffer");
    return region(
      x.buffer,
      x.ranges.map((q, k) => unionRange(q, y.ranges[k]!, ranges)),
    );
  }, first);
}
function unionRange(x: Range, y: Range, ranges: Ranges): Range {
  if (sameExpr(x.min, y.min) && sameExpr(x.extent, y.extent)) return x;
  const start = simplify(min(x.min, y.min), ranges);
  const endX = simplify(add(x.min, x.extent), ranges);
  const endY = simplify(add(y.min, y.extent), ranges);
  const end = simplify(max(endX, endY), ranges);
  return range(start, simplify(sub(end, start), ranges));
}
/** Whether `outer` provably contains `inner`. */
export function regionCovers(outer: Region, inner: Region, ranges: Ranges): boolean {
  if (outer.buffer.id !== inner.buffer.id) return false;
  return outer.ranges.every((o, k) => {
    const i = inner.ranges[k]!;
    const starts = differenceOf(i.min, o.min, ranges).min >= 0;
    return starts && differenceOf(add(o.min, o.extent), add(i.min, i.extent), ranges).min >= 0;
  });
}
