/** Reductions over axes, ArgMax and ArgMin. */
import { add, cast, compare, constant, div, identityOf, mul, select, sub, unary } from "../../../ir/expr/build.ts";
import { dtype, isFloat, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { ReduceOp, Tensor } from "../../../ir/loop/compute.ts";
import { abs, exp, like, log, sqrt, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, floats, normalizeAxes, normalizeAxis, numbers, product, range } from "../shape-rules.ts";
import { asOutput, layoutOption, outputStage, reduceStage, wide } from "../stages.ts";
import { slices } from "./softmax.ts";

/** The axes reduced: an attribute, or an input since `axesInput`; none given means all, or none with noop_with_empty_axes. */
function reducedAxes(c: NodeContext, axesInput: number): number[] {
  const rank = c.require(0).dims.length;
  const asked = c.node.opset >= axesInput ? c.constantInts(1) : c.attributes.ints("axes");
  if (asked !== undefined && asked.length > 0) return normalizeAxes(c, asked, rank);
  return c.attributes.int("noop_with_empty_axes", 0) !== 0 ? [] : range(rank);
}
const keepsDims = (c: NodeContext): boolean => c.attributes.int("keepdims", 1) !== 0;
/** The shape after reducing `axes`. */
function reducedDims(dims: readonly number[], axes: readonly number[], keep: boolean): number[] {
  return keep ? dims.map((n, i) => (axes.includes(i) ? 1 : n)) : dims.filter((_, i) => !axes.includes(i));
}
interface Reduction {
  readonly op: ReduceOp;
  /** From an element to what is reduced. */
  readonly term?: (x: Expr) => Expr;
  /** From the reduced value to the result; `count` is how many elements were reduced. */
  readonly finish?: (total: Expr, count: number) => Expr;
  readonly types?: readonly ScalarType[];
  /** The opset from which axes are an input. */
  readonly axesInput?: number;
  /** Takes the maximum out first, so that exponentials do not overflow. */
  readonly shifted?: boolean;
}
/** A row for one reduction. */
function reduction(op: string, r: Reduction): OperatorRow {
  const { axesInput = 18 } = r;
  return {
    op,
    pattern: "reduction",
    infer: (c): StaticType[] => {
      const x = checkType(c, 0, r.types ?? numbers);
      return [{ dtype: x.dtype, dims: reducedDims(x.dims, reducedAxes(c, axesInput), keepsDims(c)) }];
    },
    compute: (c) => [computeReduction(c, r, reducedAxes(c, axesInput))],
  };
}
function computeReduction(c: ComputeContext, r: Reduction, axes: readonly number[]): Tensor {
  const x = c.input(0);
  const keep = keepsDims(c);
  const s = slices(x.dims, axes);
  const type = workingType(x.dtype.scalar);
  const place = (i: readonly Expr[], k: readonly Expr[]): Expr[] => s.whole(keep ? s.keep(i) : i, k);
  const options = { ...layoutOption(c, false), annotations: { op: "Reduce", reduce: c.node.op, axes: [...axes] } };
  const stage = (name: string, op: ReduceOp, value: (i: readonly Expr[], k: readonly Expr[]) => Expr): Tensor =>
    reduceStage(c, { name, type, dims: c.output(0).dims, op, axes: s.extents, value, options });
  const most = r.shifted ? stage("reduce_max", "max", (i, k) => wide(x, ...place(i, k))) : undefined;
  const shift = (i: readonly Expr[]): Expr | undefined => most && finite(most.at(...i));
  const op = type === "bool" ? (r.op === "max" ? "or" : "and") : r.op;
  const total = stage("reduce", op, (i, k) => {
    const e = wide(x, ...place(i, k));
    const by = shift(i);
    const element = by ? sub(e, by) : e;
    return r.term ? r.term(element) : element;
  });
  if (!r.finish) return asOutput(c, total, "reduce_copy");
  const count = product(axes.map((a) => x.dims[a]!));
  return outputStage(c, "reduce_finish", (...i) => {
    const value = r.finish!(total.at(...i), count);
    const by = shift(i);
    return by ? add(value, by) : value;
  });
}
/** `e`, or 0 where it is infinite. */
const finite = (e: Expr): Expr => (isFloat(e.dtype.scalar) ? select(unary("isinf", e), like(e, 0), e) : e);
/** Integers go through float64. */
const inFloat =
  (f: (e: Expr) => Expr) =>
  (e: Expr): Expr =>
    isFloat(e.dtype.scalar) ? f(e) : cast(e.dtype.scalar, f(cast("float64", e)));
const square = (e: Expr): Expr => mul(e, e);

/** ArgMax and ArgMin: the first (or last) place of the extreme value along an axis. */
const extremeRow = (op: string, strictly: "gt" | "lt", loosely: "ge" | "le", reduceOp: "max" | "min"): OperatorRow => ({
  op,
  pattern: "reduction",
  infer: (c) => {
    const x = checkType(c, 0, numbers);
    const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
    return [{ dtype: "int64", dims: reducedDims(x.dims, [axis], keepsDims(c)) }];
  },
  compute: (c) => {
    const x = c.input(0);
    const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
    const better = c.attributes.int("select_last_index", 0) !== 0 ? loosely : strictly;
    const s = slices(x.dims, [axis]);
    const k = c.builder.reduceAxis("r0", x.dims[axis] ?? 1);
    const [, place] = c.builder.computeTuple(
      [`${reduceOp}_value`, `${reduceOp}_index`],
      [x.dtype.scalar, "int64"],
      c.output(0).dims,
      (...i) => {
        const value = x.dims.length === 0 ? x.at() : x.at(...s.whole(keepsDims(c) ? s.keep(i) : i, [k.var]));
        return {
          kind: "tupleReduction",
          axes: [k],
          init: [identityOf(reduceOp, x.dtype.scalar), constant(dtype("int64"), 0)],
          update: ([best, index]) => {
            const wins = compare(better, value, best!);
            return [select(wins, value, best!), select(wins, k.var, index!)];
          },
        };
      },
      { annotations: { op: "Reduce", reduce: op, axes: [axis] } },
    );
    return [asOutput(c, place!, "index_copy")];
  },
});

export const reduceRows: readonly OperatorRow[] = [
  reduction("ReduceSum", { op: "add", axesInput: 13 }),
  reduction("ReduceProd", { op: "mul" }),
  reduction("ReduceMax", { op: "max", types: [...numbers, "bool"] }),
  reduction("ReduceMin", { op: "min", types: [...numbers, "bool"] }),
  reduction("ReduceMean", { op: "add", finish: (total, count) => div(total, like(total, count)) }),
  reduction("ReduceL1", { op: "add", term: (x) => (x.dtype.scalar.startsWith("u") ? x : abs(x)) }),
  reduction("ReduceL2", { op: "add", term: square, finish: inFloat(sqrt) }),
  reduction("ReduceSumSquare", { op: "add", term: square }),
  reduction("ReduceLogSum", { op: "add", finish: inFloat(log) }),
  reduction("ReduceLogSumExp", { op: "add", term: exp, finish: log, shifted: true, types: floats }),
  extremeRow("ArgMax", "gt", "ge", "max"),
  extremeRow("ArgMin", "lt", "le", "min"),
];
