/** Resize and Upsample with nearest sampling. */
import { cast } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { clampIndex } from "../expressions.ts";
import {
  coordinateModes,
  exprArithmetic,
  nearestOf,
  numberArithmetic,
  type ResizeAxis,
  resizeAxes,
  sourceCoordinate,
  wholeRatio,
} from "../resize-geometry.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { outputStage } from "../stages.ts";

const isLegacy = (c: NodeContext): boolean => c.node.op === "Upsample" || c.node.opset < 11;
/** Coordinate and rounding modes; before opset 11 coordinates are asymmetric and rounded down. */
function modes(c: NodeContext): { coordinates: string; nearest: string } {
  const coordinates = c.attributes.string("coordinate_transformation_mode", isLegacy(c) ? "asymmetric" : "half_pixel");
  const nearest = c.attributes.string("nearest_mode", isLegacy(c) ? "floor" : "round_prefer_floor");
  if (!coordinateModes.includes(coordinates)) c.unsupported(`coordinate_transformation_mode ${coordinates}`);
  return { coordinates, nearest };
}
function inferResize(c: NodeContext): StaticType[] {
  const mode = c.attributes.string("mode", "nearest");
  if (mode !== "nearest") c.unsupported(`mode ${mode}`);
  modes(c);
  return [{ dtype: c.require(0).dtype, dims: resizeAxes(c).map((a) => a.output) }];
}
/** The input index that output index `o` copies. */
function sourceIndex(axis: ResizeAxis, m: { coordinates: string; nearest: string }, o: Expr): Expr {
  if (axis.input === axis.output && axis.scale === 1) return o;
  const limit = (i: number): number => Math.min(Math.max(i, 0), axis.input - 1);
  const known = (i: number): number =>
    nearestOf(numberArithmetic, m.nearest, sourceCoordinate(numberArithmetic, m.coordinates, axis, i));
  const whole = wholeRatio(axis, (i) => limit(known(i)), o);
  if (whole) return whole;
  const x = sourceCoordinate(exprArithmetic, m.coordinates, axis, cast("float64", o));
  return clampIndex(cast("int64", nearestOf(exprArithmetic, m.nearest, x)), axis.input);
}
function computeResize(c: ComputeContext) {
  const x = c.input(0);
  const axes = resizeAxes(c);
  const m = modes(c);
  return [
    outputStage(c, "resize", (...i) => x.at(...i.map((o, a) => sourceIndex(axes[a]!, m, o))), {
      annotations: { op: "Resize" },
    }),
  ];
}
const row = (op: string, since: number): OperatorRow => ({
  op,
  since,
  pattern: "injective",
  infer: inferResize,
  compute: computeResize,
});
export const resizeRows: readonly OperatorRow[] = [row("Resize", 10), row("Upsample", 7)];
