/** Conv and ConvTranspose in one to three dimensions. */
import { add, and, cast, compare, floordiv, floormod, mul, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { guard, guarded, like, workingType } from "../expressions.ts";
import { type ComputeContext, type NodeContext, type OperatorRow, ownDomain } from "../row.ts";
import { checkType, floats } from "../shape-rules.ts";
import { asOutput, layoutOption, outputStage, reduceStage, wide } from "../stages.ts";
import { covered, readWindow, spatialAttribute, tap, tapNames, type Window, windowFacts } from "../window.ts";

interface Convolution extends Window {
  readonly group: number;
  /** Channels of one group. */
  readonly inputChannels: number;
  readonly outputChannels: number;
}
/** Checks x: [n, c, spatial…] and w: [oc, c/group, kernel…]. */
function convolution(c: NodeContext): Convolution {
  const x = checkType(c, 0, c.node.domain === ownDomain ? ["int32"] : floats);
  const w = c.require(1);
  const rank = x.dims.length - 2;
  if (rank < 1 || rank > 3) c.unsupported(`convolution over ${rank} spatial axes`);
  if (w.dims.length !== x.dims.length) c.invalid(`weights [${w.dims}] for an input [${x.dims}]`);
  const group = c.attributes.int("group", 1);
  if (group < 1 || w.dims[1]! * group !== x.dims[1] || w.dims[0]! % group !== 0)
    c.invalid(`weights [${w.dims}] in ${group} groups for an input [${x.dims}]`);
  const kernel = c.attributes.ints("kernel_shape") ?? w.dims.slice(2);
  if (kernel.some((k, i) => k !== w.dims[i + 2])) c.invalid(`kernel_shape [${kernel}] for weights [${w.dims}]`);
  checkBias(c, w.dims[0]!);
  const window = readWindow(c, x.dims.slice(2), kernel);
  return { ...window, group, inputChannels: w.dims[1]!, outputChannels: w.dims[0]! / group };
}
function checkBias(c: NodeContext, channels: number): void {
  const bias = c.type(2);
  if (bias && (bias.dims.length !== 1 || bias.dims[0] !== channels))
    c.invalid(`a bias [${bias.dims}] for ${channels} channels`);
}
/** Note [Halo]: where the input's buffer holds enough zeros around an axis, taps read them instead of being guarded. */
function needsGuard(x: Tensor, axis: number, low: number, high: number): boolean {
  const halo = x.layout.halo?.[axis] ?? { before: 0, after: 0 };
  return halo.before < -low || halo.after < high - x.dims[axis]! + 1;
}

function computeConvolution(c: ComputeContext): Tensor[] {
  const v = convolution(c);
  const x = c.input(0);
  const w = c.input(1);
  const depthwise = v.inputChannels === 1 && v.outputChannels === 1;
  const type = workingType(c.output(0).dtype);
  const bias = c.optional(2);
  const single = !bias && type === c.output(0).dtype;
  const names = tapNames(v.kernel.length);
  const taps = v.kernel.map((k, i): readonly [string, number] => [names[i]!, k]);
  const conv = reduceStage(c, {
    name: "conv",
    type,
    dims: c.output(0).dims,
    op: "add",
    axes: depthwise ? taps : [["ic", v.inputChannels], ...taps],
    value: ([n, oc, ...o], axes) => {
      const k = depthwise ? axes : axes.slice(1);
      const first = v.group === 1 ? 0 : mul(floordiv(oc!, v.outputChannels), v.inputChannels);
      const channel = depthwise ? oc! : add(first, axes[0]!);
      const places = o.map((e, i) => tap(v, i, e, k[i]!));
      const value = wide(x, n!, channel, ...places.map((p) => p.at));
      const conditions = places.map((p, i) =>
        needsGuard(x, i + 2, p.low, p.high) ? guard(p.at, v.input[i]!, p.low, p.high) : undefined,
      );
      const weight = depthwise ? w.at(oc!, 0, ...k) : w.at(oc!, axes[0]!, ...k);
      return mul(guarded(conditions, value, like(value, 0)), cast(value.dtype.scalar, weight));
    },
    options: {
      ...layoutOption(c, single),
      annotations: { op: "Conv", ...windowFacts(v), group: v.group },
    },
  });
  return [addBias(c, conv, bias, "conv_bias")];
}
/** The second stage: adds a bias along channels where there is one and rounds to the output's type. */
function addBias(c: ComputeContext, t: Tensor, bias: Tensor | undefined, name: string): Tensor {
  if (!bias) return asOutput(c, t, `${name}_cast`);
  return outputStage(c, name, (...i) => add(t.at(...i), wide(bias, i[1]!)));
}

interface Transposed extends Convolution {
  readonly outputPadding: readonly number[];
}
/** Checks x: [n, c, spatial…] and w: [c, oc/group, kernel…]. `begin` and `end` crop the full output. */
function transposed(c: NodeContext): Transposed {
  const x = checkType(c, 0, floats);
  const w = c.require(1);
  const rank = x.dims.length - 2;
  if (rank < 1 || rank > 3) c.unsupported(`transposed convolution over ${rank} spatial axes`);
  const group = c.attributes.int("group", 1);
  if (w.dims.length !== x.dims.length || w.dims[0] !== x.dims[1] || group < 1 || w.dims[0]! % group !== 0)
    c.invalid(`weights [${w.dims}] in ${group} groups for an input [${x.dims}]`);
  checkBias(c, w.dims[1]! * group);
  const kernel = w.dims.slice(2);
  const input = x.dims.slice(2);
  const strides = spatialAttribute(c, "strides", rank);
  const dilations = spatialAttribute(c, "dilations", rank);
  const outputPadding = spatialAttribute(c, "output_padding", rank, 0);
  const full = input.map((n, i) => strides[i]! * (n - 1) + outputPadding[i]! + covered(kernel[i]!, dilations[i]!));
  const { begin, end, output } = transposedOutput(c, full, input, strides);
  const channels = { inputChannels: w.dims[0]! / group, outputChannels: w.dims[1]! };
  return { kernel, input, output, strides, dilations, begin, end, group, ...channels, outputPadding };
}
function transposedOutput(
  c: NodeContext,
  full: readonly number[],
  input: readonly number[],
  strides: readonly number[],
): { begin: number[]; end: number[]; output: number[] } {
  const mode = c.attributes.string("auto_pad", "NOTSET");
  const same = mode === "SAME_UPPER" || mode === "SAME_LOWER";
  const asked = c.attributes.ints("output_shape")?.slice(-input.length);
  const wanted = asked ?? (same ? input.map((n, i) => n * strides[i]!) : undefined);
  if (wanted) {
    const total = full.map((n, i) => Math.max(n - wanted[i]!, 0));
    const less = total.map((t) => Math.floor(t / 2));
    const more = total.map((t) => Math.ceil(t / 2));
    const upper = mode === "SAME_UPPER";
    return { begin: upper ? less : more, end: upper ? more : less, output: [...wanted] };
  }
  const pads = c.attributes.ints("pads") ?? Array<number>(2 * input.length).fill(0);
  const begin = pads.slice(0, input.length);
  const end = pads.slice(input.length);
  const output = full.map((n, i) => n - begin[i]! - end[i]!);
  if (pads.length !== 2 * input.length || output.some((n) => n < 0)) c.invalid(`pads [${pads}]`);
  return { begin, end, output };
}

/** Each output gathers the inputs whose windows cover it: input position (o + pad - k·d) / s where that is whole. */
function computeTransposed(c: ComputeContext): Tensor[] {
  const v = transposed(c);
  const x = c.input(0);
  const w = c.input(1);
  const names = tapNames(v.kernel.length);
  const conv = reduceStage(c, {
    name: "conv_transpose",
    type: workingType(c.output(0).dtype),
    dims: c.output(0).dims,
    op: "add",
    axes: [["ic", v.inputChannels], ...v.kernel.map((k, i): readonly [string, number] => [names[i]!, k])],
    value: ([n, oc, ...o], [ic, ...k]) => {
      const g = v.group === 1 ? 0 : floordiv(oc!, v.outputChannels);
      const channel = add(mul(g, v.inputChannels), ic!);
      const within = v.group === 1 ? oc! : floormod(oc!, v.outputChannels);
      const scaled = o.map((e, i) => sub(add(e, v.begin[i]!), mul(k[i]!, v.dilations[i]!)));
      const places = scaled.map((e, i) => floordiv(e, v.strides[i]!));
      const conditions = scaled.map((e, i) => covers(v, i, e, places[i]!));
      const value = wide(x, n!, channel, ...places);
      return mul(guarded(conditions, value, like(value, 0)), cast(value.dtype.scalar, w.at(channel, within, ...k)));
    },
    options: {
      ...layoutOption(c, !c.optional(2) && workingType(c.output(0).dtype) === c.output(0).dtype),
      annotations: { op: "ConvTranspose", ...windowFacts(v), group: v.group },
    },
  });
  return [addBias(c, conv, c.optional(2), "conv_transpose_bias")];
}
function covers(v: Transposed, i: number, scaled: Expr, place: Expr): Expr | undefined {
  const stride = v.strides[i]!;
  const low = v.begin[i]! - (v.kernel[i]! - 1) * v.dilations[i]!;
  const high = v.begin[i]! + v.output[i]! - 1;
  const inside = guard(place, v.input[i]!, Math.floor(low / stride), Math.floor(high / stride));
  const whole = stride === 1 ? undefined : compare("eq", floormod(scaled, stride), 0);
  return whole && inside ? and(whole, inside) : (whole ?? inside);
}

const convolutionRow: OperatorRow = {
  op: "Conv",
  pattern: "contraction",
  infer: (c) => {
    const v = convolution(c);
    const x = c.require(0);
    return [{ dtype: x.dtype, dims: [x.dims[0]!, v.outputChannels * v.group, ...v.output] }];
  },
  compute: computeConvolution,
};
export const convolutionRows: readonly OperatorRow[] = [
  convolutionRow,
  /** The same over int32, for quantized convolutions. */
  { ...convolutionRow, domain: ownDomain },
  {
    op: "ConvTranspose",
    pattern: "contraction",
    infer: (c) => {
      const v = transposed(c);
      const x = c.require(0);
      return [{ dtype: x.dtype, dims: [x.dims[0]!, v.outputChannels * v.group, ...v.output] }];
    },
    compute: computeTransposed,
  },
];
