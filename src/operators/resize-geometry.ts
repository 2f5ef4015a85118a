/** Where resized elements come from: output extents, scales and the coordinate transforms of Resize, in any arithmetic. */
import { add, div, floordiv, mul, sub, unary } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { literal } from "./expressions.ts";
import type { NodeContext } from "./row.ts";
import { normalizeAxis } from "./shape-rules.ts";

/** How one axis is resized. `scale` is output / input before rounding of the output extent. */
export interface ResizeAxis {
  readonly input: number;
  readonly output: number;
  readonly scale: number;
}
/** Arithmetic on coordinates: plain numbers at compile time, float64 expressions at run time. */
interface Arithmetic<T> {
  readonly of: (n: number) => T;
  readonly add: (a: T, b: T) => T;
  readonly sub: (a: T, b: T) => T;
  readonly mul: (a: T, b: T) => T;
  readonly div: (a: T, b: T) => T;
  readonly floor: (a: T) => T;
  readonly ceil: (a: T) => T;
}
export const numberArithmetic: Arithmetic<number> = {
  of: (n) => n,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  floor: Math.floor,
  ceil: Math.ceil,
};
export const exprArithmetic: Arithmetic<Expr> = {
  of: (n) => literal("float64", n),
  add,
  sub,
  mul,
  div,
  floor: (e) => unary("floor", e),
  ceil: (e) => unary("ceil", e),
};

/** The input coordinate (fractional, not yet limited to the axis) that output `o` samples. */
export function sourceCoordinate<T>(m: Arithmetic<T>, mode: string, axis: ResizeAxis, o: T): T {
  const { input, output, scale } = axis;
  const halfPixel = (): T => m.sub(m.div(m.add(o, m.of(0.5)), m.of(scale)), m.of(0.5));
  switch (mode) {
    case "asymmetric":
      return m.div(o, m.of(scale));
    case "align_corners":
      return output === 1 ? m.of(0) : m.div(m.mul(o, m.of(input - 1)), m.of(output - 1));
    case "pytorch_half_pixel":
      return output === 1 ? m.of(0) : halfPixel();
    case "half_pixel_symmetric": {
      const offset = (input / 2) * (1 - output / (scale * input));
      return m.add(m.of(offset), halfPixel());
    }
    default:
      return halfPixel();
  }
}
/** The element that nearest sampling takes at a fractional coordinate. */
export function nearestOf<T>(m: Arithmetic<T>, mode: string, x: T): T {
  switch (mode) {
    case "floor":
      return m.floor(x);
    case "ceil":
      return m.ceil(x);
    case "round_prefer_ceil":
      return m.floor(m.add(x, m.of(0.5)));
    default:
      return m.ceil(m.sub(x, m.of(0.5)));
  }
}
export const coordinateModes: readonly string[] = [
  "half_pixel",
  "half_pixel_symmetric",
  "pytorch_half_pixel",
  "align_corners",
  "asymmetric",
];

/** Every axis of a Resize or Upsample node, from its scales or sizes. */
export function resizeAxes(c: NodeContext): ResizeAxis[] {
  const { dims } = c.require(0);
  const legacy = c.node.op === "Upsample" || c.node.opset < 11;
  const scales = legacy ? legacyScales(c) : nonEmpty(c.constantInts(2));
  const sizes = legacy ? undefined : nonEmpty(c.constantInts(3));
  const asked = c.attributes.ints("axes")?.map((a) => normalizeAxis(c, a, dims.length)) ?? dims.map((_, i) => i);
  const given = scales ?? sizes ?? c.unsupported("scales or sizes must be known at compile time");
  if (given.length !== asked.length) c.invalid(`${given.length} scales or sizes for ${asked.length} axes`);
  const ratios = scales ?? aspectScales(c, dims, asked, given);
  return dims.map((input, a) => {
    const k = asked.indexOf(a);
    if (k < 0) return { input, output: input, scale: 1 };
    const scale = ratios[k]!;
    if (!(scale > 0)) c.invalid(`a scale of ${scale}`);
    const keeps = c.attributes.string("keep_aspect_ratio_policy", "stretch") !== "stretch";
    if (scales) return { input, output: Math.floor(input * scale), scale };
    return { input, output: keeps ? Math.round(input * scale) : given[k]!, scale };
  });
}
const nonEmpty = (list: readonly number[] | undefined): readonly number[] | undefined =>
  list && list.length > 0 ? list : undefined;
function legacyScales(c: NodeContext): readonly number[] | undefined {
  return c.constantInts(1) ?? c.attributes.floats("scales");
}
/** The scales that sizes ask for, one for all axes where the aspect ratio is kept. */
function aspectScales(
  c: NodeContext,
  dims: readonly number[],
  axes: readonly number[],
  sizes: readonly number[],
): number[] {
  const ratios = axes.map((a, k) => sizes[k]! / dims[a]!);
  const policy = c.attributes.string("keep_aspect_ratio_policy", "stretch");
  if (policy === "not_larger") return ratios.map(() => Math.min(...ratios));
  return policy === "not_smaller" ? ratios.map(() => Math.max(...ratios)) : ratios;
}
/** `floor(o · input / output)` when that is the map of every output to its source. */
export function wholeRatio(axis: ResizeAxis, source: (o: number) => number, o: Expr): Expr | undefined {
  if (axis.output > 1 << 20) return undefined;
  const divisor = greatestCommonDivisor(axis.input, axis.output);
  const [num, den] = [axis.input / divisor, axis.output / divisor];
  for (let i = 0; i < axis.output; i++) if (source(i) !== Math.floor((i * num) / den)) return undefined;
  return floordiv(mul(o, num), den);
}
const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));
