/** Col2Im: columns of sliding blocks summed back into an image. */
import { add, and, cast, compare, floordiv, floormod, index, mul, select, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { inRange, reduce, type Tensor } from "../../../ir/loop/compute.ts";
import { like, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { checkType, floats, product } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";
import { readWindow, type Window } from "../window.ts";

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

export const col2imRows: readonly OperatorRow[] = [
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
