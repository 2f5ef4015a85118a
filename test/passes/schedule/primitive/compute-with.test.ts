/** computeWith: what it makes, values, what works on it afterwards; refusals stand in `must-fail/`. */
import { describe, expect, it } from "vitest";
import { printProgram } from "../../../../ir/text/printer.ts";
import { type Alignment, computeWith } from "../../../../passes/schedule/primitive/compute-with.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import { point, text } from "../must-fail/texts.ts";
import { apply, convolution, expectSame, expectTwins, loopOf, named } from "./block-fixtures.ts";

/** Fills all of B but what C fills: `n` elements at the end. */
const filled = (n: number) =>
  text(
    "A: float32[12], B: output float32[24]",
    ...point("i in 0..12", "B", "B[v] = A[v]"),
    ...point(`j in 0..${n}`, "C", "B[v + 12] = 7.0"),
  )();

describe("computeWith", () => {
  it.each<[number, Alignment, string]>([
    [12, "start", ""],
    [8, "start", " where i < 8"],
    [8, "end", " where i >= 4"],
    [1, "end", " where i >= 11"],
  ])("runs %i iterations at the %s", (n, align, guard) => {
    const p = filled(n);
    const { program } = apply(computeWith, p, { block: named(p, "C"), loop: loopOf(p, "B", 0), align });
    expectSame(p, program);
    const lines = printProgram(program).split("\n");
    expect(lines.filter((l) => l.includes("for "))).toHaveLength(1);
    expect(lines.find((l) => l.includes("block C"))?.match(/ where .*(?=:)/)?.[0] ?? "").toBe(guard);
  });
  it("keeps loops of its own, and bounds that do not begin at 0", () => {
    const p = text(
      "B: output float32[8], C: output float32[8, 4]",
      "for i in 2..8:",
      "  block B(v: spatial 8 = i):",
      "    writes B[v]",
      "    B[v] = 1.0",
      "for j in 1..5:",
      "  for k in 0..4:",
      "    block C(v: spatial 8 = j, w: spatial 4 = k) where j != 3:",
      "      writes C[v, w]",
      "      C[v, w] = 2.0",
    )();
    for (const align of ["start", "end"] as const)
      expectSame(p, apply(computeWith, p, { block: named(p, "C"), loop: loopOf(p, "B", 0), align }).program);
  });
  it("zeroes the halo of a convolution in its parallel loop", () => {
    const p = convolution({ ci: 3, co: 8, h: 6, w: 5 });
    const s = new Schedule(p);
    const [n, c, h] = s.loops(s.block("out"));
    for (const name of ["out_halo_3", "out_halo_2", "out_halo_1", "out_halo"]) {
      const [, , rows] = s.loops(s.block(name));
      const align = name === "out_halo_1" ? "end" : "start";
      expect(s.extent(rows!)! <= s.extent(h!)!).toBe(true);
      s.computeWith(s.block(name), h!, align);
    }
    s.parallel(s.fuse(n!, c!, h!));
    expectTwins(p, s.program);
    expect(printProgram(s.program).match(/parallel/g)).toHaveLength(1);
  });
});
