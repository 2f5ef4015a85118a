/** Resize and Upsample: nearest sampling as index arithmetic, all else by tables of weights, one axis after another. */
import { add, cast, type ExprLike, mul } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { numbersOf, tensorOf } from "../elements.ts";
import { clampIndex, dataIndex, workingType } from "../expressions.ts";
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
import { type Resampling, tapCount, tapTable } from "../resize-taps.ts";
import {
  type ComputeContext,
  type ExpandContext,
  type NodeContext,
  type OperatorRow,
  ownDomain,
  type StaticType,
} from "../row.ts";
import { checkType, floats, normalizeAxis, range } from "../shape-rules.ts";
import { outputStage, reduceStage } from "../stages.ts";

/** Most entries of one axis's table. */
const tableLimit = 1 << 22;
/** Up to this many taps are written out instead of summed in a loop. */
const unrolledTaps = 8;
const nearestModes: readonly string[] = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"];
const isLegacy = (c: NodeContext): boolean => c.node.op === "Upsample" || c.node.opset < 11;
const oneOf = (c: NodeContext, name: string, value: string, allowed: readonly string[]): string =>
  allowed.includes(value) ? value : c.invalid(`${name} ${JSON.stringify(value)}`);

/** How a node samples; before opset 11 coordinates are asymmetric and rounded down. */
function resampling(c: NodeContext): Resampling {
  const { attributes: a } = c;
  const legacy = isLegacy(c);
  const mode = oneOf(c, "mode", a.string("mode", "nearest"), ["nearest", "linear", "bilinear", "cubic"]);
  const coordinates = a.string("coordinate_transformation_mode", legacy ? "asymmetric" : "half_pixel");
  const nearest = a.string("nearest_mode", legacy ? "floor" : "round_prefer_floor");
  return {
    mode: mode === "bilinear" ? "linear" : (mode as Resampling["mode"]),
    coordinates: oneOf(c, "coordinate_transformation_mode", coordinates, [...coordinateModes, "tf_crop_and_resize"]),
    nearest: oneOf(c, "nearest_mode", nearest, nearestModes),
    antialias: a.int("antialias", 0) !== 0,
    excludeOutside: a.int("exclude_outside", 0) !== 0,
    cubic: a.float("cubic_coeff_a", -0.75),
    roi: [0, 1],
    extrapolation: a.float("extrapolation_value", 0),
  };
}
const isPlain = (r: Resampling): boolean => r.mode === "nearest" && r.coordinates !== "tf_crop_and_resize";
function inferResize(c: NodeContext): StaticType[] {
  resampling(c);
  const axes = resizeAxes(c);
  if (axes.some((a) => a.input === 0 && a.output > 0)) c.invalid("an empty axis cannot grow");
  return [{ dtype: c.require(0).dtype, dims: axes.map((a) => a.output) }];
}
/** The input index that output index `o` copies. */
function sourceIndex(axis: ResizeAxis, m: Resampling, o: Expr): Expr {
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
  const m = resampling(c);
  return [
    outputStage(c, "resize", (...i) => x.at(...i.map((o, a) => sourceIndex(axes[a]!, m, o))), {
      annotations: { op: "Resize" },
    }),
  ];
}

/** Regions of interest of every axis, for tf_crop_and_resize. */
function regions(c: NodeContext, rank: number): (readonly [number, number])[] {
  const whole = range(rank).map(() => [0, 1] as const);
  if (resampling(c).coordinates !== "tf_crop_and_resize") return whole;
  const roi = numbersOf(c.requireConstant(1));
  const axes = c.attributes.ints("axes")?.map((a) => normalizeAxis(c, a, rank)) ?? range(rank);
  if (roi.length !== 2 * axes.length) c.invalid(`a region of interest of ${roi.length} numbers`);
  return whole.map((all, a) => {
    const k = axes.indexOf(a);
    return k < 0 ? all : [roi[k]!, roi[axes.length + k]!];
  });
}
/** One table-driven node for each axis that changes. */
function expandResize(c: ExpandContext): ValueId[] | undefined {
  const r = resampling(c);
  if (isPlain(r)) return undefined;
  const [type] = inferResize(c);
  const isFloat = floats.includes(type!.dtype);
  const axes = resizeAxes(c);
  const roi = regions(c, axes.length);
  const cast = (x: ValueId, to: number): ValueId => c.graph.node("Cast", [x], { attributes: { to } })[0]!;
  let x = isFloat ? c.inputs[0]! : cast(c.inputs[0]!, 1);
  axes.forEach((axis, a) => {
    const [start, end] = roi[a]!;
    if (axis.scale === 1 && axis.input === axis.output && start === 0 && end === 1) return;
    const own = { ...r, roi: roi[a]! };
    if (!(tapCount(own, axis.scale) * axis.output <= tableLimit)) c.unsupported("a table of weights beyond the limit");
    x = interpolate(c, x, a, tapTable(own, axis));
  });
  if (isFloat) return x === c.inputs[0] ? c.graph.node("Identity", [x]) : [x];
  return c.graph.node("CastLike", [x, c.inputs[0]]);
}
function interpolate(c: ExpandContext, x: ValueId, axis: number, t: ReturnType<typeof tapTable>): ValueId {
  const rows = t.offset.length;
  const indices = c.graph.constant("taps", tensorOf("int64", [rows, t.taps], t.indices));
  const weights = c.graph.constant("weights", tensorOf("float32", [rows, t.taps], t.weights));
  const offset = t.offset.some((n) => n !== 0)
    ? c.graph.constant("offset", tensorOf("float32", [rows], t.offset))
    : undefined;
  const options = { attributes: { axis }, domain: ownDomain, opset: 1 };
  return c.graph.node("Interpolate", [x, indices, weights, offset], options)[0]!;
}
/** Along one axis: y[o] = Σ_t weights[o, t]·x[indices[o, t]] + offset[o]. */
const interpolateRow: OperatorRow = {
  op: "Interpolate",
  domain: ownDomain,
  pattern: "opaque",
  infer: (c) => {
    const x = checkType(c, 0, floats);
    const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
    const [rows, taps] = checkType(c, 1, ["int64"]).dims;
    const fits = c.require(1).dims.length === 2 && c.require(2).dims.join() === `${rows},${taps}` && taps! > 0;
    if (!fits || (c.type(3) && c.require(3).dims.join() !== `${rows}`) || x.dims[axis] === 0)
      c.invalid(`tables [${c.require(1).dims}] and [${c.require(2).dims}] for [${x.dims}]`);
    return [{ dtype: x.dtype, dims: x.dims.map((n, a) => (a === axis ? rows! : n)) }];
  },
  compute: (c) => {
    const [x, indices, weights, offset] = [c.input(0), c.input(1), c.input(2), c.optional(3)];
    const type = workingType(x.dtype.scalar);
    const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
    const taps = indices.dims[1]!;
    const term = (i: readonly Expr[], t: ExprLike): Expr => {
      const o = i[axis]!;
      const place = dataIndex(indices.at(o, t), x.dims[axis]!);
      return mul(cast(type, weights.at(o, t)), cast(type, x.at(...i.map((e, a) => (a === axis ? place : e)))));
    };
    const sums =
      taps > unrolledTaps
        ? reduceStage(c, {
            name: "interpolate_sum",
            type,
            dims: c.output(0).dims,
            op: "add",
            axes: [["tap", taps]],
            value: (i, [t]) => term(i, t!),
          })
        : undefined;
    const total = (i: readonly Expr[]): Expr =>
      sums
        ? sums.at(...i)
        : range(taps)
            .map((t) => term(i, t))
            .reduce((a, b) => add(a, b));
    return [
      outputStage(c, "interpolate", (...i) => (offset ? add(total(i), cast(type, offset.at(i[axis]!))) : total(i))),
    ];
  },
};
const row = (op: string, since: number): OperatorRow => ({
  op,
  since,
  pattern: "injective",
  infer: inferResize,
  compute: computeResize,
  expand: expandResize,
});
export const resizeRows: readonly OperatorRow[] = [row("Resize", 10), row("Upsample", 7), interpolateRow];
