/** How much a group computes and moves: the numerators of GFLOP/s and GB/s in reports. */
import { staticDims } from "../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group, Node } from "../../ir/graph/graph.ts";
import { elementCount } from "../../ir/graph/tensor-value.ts";
import { winogradShapeOf } from "../../passes/graph/contraction-shapes.ts";
import { storageBytes } from "./memory-plan.ts";

/** Floating-point operations of the direct algorithm (a multiply-add is two) and bytes touched at least once. */
export function groupWork(fused: FusedGraph, g: Group): { flops: number; bytes: number } {
  const flops = g.nodes.reduce((total, n) => total + nodeFlops(fused.graph, n), 0);
  const bytes = [...g.inputs, ...g.outputs].reduce((total, v) => total + storageBytes(fused, v), 0);
  return { flops, bytes };
}
function nodeFlops(graph: Graph, n: Node): number {
  const macs = nodeMacs(graph, n);
  if (macs > 0) return 2 * macs;
  const out = elementCount(staticDims(graph, n.outputs.find((o) => o !== undefined)!));
  const [first] = n.inputs;
  return first === undefined ? out : Math.max(out, elementCount(staticDims(graph, first)));
}
/** Multiply-adds of a convolution or matrix product by the direct algorithm; 0 for other operators. */
export function nodeMacs(graph: Graph, n: Node): number {
  const [first, second] = n.inputs;
  const made = n.outputs.find((o) => o !== undefined);
  if (first === undefined || second === undefined || made === undefined || !["", "tilewright"].includes(n.domain))
    return 0;
  const out = elementCount(staticDims(graph, made));
  const winograd = winogradShapeOf(graph, n);
  if (winograd) return out * winograd.directProducts;
  if (n.op === "Conv" || n.op === "ConvTranspose") {
    const w = staticDims(graph, second);
    const per = w[0] ? elementCount(w) / w[0] : 0;
    return n.op === "Conv" ? out * per : elementCount(staticDims(graph, first)) * per;
  }
  if (n.op !== "MatMul" && n.op !== "Gemm" && n.op !== "SoftmaxMatMul") return 0;
  const a = staticDims(graph, first);
  const transposed = n.attributes.get("transA");
  return out * (transposed?.kind === "int" && Number(transposed.value) === 1 ? a[0]! : a.at(-1)!);
}
