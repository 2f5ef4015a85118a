/** The layouts in which each kind of group can be computed. What can be in none but plain ones has one candidate. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Group } from "../../ir/graph/graph.ts";
import { prefersDots } from "../schedule/library/dots-plan.ts";
import { attentionCandidate } from "./attention-layouts.ts";
import { convShapeOf, type MatmulShape, matmulShapeOf, winogradShapeOf } from "./contraction-shapes.ts";
import { convCandidates, winogradCandidate } from "./conv-candidates.ts";
import { followingCandidates } from "./following-candidates.ts";
import { type Candidate, type CandidateContext, noWishes, plainReadings } from "./layout-candidate.ts";
import { matmulCandidates, narrowCandidate } from "./matmul-candidates.ts";
import { reductionCandidates } from "./reduction-candidates.ts";

/** The ways to compute a group, at least one; of those that cost the same, selection takes the first. */
export function wantedLayouts(c: CandidateContext, g: Group): readonly Candidate[] {
  const found = candidatesOf(c, g);
  return found.length > 0 ? found : [{ ...noWishes, readings: plainReadings(c.graph, g) }];
}
function candidatesOf(c: CandidateContext, g: Group): readonly Candidate[] {
  if (g.anchor.op === "SoftmaxMatMul") return [attentionCandidate(c, g)];
  const conv = convShapeOf(c.graph, g.anchor);
  if (conv) return convCandidates(c, g, conv);
  const winograd = winogradShapeOf(c.graph, g.anchor);
  if (winograd) return [winogradCandidate(c, g, winograd)];
  const matmul = matmulShapeOf(c.graph, g.anchor);
  if (matmul && reducesInLanes(c, matmul)) return [narrowCandidate(c, g, matmul)];
  if (matmul && matmul.columns > 1) return matmulCandidates(c, g, matmul);
  const reduction = reductionCandidates(c, g);
  return reduction.length > 0 ? reduction : followingCandidates(c, g);
}
/** Whether a product of two matrices is computed with lanes along its reduction. */
function reducesInLanes({ graph, machine }: CandidateContext, s: MatmulShape): boolean {
  const right = valueOf(graph, s.right);
  const turns = !s.rightTransposed && right.constant === undefined;
  return staticDims(graph, s.right).length === 2 && prefersDots(machine, s, turns);
}
