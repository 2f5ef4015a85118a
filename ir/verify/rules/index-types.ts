import type { Buffer, Expr } from "../../expr/expr.ts";
import type { Report, VerifyRule } from "../issue.ts";
import { type Place, walkProgram } from "../walk.ts";

/** Every access has one int64 index a dimension (a vector of them where lanes are accessed). */
export const indexTypes: VerifyRule = {
  name: "index-types",
  doc: "An access has one int64 index for each dimension of its buffer.",
  check: (program, report) =>
    walkProgram(program, {
      expr: (e, place) => {
        if (e.kind === "load") checkIndices(e.buffer, e.indices, place, report);
      },
      stmt: (s, place) => {
        if (s.kind === "store") checkIndices(s.buffer, s.indices, place, report);
        if (s.kind !== "block") return;
        for (const r of [...s.reads, ...s.writes]) {
          checkIndices(
            r.buffer,
            r.ranges.map((q) => q.min),
            place,
            report,
          );
          checkIndices(
            r.buffer,
            r.ranges.map((q) => q.extent),
            place,
            report,
          );
        }
      },
    }),
};
function checkIndices(b: Buffer, indices: readonly Expr[], place: Place, report: Report): void {
  if (indices.length !== b.shape.length) {
    report(`${b.name} has ${b.shape.length} dimensions, accessed with ${indices.length} indices`, place);
  }
  for (const i of indices) {
    if (i.dtype.scalar !== "int64") report(`${b.name} is indexed with a value of type ${i.dtype.scalar}`, place);
  }
}
