/** Pools over windows and over whole spatial extents. */
import {
  add,
  binary,
  cast,
  compare,
  constant,
  div,
  floordiv,
  identityOf,
  max,
  min,
  mul,
  select,
  sub,
} from "../../../ir/expr/build.ts";
import { dtype, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { ReduceOp, Tensor } from "../../../ir/loop/compute.ts";
import { abs, clampIndex, guard, guarded, like, linearIndex, sqrt, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { checkType, floats, product, signedNumbers, wants } from "../shape-rules.ts";
import { asOutput, layoutOption, outputStage, reduceStage, wide } from "../stages.ts";
import { readWindow, tap, tapNames, type Window, windowFacts } from "../window.ts";

const poolTypes: readonly ScalarType[] = [...signedNumbers, "uint8"];

function poolWindow(c: NodeContext, types: readonly ScalarType[]): Window {
  const x = checkType(c, 0, types);
  const rank = x.dims.length - 2;
  if (rank < 1 || rank > 3) c.unsupported(`a pool over ${rank} spatial axes`);
  const kernel = c.attributes.ints("kernel_shape") ?? c.invalid("kernel_shape is missing");
  return readWindow(c, x.dims.slice(2), kernel);
}
const pooledDims = (c: NodeContext, w: Window): number[] => [...c.require(0).dims.slice(0, 2), ...w.output];
const taps = (w: Window): (readonly [string, number])[] => {
  const names = tapNames(w.kernel.length);
  return w.kernel.map((k, i) => [names[i]!, k] as const);
};
const stageOptions = (c: ComputeContext, w: Window, final: boolean) => ({
  ...layoutOption(c, final),
  annotations: { op: "Pool", pool: c.node.op, ...windowFacts(w) },
});
/** Sum (or other reduction) of `value` over the window; taps in the padding give zero. */
function windowReduction(c: ComputeContext, w: Window, name: string, value: (x: Expr) => Expr): Tensor {
  const x = c.input(0);
  return reduceStage(c, {
    name,
    type: workingType(x.dtype.scalar),
    dims: c.output(0).dims,
    op: "add",
    axes: taps(w),
    value: ([n, ch, ...o], k) => {
      const places = o.map((e, i) => tap(w, i, e, k[i]!));
      const element = value(wide(x, n!, ch!, ...places.map((p) => p.at)));
      const conditions = places.map((p, i) => guard(p.at, w.input[i]!, p.low, p.high));
      return guarded(conditions, element, like(element, 0));
    },
    options: stageOptions(c, w, false),
  });
}

/**
 * Without dilation and with pads smaller than the window, a tap outside the input may read the nearest element inside:
 * it lies in the same window, so the maximum stays the same and no guard is needed.
 */
function computeMaxPool(c: ComputeContext): Tensor[] {
  const w = poolWindow(c, poolTypes);
  if (wants(c, 1)) return maxPoolWithIndices(c, w);
  const x = c.input(0);
  const clamps =
    w.dilations.every((d) => d === 1) && w.begin.every((p, i) => p < w.kernel[i]! && w.end[i]! < w.kernel[i]!);
  const pooled = reduceStage(c, {
    name: "max_pool",
    type: x.dtype.scalar,
    dims: c.output(0).dims,
    op: "max",
    axes: taps(w),
    value: ([n, ch, ...o], k) => {
      const places = o.map((e, i) => tap(w, i, e, k[i]!));
      if (clamps) return x.at(n!, ch!, ...places.map((p, i) => clampIndex(p.at, w.input[i]!, p.low, p.high)));
      const conditions = places.map((p, i) => guard(p.at, w.input[i]!, p.low, p.high));
      return guarded(conditions, x.at(n!, ch!, ...places.map((p) => p.at)), identityOf("max", x.dtype.scalar));
    },
    options: stageOptions(c, w, true),
  });
  return [pooled];
}
/** Position of a maximum in the whole input, row-major or (storage_order 1) with the spatial axes reversed. */
function positionOf(c: ComputeContext, dims: readonly number[], at: readonly Expr[]): Expr {
  const columnMajor = c.attributes.int("storage_order", 0) !== 0;
  const [n, ch, ...spatial] = at;
  const extents = dims.slice(2);
  const within = columnMajor ? linearIndex(spatial.toReversed(), extents.toReversed()) : linearIndex(spatial, extents);
  return add(mul(linearIndex([n!, ch!], dims.slice(0, 2)), product(extents)), within);
}
function maxPoolWithIndices(c: ComputeContext, w: Window): Tensor[] {
  const x = c.input(0);
  const type = x.dtype.scalar;
  const axes = w.kernel.map((k, i) => c.builder.reduceAxis(tapNames(w.kernel.length)[i]!, k));
  const [best, index] = c.builder.computeTuple(
    ["max_pool", "max_pool_index"],
    [type, "int64"],
    c.output(0).dims,
    (n, ch, ...o) => {
      const places = o.map((e, i) => tap(w, i, e, axes[i]!.var));
      const at = [n!, ch!, ...places.map((p) => p.at)];
      const conditions = places.map((p, i) => guard(p.at, w.input[i]!, p.low, p.high));
      const least = identityOf("max", type);
      const value = guarded(conditions, x.at(...at), least);
      return {
        kind: "tupleReduction",
        axes,
        init: [least, constant(dtype("int64"), 0)],
        update: ([old, position]) => {
          const better = compare("gt", value, old!);
          return [select(better, value, old!), select(better, positionOf(c, x.dims, at), position!)];
        },
      };
    },
    { annotations: { op: "Pool", pool: "MaxPoolIndices", ...windowFacts(w) } },
  );
  return [asOutput(c, best!, "max_pool_copy"), asOutput(c, index!, "max_pool_index_copy", 1)];
}

/** How many taps of output `o` along axis `i` count: those inside the input, or also in the padding. */
function countAlong(w: Window, i: number, o: Expr, padding: boolean): Expr {
  const start = sub(mul(o, w.strides[i]!), w.begin[i]!);
  const limit = w.input[i]! + (padding ? w.end[i]! : 0);
  const d = w.dilations[i]!;
  const stop = min(floordiv(add(sub(limit, start), d - 1), d), w.kernel[i]!);
  return padding ? stop : sub(stop, floordiv(add(max(sub(0, start), 0), d - 1), d));
}
/** Whether every window lies wholly inside what counts along axis `i`. */
function isWhole(w: Window, i: number, padding: boolean): boolean {
  const high = (w.output[i]! - 1) * w.strides[i]! - w.begin[i]! + (w.kernel[i]! - 1) * w.dilations[i]!;
  return (padding || w.begin[i] === 0) && high < w.input[i]! + (padding ? w.end[i]! : 0);
}
function computeAveragePool(c: ComputeContext): Tensor[] {
  const w = poolWindow(c, floats);
  const padding = c.attributes.int("count_include_pad", 0) !== 0;
  const total = windowReduction(c, w, "average_pool", (x) => x);
  const count = (o: readonly Expr[], of: Expr): Expr => {
    const fixed = product(w.kernel.filter((_, i) => isWhole(w, i, padding)));
    const varying = o.map((e, i) => (isWhole(w, i, padding) ? undefined : countAlong(w, i, e, padding)));
    const present = varying.filter((e) => e !== undefined);
    return present.length === 0
      ? like(of, fixed)
      : // A window that lies in the padding alone has no average: ONNX Runtime gives 0.
        cast(
          of.dtype.scalar,
          max(
            present.reduce((a, b) => mul(a, b), constant(dtype("int64"), fixed)),
            constant(dtype("int64"), 1),
          ),
        );
  };
  return [
    outputStage(c, "average_pool_scale", (...i) => {
      const sum = total.at(...i);
      return div(sum, count(i.slice(2), sum));
    }),
  ];
}
/** |x|^p, and the p-th root of a sum of such. */
export const lpTerm = (x: Expr, p: number): Expr => {
  if (p === 1) return abs(x);
  return p === 2 ? mul(x, x) : binary("pow", abs(x), like(x, p));
};
export const lpRoot = (x: Expr, p: number): Expr => {
  if (p === 1) return x;
  return p === 2 ? sqrt(x) : binary("pow", x, like(x, 1 / p));
};
function computeLpPool(c: ComputeContext): Tensor[] {
  const p = c.attributes.int("p", 2);
  const total = windowReduction(c, poolWindow(c, floats), "lp_pool", (x) => lpTerm(x, p));
  return [outputStage(c, "lp_pool_root", (...i) => lpRoot(total.at(...i), p))];
}

/** A reduction over all spatial axes, each kept with extent 1. */
function globalPool(
  op: string,
  reduceOp: ReduceOp,
  term: (x: Expr, c: ComputeContext) => Expr,
  finish: (x: Expr, count: number, c: ComputeContext) => Expr,
): OperatorRow {
  return {
    op,
    pattern: "reduction",
    infer: (c) => {
      const x = checkType(c, 0, floats);
      if (x.dims.length < 3) c.invalid(`a global pool over [${x.dims}]`);
      return [{ dtype: x.dtype, dims: x.dims.map((n, i) => (i < 2 ? n : 1)) }];
    },
    compute: (c) => {
      const x = c.input(0);
      const spatial = x.dims.slice(2);
      const total = reduceStage(c, {
        name: "global_pool",
        type: workingType(x.dtype.scalar),
        dims: c.output(0).dims,
        op: reduceOp,
        axes: spatial.map((n, i) => [`r${i}`, n] as const),
        value: ([n, ch], k) => term(wide(x, n!, ch!, ...k), c),
        options: { ...layoutOption(c, false), annotations: { op: "GlobalPool", pool: op } },
      });
      return [outputStage(c, "global_pool_scale", (...i) => finish(total.at(...i), product(spatial), c))];
    },
  };
}
const pExponent = (c: ComputeContext): number => c.attributes.int("p", 2);

export const poolRows: readonly OperatorRow[] = [
  {
    op: "MaxPool",
    pattern: "reduction",
    infer: (c) => {
      const dims = pooledDims(c, poolWindow(c, poolTypes));
      return [
        { dtype: c.require(0).dtype, dims },
        { dtype: "int64", dims },
      ];
    },
    compute: computeMaxPool,
  },
  ...(
    [
      ["AveragePool", computeAveragePool],
      ["LpPool", computeLpPool],
    ] as const
  ).map(
    ([op, compute]): OperatorRow => ({
      op,
      pattern: "reduction",
      infer: (c) => [{ dtype: c.require(0).dtype, dims: pooledDims(c, poolWindow(c, floats)) }],
      compute,
    }),
  ),
  globalPool(
    "GlobalAveragePool",
    "add",
    (x) => x,
    (total, count) => div(total, like(total, count)),
  ),
  globalPool(
    "GlobalMaxPool",
    "max",
    (x) => x,
    (best) => best,
  ),
  globalPool(
    "GlobalLpPool",
    "add",
    (x, c) => lpTerm(x, pExponent(c)),
    (total, _, c) => lpRoot(total, pExponent(c)),
  ),
];
