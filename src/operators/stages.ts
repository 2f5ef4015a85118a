/** Ways to make stages that many rows share, on top of `ComputeBuilder`. */
import { cast, identityOf } from "../../ir/expr/build.ts";
import type { ScalarType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { type Layout, plainLayout, sameLayout, withoutHalo } from "../../ir/graph/layout.ts";
import { type ReduceOp, reduce, type StageOptions, type Tensor } from "../../ir/loop/compute.ts";
import type { Annotations } from "../../ir/loop/program.ts";
import { broadcastAt, workingType } from "./expressions.ts";
import type { ComputeContext } from "./row.ts";

/** The layout option of a stage: output `o`'s layout, for an intermediate without its halo. */
export function layoutOption(c: ComputeContext, final: boolean, o = 0): { readonly layout?: Layout } {
  const layout = c.layout(o);
  return layout ? { layout: final ? layout : withoutHalo(layout) } : {};
}

/** One reduction stage. */
interface ReductionStage {
  readonly name: string;
  readonly type: ScalarType;
  readonly dims: readonly number[];
  readonly op: ReduceOp;
  /** Name and extent of each reduction axis, outermost first. */
  readonly axes: readonly (readonly [string, number])[];
  readonly value: (indices: readonly Expr[], axes: readonly Expr[]) => Expr;
  readonly options?: StageOptions;
}
/** Emits a reduction; over an empty axis the result is the neutral element, over no axes the value itself. */
export function reduceStage(c: ComputeContext, s: ReductionStage): Tensor {
  const { builder } = c;
  if (s.axes.some(([, n]) => n === 0))
    return builder.compute(s.name, s.type, s.dims, () => identityOf(s.op, s.type), s.options);
  if (s.axes.length === 0) return builder.compute(s.name, s.type, s.dims, (...i) => s.value(i, []), s.options);
  const axes = s.axes.map(([name, n]) => builder.reduceAxis(name, n));
  const vars = axes.map((a) => a.var);
  return builder.compute(s.name, s.type, s.dims, (...i) => reduce(s.op, s.value(i, vars), axes), s.options);
}

/** Emits the stage that makes an output (by default the first), in the layout the graph wants; `value` is cast to the output's type. */
export function outputStage(
  c: ComputeContext,
  name: string,
  value: (...indices: Expr[]) => Expr,
  { output = 0, annotations }: { readonly output?: number; readonly annotations?: Annotations } = {},
): Tensor {
  const { dtype, dims } = c.output(output);
  const options = { ...layoutOption(c, true, output), ...(annotations ? { annotations } : {}) };
  return c.builder.compute(name, dtype, dims, (...i) => cast(dtype, value(...i)), options);
}
/** `t` itself when it already has output `o`'s type and layout, else a copy that has. */
export function asOutput(c: ComputeContext, t: Tensor, name: string, o = 0): Tensor {
  const wanted = c.layout(o) ?? plainLayout(t.dims.length);
  if (t.dtype.scalar === c.output(o).dtype && sameLayout(t.layout, wanted)) return t;
  return outputStage(c, name, (...i) => t.at(...i), { output: o });
}
/** The elements of `t`, halves widened to float32. */
export const wide = (t: Tensor, ...indices: Expr[]): Expr => cast(workingType(t.dtype.scalar), t.at(...indices));
/** Like `wide`, broadcasting `t` to the indices. */
export const wideBroadcast = (t: Tensor, indices: readonly Expr[]): Expr =>
  cast(workingType(t.dtype.scalar), broadcastAt(t, indices));
