/** Sliding windows of convolutions and pools: attributes, padding, output extents and input positions. */
import { add, mul, sub } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import type { NodeContext } from "./row.ts";

/** Geometry of a window; every list has one entry for each spatial axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding before and after each axis. */
  readonly begin: readonly number[];
  readonly end: readonly number[];
  readonly input: readonly number[];
  readonly output: readonly number[];
}
/** A list attribute with one positive integer a spatial axis. */
export function spatialAttribute(c: NodeContext, name: string, rank: number, least = 1): readonly number[] {
  const list = c.attributes.ints(name) ?? Array<number>(rank).fill(least);
  if (list.length !== rank) c.invalid(`${name} has ${list.length} entries for ${rank} spatial axes`);
  if (list.some((n) => n < least)) c.invalid(`${name} [${list}] has an entry below ${least}`);
  return list;
}
/** The extent a window covers. */
export const covered = (kernel: number, dilation: number): number => (kernel - 1) * dilation + 1;

/** Reads strides, dilations, pads, auto_pad and ceil_mode for an input of spatial extents `input`. */
export function readWindow(c: NodeContext, input: readonly number[], kernel: readonly number[]): Window {
  const rank = input.length;
  if (kernel.length !== rank) c.invalid(`a window of ${kernel.length} axes over ${rank} spatial axes`);
  const strides = spatialAttribute(c, "strides", rank);
  const dilations = spatialAttribute(c, "dilations", rank);
  const { begin, end } = readPads(c, { input, kernel, strides, dilations });
  const ceil = c.attributes.int("ceil_mode", 0) !== 0;
  const output = input.map((n, i) => {
    const free = n + begin[i]! + end[i]! - covered(kernel[i]!, dilations[i]!);
    if (free < 0) c.invalid(`the window does not fit axis ${i} of the input`);
    const count = (ceil ? Math.ceil(free / strides[i]!) : Math.floor(free / strides[i]!)) + 1;
    return ceil && (count - 1) * strides[i]! >= n + begin[i]! ? count - 1 : count;
  });
  return { kernel, strides, dilations, begin, end, input, output };
}
function readPads(c: NodeContext, w: Pick<Window, "input" | "kernel" | "strides" | "dilations">) {
  const rank = w.input.length;
  const mode = c.attributes.string("auto_pad", "NOTSET");
  if (mode === "NOTSET") {
    const pads = c.attributes.ints("pads") ?? Array<number>(2 * rank).fill(0);
    if (pads.length !== 2 * rank || pads.some((p) => p < 0)) c.invalid(`pads [${pads}] for ${rank} spatial axes`);
    return { begin: pads.slice(0, rank), end: pads.slice(rank) };
  }
  if (mode === "VALID") return { begin: w.input.map(() => 0), end: w.input.map(() => 0) };
  if (mode !== "SAME_UPPER" && mode !== "SAME_LOWER") c.invalid(`auto_pad ${JSON.stringify(mode)}`);
  const total = w.input.map((n, i) => {
    const outputs = Math.ceil(n / w.strides[i]!);
    return Math.max((outputs - 1) * w.strides[i]! + covered(w.kernel[i]!, w.dilations[i]!) - n, 0);
  });
  const less = total.map((t) => Math.floor(t / 2));
  const more = total.map((t) => Math.ceil(t / 2));
  return mode === "SAME_UPPER" ? { begin: less, end: more } : { begin: more, end: less };
}
/** Where tap `k` of output `o` reads along spatial axis `i`: the expression and the interval it ranges over. */
export function tap(w: Window, i: number, o: Expr, k: Expr): { at: Expr; low: number; high: number } {
  const at = sub(add(mul(o, w.strides[i]!), mul(k, w.dilations[i]!)), w.begin[i]!);
  const low = -w.begin[i]!;
  return { at, low, high: low + (w.output[i]! - 1) * w.strides[i]! + covered(w.kernel[i]!, w.dilations[i]!) - 1 };
}
/** Names of window axes. */
export const tapNames = (rank: number): readonly string[] => ["kd", "kh", "kw"].slice(3 - rank);
/** Plain data about a window, for annotations. */
export const windowFacts = (w: Window) => ({
  kernel: w.kernel,
  strides: w.strides,
  dilations: w.dilations,
  pads: [...w.begin, ...w.end],
});
