/** Sampling at places that data gives: GridSample, AffineGrid, DeformConv. */
import {
  add,
  and,
  cast,
  compare,
  div,
  floordiv,
  index,
  max,
  min,
  mul,
  select,
  sub,
  unary,
} from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { inRange, type Tensor } from "../../../ir/loop/compute.ts";
import { abs, clampIndex, isNaN, like, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, floats, product } from "../shape-rules.ts";
import { asOutput, outputStage, reduceStage } from "../stages.ts";
import { readWindow, type Window } from "../window.ts";

/** Floats beyond this are no element's place. */
const farAway = 2 ** 30;
/** Limits a coordinate from data before it becomes an index; NaN becomes 0. */
export const bounded = (x: Expr): Expr =>
  select(isNaN(x), like(x, 0), max(like(x, -farAway), min(like(x, farAway), x)));
/** The index at or before a coordinate. */
export const floorIndex = (x: Expr): Expr => cast("int64", unary("floor", x));

type Padding = "zeros" | "border" | "reflection";
interface Sampling {
  readonly mode: "nearest" | "linear" | "cubic";
  readonly padding: Padding;
  readonly alignCorners: boolean;
}
const modeNames: Readonly<Record<string, Sampling["mode"]>> = {
  nearest: "nearest",
  linear: "linear",
  bilinear: "linear",
  cubic: "cubic",
  bicubic: "cubic",
};
function sampling(c: NodeContext): Sampling {
  const name = c.attributes.string("mode", c.node.opset < 20 ? "bilinear" : "linear");
  const mode = Object.hasOwn(modeNames, name) ? modeNames[name] : undefined;
  const padding = c.attributes.string("padding_mode", "zeros");
  if (!mode || !["zeros", "border", "reflection"].includes(padding)) c.invalid(`mode ${name}, padding ${padding}`);
  return { mode, padding: padding as Padding, alignCorners: c.attributes.int("align_corners", 0) !== 0 };
}
function inferGridSample(c: NodeContext): StaticType[] {
  const x = checkType(c, 0, floats);
  const grid = checkType(c, 1, floats);
  const rank = x.dims.length - 2;
  sampling(c);
  const fits = rank >= 1 && grid.dims.length === rank + 2 && grid.dims[0] === x.dims[0] && grid.dims.at(-1) === rank;
  if (!fits) c.invalid(`a grid [${grid.dims}] over [${x.dims}]`);
  if (rank > 3) c.unsupported(`sampling over ${rank} spatial axes`);
  if (x.dims.slice(2).includes(0)) c.invalid(`an empty input [${x.dims}]`);
  return [{ dtype: x.dtype, dims: [x.dims[0]!, x.dims[1]!, ...grid.dims.slice(1, -1)] }];
}
/** The borders between which coordinates are reflected. */
function borders(s: Sampling, extent: number): { low: number; span: number } {
  return s.alignCorners ? { low: 0, span: extent - 1 } : { low: -0.5, span: extent };
}
/** Reflects a coordinate until it lies between the borders. */
function reflect(x: Expr, { low, span }: { low: number; span: number }): Expr {
  if (span === 0) return like(x, low);
  const distance = abs(sub(x, like(x, low)));
  const flips = unary("floor", div(distance, like(x, span)));
  const rest = sub(distance, mul(flips, like(x, span)));
  const half = mul(flips, like(x, 0.5));
  const even = compare("eq", half, unary("floor", half));
  return select(even, add(rest, like(x, low)), sub(like(x, low + span), rest));
}
/** The input coordinate of a grid value in [-1, 1], limited or reflected into the input where padding says so. */
function coordinate(s: Sampling, value: Expr, extent: number): Expr {
  const scaled = add(value, like(value, 1));
  const x = s.alignCorners
    ? mul(mul(scaled, like(value, 0.5)), like(value, extent - 1))
    : mul(sub(mul(scaled, like(value, extent)), like(value, 1)), like(value, 0.5));
  const place = bounded(s.mode === "nearest" ? unary("round", x) : x);
  // Cubic taps are clamped one by one, so that the curve still bends beyond the border, as in ONNX Runtime.
  if (s.padding === "border" && s.mode === "cubic") return place;
  if (s.padding === "border") return max(like(x, 0), min(like(x, extent - 1), place));
  const { low, span } = borders(s, extent);
  const inside = and(compare("ge", place, like(x, low)), compare("le", place, like(x, low + span)));
  return s.padding === "reflection" ? select(inside, place, reflect(place, borders(s, extent))) : place;
}
/** The element that stands at an index outside the input, and when it counts (undefined: always). */
function padded(s: Sampling, i: Expr, extent: number): { at: Expr; counts: Expr | undefined } {
  if (s.padding === "zeros") return { at: clampIndex(i, extent), counts: inRange(i, extent) };
  if (s.padding === "border") return { at: clampIndex(i, extent), counts: undefined };
  const inside = inRange(i, extent);
  const mirrored = cast("int64", unary("trunc", reflect(cast("float32", i), borders(s, extent))));
  return { at: clampIndex(select(inside, i, mirrored), extent), counts: undefined };
}
/** Keys' cubic weights for the taps one before to two after. */
function cubicWeights(t: Expr): Expr[] {
  const a = -0.75;
  const near = (d: Expr): Expr => add(mul(mul(sub(mul(like(t, a + 2), d), like(t, a + 3)), d), d), like(t, 1));
  const far = (d: Expr): Expr =>
    sub(mul(add(mul(sub(mul(like(t, a), d), like(t, 5 * a)), d), like(t, 8 * a)), d), like(t, 4 * a));
  const rest = sub(like(t, 1), t);
  return [far(add(t, like(t, 1))), near(t), near(rest), far(add(rest, like(t, 1)))];
}
interface Tap {
  readonly at: Expr;
  readonly weight: Expr | undefined;
  readonly counts: Expr | undefined;
}
/** The input elements that one axis mixes for a coordinate. */
function tapsOf(s: Sampling, x: Expr, extent: number): Tap[] {
  const first = floorIndex(x);
  const t = sub(x, unary("floor", x));
  if (s.mode === "nearest") return [{ ...padded(s, first, extent), weight: undefined }];
  const weights = s.mode === "linear" ? [sub(like(t, 1), t), t] : cubicWeights(t);
  const start = s.mode === "linear" ? 0 : -1;
  return weights.map((weight, k) => ({ ...padded(s, add(first, start + k), extent), weight }));
}
/** Σ over all combinations of taps of the axes. */
function mixed(axes: readonly (readonly Tap[])[], read: (place: readonly Expr[]) => Expr): Expr {
  const walk = (k: number, place: readonly Expr[]): Expr => {
    if (k === axes.length) return read(place);
    return axes[k]!.map(({ at, weight, counts }) => {
      const inner = walk(k + 1, [...place, at]);
      const value = counts ? select(counts, inner, like(inner, 0)) : inner;
      return weight ? mul(value, weight) : value;
    }).reduce((a, b) => add(a, b));
  };
  return walk(0, []);
}
/** Stages that hold, for each output place and tap of one axis, the input index (-1: none) and the weight. */
interface AxisTables {
  readonly index: Tensor;
  readonly weight: Tensor | undefined;
}
function axisTables(c: ComputeContext, s: Sampling, grid: Tensor, a: number): AxisTables {
  const { builder } = c;
  const extents = c.require(0).dims.slice(2);
  const extent = extents[a]!;
  const type = workingType(c.output(0).dtype);
  const dims = grid.dims.slice(0, -1);
  const place = builder.compute(`place_${a}`, type, dims, (...o) =>
    coordinate(s, cast(type, grid.at(...o, extents.length - 1 - a)), extent),
  );
  const count = s.mode === "nearest" ? 1 : s.mode === "linear" ? 2 : 4;
  const first = s.mode === "cubic" ? -1 : 0;
  const indices = builder.compute(`index_${a}`, "int64", [...dims, count], (...i) => {
    const tap = padded(s, add(floorIndex(place.at(...i.slice(0, -1))), add(i.at(-1)!, first)), extent);
    return tap.counts ? select(tap.counts, tap.at, index(-1)) : tap.at;
  });
  if (count === 1) return { index: indices, weight: undefined };
  const weight = builder.compute(`weight_${a}`, type, [...dims, count], (...i) => {
    const x = place.at(...i.slice(0, -1));
    const t = sub(x, unary("floor", x));
    const each = s.mode === "linear" ? [sub(like(t, 1), t), t] : cubicWeights(t);
    return each.reduceRight((rest, w, k) => select(compare("eq", i.at(-1)!, k), w, rest));
  });
  return { index: indices, weight };
}
function computeGridSample(c: ComputeContext): Tensor[] {
  const [x, grid] = [c.input(0), c.input(1)];
  const s = sampling(c);
  const type = workingType(x.dtype.scalar);
  const tables = x.dims.slice(2).map((_, a) => axisTables(c, s, grid, a));
  const axes = tables.map((t, a) => [`t${a}`, t.index.dims.at(-1)!] as const);
  const total = reduceStage(c, {
    name: "grid_sample",
    type,
    dims: c.output(0).dims,
    op: "add",
    axes: s.mode === "nearest" ? [] : axes,
    value: ([n, channel, ...o], taps) => {
      const tap = (a: number): Expr => taps[a] ?? index(0);
      const places = tables.map((t, a) => t.index.at(n!, ...o, tap(a)));
      const element = cast(type, x.at(n!, channel!, ...places.map((p) => max(p, 0))));
      const counts = places.map((p) => compare("ge", p, 0)).reduce(and);
      const value = s.padding === "zeros" ? select(counts, element, like(element, 0)) : element;
      const weights = tables.flatMap((t, a) => (t.weight ? [t.weight.at(n!, ...o, tap(a))] : []));
      return weights.reduce((v, w) => mul(v, w), value);
    },
  });
  return [asOutput(c, total, "grid_sample_copy")];
}

/** Batch and spatial extents of an AffineGrid. */
function affine(c: NodeContext): { batch: number; spatial: readonly number[] } {
  const theta = checkType(c, 0, floats);
  const size = c.constantInts(1) ?? c.invalid("size is missing");
  const spatial = size.slice(2);
  const rank = spatial.length;
  const wanted = [size[0], rank, rank + 1];
  if (rank < 2 || rank > 3 || size.some((n) => n < 0) || theta.dims.join() !== wanted.join())
    c.invalid(`theta [${theta.dims}] for size [${size}]`);
  return { batch: size[0]!, spatial };
}
function computeAffineGrid(c: ComputeContext): Tensor[] {
  const theta = c.input(0);
  const { spatial } = affine(c);
  const corners = c.attributes.int("align_corners", 0) !== 0;
  const rank = spatial.length;
  const type = workingType(theta.dtype.scalar);
  /** The position of element i of an axis in [-1, 1]. */
  const position = (i: Expr, extent: number): Expr => {
    const e = cast(type, i);
    if (corners) return extent === 1 ? like(e, -1) : sub(mul(e, like(e, 2 / (extent - 1))), like(e, 1));
    return sub(mul(e, like(e, 2 / extent)), like(e, 1 - 1 / extent));
  };
  return [
    outputStage(c, "affine_grid", (n, ...rest) => {
      const o = rest.slice(0, rank);
      const row = rest[rank]!;
      const terms = o.map((e, a) => mul(cast(type, theta.at(n!, row, rank - 1 - a)), position(e, spatial[a]!)));
      return terms.reduceRight((a, b) => add(a, b), cast(type, theta.at(n!, row, rank)));
    }),
  ];
}

/** Extents and groups of a DeformConv: x [n, c, h, w], w [oc, c/group, kh, kw], offset [n, og·kh·kw·2, oh, ow]. */
function deformable(c: NodeContext): { window: Window; group: number; offsetGroup: number } {
  const x = checkType(c, 0, floats);
  const [w, offset] = [c.require(1), c.require(2)];
  const [group, offsetGroup] = [c.attributes.int("group", 1), c.attributes.int("offset_group", 1)];
  const rank = x.dims.length - 2;
  if (rank < 1 || rank > 3 || w.dims.length !== x.dims.length) c.invalid(`weights [${w.dims}] for [${x.dims}]`);
  const channels = x.dims[1]!;
  const divides = group > 0 && offsetGroup > 0 && channels % offsetGroup === 0 && w.dims[0]! % group === 0;
  if (!divides || w.dims[1]! * group !== channels) c.invalid(`${group} groups of weights [${w.dims}] for [${x.dims}]`);
  const window = readWindow(c, x.dims.slice(2), w.dims.slice(2));
  const taps = offsetGroup * product(window.kernel);
  const shape = (per: number): string => [x.dims[0], taps * per, ...window.output].join();
  const [bias, mask] = [c.type(3), c.type(4)];
  if (offset.dims.join() !== shape(rank) || (mask && mask.dims.join() !== shape(1)))
    c.invalid("offsets or mask do not fit");
  if (bias && bias.dims.join() !== `${w.dims[0]}`) c.invalid(`a bias [${bias.dims}]`);
  if (x.dims.slice(2).includes(0)) c.invalid(`an empty input [${x.dims}]`);
  return { window, group, offsetGroup };
}
function computeDeformConv(c: ComputeContext): Tensor[] {
  const [x, w, offset, bias, mask] = [c.input(0), c.input(1), c.input(2), c.optional(3), c.optional(4)];
  const { window: v, group, offsetGroup } = deformable(c);
  const type = workingType(x.dtype.scalar);
  const rank = v.kernel.length;
  const perGroup = w.dims[1]!;
  const taps = product(v.kernel);
  const linear: Sampling = { mode: "linear", padding: "zeros", alignCorners: true };
  const total = reduceStage(c, {
    name: "deform_conv",
    type,
    dims: c.output(0).dims,
    op: "add",
    axes: [["ic", perGroup], ...v.kernel.map((k, a) => [`k${a}`, k] as const)],
    value: ([n, oc, ...o], [ic, ...k]) => {
      const channel = add(mul(floordiv(oc!, w.dims[0]! / group), perGroup), ic!);
      const own = floordiv(channel, x.dims[1]! / offsetGroup);
      const tap = k.reduce<Expr>((p, e, a) => add(mul(p, v.kernel[a]!), e), index(0));
      const slot = add(mul(own, taps), tap);
      const axes = o.map((e, a) => {
        const regular = add(sub(mul(e, v.strides[a]!), v.begin[a]!), mul(k[a]!, v.dilations[a]!));
        const moved = cast(type, offset.at(n!, add(mul(slot, rank), a), ...o));
        return tapsOf(linear, bounded(add(cast(type, regular), moved)), v.input[a]!);
      });
      const value = mixed(axes, (place) => cast(type, x.at(n!, channel, ...place)));
      const weighted = mul(value, cast(type, w.at(oc!, ic!, ...k)));
      return mask ? mul(weighted, cast(type, mask.at(n!, slot, ...o))) : weighted;
    },
  });
  return [
    outputStage(c, "deform_conv_bias", (n, oc, ...o) => {
      const value = total.at(n!, oc!, ...o);
      return bias ? add(value, cast(type, bias.at(oc!))) : value;
    }),
  ];
}

export const gridSampleRows: readonly OperatorRow[] = [
  { op: "GridSample", since: 16, pattern: "opaque", infer: inferGridSample, compute: computeGridSample },
  {
    op: "AffineGrid",
    since: 20,
    pattern: "elementwise",
    infer: (c) => {
      const { batch, spatial } = affine(c);
      return [{ dtype: c.require(0).dtype, dims: [batch, ...spatial, spatial.length] }];
    },
    compute: computeAffineGrid,
  },
  {
    op: "DeformConv",
    since: 19,
    pattern: "opaque",
    infer: (c) => {
      const { window } = deformable(c);
      const x = c.require(0);
      return [{ dtype: x.dtype, dims: [x.dims[0]!, c.require(1).dims[0]!, ...window.output] }];
    },
    compute: computeDeformConv,
  },
];
