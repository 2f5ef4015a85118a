/** RoiAlign (He et al., Mask R-CNN, 2017). */
import { add, cast, compare, div, index, max, min, mul, or, select, sub, unary } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { clampIndex, literal, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { checkType, floats } from "../shape-rules.ts";
import { outputStage, reduceStage } from "../stages.ts";
import { bounded, floorIndex } from "./grid-sample.ts";

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
/** Stages that say where axis `a` (0: rows, 1: columns) of each region is sampled. */
interface RoiAxis {
  /** The sampled coordinate at [region, bin, grid point]. */
  readonly at: Tensor;
  /** The element at or before it; -1 outside the input, -2 beyond the region's grid. */
  readonly low: Tensor;
  /** Grid points of a bin, [region]. */
  readonly points: Tensor;
}
/**
 * With sampling_ratio 0 the grid's extent depends on the region: then loops run over the largest grid of a region twice
 * as large as the input, and a region beyond that is sampled that coarsely.
 */
function roiAxis(c: ComputeContext, r: ReturnType<typeof roiAlign>, a: number): RoiAxis {
  const { builder } = c;
  const [x, rois] = [c.input(0), c.input(1)];
  const type = workingType(x.dtype.scalar);
  const number = (v: number): Expr => literal(type, v);
  const scale = c.attributes.float("spatial_scale", 1);
  const [extent, bins] = [x.dims[2 + a]!, a === 0 ? r.height : r.width];
  const most = r.ratio || Math.ceil((2 * extent) / bins) + 1;
  const edge = (n: Expr, k: number): Expr =>
    sub(mul(cast(type, rois.at(n, k)), number(scale)), number(r.halfPixel ? 0.5 : 0));
  const bin = builder.compute(`bin_${a}`, type, [r.count], (n) => {
    const length = sub(edge(n!, 3 - a), edge(n!, 1 - a));
    return div(r.halfPixel ? length : max(number(1), length), number(bins));
  });
  const points = builder.compute(`points_${a}`, type, [r.count], (n) =>
    r.ratio ? number(r.ratio) : min(number(most), max(number(0), unary("ceil", bin.at(n!)))),
  );
  const dims = [r.count, bins, most];
  const at = builder.compute(`at_${a}`, type, dims, (n, o, k) => {
    const step = div(mul(add(cast(type, k!), number(0.5)), bin.at(n!)), max(number(1), points.at(n!)));
    return bounded(add(add(edge(n!, 1 - a), mul(cast(type, o!), bin.at(n!))), step));
  });
  const low = builder.compute(`low_${a}`, "int64", dims, (n, o, k) => {
    const e = at.at(n!, o!, k!);
    const outside = or(compare("lt", e, number(-1)), compare("gt", e, number(extent)));
    const inside = clampIndex(floorIndex(e), extent);
    const unused = compare("ge", cast(type, k!), points.at(n!));
    return select(unused, index(-2), select(outside, index(-1), inside));
  });
  return { at, low, points };
}
/** Samples each bin of each region on a grid. */
function computeRoiAlign(c: ComputeContext): Tensor[] {
  const [x, batches] = [c.input(0), c.input(2)];
  const r = roiAlign(c);
  const type = workingType(x.dtype.scalar);
  const number = (v: number): Expr => literal(type, v);
  const axes = [0, 1].map((a) => roiAxis(c, r, a)) as [RoiAxis, RoiAxis];
  const isMax = r.mode === "max";
  /** The two elements an axis mixes and the weight of the second. */
  const mix = (a: number, n: Expr, o: Expr, k: Expr) => {
    const extent = x.dims[2 + a]!;
    const code = axes[a]!.low.at(n, o, k);
    const low = max(code, 0);
    const place = min(number(extent - 1), max(number(0), axes[a]!.at.at(n, o, k)));
    return { code, low, high: min(add(low, 1), extent - 1), t: sub(place, cast(type, low)) };
  };
  const total = reduceStage(c, {
    name: "roi_sum",
    type,
    dims: c.output(0).dims,
    op: isMax ? "max" : "add",
    axes: axes.map((a, i) => [`g${i}`, a.at.dims[2]!] as const),
    value: ([n, channel, oy, ox], [gy, gx]) => {
      const [v, h] = [mix(0, n!, oy!, gy!), mix(1, n!, ox!, gx!)];
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
      const least = min(v.code, h.code);
      const none = select(compare("eq", least, -1), number(0), number(isMax ? Number.NEGATIVE_INFINITY : 0));
      return select(compare("ge", least, 0), value, none);
    },
  });
  return [
    outputStage(c, "roi_align", (n, channel, oy, ox) => {
      const value = total.at(n!, channel!, oy!, ox!);
      if (isMax) return select(compare("eq", value, number(Number.NEGATIVE_INFINITY)), number(0), value);
      const count = mul(axes[0].points.at(n!), axes[1].points.at(n!));
      return div(value, max(number(1), count));
    }),
  ];
}

export const roiAlignRows: readonly OperatorRow[] = [
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
];
