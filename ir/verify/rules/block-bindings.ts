import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** Every iteration variable has exactly one binding of its type. */
export const blockBindings: VerifyRule = {
  name: "block-bindings",
  doc: "A block has one binding for each iteration variable, of the variable's type.",
  check: (program, report) =>
    walkProgram(program, {
      stmt: (s, place) => {
        if (s.kind !== "block") return;
        if (s.bindings.length !== s.iterVars.length) {
          report(
            `block ${s.name} has ${s.iterVars.length} iteration variables and ${s.bindings.length} bindings`,
            place,
          );
        }
        s.iterVars.forEach((v, k) => {
          const types = [s.bindings[k]?.dtype ?? v.var.dtype, v.extent.dtype];
          if (types.some((t) => t !== v.var.dtype))
            report(`block ${s.name}: ${v.var.name} has bounds of another type`, place);
        });
      },
    }),
};
