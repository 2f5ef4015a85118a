/** The numbers of convolutions and matmuls that layouts and recipes are planned from. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Node } from "../../ir/graph/graph.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { WinogradAxis } from "./winograd-transforms.ts";

/** A float32 2-d convolution. Pads are top, left, bottom, right. */
export interface ConvShape {
  readonly batch: number;
  readonly inputChannels: number;
  readonly outputChannels: number;
  readonly inputHeight: number;
  readonly inputWidth: number;
  readonly outputHeight: number;
  readonly outputWidth: number;
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
  readonly group: number;
  /** One input and one output channel a group. */
  readonly depthwise: boolean;
}

/** The shape of a 2-d float32 Conv node with constant or computed weights; undefined for anything else. */
export function convShapeOf(graph: Graph, n: Node): ConvShape | undefined {
  if (n.op !== "Conv" || n.domain !== "") return undefined;
  const x = staticDims(graph, n.inputs[0]!);
  if (x.length !== 4 || valueOf(graph, n.inputs[0]!).type!.dtype !== "float32") return undefined;
  const w = staticDims(graph, n.inputs[1]!);
  const y = staticDims(graph, n.outputs[0]!);
  const ints = (name: string): readonly number[] | undefined => {
    const a = n.attributes.get(name);
    return a?.kind === "ints" ? a.value.map(Number) : undefined;
  };
  const groupAttribute = n.attributes.get("group");
  const group = groupAttribute?.kind === "int" ? Number(groupAttribute.value) : 1;
  const [sh = 1, sw = 1] = ints("strides") ?? [];
  const [dh = 1, dw = 1] = ints("dilations") ?? [];
  const kernel = [w[2]!, w[3]!] as const;
  const pads = padsOf(n, ints("pads"), x, y, kernel, [sh, sw], [dh, dw]);
  return {
    batch: x[0]!,
    inputChannels: x[1]!,
    outputChannels: y[1]!,
    inputHeight: x[2]!,
    inputWidth: x[3]!,
    outputHeight: y[2]!,
    outputWidth: y[3]!,
    kernel,
    strides: [sh, sw],
    dilations: [dh, dw],
    pads,
    group,
    depthwise: group > 1 && group === x[1] && group === y[1],
  };
}
function padsOf(
  n: Node,
  given: readonly number[] | undefined,
  x: readonly number[],
  y: readonly number[],
  kernel: readonly [number, number],
  strides: readonly [number, number],
  dilations: readonly [number, number],
): ConvShape["pads"] {
  const auto = n.attributes.get("auto_pad");
  const mode = auto?.kind === "string" ? auto.value : "NOTSET";
  if (!mode.startsWith("SAME")) {
    const [t = 0, l = 0, b = 0, r = 0] = mode === "VALID" ? [] : (given ?? []);
    return [t, l, b, r];
  }
  const pads = samePads(mode, { input: x.slice(2), output: y.slice(2), kernel, strides, dilations });
  return pads as readonly number[] as ConvShape["pads"];
}
/** Padding of `auto_pad` SAME_UPPER or SAME_LOWER, before and then after each spatial axis. */
export function samePads(mode: string, w: SpatialExtents): readonly number[] {
  const total = w.kernel.map((k, i) =>
    Math.max(0, (w.output[i]! - 1) * w.strides[i]! + (k - 1) * w.dilations[i]! + 1 - w.input[i]!),
  );
  const before = total.map((t) => (mode === "SAME_UPPER" ? Math.floor(t / 2) : Math.ceil(t / 2)));
  return [...before, ...total.map((t, i) => t - before[i]!)];
}
type SpatialExtents = Readonly<Record<"input" | "output" | "kernel" | "strides" | "dilations", readonly number[]>>;

/** A float32 matrix product rows × depth by depth × columns, possibly batched. */
export interface MatmulShape {
  readonly left: ValueId;
  readonly right: ValueId;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly batch: number;
  /** Matrices along the last axis of the batch that share the right-hand side; 1 where each has its own. */
  readonly alike: number;
  readonly leftTransposed: boolean;
  readonly rightTransposed: boolean;
}

/** The shape of a float32 MatMul (both ranks ≥ 2) or Gemm; undefined for anything else. */
export function matmulShapeOf(graph: Graph, n: Node): MatmulShape | undefined {
  if ((n.op !== "MatMul" && n.op !== "Gemm") || n.domain !== "") return undefined;
  const [left, right] = n.inputs;
  if (left === undefined || right === undefined || valueOf(graph, left).type!.dtype !== "float32") return undefined;
  const a = staticDims(graph, left);
  const b = staticDims(graph, right);
  const y = staticDims(graph, n.outputs[0]!);
  if (a.length < 2 || b.length < 2 || y.length < 2) return undefined;
  const flag = (name: string): boolean => {
    const v = n.attributes.get(name);
    return v?.kind === "int" && Number(v.value) !== 0;
  };
  const leftTransposed = n.op === "Gemm" && flag("transA");
  return {
    left,
    right,
    rows: y.at(-2)!,
    columns: y.at(-1)!,
    depth: leftTransposed ? a.at(-2)! : a.at(-1)!,
    batch: y.slice(0, -2).reduce((p, d) => p * d, 1),
    alike: b.length === 2 ? (y.at(-3) ?? 1) : 1,
    leftTransposed,
    rightTransposed: n.op === "Gemm" && flag("transB"),
  };
}

/** A convolution in Winograd's form. Pads are top, left, bottom, right. */
export interface WinogradShape {
  /** Height and width. */
  readonly axes: readonly [WinogradAxis, WinogradAxis];
  readonly pads: readonly number[];
  readonly inputChannels: number;
  readonly outputChannels: number;
  readonly input: readonly [height: number, width: number];
  readonly output: readonly [height: number, width: number];
  /** Multiply-adds of the direct algorithm for each output. */
  readonly directProducts: number;
}

/** The shape of a WinogradConv node; undefined for anything else. */
export function winogradShapeOf(graph: Graph, n: Node): WinogradShape | undefined {
  if (n.op !== "WinogradConv") return undefined;
  const ints = (name: string): number[] => {
    const a = n.attributes.get(name);
    if (a?.kind === "int") return [Number(a.value)];
    return a?.kind === "ints" ? a.value.map(Number) : [];
  };
  const [tile, kernel, strides, pads] = ["tile", "kernel", "strides", "pads"].map(ints) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const x = staticDims(graph, n.inputs[0]!);
  const y = staticDims(graph, n.outputs[0]!);
  const axis = (i: number): WinogradAxis => ({ outputs: tile[i]!, taps: kernel[i]!, stride: strides[i]! });
  return {
    axes: [axis(0), axis(1)],
    pads,
    inputChannels: x[1]!,
    outputChannels: y[1]!,
    input: [x[2]!, x[3]!],
    output: [y[2]!, y[3]!],
    directProducts: [...ints("direct_channels"), ...ints("direct_kernel")].reduce((product, k) => product * k, 1),
  };
}
