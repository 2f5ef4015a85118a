/** Normalizations: statistics over some axes, then an element-wise stage with scale and shift. */
import { add, binary, cast, compare, constant, div, floordiv, mul, select, sub } from "../../../ir/expr/build.ts";
import { dtype, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { guard, guarded, like, reciprocal, sqrt, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, floats, normalizeAxis, product, scalarOfOnnx, wants } from "../shape-rules.ts";
import { outputStage, reduceStage, wide, wideBroadcast } from "../stages.ts";
import { lpRoot, lpTerm } from "./pool.ts";
import { slices } from "./softmax.ts";

/** Mean and variance over slices of a tensor. */
interface Statistics {
  /** Extents of the slices' coordinates. */
  readonly dims: readonly number[];
  readonly axes: readonly (readonly [string, number])[];
  /** The element at a slice and a place in it. */
  readonly element: (slice: readonly Expr[], inner: readonly Expr[]) => Expr;
  readonly type: ScalarType;
}
const statOptions = (c: ComputeContext, part: string) => ({
  annotations: { op: "Normalization", node: c.node.op, part },
});

function meanStage(
  c: ComputeContext,
  s: Statistics,
  name: string,
  term: (e: Expr, slice: readonly Expr[]) => Expr,
): Tensor {
  const total = reduceStage(c, {
    name: `${name}_sum`,
    type: s.type,
    dims: s.dims,
    op: "add",
    axes: s.axes,
    value: (i, k) => term(s.element(i, k), i),
    options: statOptions(c, `${name}-sum`),
  });
  const count = product(s.axes.map(([, n]) => n));
  const mean = (...i: Expr[]): Expr => {
    const sum = total.at(...i);
    return div(sum, like(sum, count));
  };
  return c.builder.compute(name, s.type, s.dims, mean, statOptions(c, name));
}
const square = (e: Expr): Expr => mul(e, e);
/** The mean and 1 / sqrt(variance + epsilon) of each slice, in two passes. */
function standardStages(c: ComputeContext, s: Statistics, epsilon: number): { mean: Tensor; inverse: Tensor } {
  const mean = meanStage(c, s, "mean", (e) => e);
  const variance = meanStage(c, s, "variance", (e, i) => square(sub(e, mean.at(...i))));
  return { mean, inverse: inverseRoot(c, variance, epsilon) };
}
const inverseRoot = (c: ComputeContext, variance: Tensor, epsilon: number): Tensor =>
  c.builder.compute("inverse_deviation", variance.dtype.scalar, variance.dims, (...i) => {
    const v = variance.at(...i);
    return reciprocal(sqrt(add(v, like(v, epsilon))));
  });

/** The axes from `axis` on, as slices of input 0. */
function trailing(c: ComputeContext): Statistics & { readonly axis: number } {
  const x = c.input(0);
  const axis = normalizeAxis(c, c.attributes.int("axis", -1), x.dims.length);
  return {
    axis,
    dims: x.dims.map((n, i) => (i < axis ? n : 1)),
    axes: x.dims.slice(axis).map((n, i) => [`r${i}`, n] as const),
    element: (i, k) => wide(x, ...i.slice(0, axis), ...k),
    type: workingType(x.dtype.scalar),
  };
}
const atSlice = (t: Tensor, axis: number, i: readonly Expr[]): Expr =>
  t.at(...i.map((e, a) => (a < axis ? e : constant(dtype("int64"), 0))));

function computeLayerNormalization(c: ComputeContext): (Tensor | undefined)[] {
  const s = trailing(c);
  const { mean, inverse } = standardStages(c, s, c.attributes.float("epsilon", 1e-5));
  const [x, scale, shift] = [c.input(0), c.input(1), c.optional(2)];
  const y = outputStage(
    c,
    "layer_norm",
    (...i) => {
      const centred = mul(sub(wide(x, ...i), atSlice(mean, s.axis, i)), atSlice(inverse, s.axis, i));
      const scaled = mul(centred, wideBroadcast(scale, i));
      return shift ? add(scaled, wideBroadcast(shift, i)) : scaled;
    },
    { annotations: { op: "Normalization", node: "LayerNormalization", part: "scale" } },
  );
  const statistic = (t: Tensor, output: number): Tensor | undefined =>
    wants(c, output) ? outputStage(c, "statistic", (...i) => t.at(...i), { output }) : undefined;
  return [y, statistic(mean, 1), statistic(inverse, 2)];
}
function inferLayerNormalization(c: NodeContext): StaticType[] {
  const x = checkType(c, 0, floats);
  const axis = normalizeAxis(c, c.attributes.int("axis", -1), x.dims.length);
  const stash = scalarOfOnnx(c, c.attributes.int("stash_type", 1));
  if (stash !== "float32") c.unsupported(`stash_type ${stash}`);
  const statistic: StaticType = { dtype: workingType(x.dtype), dims: x.dims.map((n, i) => (i < axis ? n : 1)) };
  return c.node.op === "LayerNormalization" ? [x, statistic, statistic] : [x];
}
function computeRms(c: ComputeContext): Tensor[] {
  const s = trailing(c);
  const meanSquare = meanStage(c, s, "mean_square", square);
  const inverse = inverseRoot(c, meanSquare, c.attributes.float("epsilon", 1e-5));
  const [x, scale] = [c.input(0), c.input(1)];
  return [
    outputStage(c, "rms_norm", (...i) => mul(mul(wide(x, ...i), atSlice(inverse, s.axis, i)), wideBroadcast(scale, i))),
  ];
}

/** Instance and group normalization: statistics over the channels of a group and all spatial axes. */
function computeGrouped(c: ComputeContext): Tensor[] {
  const [x, scale, shift] = [c.input(0), c.input(1), c.input(2)];
  const channels = x.dims[1]!;
  const groups = groupsOf(c, channels);
  const each = channels / groups;
  const s: Statistics = {
    dims: [x.dims[0]!, groups],
    axes: [["rc", each], ...x.dims.slice(2).map((n, i) => [`r${i}`, n] as const)],
    element: ([n, g], [rc, ...rest]) => wide(x, n!, add(mul(g!, each), rc!), ...rest),
    type: workingType(x.dtype.scalar),
  };
  const { mean, inverse } = standardStages(c, s, c.attributes.float("epsilon", 1e-5));
  const perGroup = c.node.op === "GroupNormalization" && c.node.opset < 21;
  return [
    outputStage(c, "group_norm", (...i) => {
      const group = floordiv(i[1]!, each);
      const parameter = perGroup ? group : i[1]!;
      const centred = mul(sub(wide(x, ...i), mean.at(i[0]!, group)), inverse.at(i[0]!, group));
      return add(mul(centred, wide(scale, parameter)), wide(shift, parameter));
    }),
  ];
}
function groupsOf(c: NodeContext, channels: number): number {
  if (c.node.op === "InstanceNormalization") return channels;
  const groups = c.attributes.optionalInt("num_groups") ?? c.invalid("num_groups is missing");
  if (groups < 1 || channels % groups !== 0) c.invalid(`${channels} channels in ${groups} groups`);
  return groups;
}
function inferGrouped(c: NodeContext): StaticType[] {
  const x = checkType(c, 0, floats);
  if (x.dims.length < 2) c.invalid(`an input [${x.dims}] has no channels`);
  const groups = groupsOf(c, x.dims[1]!);
  const perGroup = c.node.op === "GroupNormalization" && c.node.opset < 21;
  checkParameters(c, [1, 2], perGroup ? groups : x.dims[1]!);
  return [x];
}
function checkParameters(c: NodeContext, inputs: readonly number[], length: number): void {
  for (const i of inputs) {
    const { dims } = c.require(i);
    if (dims.length !== 1 || dims[0] !== length) c.invalid(`input ${i} is [${dims}], expected [${length}]`);
  }
}

/** (x - mean) · scale / sqrt(variance + epsilon) + shift, one of each a channel. */
function computeBatchNormalization(c: ComputeContext): (Tensor | undefined)[] {
  const x = c.input(0);
  const training = c.attributes.int("training_mode", 0) !== 0;
  const statistics = training ? batchStatistics(c) : { mean: c.input(3), variance: c.input(4) };
  const epsilon = c.attributes.float("epsilon", 1e-5);
  const y = outputStage(c, "batch_norm", (...i) => {
    const e = wide(x, ...i);
    const of = (t: Tensor): Expr => cast(e.dtype.scalar, t.at(i[1]!));
    const factor = div(of(c.input(1)), sqrt(add(of(statistics.variance), like(e, epsilon))));
    return add(mul(sub(e, of(statistics.mean)), factor), of(c.input(2)));
  });
  if (!training) return [y];
  return [y, runningStage(c, 3, statistics.mean, 1), runningStage(c, 4, statistics.variance, 2)];
}
/** Mean and variance of each channel over the batch and all spatial axes. */
function batchStatistics(c: ComputeContext): { mean: Tensor; variance: Tensor } {
  const x = c.input(0);
  const over = slices(
    x.dims,
    x.dims.flatMap((_, a) => (a === 1 ? [] : [a])),
  );
  const s: Statistics = {
    dims: over.keptDims,
    axes: over.extents,
    element: (i, k) => wide(x, ...over.whole(i, k)),
    type: workingType(x.dtype.scalar),
  };
  const mean = meanStage(c, s, "mean", (e) => e);
  return { mean, variance: meanStage(c, s, "variance", (e, i) => square(sub(e, mean.at(...i)))) };
}
/** running · momentum + batch · (1 - momentum). */
function runningStage(c: ComputeContext, running: number, batch: Tensor, output: number): Tensor | undefined {
  if (!wants(c, output)) return undefined;
  const momentum = c.attributes.float("momentum", 0.9);
  const value = (i: Expr): Expr => {
    const now = batch.at(i);
    const before = cast(now.dtype.scalar, c.input(running).at(i));
    return add(mul(before, like(now, momentum)), mul(now, like(now, 1 - momentum)));
  };
  return outputStage(c, "running_statistic", (i) => value(i!), { output });
}
function inferBatchNormalization(c: NodeContext): StaticType[] {
  const x = checkType(c, 0, floats);
  if (c.node.opset < 14 && c.node.outputs.slice(1).some((o) => o !== undefined))
    c.unsupported("batch normalization in training mode as before opset 14");
  if (c.attributes.int("spatial", 1) === 0) c.unsupported("batch normalization with spatial=0");
  checkParameters(c, [1, 2, 3, 4], x.dims[1] ?? 1);
  return [x, c.require(3), c.require(4)];
}

/** (x - mean) / (sqrt(variance) + 1e-9) over `axes`. */
function computeMeanVariance(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const s = slices(x.dims, c.attributes.ints("axes") ?? [0, 2, 3]);
  const statistics: Statistics = {
    dims: s.keptDims,
    axes: s.extents,
    element: (i, k) => wide(x, ...s.whole(i, k)),
    type: workingType(x.dtype.scalar),
  };
  const mean = meanStage(c, statistics, "mean", (e) => e);
  const variance = meanStage(c, statistics, "variance", (e, i) => square(sub(e, mean.at(...i))));
  return [
    outputStage(c, "mean_variance_norm", (...i) => {
      const deviation = sqrt(variance.at(...s.keep(i)));
      return div(sub(wide(x, ...i), mean.at(...s.keep(i))), add(deviation, like(deviation, 1e-9)));
    }),
  ];
}
/** x / ‖x‖_p along an axis; a zero vector stays zero. */
function computeLpNormalization(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const p = c.attributes.int("p", 2);
  const s = slices(x.dims, [normalizeAxis(c, c.attributes.int("axis", -1), x.dims.length)]);
  const total = reduceStage(c, {
    name: "lp_norm",
    type: workingType(x.dtype.scalar),
    dims: s.keptDims,
    op: "add",
    axes: s.extents,
    value: (i, k) => lpTerm(wide(x, ...s.whole(i, k)), p),
  });
  return [
    outputStage(c, "lp_normalize", (...i) => {
      const norm = lpRoot(total.at(...s.keep(i)), p);
      const divisor = select(compare("eq", norm, like(norm, 0)), like(norm, 1), norm);
      return div(wide(x, ...i), divisor);
    }),
  ];
}
/** x / (bias + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels. */
function computeLrn(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const size = c.attributes.optionalInt("size") ?? c.invalid("size is missing");
  const before = Math.floor((size - 1) / 2);
  const channels = x.dims[1]!;
  const total = reduceStage(c, {
    name: "lrn_sum",
    type: workingType(x.dtype.scalar),
    dims: x.dims,
    op: "add",
    axes: [["rc", size]],
    value: ([n, ch, ...rest], [rc]) => {
      const at = sub(add(ch!, rc!), before);
      const e = wide(x, n!, at, ...rest);
      return guarded([guard(at, channels, -before, channels - 1 + size - 1 - before)], square(e), like(e, 0));
    },
  });
  return [
    outputStage(c, "lrn", (...i) => {
      const sum = total.at(...i);
      const base = add(
        mul(sum, like(sum, c.attributes.float("alpha", 1e-4) / size)),
        like(sum, c.attributes.float("bias", 1)),
      );
      return div(wide(x, ...i), binary("pow", base, like(sum, c.attributes.float("beta", 0.75))));
    }),
  ];
}
const inferFloat = (c: NodeContext): StaticType[] => [checkType(c, 0, floats)];

export const normalizationRows: readonly OperatorRow[] = [
  {
    op: "LayerNormalization",
    pattern: "reduction",
    infer: inferLayerNormalization,
    compute: computeLayerNormalization,
  },
  { op: "RMSNormalization", pattern: "reduction", infer: inferLayerNormalization, compute: computeRms },
  { op: "InstanceNormalization", pattern: "reduction", infer: inferGrouped, compute: computeGrouped },
  { op: "GroupNormalization", since: 18, pattern: "reduction", infer: inferGrouped, compute: computeGrouped },
  {
    op: "BatchNormalization",
    since: 7,
    pattern: "elementwise",
    infer: inferBatchNormalization,
    compute: computeBatchNormalization,
  },
  { op: "MeanVarianceNormalization", pattern: "reduction", infer: inferFloat, compute: computeMeanVariance },
  { op: "LpNormalization", pattern: "reduction", infer: inferFloat, compute: computeLpNormalization },
  { op: "LRN", pattern: "reduction", infer: inferFloat, compute: computeLrn },
];
