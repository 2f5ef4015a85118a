/** Kernels as people speak of them. */
import { staticDims } from "../../../ir/graph/build.ts";
import type { Graph, Group, Node } from "../../../ir/graph/graph.ts";

/** What a kernel's main operator computes, with its extents: `conv 3×3 64→64 at 56×56`, `matmul 128×256×1024`. */
export function describeGroup(graph: Graph, g: Group): string {
  const { anchor } = g;
  const [first, second] = anchor.inputs;
  const made = anchor.outputs.find((o) => o !== undefined);
  const out = made === undefined ? [] : staticDims(graph, made);
  if (first === undefined) return `${anchor.op} → ${extents(out)}`;
  const from = staticDims(graph, first);
  if (second !== undefined && (anchor.op === "Conv" || anchor.op === "WinogradConv"))
    return describeConvolution(anchor, from, staticDims(graph, second), out);
  if (second !== undefined && (anchor.op === "MatMul" || anchor.op === "Gemm"))
    return describeProduct(anchor, from, out);
  return `${anchor.op} ${extents(from)}${extents(from) === extents(out) ? "" : ` → ${extents(out)}`}`;
}

function describeConvolution(
  n: Node,
  from: readonly number[],
  weight: readonly number[],
  out: readonly number[],
): string {
  const groups = numbersOf(n, "group")[0] ?? 1;
  // Winograd's weights are transformed, and an image's phases may be its channels.
  const transformed = n.op === "WinogradConv";
  const strides = numbersOf(n, transformed ? "direct_strides" : "strides");
  const kernel = transformed ? numbersOf(n, "direct_kernel") : weight.slice(2);
  const name = `${transformed ? "Winograd conv" : "conv"} ${extents(kernel)}`;
  const channels = transformed ? numbersOf(n, "direct_channels")[0]! : from[1]!;
  const made = out[1]!;
  const depthwise = groups > 1 && groups === channels;
  const how = depthwise ? `depthwise ${name} of ${channels}` : `${name} ${channels}→${made}`;
  return [
    `${how} at ${extents(out.slice(2))}`,
    ...(strides.some((s) => s > 1)
      ? [`stride ${extents(strides.every((s) => s === strides[0]) ? strides.slice(0, 1) : strides)}`]
      : []),
    ...(groups > 1 && !depthwise ? [`${groups} groups`] : []),
    ...(from[0]! > 1 ? [`batch ${from[0]}`] : []),
  ].join(", ");
}

function describeProduct(n: Node, from: readonly number[], out: readonly number[]): string {
  const depth = numbersOf(n, "transA")[0] === 1 ? from[0]! : from.at(-1)!;
  const batch = out.slice(0, -2).reduce((a, b) => a * b, 1);
  const rows = out.at(-2) ?? 1;
  return `matmul ${extents([rows, depth, out.at(-1) ?? 1])}${batch > 1 ? `, batch ${batch}` : ""}`;
}

const extents = (dims: readonly number[]): string => (dims.length === 0 ? "scalar" : dims.join("×"));
function numbersOf(n: Node, attribute: string): number[] {
  const given = n.attributes.get(attribute);
  if (given?.kind === "int") return [Number(given.value)];
  return given?.kind === "ints" ? given.value.map(Number) : [];
}
