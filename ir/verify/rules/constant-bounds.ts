import { constantValue } from "../../expr/build.ts";
import type { Buffer, Expr } from "../../expr/expr.ts";
import type { Report, VerifyRule } from "../issue.ts";
import { type Place, walkProgram } from "../walk.ts";

/** Reports accesses that no condition guards and that are outside whatever the program is given. */
export const constantBounds: VerifyRule = {
  name: "constant-bounds",
  doc: "An unconditional access with constant indices lies within its buffer.",
  check: (program, report) =>
    walkProgram(program, {
      expr: (e, place) => {
        if (e.kind === "load" && !e.predicate) checkBounds(e.buffer, e.indices, place, report);
      },
      stmt: (s, place) => {
        if (s.kind === "store") checkBounds(s.buffer, s.indices, place, report);
      },
    }),
};
function checkBounds(b: Buffer, indices: readonly Expr[], place: Place, report: Report): void {
  if (place.guarded) return;
  indices.forEach((e, k) => {
    const extent = b.shape[k] && constantValue(b.shape[k]);
    for (const at of extremes(e)) {
      if (at < 0 || (extent !== undefined && at >= extent)) {
        report(`index ${k} of ${b.name} is ${at}, outside 0..${extent ?? "its extent"}`, place);
        return;
      }
    }
  });
}
/** The least and greatest lane of a constant index. */
function extremes(e: Expr): number[] {
  if (e.kind === "broadcast") return extremes(e.value);
  if (e.kind !== "ramp") {
    const value = constantValue(e);
    return value === undefined ? [] : [value];
  }
  const base = constantValue(e.base);
  const stride = constantValue(e.stride);
  return base === undefined || stride === undefined ? [] : [base, base + stride * (e.dtype.lanes - 1)];
}
