import type { Stmt } from "../../loop/program.ts";
import { typeText } from "../../text/print-expr.ts";
import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** What statements do with values fits the values' types. */
export const statementTypes: VerifyRule = {
  name: "statement-types",
  doc: "A store's value fits its buffer, a let's its variable, a loop's bounds its variable.",
  check: (program, report) =>
    walkProgram(program, {
      stmt: (s, place) => {
        const wrong = mismatch(s);
        if (wrong !== undefined) report(wrong, place);
      },
    }),
};
function mismatch(s: Stmt): string | undefined {
  if (s.kind === "store") {
    const { buffer, value } = s;
    const lanes = Math.max(1, ...s.indices.map((i) => i.dtype.lanes));
    if (value.dtype.scalar !== buffer.dtype.scalar || value.dtype.lanes !== lanes) {
      return `stores ${typeText(value.dtype)} into ${lanes} element(s) of ${buffer.name}: ${buffer.dtype.scalar}`;
    }
  }
  if (s.kind === "let" && s.var.dtype !== s.value.dtype) {
    return `${s.var.name} is ${typeText(s.var.dtype)}, its value ${typeText(s.value.dtype)}`;
  }
  if (s.kind === "for" && (s.min.dtype !== s.var.dtype || s.extent.dtype !== s.var.dtype)) {
    return `loop ${s.var.name} is ${typeText(s.var.dtype)}, its bounds are ${typeText(s.min.dtype)} and ${typeText(s.extent.dtype)}`;
  }
  return undefined;
}
