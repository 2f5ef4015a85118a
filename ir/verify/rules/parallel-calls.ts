import type { ParallelCall, Program } from "../../loop/program.ts";
import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** A parallel call and its task agree. */
export const parallelCalls: VerifyRule = {
  name: "parallel-calls",
  doc: "A parallel call names a task of the program and gives the buffers and scalars it takes.",
  check: (program, report) =>
    walkProgram(program, {
      stmt: (s, place) => {
        const wrong = s.kind === "parallelCall" ? mismatch(s, program) : undefined;
        if (wrong !== undefined) report(wrong, place);
      },
    }),
};
function mismatch(s: ParallelCall, program: Program): string | undefined {
  const task = program.functions.find((f) => f.name === s.callee);
  if (!task) return `there is no function ${s.callee}`;
  if (!task.chunk) return `${s.callee} is no task`;
  if (task.params.length !== s.buffers.length)
    return `${s.callee} takes ${task.params.length} buffers, got ${s.buffers.length}`;
  if (task.scalars.length !== s.scalars.length)
    return `${s.callee} takes ${task.scalars.length} scalars, got ${s.scalars.length}`;
  const buffer = s.buffers.findIndex((b, k) => b.dtype !== task.params[k]!.buffer.dtype);
  if (buffer >= 0) return `buffer ${buffer} of ${s.callee} has type ${s.buffers[buffer]!.dtype.scalar}`;
  const scalar = s.scalars.findIndex((v, k) => v.dtype !== task.scalars[k]!.dtype);
  return scalar >= 0 ? `scalar ${scalar} of ${s.callee} has type ${s.scalars[scalar]!.dtype.scalar}` : undefined;
}
