/** unroll: a loop's iterations are written out one after the other. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopOf, withKind } from "../rebuild.ts";

export interface UnrollArgs {
  readonly loop: LoopRef;
}
type Rule = "serial-loop" | "constant-extent" | "few-iterations";

/** The most iterations that are written out. */
export const maxUnrolled = 512;

function check(program: Program, { loop: ref }: UnrollArgs): Violation<Rule> | undefined {
  const loop = loopOf(program, ref);
  const extent = constantValue(loop.extent);
  if (loop.loopKind !== "serial") return { rule: "serial-loop", because: `${ref.name} is ${loop.loopKind}`, at: ref };
  if (extent === undefined)
    return {
      rule: "constant-extent",
      because: `the extent of ${ref.name} is not a constant`,
      instead: "split it first",
      at: ref,
    };
  if (extent > maxUnrolled)
    return {
      rule: "few-iterations",
      because: `${ref.name} has ${extent} iterations`,
      instead: "split it first",
      at: ref,
    };
  return undefined;
}

/** The primitive. */
export const unroll = definePrimitive({
  name: "unroll",
  doc: "Writes out the iterations of a loop.",
  before: "for i in 0..4:\n  C[i]",
  after: "unroll i in 0..4:\n  C[i]",
  rules: {
    "serial-loop": "the loop is serial",
    "constant-extent": "the extent is a constant",
    "few-iterations": `the extent is at most ${maxUnrolled}`,
  },
  check,
  rewrite: (program: Program, { loop }: UnrollArgs) => ({
    program: withKind(program, loop, "unrolled"),
    result: undefined,
  }),
});
