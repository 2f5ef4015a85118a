import { constantValue } from "../../expr/build.ts";
import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

const kinds: ReadonlySet<string> = new Set(["serial", "parallel", "vectorized", "unrolled", "tensorized", "thread"]);

/** Loop kinds and GPU axes belong together. */
export const loopKinds: VerifyRule = {
  name: "loop-kinds",
  doc: "Exactly the thread-bound loops have an axis, and no extent is negative.",
  check: (program, report) =>
    walkProgram(program, {
      stmt: (s, place) => {
        if (s.kind !== "for") return;
        if (!kinds.has(s.loopKind)) report(`loop ${s.var.name} has unknown kind ${s.loopKind}`, place);
        if ((s.loopKind === "thread") !== (s.axis !== undefined)) {
          report(`loop ${s.var.name} is ${s.loopKind} ${s.axis ? `and has axis ${s.axis}` : "without an axis"}`, place);
        }
        if ((constantValue(s.extent) ?? 0) < 0) report(`loop ${s.var.name} has a negative extent`, place);
      },
    }),
};
