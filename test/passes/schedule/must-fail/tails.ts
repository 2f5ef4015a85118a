/** Loops that are cut: factors that do not divide, tails that overlap, pieces without iterations. */
import { compare, constant, max, select } from "../../../../ir/expr/build.ts";
import { dtype } from "../../../../ir/expr/dtype.ts";
import type { Expr } from "../../../../ir/expr/expr.ts";
import type { Combiner } from "../../../../ir/loop/combine.ts";
import { ComputeBuilder } from "../../../../ir/loop/compute.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import type { Refused } from "../fixtures.ts";
import { argmax, matmul, scale, scan } from "../loop-programs.ts";
import { fill, nest, parallel, text, vectorize } from "./texts.ts";

const row = (n: number) => scale(n, 3);
const inPlace = (n: number) =>
  text("A: output int32[32]", ...fill("A", 32), ...nest([`i in 0..${n}`], "A[i] = A[i] + 1i32"));
/** The last value of a row that is not 0: combined in any grouping, but in order. */
function lasts(commutative: boolean): Program {
  const b = new ComputeBuilder(new IdSource());
  const A = b.param("A", "int32", [3, 12], "input");
  const k = b.reduceAxis("k", 12);
  const zero = constant(dtype("int32"), 0);
  const combiner: Combiner = {
    name: commutative ? "largest" : "last",
    identity: () => [zero],
    combine: ([x], [y]) => [commutative ? max(x!, y!) : select(compare("ne", y!, zero), y!, x!)],
    commutative,
  };
  const value = commutative ? (i: Expr) => max(A.at(i, k.var), zero) : (i: Expr) => A.at(i, k.var);
  const outputs = b.computeTuple(["L"], ["int32"], [3], (i) => ({
    kind: "combinedReduction",
    axes: [k],
    combiner,
    values: [value(i!)],
  }));
  return b.finish("lasts", outputs);
}
const split = (factor: number, tail: "exact" | "shift-inwards" | "peel"): Pick<Refused, "at" | "steps"> => ({
  at: "i",
  steps: (s) => s.split(s.loop("i"), { factor, tail }),
});

export const fixtures: Record<string, Refused> = {
  "split/exact-tail: one more than two tiles": {
    ...split(4, "exact"),
    program: () => row(9),
    twin: { program: () => row(8) },
  },
  "split/exact-tail: one less than two tiles": {
    ...split(4, "exact"),
    program: () => row(7),
    twin: { program: () => row(4) },
  },
  "split/exact-tail: a tile larger than the loop": {
    ...split(9, "exact"),
    program: () => row(8),
    twin: { program: () => row(9) },
  },
  "split/exact-tail: a prime": { ...split(2, "exact"), program: () => row(13), twin: { program: () => row(14) } },
  "split/exact-tail: an inferred factor that leaves a rest": {
    at: "i",
    program: () => row(12),
    steps: (s) => s.split(s.loop("i"), { factors: [null, 5], tail: "exact" }),
    twin: { steps: (s) => s.split(s.loop("i"), { factors: [null, 3], tail: "exact" }) },
  },
  "split/exact-tail: factors whose product is too large": {
    at: "i",
    program: () => row(12),
    steps: (s) => s.split(s.loop("i"), { factors: [3, 5], tail: "exact" }),
    twin: { steps: (s) => s.split(s.loop("i"), { factors: [3, 4], tail: "exact" }) },
  },
  "split/covers-extent: one iteration short": {
    at: "i",
    program: () => row(13),
    steps: (s) => s.split(s.loop("i"), { factors: [2, 2, 3] }),
    twin: { program: () => row(12) },
  },
  "split/one-inferred-factor: three times": {
    at: "i",
    program: () => row(12),
    steps: (s) => s.split(s.loop("i"), { factors: [null, 2, null] }),
    twin: { steps: (s) => s.split(s.loop("i"), { factors: [null, 2, 3] }) },
  },
  "split/positive-factors: a negative one": {
    at: "i",
    program: () => row(12),
    steps: (s) => s.split(s.loop("i"), { factor: -4 }),
  },
  "split/positive-factors: half a one": {
    at: "i",
    program: () => row(12),
    steps: (s) => s.split(s.loop("i"), { factors: [4, 0] }),
  },
  "split/shift-extent: a loop one shorter than a tile": {
    ...split(4, "shift-inwards"),
    program: () => row(3),
    twin: { program: () => row(4) },
  },
  "split/shift-idempotent: the overlap adds twice": {
    ...split(4, "shift-inwards"),
    program: inPlace(7),
    twin: { program: inPlace(8) },
  },
  "split/shift-idempotent: a scan runs twice over a part": {
    at: "j",
    program: () => scan(3, 7),
    steps: (s) => s.split(s.loop("j"), { factor: 4, tail: "shift-inwards" }),
    twin: { program: () => scan(3, 8) },
  },
  "split/shift-idempotent: a reduction counts a part twice": {
    at: "k",
    program: () => matmul(3, 4, 7),
    steps: (s) => s.split(s.loop("k"), { factor: 4, tail: "shift-inwards" }),
    twin: { program: () => matmul(3, 4, 8) },
  },
  "split/peel-extent: a loop one shorter than a tile": {
    ...split(4, "peel"),
    program: () => row(3),
    twin: { program: () => row(5) },
  },
  "split/peel-domain: tiles that are no boxes": {
    at: "B",
    program: () => scale(3, 7),
    steps: (s) => s.split(s.fuse(s.loop("i"), s.loop("j")), { factor: 5, tail: "peel" }),
    twin: { steps: (s) => s.split(s.fuse(s.loop("i"), s.loop("j")), { factor: 7, tail: "peel" }) },
  },
  "cutLoop/within-extent: before the first iteration": {
    at: "i",
    program: () => row(8),
    steps: (s) => s.cutLoop(s.loop("i"), 0),
    twin: { steps: (s) => s.cutLoop(s.loop("i"), 1) },
  },
  "cutLoop/within-extent: behind the last iteration": {
    at: "i",
    program: () => row(8),
    steps: (s) => s.cutLoop(s.loop("i"), 9),
    twin: { steps: (s) => s.cutLoop(s.loop("i"), 7) },
  },
  "cutLoop/within-extent: a negative place": {
    at: "i",
    program: () => row(8),
    steps: (s) => s.cutLoop(s.loop("i"), -1),
  },
  "peel/leaves-iterations: none is taken": {
    at: "i",
    program: () => row(8),
    steps: (s) => s.peel(s.loop("i"), 0, 0),
    twin: { steps: (s) => s.peel(s.loop("i"), 0, 1) },
  },
  "peel/leaves-iterations: all but none": {
    at: "i",
    program: () => row(8),
    steps: (s) => s.peel(s.loop("i"), 8),
    twin: { steps: (s) => s.peel(s.loop("i"), 7) },
  },
  "peel/leaves-iterations: both ends meet": {
    at: "i",
    program: () => row(8),
    steps: (s) => s.peel(s.loop("i"), 3, 5),
    twin: { steps: (s) => s.peel(s.loop("i"), 3, 4) },
  },
  "peel/leaves-iterations: a negative number": {
    at: "i",
    program: () => row(8),
    steps: (s) => s.peel(s.loop("i"), -1, 4),
  },
  "loopPartition/guard-vanishes: a guard that holds everywhere": {
    at: "i",
    program: text("A: output int32[32]", ...fill("A", 32), ...nest(["i in 0..8"], "A[i] = select(i < 8, 5i32, 6i32)")),
    steps: (s) => s.loopPartition(s.loop("i")),
    twin: {
      program: text(
        "A: output int32[32]",
        ...fill("A", 32),
        ...nest(["i in 0..8"], "A[i] = select(i < 7, 5i32, 6i32)"),
      ),
    },
  },
  "loopPartition/guard-vanishes: a guard on data": {
    at: "i",
    program: text("T: int32[8], A: output int32[8]", ...nest(["i in 0..8"], "A[i] = select(T[i] > 0i32, 5i32, 6i32)")),
    steps: (s) => s.loopPartition(s.loop("i")),
  },
  "unroll/few-iterations: one more than are unrolled": {
    at: "i",
    program: () => row(513),
    steps: (s) => s.unroll(s.loop("i")),
    twin: { program: () => row(512) },
  },
  "unroll/serial-loop: what is parallel": {
    at: "i",
    program: () => row(8),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.unroll(s.loop("i"));
    },
    twin: {
      steps: (s) => {
        s.parallel(s.loop("i"));
        s.unroll(s.loop("j"));
      },
    },
  },
  "unroll/constant-extent: a triangle": {
    at: "j",
    program: text(
      "A: output int32[8, 8]",
      ...fill("A", 8, 8),
      ...nest(["i in 0..8", "j in 0..i + 1"], "A[i, j] = 5i32"),
    ),
    steps: (s) => s.unroll(s.loop("j")),
    twin: { steps: (s) => s.unroll(s.loop("i")) },
  },
  "vectorize/constant-extent: a triangle": {
    at: "j",
    program: text(
      "A: output int32[8, 8]",
      ...fill("A", 8, 8),
      ...nest(["i in 0..8", "j in 0..i + 1"], "A[i, j] = 5i32"),
    ),
    steps: vectorize("j"),
    twin: { steps: parallel("j") },
  },
  "vectorize/keeps-order: a strict sum": {
    at: "k",
    program: () => matmul(3, 4, 8, "strict"),
    steps: (s) => {
      s.decomposeReduction(s.block("C"), s.loop("i"));
      s.vectorize(s.loopAt("C", 2));
    },
    twin: { program: () => matmul(3, 4, 8) },
  },
  "vectorize/init-not-decomposed: the init in the first lane": {
    at: "k",
    program: () => matmul(3, 4, 8),
    steps: vectorize("k"),
    twin: { steps: vectorize("j") },
  },
  "vectorize/independent-iterations: a reduction with a companion": {
    at: "k",
    program: () => argmax(3, 8),
    steps: vectorize("k"),
    twin: { steps: vectorize("i0") },
  },
  "parallel/independent-iterations: a reduction with a companion": {
    at: "k",
    program: () => argmax(3, 8),
    steps: parallel("k"),
    twin: { steps: parallel("i0") },
  },
  "parallel/independent-iterations: a strict sum": {
    at: "k",
    program: () => matmul(3, 4, 8, "strict"),
    steps: parallel("k"),
    twin: { steps: parallel("j") },
  },
  "decomposeReduction/reduction-inside: a tile of the sum outside": {
    at: "k_o",
    program: () => matmul(3, 4, 8),
    steps: (s) => {
      const [outer, inner] = s.split(s.loop("k"), { factor: 4 });
      s.reorder(outer, s.loop("i"), s.loop("j"), inner);
      s.decomposeReduction(s.block("C"), s.loop("i"));
    },
    twin: {
      steps: (s) => {
        const [outer, inner] = s.split(s.loop("k"), { factor: 4 });
        s.reorder(s.loop("i"), outer, s.loop("j"), inner);
        s.decomposeReduction(s.block("C"), s.loop("i"));
      },
    },
  },
  "decomposeReduction/reduction-inside: the inner half of the sum": {
    at: "k_o",
    program: () => matmul(3, 4, 8),
    steps: (s) => {
      const [, inner] = s.split(s.loop("k"), { factor: 4 });
      s.decomposeReduction(s.block("C"), inner);
    },
    twin: {
      steps: (s) => {
        const [outer] = s.split(s.loop("k"), { factor: 4 });
        s.decomposeReduction(s.block("C"), outer);
      },
    },
  },
  "rfactor/reduction-loop: a loop that drives rows and sums": {
    at: "k",
    program: text(
      "A: int32[4, 4], C: output int32[4]",
      "for i in 0..4:",
      "  for k in 0..4:",
      "    block C(v: spatial 4 = (i + k) % 4, q: reduction 4 = k):",
      "      reads C[v], A[v, q]",
      "      writes C[v]",
      "      init:",
      "        C[v] = 0i32",
      "      C[v] = C[v] + A[v, q]",
    ),
    steps: (s) => s.rfactor(s.loop("k"), 0),
  },
  "rfactor/associative: a difference": {
    at: "C",
    program: text(
      "A: int32[4, 4], C: output int32[4]",
      "for i in 0..4:",
      "  for k in 0..4:",
      "    block C(v: spatial 4 = i, q: reduction 4 = k):",
      "      reads C[v], A[v, q]",
      "      writes C[v]",
      "      init:",
      "        C[v] = 0i32",
      "      C[v] = C[v] - A[v, q]",
    ),
    steps: (s) => s.rfactor(s.loop("k"), 0),
    twin: {
      program: text(
        "A: int32[4, 4], C: output int32[4]",
        "for i in 0..4:",
        "  for k in 0..4:",
        "    block C(v: spatial 4 = i, q: reduction 4 = k):",
        "      reads C[v], A[v, q]",
        "      writes C[v]",
        "      init:",
        "        C[v] = 0i32",
        "      C[v] = C[v] + A[v, q]",
      ),
    },
  },
  "rfactor/associative: the factor reads the sum": {
    at: "C",
    program: text(
      "A: int32[4, 4], C: output int32[4]",
      "for i in 0..4:",
      "  for k in 0..4:",
      "    block C(v: spatial 4 = i, q: reduction 4 = k):",
      "      reads C[v], A[v, q]",
      "      writes C[v]",
      "      init:",
      "        C[v] = 1i32",
      "      C[v] = C[v] + A[v, q] * C[v]",
    ),
    steps: (s) => s.rfactor(s.loop("k"), 0),
  },
  "rfactor/keeps-order: partial results side by side": {
    at: "k_i",
    program: () => lasts(false),
    steps: (s) => s.rfactor(s.split(s.loop("k"), { factor: 4 })[1], 0),
    twin: { program: () => lasts(true) },
  },
  "rfactor/reassociation-allowed: a strict sum in tiles": {
    at: "C",
    program: () => matmul(3, 4, 8, "strict"),
    steps: (s) => s.rfactor(s.split(s.loop("k"), { factor: 4 })[1], 0),
    twin: { program: () => matmul(3, 4, 8) },
  },
  "padEinsum/multiples: a zero": {
    at: "C",
    program: () => matmul(3, 4, 5),
    steps: (s) => s.padEinsum(s.block("C"), [4, 0, 4]),
    twin: { steps: (s) => s.padEinsum(s.block("C"), [4, 1, 4]) },
  },
  "padEinsum/einsum: a difference of loads": {
    at: "B",
    program: () => row(5),
    steps: (s) => s.padEinsum(s.block("B"), [4, 4]),
  },
};
