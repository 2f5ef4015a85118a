import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** The inside of a block depends on the loops around only through its bindings. */
export const blockClosed: VerifyRule = {
  name: "block-closed",
  doc: "Inside a block only its own iteration variables appear, not the variables around it.",
  check: (program, report) =>
    walkProgram(program, {
      expr: (e, place) => {
        if (e.kind !== "var" || place.scope.vars.has(e.id) || !place.scope.hidden.has(e.id)) return;
        const name = place.scope.blocks.at(-1)?.name;
        report(`block ${name} uses ${e.name} (#${e.id}), which is bound outside it`, place);
      },
    }),
};
