/** Layouts within a group of attention (fuse-attention.ts): keys and, while they add up, scores in whole vectors. */
import { staticDims } from "../../ir/graph/build.ts";
import type { Group } from "../../ir/graph/graph.ts";
import { type Layout, lastBlocked, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { matmulShapeOf } from "./contraction-shapes.ts";
import { type Candidate, type CandidateContext, noWishes, plainReadings } from "./layout-candidate.ts";

/** Everything that enters or leaves is row-major; `inner` has the layouts of what stays inside. */
export function attentionCandidate({ graph, machine }: CandidateContext, g: Group): Candidate {
  const output = plainLayout(staticDims(graph, g.outputs[0]!).length);
  const inner = new Map<ValueId, Layout>();
  for (const n of g.nodes)
    for (const v of n.outputs) if (v !== undefined) inner.set(v, plainLayout(staticDims(graph, v).length));
  const product = g.nodes.find((n) => n.op === "MatMul");
  const shape = product && matmulShapeOf(graph, product);
  if (product && shape) {
    const [scores] = product.outputs as [ValueId];
    inner.set(scores, lastBlocked(staticDims(graph, scores).length, machine.lanes));
    inner.set(shape.right, vectorsOfKeys(staticDims(graph, shape.right).length, machine.lanes));
  }
  return { ...noWishes, output, inner, readings: plainReadings(graph, g) };
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
