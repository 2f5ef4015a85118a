import { parseProgram } from "../../../../ir/text/parser.ts";
import type { Schedule } from "../../../../passes/schedule/schedule.ts";
import type { Refused } from "../fixtures.ts";
import { centre, matmul, scale } from "../loop-programs.ts";
import { chain } from "../primitive/block-fixtures.ts";

/** Tiles of 4 × 4 of the block's first two loops, as a block. */
function tileOf(s: Schedule, block: string): void {
  const { inner } = s.tile(s.loops(block).slice(0, 2), [4, 4]);
  s.blockize(inner[0]!);
}
/** Only where i + j < 6. */
const corner = `program corner(A: int32[8, 8], B: output int32[8, 8]):
  for i in 0..8:
    for j in 0..8:
      block B(vi: spatial 8 = i, vj: spatial 8 = j) where i + j < 6:
        reads A[vi, vj]
        writes B[vi, vj]
        B[vi, vj] = A[vi, vj]
`;
/** Its elements differ, which single iterations show and tiles do not. */
const digits = `program digits(A: int32[5, 7], B: output int32[100, 9]):
  for i in 0..5:
    for j in 0..7:
      block B(vi: spatial 5 = i, vj: spatial 7 = j):
        reads A[vi, vj]
        writes B[((vi + vj * 8) * 3 + vi % 5) // 2, (vi + vj * 8) % 9]
        B[((vi + vj * 8) * 3 + vi % 5) // 2, (vi + vj * 8) % 9] = A[vi, vj]
`;
/** Every rule of blockize. */
export const fixtures: Record<string, Refused> = {
  "blockize/one-block": {
    program: () => centre(4, 4),
    steps: (s) => {
      s.computeAt(s.block("M"), s.loopAt("D", 0));
      s.blockize(s.loopAt("D", 0));
    },
    at: "i",
  },
  "blockize/serial-loops": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      s.blockize(s.loop("i"));
    },
    at: "j",
  },
  "blockize/scalar-around": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.vectorize(s.loop("i"));
      s.blockize(s.loop("j"));
    },
    at: "i",
  },
  "blockize/whole-tiles": {
    program: () => scale(12, 4),
    steps: (s) => {
      const [o, i] = s.split(s.loop("i"), { factor: 4 });
      s.reorder(i, s.loop("j"), o);
      s.blockize(s.loop("j"));
    },
    at: "j",
  },
  "blockize/starts-once": {
    program: () => matmul(4, 7, 3),
    steps: (s) => {
      s.rfactor(s.loop("k"), 0);
      const [outer] = s.split(s.loop("j", "C_rf"), { factor: 4, tail: "shift-inwards" });
      s.blockize(outer);
    },
    at: "j_o",
    twin: {
      steps: (s) => {
        s.rfactor(s.loop("k"), 0);
        const [outer] = s.split(s.loop("j", "C_rf"), { factor: 4 });
        s.blockize(outer);
      },
    },
  },
  "blockize/separable-guard": {
    program: () => parseProgram(corner),
    steps: (s) => s.blockize(s.loop("j")),
    at: "B",
  },
  "blockize/proven": {
    program: () => parseProgram(digits),
    steps: (s) => {
      const [, inner] = s.split(s.loop("i"), { factor: 3 });
      s.blockize(inner);
    },
    at: "i_i",
  },
};
/** Steps across the border of a block. */
export const borders: Record<string, Refused> = {
  "computeAt/inside-one-block": {
    program: () => chain(12, 8),
    steps: (s) => {
      tileOf(s, "z");
      s.computeAt(s.block("y"), s.loopAt("z", 2));
    },
    at: "i_i",
  },
  "decomposeReduction/inside-one-block": {
    program: () => matmul(12, 8, 4),
    steps: (s) => {
      tileOf(s, "C");
      s.decomposeReduction(s.block("C"), s.loopAt("C", 1));
    },
    at: "j_o",
  },
};
