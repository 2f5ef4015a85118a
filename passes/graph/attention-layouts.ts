/** Layouts within a group of attention (fuse-attention.ts): keys and, while they add up, scores in whole vectors. */
import { staticDims } from "../../ir/graph/build.ts";
import type { Graph, Group } from "../../ir/graph/graph.ts";
import { type Layout, lastBlocked, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { matmulShapeOf } from "./contraction-shapes.ts";

/** Everything that enters or leaves is row-major; `inner` has the layouts of what stays inside. */
export function attentionLayouts(graph: Graph, g: Group, m: Machine) {
  const inputs = new Map(g.inputs.map((v) => [v, plainLayout(staticDims(graph, v).length)]));
  const output = plainLayout(staticDims(graph, g.outputs[0]!).length);
  const inner = new Map<ValueId, Layout>();
  for (const n of g.nodes)
    for (const v of n.outputs) if (v !== undefined) inner.set(v, plainLayout(staticDims(graph, v).length));
  const product = g.nodes.find((n) => n.op === "MatMul");
  const shape = product && matmulShapeOf(graph, product);
  if (product && shape) {
    const [scores] = product.outputs as [ValueId];
    inner.set(scores, lastBlocked(staticDims(graph, scores).length, m.lanes));
    inner.set(shape.right, vectorsOfKeys(staticDims(graph, shape.right).length, m.lanes));
  }
  return { output, inner, inputs };
}
/** [batch…][vector][depth][lane] for keys [batch…, depth, keys]. */
function vectorsOfKeys(rank: number, lanes: number): Layout {
  return {
    name: `keys${lanes}`,
    rank,
    dims: [
      ...Array.from({ length: rank - 2 }, (_, axis) => ({ axis, divisor: 1 })),
      { axis: rank - 1, divisor: lanes },
      { axis: rank - 2, divisor: 1 },
      { axis: rank - 1, divisor: 1, modulus: lanes },
    ],
  };
}
