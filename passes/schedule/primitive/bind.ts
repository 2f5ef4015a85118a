/** bind: a loop's iterations become the blocks or threads of a GPU kernel. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { For, Program, ThreadAxis } from "../../../ir/loop/program.ts";
import { kernelFault, kernelRules } from "../kernels.ts";
import { describeMeeting } from "../legality.ts";
import { definePrimitive, type LoopRef, remembered, type Violation } from "../primitive.ts";
import { loopOf } from "../rebuild.ts";
import { iterationsShare, withOwnBuffers } from "./parallel.ts";

export interface BindArgs {
  readonly loop: LoopRef;
  readonly axis: ThreadAxis;
}
const rules = {
  "serial-loop": "the loop is serial",
  "constant-extent": "the loop starts at 0 and has a constant extent",
  ...kernelRules,
};
type Rule = keyof typeof rules;

function check(program: Program, args: BindArgs): Violation<Rule> | undefined {
  const { loop: at, axis } = args;
  const loop = loopOf(program, at);
  if (loop.loopKind !== "serial") return { rule: "serial-loop", because: `${at.name} is ${loop.loopKind}`, at };
  if (constantValue(loop.extent) === undefined || constantValue(loop.min) !== 0)
    return { rule: "constant-extent", because: `the bounds of ${at.name} are not 0 and a constant`, at };
  const { carried } = iterationsShare(program, at);
  if (carried)
    return {
      rule: "independent-iterations",
      because: describeMeeting(carried, at.name),
      instead: "bind a loop that drives only spatial variables; rfactor splits a reduction",
      at,
    };
  const fault = kernelFault(bound(program, args));
  // What a kernel elsewhere breaks is no fault of this loop, but there is none: every step keeps kernels legal.
  return fault && { ...fault, instead: fault.instead ?? `bind another loop to ${axis}` };
}
const bound = remembered((program: Program, { loop: ref, axis }: BindArgs): Program => {
  const loop = loopOf(program, ref);
  const next: For = { ...loop, loopKind: "thread", axis };
  return withOwnBuffers(program, ref, next);
});

/** The primitive. */
export const bind = definePrimitive({
  name: "bind",
  doc: "Runs the iterations of a loop as blocks or threads of a GPU kernel, in any order; vthread iterations share a thread.",
  before: "for i in 0..64:\n  C[i]",
  after: "bind(threadIdx.x) for i in 0..64:\n  C[i]",
  rules,
  check,
  rewrite: (program: Program, args: BindArgs) => ({ program: bound(program, args), result: undefined }),
});
