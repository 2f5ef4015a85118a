/** Copies between rows of channels and blocks of channels, which their number need not fill. */
import { expect, it } from "vitest";
import { runProgram } from "../../../../ir/interp/run.ts";
import { parseProgram } from "../../../../ir/text/parser.ts";
import { defaultSchedule } from "../../../../passes/schedule/library/index.ts";
import { genericMachine } from "../../../../passes/schedule/library/plan.ts";

const [height, width] = [5, 19];
const toBlocks = (channels: number) => {
  const blocks = Math.ceil(channels / 16);
  const value = `A[vn, vc * 16 + vi, vh, vw]`;
  return `program p(A: float32[2, ${channels}, ${height}, ${width}], B: output float32[2, ${blocks}, ${height}, ${width}, 16]):
  for n in 0..2:
    for c in 0..${blocks}:
      for h in 0..${height}:
        for w in 0..${width}:
          for i in 0..16:
            block copy(vn: spatial 2 = n, vc: spatial ${blocks} = c, vh: spatial ${height} = h, vw: spatial ${width} = w, vi: spatial 16 = i):
              reads A[vn, vc * 16 + vi, vh, vw]
              writes B[vn, vc, vh, vw, vi]
              B[vn, vc, vh, vw, vi] = ${channels % 16 === 0 ? value : `select(vc * 16 + vi < ${channels}, ${value}, 0.0)`}
`;
};
const toRows = (channels: number) => {
  const blocks = Math.ceil(channels / 16);
  return `program p(A: float32[2, ${blocks}, ${height}, ${width}, 16], B: output float32[2, ${channels}, ${height}, ${width}]):
  for n in 0..2:
    for c in 0..${channels}:
      for h in 0..${height}:
        for w in 0..${width}:
          block copy(vn: spatial 2 = n, vc: spatial ${channels} = c, vh: spatial ${height} = h, vw: spatial ${width} = w):
            reads A[vn, vc // 16, vh, vw, vc % 16]
            writes B[vn, vc, vh, vw]
            B[vn, vc, vh, vw] = A[vn, vc // 16, vh, vw, vc % 16]
`;
};
const cases = [16, 17, 24, 58, 116].flatMap((n) => [
  ["blocks", n, toBlocks(n)] as const,
  ["rows", n, toRows(n)] as const,
]);

it.each(cases)("into %s of %i channels, whole blocks in registers", (_, channels, text) => {
  const program = parseProgram(text);
  const elements = (2 * Math.ceil(channels / 16) * 16 * height * width) | 0;
  const A = Float32Array.from({ length: elements }, (_unused, i) => i + 1);
  const inputs = { A: text.includes(`A: float32[2, ${channels},`) ? A.subarray(0, 2 * channels * height * width) : A };
  for (const threads of [1, 2]) {
    const scheduled = defaultSchedule(program, { machine: genericMachine, threads });
    expect(scheduled.print()).toContain("transpose");
    expect(runProgram(scheduled.program, inputs)).toEqual(runProgram(program, inputs));
  }
});
