/**
 * What people read when a step is refused: one typical mistake a file in `fixtures/schedule-errors/`, word for word.
 * `UPDATE_FIXTURES=1` rewrites them; a missing one fails.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Program } from "../../../ir/loop/program.ts";
import { ScheduleError } from "../../../ir/support/errors.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import * as programs from "./loop-programs.ts";
import { bindAll, histogram, neighbours, pairs } from "./must-fail/kernels.ts";

const folder = new URL("../../fixtures/schedule-errors/", import.meta.url);
const update = process.env.UPDATE_FIXTURES === "1";

interface Mistake {
  readonly on: () => Program;
  readonly steps: (s: Schedule) => void;
}
const { centre, matmul, scale, scan, stencil } = programs;
const on = (program: () => Program, steps: (s: Schedule) => void): Mistake => ({ on: program, steps });

const mistakes: Readonly<Record<string, Mistake>> = {
  "split-exact-leaves-a-rest": on(
    () => scale(13, 8),
    (s) => s.split(s.loop("i"), { factor: 4, tail: "exact" }),
  ),
  "split-by-zero": on(
    () => scale(8, 8),
    (s) => s.split(s.loop("i"), { factor: 0 }),
  ),
  "split-shifted-reduction": on(
    () => matmul(4, 4, 13),
    (s) => s.split(s.loop("k"), { factor: 4, tail: "shift-inwards" }),
  ),
  "split-after-vectorize": on(
    () => scale(8, 8),
    (s) => {
      s.vectorize(s.loop("j"));
      s.split(s.loop("j"), { factor: 4 });
    },
  ),
  "split-a-loop-that-is-gone": on(
    () => scale(8, 8),
    (s) => {
      const i = s.loop("i");
      s.split(i, { factor: 2 });
      s.split(i, { factor: 2 });
    },
  ),
  "loop-misspelt": on(
    () => scale(8, 8),
    (s) => s.unroll(s.loop("x")),
  ),
  "loop-name-of-two": on(
    () => matmul(4, 4, 4),
    (s) => {
      s.decomposeReduction(s.block("C"), s.loop("i"));
      s.unroll(s.loop("j"));
    },
  ),
  "fuse-what-is-not-nested": on(
    () => matmul(4, 4, 4),
    (s) => s.fuse(s.loop("i"), s.loop("k")),
  ),
  "fuse-after-parallel": on(
    () => scale(4, 4),
    (s) => {
      s.parallel(s.loop("i"));
      s.fuse(s.loop("i"), s.loop("j"));
    },
  ),
  "reorder-a-scan": on(
    () => scan(4, 8),
    (s) => {
      const [o, i] = s.split(s.loop("j"), { factor: 4 });
      s.reorder(i, o);
    },
  ),
  "reorder-past-a-bound": on(programs.triangular, (s) => s.reorder(s.loop("j"), s.loop("i"))),
  "reorder-a-strict-sum": on(
    () => matmul(4, 4, 12, "strict"),
    (s) => {
      const [o, i] = s.split(s.loop("k"), { factor: 4 });
      s.reorder(i, o);
    },
  ),
  "reorder-a-decomposed-nest": on(
    () => matmul(4, 4, 4),
    (s) => {
      s.decomposeReduction(s.block("C"), s.loop("k"));
      s.reorder(s.loop("k", "C"), s.loop("j", "C"));
    },
  ),
  "parallel-reduction": on(
    () => matmul(4, 4, 4),
    (s) => s.parallel(s.loop("k")),
  ),
  "parallel-scan": on(
    () => scan(4, 8),
    (s) => s.parallel(s.loop("j")),
  ),
  "parallel-twice": on(
    () => scale(4, 4),
    (s) => {
      s.parallel(s.loop("i"));
      s.parallel(s.loop("j"));
    },
  ),
  "spatial-that-overlaps": on(
    () => programs.folded(8),
    (s) => s.parallel(s.loopAt("B", 0)),
  ),
  "vectorize-with-the-init": on(
    () => matmul(4, 4, 4),
    (s) => s.vectorize(s.loop("k")),
  ),
  "vectorize-scan": on(
    () => scan(4, 8),
    (s) => s.vectorize(s.loop("j")),
  ),
  "vectorize-open-extent": on(programs.symbolic, (s) => s.vectorize(s.loop("j"))),
  "unroll-too-much": on(
    () => scale(513, 1),
    (s) => s.unroll(s.loop("i")),
  ),
  "decompose-twice": on(
    () => matmul(4, 4, 4),
    (s) => {
      s.decomposeReduction(s.block("C"), s.loop("k"));
      s.decomposeReduction(s.block("C"), s.loop("k", "C"));
    },
  ),
  "decompose-inside-the-reduction": on(
    () => matmul(4, 4, 4),
    (s) => {
      s.reorder(s.loop("k"), s.loop("j"));
      s.decomposeReduction(s.block("C"), s.loop("j"));
    },
  ),
  "compute-at-its-own-loop": on(
    () => stencil(12),
    (s) => s.computeAt(s.block("B"), s.loopAt("B", 0)),
  ),
  "compute-at-an-output": on(
    () => stencil(12),
    (s) => s.computeAt(s.block("C"), s.loopAt("B", 0)),
  ),
  "inline-a-reduction": on(
    () => centre(4, 4),
    (s) => s.computeInline(s.block("M")),
  ),
  "inline-an-output": on(
    () => scale(4, 4),
    (s) => s.computeInline(s.block("B")),
  ),
  "reverse-inline-two-inputs": on(
    () => centre(4, 4),
    (s) => s.reverseComputeInline(s.block("D")),
  ),
  "reverse-compute-at-no-producer": on(
    () => stencil(12),
    (s) => s.reverseComputeAt(s.block("B"), s.loopAt("C", 0)),
  ),
  "cache-a-buffer-not-read": on(
    () => matmul(4, 4, 4),
    (s) => s.cacheRead(s.block("C"), "X", "stack"),
  ),
  "cache-a-buffer-not-written": on(
    () => matmul(4, 4, 4),
    (s) => s.cacheWrite(s.block("C"), "A", "stack"),
  ),
  "scope-of-a-parameter": on(
    () => matmul(4, 4, 4),
    (s) => s.setScope(s.block("C"), "C", "stack"),
  ),
  "layout-of-a-parameter": on(
    () => matmul(4, 4, 4),
    (s) => s.transformLayout(s.block("C"), "C", [{ axis: 0, divisor: 1 }]),
  ),
  "rfactor-a-spatial-loop": on(
    () => matmul(4, 4, 4),
    (s) => s.rfactor(s.loop("i"), 0),
  ),
  "blockize-half-of-an-axis": on(
    () => scale(12, 4),
    (s) => {
      const [o, i] = s.split(s.loop("i"), { factor: 4 });
      s.reorder(i, s.loop("j"), o);
      s.blockize(s.loop("j"));
    },
  ),
  "compute-at-inside-a-block": on(
    () => stencil(12),
    (s) => {
      const [, i] = s.split(s.loopAt("C", 0), { factor: 4 });
      s.blockize(i);
      s.computeAt(s.block("B"), i);
    },
  ),
  "stage-a-running-sum": on(
    () => matmul(4, 4, 4),
    (s) => s.cacheWriteAt(s.loop("k"), s.block("C"), "C", "register"),
  ),
  "stage-what-is-made-behind": on(
    () => centre(4, 4),
    (s) => {
      s.computeAt(s.block("M"), s.loopAt("D", 0));
      s.cacheReadAt(s.loopAt("D", 0), s.block("D"), "M", "stack");
    },
  ),
  "rfactor-without-a-combiner": on(
    () => programs.argmax(4, 12),
    (s) => s.rfactor(s.loopAt("V_I", 1), 0),
  ),
  "bind-a-reduction": on(
    () => matmul(4, 4, 4),
    (s) => s.bind(s.loop("k"), "threadIdx.x"),
  ),
  "bind-two-extents": on(
    () => parseProgram(neighbours("shared")),
    (s) => bindAll(s),
  ),
  "read-another-threads-registers": on(
    () => parseProgram(pairs("local")),
    (s) => bindAll(s),
  ),
  "take-shared-memory-away": on(
    () => parseProgram(pairs("shared")),
    (s) => {
      bindAll(s);
      s.setScope(s.block("T"), "T", "local");
    },
  ),
  "parallel-histogram": on(
    () => histogram(8, 4),
    (s) => s.parallel(s.loop("k")),
  ),
  "atomic-with-the-init": on(
    () => matmul(4, 4, 4),
    (s) => s.atomic(s.block("C")),
  ),
  "annotate-with-spaces": on(
    () => scale(4, 4),
    (s) => s.annotate(s.loop("i"), "a b", 1),
  ),
};

function textOf({ on: program, steps }: Mistake): string {
  const s = new Schedule(program());
  try {
    steps(s);
  } catch (e) {
    if (e instanceof ScheduleError) return `${e.message}\n`;
    throw e;
  }
  throw new Error(`nothing was refused:\n${s.trace.toSource()}`);
}

describe("a refused step reads", () => {
  for (const [name, mistake] of Object.entries(mistakes))
    test(name, () => {
      const text = textOf(mistake);
      const file = new URL(`${name}.txt`, folder);
      if (update) writeFileSync(file, text);
      expect(existsSync(file) ? readFileSync(file, "utf8") : "(no fixture)").toBe(text);
    });
});
test("every fixture belongs to a mistake", () => {
  expect(readdirSync(folder).sort()).toEqual(
    Object.keys(mistakes)
      .map((n) => `${n}.txt`)
      .sort(),
  );
});
test("every refusal of a step names the rule, shows the place and says why", () => {
  for (const [name, mistake] of Object.entries(mistakes)) {
    const text = textOf(mistake);
    if (text.startsWith("ScheduleError [schedule/")) continue;
    expect(text, name).toMatch(/^ScheduleError \[\w+\/[\w-]+\]: .+\n {2}in step \d+: \w+\(/);
    expect(text, name).toMatch(/\n {2}rule: {4}.+\n {2}because: .+/);
    if (!text.includes("/live-handle]")) expect(text, name).toMatch(/│ +\^+\n/);
  }
});
