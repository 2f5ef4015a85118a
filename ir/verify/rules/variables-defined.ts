import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** Every variable is bound around its use. Those that only a block hides are left to `block-closed`. */
export const variablesDefined: VerifyRule = {
  name: "variables-defined",
  doc: "A variable is used only inside the loop, block, let or function that binds it.",
  check: (program, report) =>
    walkProgram(program, {
      expr: (e, place) => {
        if (e.kind !== "var" || place.scope.vars.has(e.id) || place.scope.hidden.has(e.id)) return;
        report(`variable ${e.name} (#${e.id}) is used where nothing binds it`, place);
      },
      stmt: (s, place) => {
        if (s.kind !== "parallelCall") return;
        for (const v of s.scalars) if (!place.scope.vars.has(v.id)) report(`scalar ${v.name} is not bound`, place);
      },
    }),
};
