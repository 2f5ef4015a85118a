import type { Buffer } from "../../expr/expr.ts";
import type { Report, VerifyRule } from "../issue.ts";
import { type Place, walkProgram } from "../walk.ts";

/** References carry the buffer object; it must agree with the declaration of the same id. */
export const buffersInScope: VerifyRule = {
  name: "buffers-in-scope",
  doc: "A buffer is a parameter or allocated around its use, with the type and rank it is declared with.",
  check: (program, report) =>
    walkProgram(program, {
      expr: (e, place) => {
        if (e.kind === "load") checkUse(e.buffer, place, report);
      },
      stmt: (s, place) => {
        if (s.kind === "store") checkUse(s.buffer, place, report);
        if (s.kind === "parallelCall") for (const b of s.buffers) checkUse(b, place, report);
        if (s.kind === "block") for (const r of [...s.reads, ...s.writes]) checkUse(r.buffer, place, report);
      },
    }),
};
function checkUse(b: Buffer, place: Place, report: Report): void {
  const declared = place.scope.buffers.get(b.id);
  if (!declared) report(`buffer ${b.name} (#${b.id}) is neither a parameter nor allocated around its use`, place);
  else if (declared !== b && (declared.dtype !== b.dtype || declared.shape.length !== b.shape.length)) {
    report(`buffer ${b.name} (#${b.id}) is used with another type or rank than it is declared with`, place);
  }
}
