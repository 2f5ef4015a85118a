/** MaxRoiPool (Girshick, Fast R-CNN, 2015): the greatest element of each bin of each region. */
import { add, and, cast, compare, div, max, min, mul, select, sub, unary } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { clampIndex, literal } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { checkType } from "../shape-rules.ts";
import { outputStage, reduceStage } from "../stages.ts";
import { bounded, floorIndex } from "./grid-sample.ts";

/** Checks x [n, c, h, w] and regions [count, 5] of (batch, x1, y1, x2, y2); gives the bins of rows and columns. */
function maxRoiPool(c: NodeContext): { count: number; bins: readonly [number, number] } {
  const x = checkType(c, 0, ["float32", "float64"]);
  const rois = c.require(1);
  const bins = c.attributes.ints("pooled_shape") ?? c.invalid("pooled_shape is missing");
  const fits = x.dims.length === 4 && rois.dims.length === 2 && rois.dims[1] === 5 && rois.dtype === x.dtype;
  if (!fits || bins.length !== 2 || bins.some((n) => n < 1) || x.dims.includes(0))
    c.invalid(`regions [${rois.dims}] over [${x.dims}] in bins [${bins}]`);
  return { count: rois.dims[0]!, bins: [bins[0]!, bins[1]!] };
}
/** First element of each bin of axis `a` and the one past its last, [region, bin]. */
function binEdges(c: ComputeContext, a: 0 | 1): { start: Tensor; end: Tensor } {
  const [x, rois] = [c.input(0), c.input(1)];
  const { count, bins } = maxRoiPool(c);
  const type = x.dtype.scalar;
  const scale = literal(type, c.attributes.float("spatial_scale", 1));
  const extent = x.dims[2 + a]!;
  /** Rounds half away from zero. */
  const edge = (n: Expr, k: number): Expr => {
    const e = bounded(mul(rois.at(n, k), scale));
    const up = unary("floor", add(e, literal(type, 0.5)));
    return select(compare("lt", e, literal(type, 0)), unary("ceil", sub(e, literal(type, 0.5))), up);
  };
  const bound = (name: string, of: (low: Expr, bin: Expr, o: Expr) => Expr): Tensor =>
    c.builder.compute(`${name}_${a}`, "int64", [count, bins[a]], (n, o) => {
      const low = edge(n!, 2 - a);
      const length = max(literal(type, 1), add(sub(edge(n!, 4 - a), low), literal(type, 1)));
      const at = of(low, div(length, literal(type, bins[a])), cast(type, o!));
      return min(max(floorIndex(at), 0), extent);
    });
  return {
    start: bound("bin_start", (low, bin, o) => add(unary("floor", mul(o, bin)), low)),
    end: bound("bin_end", (low, bin, o) => add(unary("ceil", mul(add(o, literal(type, 1)), bin)), low)),
  };
}
function computeMaxRoiPool(c: ComputeContext): Tensor[] {
  const [x, rois] = [c.input(0), c.input(1)];
  const type = x.dtype.scalar;
  const [rows, columns] = [binEdges(c, 0), binEdges(c, 1)];
  const least = literal(type, Number.NEGATIVE_INFINITY);
  const most = reduceStage(c, {
    name: "roi_max",
    type,
    dims: c.output(0).dims,
    op: "max",
    axes: [
      ["h", x.dims[2]!],
      ["w", x.dims[3]!],
    ],
    value: ([n, channel, oy, ox], [h, w]) => {
      const within = (e: Expr, t: { start: Tensor; end: Tensor }, o: Expr): Expr =>
        and(compare("ge", e, t.start.at(n!, o)), compare("lt", e, t.end.at(n!, o)));
      const batch = clampIndex(floorIndex(bounded(rois.at(n!, 0))), x.dims[0]!);
      const inside = and(within(h!, rows, oy!), within(w!, columns, ox!));
      return select(inside, x.at(batch, channel!, h!, w!), least);
    },
  });
  return [
    outputStage(c, "max_roi_pool", (n, channel, oy, ox) => {
      const empty = (t: { start: Tensor; end: Tensor }, o: Expr): Expr =>
        compare("ge", t.start.at(n!, o), t.end.at(n!, o));
      const value = most.at(n!, channel!, oy!, ox!);
      return select(empty(rows, oy!), literal(type, 0), select(empty(columns, ox!), literal(type, 0), value));
    }),
  ];
}
export const maxRoiPoolRows: readonly OperatorRow[] = [
  {
    op: "MaxRoiPool",
    pattern: "opaque",
    infer: (c) => {
      const x = c.require(0);
      const { count, bins } = maxRoiPool(c);
      return [{ dtype: x.dtype, dims: [count, x.dims[1]!, ...bins] }];
    },
    compute: computeMaxRoiPool,
  },
];
