/** Softmax, LogSoftmax and Hardmax: along one axis since opset 13, over all axes from `axis` on before. */
import { compare, constant, mul, select, sub } from "../../../ir/expr/build.ts";
import { dtype } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { exp, like, linearIndex, literal, log, reciprocal, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { checkType, floats, normalizeAxis, range } from "../shape-rules.ts";
import { layoutOption, outputStage, reduceStage, wide } from "../stages.ts";

/** The axes normalised over. */
function softmaxAxes(c: NodeContext, rank: number): number[] {
  const old = c.node.opset < 13;
  const asked = c.attributes.int("axis", old ? 1 : -1);
  if (old && asked === rank) return [];
  const axis = normalizeAxis(c, asked, rank);
  return old ? range(rank).slice(axis) : [axis];
}
/** A reduction over `axes` whose result keeps only the other axes. */
interface Slices {
  readonly axes: readonly number[];
  readonly kept: readonly number[];
  readonly extents: readonly (readonly [string, number])[];
  readonly keptDims: readonly number[];
  /** Coordinates in the whole tensor. */
  readonly whole: (kept: readonly Expr[], reduced: readonly Expr[]) => Expr[];
  readonly keep: (indices: readonly Expr[]) => Expr[];
}
/** How indices split into kept and reduced ones when reducing `dims` over `axes`. */
export function slices(dims: readonly number[], axes: readonly number[]): Slices {
  const kept = range(dims.length).filter((a) => !axes.includes(a));
  return {
    axes,
    kept,
    extents: axes.map((a, i) => [`r${i}`, dims[a]!] as const),
    keptDims: kept.map((a) => dims[a]!),
    whole: (outer, inner) => range(dims.length).map((a) => outer[kept.indexOf(a)] ?? inner[axes.indexOf(a)]!),
    keep: (indices) => kept.map((a) => indices[a]!),
  };
}
function computeSoftmax(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const s = slices(x.dims, softmaxAxes(c, x.dims.length));
  const type = workingType(x.dtype.scalar);
  const annotations = (part: string) => ({ op: "Softmax", part, axes: [...s.axes] });
  const most = reduceStage(c, {
    name: "softmax_max",
    type,
    dims: s.keptDims,
    op: "max",
    axes: s.extents,
    value: (i, k) => wide(x, ...s.whole(i, k)),
    options: { annotations: annotations("max") },
  });
  const shifted = (i: readonly Expr[]): Expr => sub(wide(x, ...i), most.at(...s.keep(i)));
  const logarithmic = c.node.op === "LogSoftmax";
  const options = { ...layoutOption(c, false), annotations: annotations("exp") };
  const powers = logarithmic
    ? undefined
    : c.builder.compute("softmax_exp", type, x.dims, (...i) => exp(shifted(i)), options);
  const total = reduceStage(c, {
    name: "softmax_sum",
    type,
    dims: s.keptDims,
    op: "add",
    axes: s.extents,
    value: (i, k) => (powers ? powers.at(...s.whole(i, k)) : exp(shifted(s.whole(i, k)))),
    options: { annotations: annotations("sum") },
  });
  const value = (i: readonly Expr[]): Expr =>
    powers ? mul(powers.at(...i), reciprocal(total.at(...s.keep(i)))) : sub(shifted(i), log(total.at(...s.keep(i))));
  return [outputStage(c, "softmax", (...i) => value(i), { annotations: annotations("normalize") })];
}
/** One where the first maximum of each slice lies, else zero. */
function computeHardmax(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const s = slices(x.dims, softmaxAxes(c, x.dims.length));
  const extents = s.extents.map(([, n]) => n);
  const axes = s.extents.map(([name, n]) => c.builder.reduceAxis(name, n));
  const [, winner] = c.builder.computeTuple(
    ["hardmax_max", "hardmax_index"],
    [x.dtype.scalar, "int64"],
    s.keptDims,
    (...i) => {
      const inner = axes.map((a) => a.var);
      const value = x.at(...s.whole(i, inner));
      return {
        kind: "tupleReduction",
        axes,
        init: [literal(x.dtype.scalar, Number.NEGATIVE_INFINITY), constant(dtype("int64"), 0)],
        update: ([best, index]) => {
          const better = compare("gt", value, best!);
          return [select(better, value, best!), select(better, linearIndex(inner, extents), index!)];
        },
      };
    },
  );
  return [
    outputStage(c, "hardmax", (...i) => {
      const own = linearIndex(
        s.axes.map((a) => i[a]!),
        extents,
      );
      const one = literal(x.dtype.scalar, 1);
      return select(compare("eq", own, winner!.at(...s.keep(i))), one, like(one, 0));
    }),
  ];
}
const row = (op: string, compute: (c: ComputeContext) => Tensor[]): OperatorRow => ({
  op,
  pattern: "reduction",
  infer: (c) => {
    const x = checkType(c, 0, floats);
    softmaxAxes(c, x.dims.length);
    return [x];
  },
  compute,
});
export const softmaxRows: readonly OperatorRow[] = [
  row("Softmax", computeSoftmax),
  row("LogSoftmax", computeSoftmax),
  row("Hardmax", computeHardmax),
];
