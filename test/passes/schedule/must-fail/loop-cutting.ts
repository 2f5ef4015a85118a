import { add, compare, load, select, sub } from "../../../../ir/expr/build.ts";
import type { Expr } from "../../../../ir/expr/expr.ts";
import { ComputeBuilder, inRange } from "../../../../ir/loop/compute.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import { parseProgram } from "../../../../ir/text/parser.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import type { Refused } from "../fixtures.ts";
import * as programs from "../loop-programs.ts";

const { matmul, scale } = programs;

/** P[x] = A[x - 1] within, 0 at the border. */
export function padded(n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [n], "input");
  const P = b.compute("P", "int32", [n + 2], (x) => select(inRange(sub(x!, 1), n), A.at(sub(x!, 1)), 0));
  return b.finish("pad", [P]);
}
/** S[i, j] = S[i - 1, j] + S[i, j - 1] + A[i, j], both loops in order. */
export function wavefront(m: number, n: number): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [m, n], "input");
  const S = b.declare("S", "int32", [m, n]);
  const before = (i: Expr, j: Expr, at: Expr): Expr => select(compare("gt", at, 0), load(S.buffer, [i, j]), 0);
  b.computeInto(S, "S", (i, j) => add(add(before(sub(i!, 1), j!, i!), before(i!, sub(j!, 1), j!)), A.at(i!, j!)), {
    kinds: ["ordered", "ordered"],
  });
  return b.finish("wavefront", [S]);
}
/** B and C = B + B[i + 1] under one loop. */
export function merged(n: number): Schedule {
  const s = new Schedule(programs.centre(n, 4));
  s.computeAt(s.block("M"), s.loopAt("D", 0));
  return s;
}

/** X[i] = Y[i], then Y[i + 1] = X[i], under one loop. */
export const shifted = `program shifted(A: int32[1], X: output int32[8]):
  allocate Y: int32[9]
  block Y0(z: spatial 1 = 0):
    reads A[z]
    writes Y[z]
    Y[z] = A[z]
  for i in 0..8:
    block X(v: spatial 8 = i):
      reads Y[v]
      writes X[v]
      X[v] = Y[v]
    block Y(w: spatial 8 = i):
      reads X[w]
      writes Y[w + 1]
      Y[w + 1] = X[w]
`;
/** The diagonal, behind a guard. */
export const odd = `program odd(A: int32[8], B: output int32[8, 8]):
  for i in 0..8:
    block B(v: spatial 8 = i, w: spatial 8 = i) where i < 6:
      reads A[v]
      writes B[v, w]
      B[v, w] = A[v]
`;

export const fixtures: Record<string, Refused> = {
  "cutLoop/serial-loop": {
    program: () => scale(8, 8),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      s.cutLoop(s.loop("j"), 4);
    },
    at: "j",
  },
  "cutLoop/constant-extent": { program: programs.symbolic, steps: (s) => s.cutLoop(s.loop("j"), 4), at: "j" },
  "cutLoop/within-extent": { program: () => scale(8, 8), steps: (s) => s.cutLoop(s.loop("j"), 8), at: "j" },
  "cutLoop/known-domain": {
    program: () => scale(4, 6),
    steps: (s) => s.cutLoop(s.fuse(s.loop("i"), s.loop("j")), 10),
    at: "B",
  },
  "peel/serial-loop": {
    program: () => scale(8, 8),
    steps: (s) => {
      s.unroll(s.loop("j"));
      s.peel(s.loop("j"), 1);
    },
    at: "j",
  },
  "peel/constant-extent": { program: programs.symbolic, steps: (s) => s.peel(s.loop("j"), 1), at: "j" },
  "peel/leaves-iterations": { program: () => scale(8, 8), steps: (s) => s.peel(s.loop("j"), 4, 4), at: "j" },
  "peel/known-domain": {
    program: () => scale(4, 6),
    steps: (s) => s.peel(s.fuse(s.loop("i"), s.loop("j")), 1),
    at: "B",
  },
  "loopPartition/serial-loop": {
    program: () => padded(8),
    steps: (s) => {
      s.parallel(s.loopAt("P", 0));
      s.loopPartition(s.loopAt("P", 0));
    },
    at: "i0",
  },
  "loopPartition/constant-extent": { program: programs.symbolic, steps: (s) => s.loopPartition(s.loop("j")), at: "j" },
  "loopPartition/guard-vanishes": { program: () => scale(8, 8), steps: (s) => s.loopPartition(s.loop("j")), at: "j" },
  "loopPartition/known-domain": {
    program: () => parseProgram(odd),
    steps: (s) => s.loopPartition(s.loop("i")),
    at: "B",
  },
  "fission/serial-loop": {
    program: () => programs.centre(3, 4),
    steps: (s) => {
      s.computeAt(s.block("M"), s.loopAt("D", 0));
      s.unroll(s.loopAt("D", 0));
      s.fission(s.loopAt("D", 0), s.block("M"));
    },
    at: "i",
  },
  "fission/in-body": {
    program: () => programs.centre(3, 4),
    steps: (s) => s.fission(s.loopAt("D", 0), s.block("M")),
    at: "M",
  },
  "fission/statements-after": {
    program: () => programs.centre(3, 4),
    steps: (s) => s.fission(s.loopAt("D", 0), s.block("D")),
    at: "D",
  },
  "fission/keeps-dependences": {
    program: () => parseProgram(shifted),
    steps: (s) => s.fission(s.loop("i"), s.block("X")),
    at: "i",
  },
  "skew/serial-loops": {
    program: () => scale(8, 8),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.skew(s.loop("i"), s.loop("j"), 1);
    },
    at: "i",
  },
  "skew/whole-factor": { program: () => scale(8, 8), steps: (s) => s.skew(s.loop("i"), s.loop("j"), 0), at: "j" },
  "skew/perfect-nest": { program: () => scale(8, 8), steps: (s) => s.skew(s.loop("j"), s.loop("i"), 1), at: "i" },
  "skew/constant-bounds": {
    program: programs.symbolic,
    steps: (s) => s.skew(s.loop("i"), s.loop("j"), 1),
    at: "j",
  },
  "skew/reduction-start": {
    program: () => matmul(4, 4, 4),
    steps: (s) => s.skew(s.loop("j"), s.loop("k"), 1),
    at: "C",
  },
};
