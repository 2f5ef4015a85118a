/** Sampling at places that data gives: GridSample, AffineGrid, RoiAlign, DeformConv. */
import {
  add,
  and,
  cast,
  compare,
  div,
  floordiv,
  floormod,
  index,
  max,
  min,
  mul,
  or,
  select,
  sub,
  unary,
} from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { inRange, reduce, type Tensor } from "../../../ir/loop/compute.ts";
import { abs, clampIndex, isNaN, like, literal, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, floats, product } from "../shape-rules.ts";
import { outputStage, reduceStage } from "../stages.ts";
import { readWindow, type Window } from "../window.ts";

/** Floats beyond this are no element's place; limited before they become an index. NaN becomes the first element. */
const farAway = 2 ** 30;
const bounded = (x: Expr): Expr => select(isNaN(x), like(x, 0), max(like(x, -farAway), min(like(x, farAway), x)));
const floorIndex = (x: Expr): Expr => cast("int64", unary("floor", x));

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
function computeGridSample(c: ComputeContext): Tensor[] {
  const [x, grid] = [c.input(0), c.input(1)];
  const s = sampling(c);
  const type = workingType(x.dtype.scalar);
  const extents = x.dims.slice(2);
  return [
    outputStage(c, "grid_sample", (n, channel, ...o) => {
      const axes = extents.map((extent, a) => {
        const value = cast(type, grid.at(n!, ...o, extents.length - 1 - a));
        return tapsOf(s, coordinate(s, value, extent), extent);
      });
      return mixed(axes, (place) => cast(type, x.at(n!, channel!, ...place)));
    }),
  ];
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

/** What a RoiAlign node says. */
function roiAlign(c: NodeContext) {
  const x = checkType(c, 0, floats);
  const rois = checkType(c, 1, floats);
  const batches = checkType(c, 2, ["int64", "int32"]);
  const count = rois.dims[0]!;
  if (x.dims.length !== 4 || rois.dims.length !== 2 || rois.dims[1] !== 4 || batches.dims.join() !== `${count}`)
    c.invalid(`regions [${rois.dims}] and batch indices [${batches.dims}] over [${x.dims}]`);
  if (x.dims.includes(0)) c.invalid(`an empty input [${x.dims}]`);
  const [height, width] = [c.attributes.int("output_height", 1), c.attributes.int("output_width", 1)];
  const ratio = c.attributes.int("sampling_ratio", 0);
  if (height < 1 || width < 1 || ratio < 0) c.invalid(`an output of ${height}×${width}, sampling ratio ${ratio}`);
  const mode = c.attributes.string("mode", "avg");
  if (mode !== "avg" && mode !== "max") c.invalid(`mode ${JSON.stringify(mode)}`);
  const fallback = c.node.opset >= 16 ? "half_pixel" : "output_half_pixel";
  const transform = c.attributes.string("coordinate_transformation_mode", fallback);
  return { count, height, width, ratio, mode, halfPixel: transform === "half_pixel" };
}
/**
 * Samples each bin of each region on a grid. With sampling_ratio 0 the grid's size depends on the region: then the loop
 * runs over the largest grid that the input could need, and points beyond the region's own do not count.
 */
function computeRoiAlign(c: ComputeContext): Tensor[] {
  const [x, rois, batches] = [c.input(0), c.input(1), c.input(2)];
  const r = roiAlign(c);
  const type = workingType(x.dtype.scalar);
  const scale = c.attributes.float("spatial_scale", 1);
  const number = (v: number): Expr => literal(type, v);
  const extents = [x.dims[2]!, x.dims[3]!];
  const bins = [r.height, r.width];
  const most = bins.map((n, a) => r.ratio || Math.ceil((2 * extents[a]!) / n) + 1);
  /** Start, bin extent and grid points of axis 0 (height) or 1 (width). */
  const geometry = (n: Expr, a: number) => {
    const edge = (k: number): Expr => sub(mul(cast(type, rois.at(n, k)), number(scale)), number(r.halfPixel ? 0.5 : 0));
    const start = edge(1 - a);
    const length = sub(edge(3 - a), start);
    const bin = div(r.halfPixel ? length : max(number(1), length), number(bins[a]!));
    const points = r.ratio ? number(r.ratio) : min(number(most[a]!), max(number(0), unary("ceil", bin)));
    return { start, bin, points };
  };
  const sample = (n: Expr, a: number, o: Expr, k: Expr) => {
    const { start, bin, points } = geometry(n, a);
    const step = div(mul(add(cast(type, k), number(0.5)), bin), max(number(1), points));
    const at = bounded(add(add(start, mul(cast(type, o), bin)), step));
    const extent = extents[a]!;
    const outside = or(compare("lt", at, number(-1)), compare("gt", at, number(extent)));
    const place = min(number(extent - 1), max(number(0), at));
    const low = clampIndex(floorIndex(place), extent);
    const high = min(add(low, 1), extent - 1);
    const t = sub(place, unary("floor", place));
    return { outside, used: compare("lt", cast(type, k), points), low, high, t };
  };
  const isMax = r.mode === "max";
  const total = reduceStage(c, {
    name: "roi_sum",
    type,
    dims: c.output(0).dims,
    op: isMax ? "max" : "add",
    axes: [
      ["gy", most[0]!],
      ["gx", most[1]!],
    ],
    value: ([n, channel, oy, ox], [gy, gx]) => {
      const [v, h] = [sample(n!, 0, oy!, gy!), sample(n!, 1, ox!, gx!)];
      const batch = clampIndex(cast("int64", batches.at(n!)), x.dims[0]!);
      const read = (y: Expr, w: Expr): Expr => cast(type, x.at(batch, channel!, y, w));
      const [ry, rx] = [sub(number(1), v.t), sub(number(1), h.t)];
      const parts = [
        mul(mul(ry, rx), read(v.low, h.low)),
        mul(mul(ry, h.t), read(v.low, h.high)),
        mul(mul(v.t, rx), read(v.high, h.low)),
        mul(mul(v.t, h.t), read(v.high, h.high)),
      ];
      const value = parts.reduce((a, b) => (isMax ? max(a, b) : add(a, b)));
      const inside = select(or(v.outside, h.outside), number(0), value);
      return select(and(v.used, h.used), inside, number(isMax ? Number.NEGATIVE_INFINITY : 0));
    },
  });
  return [
    outputStage(c, "roi_align", (n, channel, oy, ox) => {
      const value = total.at(n!, channel!, oy!, ox!);
      if (isMax) return select(compare("eq", value, number(Number.NEGATIVE_INFINITY)), number(0), value);
      const count = mul(geometry(n!, 0).points, geometry(n!, 1).points);
      return div(value, max(number(1), count));
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

/** Extents of a Col2Im: columns [n, c·block, places]. */
function col2im(c: NodeContext): { window: Window; channels: number; image: readonly number[] } {
  const x = checkType(c, 0, floats);
  const image = c.constantInts(1) ?? c.invalid("image_shape is missing");
  const block = c.constantInts(2) ?? c.invalid("block_shape is missing");
  if (x.dims.length !== 3 || image.length !== block.length || block.some((n) => n < 1) || image.some((n) => n < 1))
    c.invalid(`columns [${x.dims}] for image [${image}] and block [${block}]`);
  const window = readWindow(c, image, block);
  const taps = product(block);
  if (x.dims[1]! % taps !== 0 || x.dims[2] !== product(window.output))
    c.invalid(`columns [${x.dims}] for places [${window.output}] and block [${block}]`);
  return { window, channels: x.dims[1]! / taps, image };
}
/** Each image element is the sum of the column elements that were copied from it. */
function computeCol2im(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const { window: v } = col2im(c);
  const type = workingType(x.dtype.scalar);
  const taps = product(v.kernel);
  const axes = v.kernel.map((k, a) => c.builder.reduceAxis(`k${a}`, k));
  const total = c.builder.compute("col2im", type, c.output(0).dims, (n, channel, ...o) => {
    const k = axes.map((a) => a.var);
    const tap = k.reduce<Expr>((p, e, a) => add(mul(p, v.kernel[a]!), e), index(0));
    const places = o.map((e, a) => {
      const scaled = sub(add(e, v.begin[a]!), mul(k[a]!, v.dilations[a]!));
      const place = floordiv(scaled, v.strides[a]!);
      const whole = compare("eq", floormod(scaled, v.strides[a]!), 0);
      return { place, counts: and(whole, inRange(place, v.output[a]!)) };
    });
    const column = places.reduce<Expr>((p, e, a) => add(mul(p, v.output[a]!), e.place), index(0));
    const value = cast(type, x.at(n!, add(mul(channel!, taps), tap), column));
    const counts = places.map((p) => p.counts).reduce(and);
    return reduce("add", select(counts, value, like(value, 0)), axes);
  });
  return [outputStage(c, "col2im_out", (...i) => total.at(...i))];
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
    op: "RoiAlign",
    since: 10,
    pattern: "opaque",
    infer: (c) => {
      const r = roiAlign(c);
      const x = c.require(0);
      return [{ dtype: x.dtype, dims: [r.count, x.dims[1]!, r.height, r.width] }];
    },
    compute: computeRoiAlign,
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
  {
    op: "Col2Im",
    since: 18,
    pattern: "opaque",
    infer: (c) => {
      const { channels, image } = col2im(c);
      const x = c.require(0);
      return [{ dtype: x.dtype, dims: [x.dims[0]!, channels, ...image] }];
    },
    compute: computeCol2im,
  },
];
