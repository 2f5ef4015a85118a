/** Steps that must be refused: one for every rule of the loop primitives. */

import type { Schedule } from "../../../../passes/schedule/schedule.ts";
import type { Refused } from "../fixtures.ts";
import * as programs from "../loop-programs.ts";

const { matmul, scale } = programs;
const C = (s: Schedule, name: string) => s.loop(name, "C");

export const fixtures: Record<string, Refused> = {
  "split/serial-loop": {
    program: () => scale(8, 8),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      s.split(s.loop("j"), { factor: 4 });
    },
    at: "j",
  },
  "split/positive-factors": { program: () => scale(8, 8), steps: (s) => s.split(s.loop("i"), { factor: 0 }), at: "i" },
  "split/one-inferred-factor": {
    program: () => scale(8, 8),
    steps: (s) => s.split(s.loop("i"), { factors: [null, null] }),
    at: "i",
  },
  "split/known-extent": {
    program: programs.symbolic,
    steps: (s) => s.split(s.loop("j"), { factors: [4, null] }),
    at: "j",
  },
  "split/covers-extent": {
    program: () => scale(13, 8),
    steps: (s) => s.split(s.loop("i"), { factors: [3, 4] }),
    at: "i",
  },
  "split/exact-tail": {
    program: () => scale(13, 8),
    steps: (s) => s.split(s.loop("i"), { factor: 4, tail: "exact" }),
    at: "i",
  },
  "split/shift-extent": {
    program: () => scale(3, 8),
    steps: (s) => s.split(s.loop("i"), { factor: 4, tail: "shift-inwards" }),
    at: "i",
  },
  "split/shift-idempotent": {
    program: () => matmul(4, 4, 13),
    steps: (s) => s.split(s.loop("k"), { factor: 4, tail: "shift-inwards" }),
    at: "k",
  },
  "split/peel-extent": {
    program: () => scale(3, 8),
    steps: (s) => s.split(s.loop("i"), { factor: 4, tail: "peel" }),
    at: "i",
  },
  "split/peel-domain": {
    program: () => scale(4, 6),
    steps: (s) => s.split(s.fuse(s.loop("i"), s.loop("j")), { factor: 5, tail: "peel" }),
    at: "B",
  },
  "fuse/two-loops": { program: () => scale(4, 4), steps: (s) => s.fuse(s.loop("i")), at: "i" },
  "fuse/serial-loops": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.fuse(s.loop("i"), s.loop("j"));
    },
    at: "i",
  },
  "fuse/perfect-nest": { program: () => matmul(4, 4, 4), steps: (s) => s.fuse(C(s, "i"), C(s, "k")), at: "k" },
  "fuse/known-extents": { program: programs.symbolic, steps: (s) => s.fuse(s.loop("i"), s.loop("j")), at: "j" },
  "fuse/independent-bounds": { program: programs.skewed, steps: (s) => s.fuse(s.loop("i"), s.loop("j")), at: "j" },
  "reorder/distinct-loops": { program: () => scale(4, 4), steps: (s) => s.reorder(s.loop("i"), s.loop("i")), at: "i" },
  "reorder/perfect-nest": {
    program: () => matmul(4, 4, 4),
    steps: (s) => {
      s.decomposeReduction(s.block("C"), s.loop("k"));
      s.reorder(C(s, "k"), C(s, "j"));
    },
    at: "k",
  },
  "reorder/serial-loops": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.reorder(s.loop("j"), s.loop("i"));
    },
    at: "i",
  },
  "reorder/independent-bounds": {
    program: programs.triangular,
    steps: (s) => s.reorder(s.loop("j"), s.loop("i")),
    at: "j",
  },
  "reorder/keeps-dependences": {
    program: () => matmul(4, 4, 12, "strict"),
    steps: (s) => {
      const [o, i] = s.split(s.loop("k"), { factor: 4 });
      s.reorder(i, o);
    },
    at: "k_i",
  },
  "vectorize/serial-loop": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.unroll(s.loop("j"));
      s.vectorize(s.loop("j"));
    },
    at: "j",
  },
  "vectorize/constant-extent": { program: programs.symbolic, steps: (s) => s.vectorize(s.loop("j")), at: "j" },
  "vectorize/not-nested": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      s.vectorize(s.loop("i"));
    },
    at: "j",
  },
  "vectorize/inner-bounds": { program: programs.triangular, steps: (s) => s.vectorize(s.loop("i")), at: "j" },
  "vectorize/no-allocation": { program: programs.withAllocation, steps: (s) => s.vectorize(s.loop("i")), at: "i" },
  "vectorize/independent-iterations": {
    program: () => programs.scan(4, 4),
    steps: (s) => s.vectorize(s.loop("j")),
    at: "j",
  },
  "vectorize/init-not-decomposed": { program: () => matmul(4, 4, 4), steps: (s) => s.vectorize(C(s, "k")), at: "k" },
  "vectorize/keeps-order": {
    program: () => matmul(4, 4, 4, "strict"),
    steps: (s) => {
      s.decomposeReduction(s.block("C"), s.loop("k"));
      s.vectorize(C(s, "k"));
    },
    at: "k",
  },
  "parallel/serial-loop": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.vectorize(s.loop("i"));
      s.parallel(s.loop("i"));
    },
    at: "i",
  },
  "parallel/not-nested": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.parallel(s.loop("j"));
    },
    at: "i",
  },
  "parallel/independent-iterations": { program: () => matmul(4, 4, 4), steps: (s) => s.parallel(C(s, "k")), at: "k" },
  "unroll/serial-loop": {
    program: () => scale(4, 4),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      s.unroll(s.loop("j"));
    },
    at: "j",
  },
  "unroll/constant-extent": { program: programs.symbolic, steps: (s) => s.unroll(s.loop("j")), at: "j" },
  "unroll/few-iterations": { program: () => scale(513, 1), steps: (s) => s.unroll(s.loop("i")), at: "i" },
  "decomposeReduction/has-init": {
    program: () => scale(4, 4),
    steps: (s) => s.decomposeReduction(s.block("B"), s.loop("j")),
    at: "B",
  },
  "decomposeReduction/loop-around-block": {
    program: () => programs.centre(4, 4),
    steps: (s) => s.decomposeReduction(s.block("M"), s.loop("j", "D")),
    at: "j",
  },
  "decomposeReduction/reduction-inside": {
    program: () => matmul(4, 4, 4),
    steps: (s) => {
      s.reorder(s.loop("k"), s.loop("j"));
      s.decomposeReduction(s.block("C"), s.loop("j"));
    },
    at: "k",
  },
  "decomposeReduction/runs-once": {
    program: programs.repeated,
    steps: (s) => s.decomposeReduction(s.block("C"), s.loop("r")),
    at: "r",
  },
  "decomposeReduction/others-keep-out": {
    program: programs.readThenReduce,
    steps: (s) => s.decomposeReduction(s.block("C"), s.loop("i")),
    at: "i",
  },
  "annotate/plain-key": { program: () => scale(4, 4), steps: (s) => s.annotate(s.loop("i"), "a b", 1), at: "i" },
  "annotate/plain-value": {
    program: () => scale(4, 4),
    steps: (s) => s.annotate(s.block("B"), "hint", Number.NaN),
    at: "B",
  },
  "annotate/plain-value: a list that holds a truth value": {
    program: () => scale(4, 4),
    steps: (s) => s.annotate(s.block("B"), "hint", [1, true] as unknown as number[]),
    at: "B",
    twin: { steps: (s) => s.annotate(s.block("B"), "hint", [1, 2]) },
  },
  "split/live-handle": {
    program: () => scale(8, 8),
    steps: (s) => {
      const i = s.loop("i");
      s.split(i, { factor: 2 });
      s.split(i, { factor: 2 });
    },
    at: undefined,
  },
  "parallel/spatial-writes-overlap": {
    program: () => programs.folded(8),
    steps: (s) => s.parallel(s.loopAt("B", 0)),
    at: "B",
  },
  "computeInline/buffers-in-scope": {
    program: () => programs.stencil(12),
    steps: (s) => {
      s.cacheRead(s.block("B"), "A", "stack");
      const [o] = s.split(s.loopAt("C", 0), { factor: 4 });
      s.computeAt(s.block("B"), o);
      s.computeAt(s.block("A_stack_copy"), s.loopAt("B", 0));
      s.parallel(o);
      s.cacheWrite(s.block("C"), "C", "global");
      s.computeInline(s.block("C"));
    },
    at: undefined,
  },
};
