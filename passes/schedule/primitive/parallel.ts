/** parallel: a loop's iterations run on several threads. */
import type { Program } from "../../../ir/loop/program.ts";
import { carriedMeeting, describeMeeting, loopsIn, nestOf } from "../legality.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopOf, loopsOutside, withKind } from "../rebuild.ts";
import { loopRef } from "../tree.ts";

export interface ParallelArgs {
  readonly loop: LoopRef;
}
type Rule = "serial-loop" | "not-nested" | "independent-iterations";

function check(program: Program, { loop: ref }: ParallelArgs): Violation<Rule> | undefined {
  const loop = loopOf(program, ref);
  if (loop.loopKind !== "serial") return { rule: "serial-loop", because: `${ref.name} is ${loop.loopKind}`, at: ref };
  const around = [...loopsOutside(program, ref), ...loopsIn(loop.body)];
  const other = around.find((l) => l.loopKind === "parallel") ?? around.find((l) => l.loopKind === "thread");
  const vector = loopsOutside(program, ref).find((l) => l.loopKind === "vectorized");
  const nested = other ?? vector;
  if (nested)
    return {
      rule: "not-nested",
      because: `${nested.var.name} is ${nested.loopKind}`,
      instead: "fuse the loops",
      at: loopRef(nested),
    };
  const carried = carriedMeeting(nestOf(loop), loop);
  if (carried)
    return {
      rule: "independent-iterations",
      because: describeMeeting(carried, ref.name),
      instead: "make a loop parallel that drives only spatial variables; rfactor splits a reduction",
      at: ref,
    };
  return undefined;
}

/** The primitive. */
export const parallel = definePrimitive({
  name: "parallel",
  doc: "Runs the iterations of a loop on the threads of the pool, in any order.",
  before: "for i in 0..n:\n  C[i]",
  after: "parallel i in 0..n:\n  C[i]",
  rules: {
    "serial-loop": "the loop is serial",
    "not-nested": "no loop around or within is parallel or bound to threads, and none around is vectorized",
    "independent-iterations": "no iteration touches an element that another iteration writes",
  },
  check,
  rewrite: (program: Program, { loop }: ParallelArgs) => ({
    program: withKind(program, loop, "parallel"),
    result: undefined,
  }),
});
