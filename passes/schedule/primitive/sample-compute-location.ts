/** sampleComputeLocation: a loop at which a block can be computed, drawn once and recorded. */
import type { Program } from "../../../ir/loop/program.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { locationsOf } from "../sampling.ts";

export interface SampleComputeLocationArgs {
  readonly block: BlockRef;
  /** The index of the loop among the legal ones; -1 leaves the block where it is. */
  readonly decision: number;
}
type Rule = "legal-location";

/** The primitive. */
export const sampleComputeLocation = definePrimitive({
  name: "sampleComputeLocation",
  doc: "Draws a loop for computeAt among those where it is legal, or none; the decision stands in the trace.",
  before: "for i in 0..8: B[i]\nfor i in 0..8: C[i]",
  after: "for i in 0..8: B[i]\nfor i in 0..8: C[i]",
  rules: { "legal-location": "the decision is -1 or the index of a loop where the block can be computed" },
  check: (program: Program, { block, decision }: SampleComputeLocationArgs): Violation<Rule> | undefined => {
    const places = locationsOf(program, block);
    if (decision >= -1 && decision < places.length) return undefined;
    return {
      rule: "legal-location",
      because: `${block.name} can be computed at ${places.length} loops, number ${decision} is asked for`,
      at: block,
    };
  },
  rewrite: (program: Program, { block, decision }: SampleComputeLocationArgs) => {
    const result: LoopRef | undefined = locationsOf(program, block)[decision];
    return { program, result };
  },
});
