/** sampleTile: factors of a loop's extent, drawn once and recorded. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopOf } from "../rebuild.ts";

export interface SampleTileArgs {
  readonly loop: LoopRef;
  /** How many factors. */
  readonly n: number;
  /** The most that the innermost factor may be. */
  readonly maxInner: number;
  /** The factors, outermost first. */
  readonly decision: readonly number[];
}
type Rule = "constant-extent" | "perfect-factors" | "inner-limit";

function check(program: Program, args: SampleTileArgs): Violation<Rule> | undefined {
  const { loop: at, n, maxInner, decision } = args;
  const extent = constantValue(loopOf(program, at).extent);
  if (extent === undefined)
    return { rule: "constant-extent", because: `the extent of ${at.name} is not a constant`, at };
  const product = decision.reduce((p, f) => p * f, 1);
  if (n < 1 || decision.length !== n || product !== extent || decision.some((f) => f < 1))
    return { rule: "perfect-factors", because: `${decision.join(" · ")} is not ${n} factors of ${extent}`, at };
  if (n > 1 && decision.at(-1)! > maxInner)
    return { rule: "inner-limit", because: `the innermost factor ${decision.at(-1)} exceeds ${maxInner}`, at };
  return undefined;
}

/** The primitive. */
export const sampleTile = definePrimitive({
  name: "sampleTile",
  doc: "Draws factors of a loop's extent for split; the decision stands in the trace.",
  before: "for i in 0..24:\n  C[i]",
  after: "for i in 0..24:\n  C[i]",
  rules: {
    "constant-extent": "the extent is a constant",
    "perfect-factors": "the decision is as many positive factors as asked for, whose product is the extent",
    "inner-limit": "of several factors the innermost is at most maxInner",
  },
  check,
  rewrite: (program: Program, { decision }: SampleTileArgs) => ({ program, result: [...decision] }),
});
