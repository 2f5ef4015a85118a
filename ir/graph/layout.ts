/**
 * Physical layouts: how the elements of a logical tensor lie in memory. Operators are written in logical coordinates;
 * a layout maps them to physical ones. `NCHW16c` of [n, c, h, w] is the physical shape [n, ceil(c/16), h, w, 16].
 */
import { add, floordiv, floormod, index } from "../expr/build.ts";
import type { Expr } from "../expr/expr.ts";
import { invariant } from "../support/invariant.ts";

/** Physical coordinate = floor(logical[axis] / divisor), modulo `modulus` where given (absent on the outermost part). */
export interface LayoutDim {
  readonly axis: number;
  readonly divisor: number;
  readonly modulus?: number;
}
/** Extra physical elements before and after a logical axis; they hold zeros unless said otherwise. */
export interface Halo {
  readonly before: number;
  readonly after: number;
}
export interface Layout {
  readonly name: string;
  readonly rank: number;
  readonly dims: readonly LayoutDim[];
  /** One per logical axis, or absent; only axes with a single whole LayoutDim may have one. */
  readonly halo?: readonly Halo[];
}

/** Row-major. */
export function plainLayout(rank: number): Layout {
  return { name: "plain", rank, dims: Array.from({ length: rank }, (_, axis) => ({ axis, divisor: 1 })) };
}
/** [n, c, spatial…] → [n, ceil(c/lanes), spatial…, lanes]. Lanes beyond c hold unspecified finite values or garbage and are never read as data. */
export function channelBlocked(rank: number, lanes: number, halo?: readonly Halo[]): Layout {
  const spatial = Array.from({ length: rank - 2 }, (_, i) => ({ axis: i + 2, divisor: 1 }));
  const dims = [
    { axis: 0, divisor: 1 },
    { axis: 1, divisor: lanes },
    ...spatial,
    { axis: 1, divisor: 1, modulus: lanes },
  ];
  const used = halo?.some((h) => h.before > 0 || h.after > 0) ? { halo } : {};
  return { name: `NC${"DHW".slice(5 - rank)}${lanes}c`, rank, dims, ...used };
}
/** The physical extents of a logical shape. */
export function physicalShape(layout: Layout, dims: readonly number[]): number[] {
  invariant(dims.length === layout.rank, `layout ${layout.name} is for rank ${layout.rank}, got ${dims.length}`);
  return layout.dims.map((d) => {
    const halo = layout.halo?.[d.axis];
    return d.modulus ?? Math.ceil(dims[d.axis]! / d.divisor) + (halo ? halo.before + halo.after : 0);
  });
}
/** Maps logical index expressions to physical ones (unsimplified floordiv/floormod where blocked). */
export function physicalIndex(layout: Layout, indices: readonly Expr[]): Expr[] {
  return layout.dims.map((d) => {
    const outer = floordiv(indices[d.axis]!, index(d.divisor));
    const coordinate = d.modulus === undefined ? outer : floormod(outer, index(d.modulus));
    return add(coordinate, index(layout.halo?.[d.axis]?.before ?? 0));
  });
}
/** Whether the layout is plain row-major without halo. */
export const isPlain = (layout: Layout | undefined): boolean =>
  layout === undefined ||
  (layout.halo === undefined &&
    layout.dims.length === layout.rank &&
    layout.dims.every((d, i) => d.axis === i && d.divisor === 1 && d.modulus === undefined));
/** Structural equality of layouts, names aside. */
export function sameLayout(a: Layout | undefined, b: Layout | undefined): boolean {
  if (isPlain(a) && isPlain(b)) return true;
  if (a === undefined || b === undefined) return false;
  return JSON.stringify([a.dims, a.halo ?? null]) === JSON.stringify([b.dims, b.halo ?? null]);
}

/** The same layout without its halo. */
export function withoutHalo(layout: Layout): Layout {
  const { halo: _, ...rest } = layout;
  return rest;
}
/** Whether the layout has room for a halo: axes that have one are not divided. */
export const hasRoomFor = (layout: Layout, halo: readonly Halo[]): boolean =>
  halo.every((h, axis) => (h.before === 0 && h.after === 0) || layout.dims.filter((d) => d.axis === axis).length === 1);
/** The same layout with a halo (none when all amounts are zero), which it has room for. */
export function withHalo(layout: Layout, halo: readonly Halo[]): Layout {
  invariant(hasRoomFor(layout, halo), `${layout.name} divides an axis that has a halo`);
  const base = withoutHalo(layout);
  return halo.some((h) => h.before > 0 || h.after > 0) ? { ...base, halo } : base;
}
/** The last axis in blocks of `lanes`: […, ceil(n/lanes), lanes]. */
export function lastBlocked(rank: number, lanes: number): Layout {
  const whole = Array.from({ length: rank - 1 }, (_, axis) => ({ axis, divisor: 1 }));
  const last = rank - 1;
  return {
    name: `last${lanes}`,
    rank,
    dims: [...whole, { axis: last, divisor: lanes }, { axis: last, divisor: 1, modulus: lanes }],
  };
}
