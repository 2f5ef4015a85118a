import { constantValue } from "../../expr/build.ts";
import type { Buffer } from "../../expr/expr.ts";
import type { Report, VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** Declarations of buffers make sense by themselves. */
export const bufferGeometry: VerifyRule = {
  name: "buffer-geometry",
  doc: "A buffer has int64 extents that are not negative, as many strides, a whole offset, a power of two as alignment.",
  check: (program, report) => {
    for (const f of program.functions) {
      const ids = new Set<number>();
      for (const { buffer } of f.params) {
        if (ids.has(buffer.id)) report(`buffer ${buffer.name} is a parameter twice`, f);
        ids.add(buffer.id);
        checkBuffer(buffer, (message) => report(message, f));
      }
    }
    walkProgram(program, {
      stmt: (s, place) => {
        if (s.kind === "allocate") checkBuffer(s.buffer, (message) => report(message, place));
      },
    });
  },
};
function checkBuffer(b: Buffer, report: (message: string) => ReturnType<Report>): void {
  if (b.dtype.lanes !== 1) report(`${b.name} has elements of ${b.dtype.lanes} lanes`);
  if (b.shape.some((n) => n.dtype.scalar !== "int64" || n.dtype.lanes !== 1))
    report(`an extent of ${b.name} is not int64`);
  if (b.shape.some((n) => (constantValue(n) ?? 0) < 0)) report(`an extent of ${b.name} is negative`);
  if (b.strides && b.strides.length !== b.shape.length) {
    report(`${b.name} has ${b.shape.length} dimensions and ${b.strides.length} strides`);
  }
  if (!Number.isSafeInteger(b.offset ?? 0) || (b.offset ?? 0) < 0) report(`${b.name} has offset ${b.offset}`);
  if (!(Number.isInteger(Math.log2(b.alignment)) && b.alignment >= 1)) report(`${b.name} has alignment ${b.alignment}`);
}
