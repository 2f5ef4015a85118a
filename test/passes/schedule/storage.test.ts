/** hoistStorage, storageAlign, storageFold, prefetch, nontemporal: what they make, values. */
import { describe, expect, test } from "vitest";
import { emitLlvm } from "../../../codegen/llvm/index.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { lowerProgram } from "../../../passes/lower/index.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues } from "./fixtures.ts";
import * as programs from "./loop-programs.ts";
import { rolling, rows } from "./must-fail/storage.ts";

const { matmul, scale, stencil } = programs;
/** The stencil with B computed as C goes: one row ahead. */
function sliding(n: number): Schedule {
  const s = new Schedule(parseProgram(rolling(n)));
  return s;
}
function moved(n: number): Schedule {
  const s = new Schedule(stencil(n));
  s.computeAt(s.block("B"), s.loopAt("C", 0));
  return s;
}

describe("before ⇒ after", () => {
  const cases: Record<string, { program: Program; steps: (s: Schedule) => unknown }> = {
    "hoistStorage inwards": {
      program: programs.centre(3, 4),
      steps: (s) => {
        s.computeAt(s.block("M"), s.loopAt("D", 0));
        s.hoistStorage(s.block("M"), "M", s.loopAt("D", 0));
      },
    },
    "hoistStorage outwards": { program: programs.withAllocation(), steps: (s) => s.hoistStorage(s.block("T"), "T") },
    storageAlign: {
      program: matmul(3, 5, 7),
      steps: (s) => {
        s.cacheRead(s.block("C"), "A", "stack");
        s.storageAlign(s.block("C"), "A_stack", 0, 16, 1);
      },
    },
    storageFold: { program: parseProgram(rows(8)), steps: (s) => s.storageFold(s.block("B"), "B", 0, 4) },
    prefetch: { program: scale(8, 40), steps: (s) => s.prefetch(s.block("B"), "A", s.loop("i"), 2) },
    "prefetch ahead of an outer loop": {
      program: matmul(8, 40, 40),
      steps: (s) => {
        const [panels] = s.split(s.loop("j"), { factor: 20, tail: "exact" });
        const [steps] = s.split(s.loop("k"), { factor: 4, tail: "exact" });
        s.reorder(panels, s.loop("i"), steps);
        s.prefetch(s.block("C"), "B", steps, 1, panels);
      },
    },
    nontemporal: { program: scale(8, 8), steps: (s) => s.nontemporal(s.block("B")) },
  };
  for (const [name, c] of Object.entries(cases))
    test(name, () => {
      const s = new Schedule(c.program);
      c.steps(s);
      expect(printProgram(s.program)).toMatchSnapshot();
      keepsValues(c.program, s);
    });
});

describe("values stay", () => {
  for (const n of [1, 2, 7, 8, 13]) {
    for (const factor of [3, 4, 5])
      if (factor < n + 2)
        test(`a circular buffer of ${factor} for ${n}`, () => {
          const program = parseProgram(rows(n));
          const s = new Schedule(program);
          s.storageFold(s.block("C"), "B", 0, factor);
          if (s.probe("parallel", { loop: s.loop("i") }) === undefined) s.parallel(s.loop("i"));
          keepsValues(program, s);
        });
    test(`recomputed rows of ${n} in a circular buffer`, () => {
      const s = moved(n);
      if (n > 1) s.storageFold(s.block("B"), "B", 0, 2);
      keepsValues(stencil(n), s);
    });
    test(`aligned rows of ${n}`, () => {
      const program = matmul(n, n, n);
      const s = new Schedule(program);
      s.cacheRead(s.block("C"), "A", "stack");
      s.storageAlign(s.block("C"), "A_stack", 0, 8, 1);
      s.vectorize(s.loopAt("A_stack_copy", 1));
      s.parallel(s.loopAt("C", 0));
      keepsValues(program, s, n);
    });
    test(`prefetched rows of ${n}`, () => {
      const program = matmul(n, n, n);
      const s = new Schedule(program);
      s.prefetch(s.block("C"), "A", s.loop("i"), 3);
      s.prefetch(s.block("C"), "B", s.loop("k"), 1);
      s.parallel(s.loop("i"));
      keepsValues(program, s, n);
    });
    test(`prefetched panels of ${n}`, () => {
      const program = matmul(n, 3 * n, n);
      const s = new Schedule(program);
      const [panels] = s.split(s.loop("j"), { factor: n, tail: "exact" });
      s.reorder(panels, s.loop("i"), s.loop("k"));
      s.prefetch(s.block("C"), "B", s.loop("k"), 1, panels);
      s.prefetch(s.block("C"), "A", s.loop("k"), 2, panels);
      s.parallel(panels);
      keepsValues(program, s, n);
    });
    test(`storage of ${n} in and out`, () => {
      const program = programs.centre(n, 4);
      const s = new Schedule(program);
      s.computeAt(s.block("M"), s.loopAt("D", 0));
      s.hoistStorage(s.block("M"), "M", s.loopAt("D", 0));
      s.hoistStorage(s.block("M"), "M");
      s.hoistStorage(s.block("M"), "M", s.loopAt("D", 0));
      s.parallel(s.loopAt("D", 0));
      keepsValues(program, s);
    });
  }
});

test("codegen writes prefetches and stores past the caches, and orders the latter at the end", () => {
  const s = new Schedule(scale(8, 64));
  s.nontemporal(s.block("B"));
  s.prefetch(s.block("B"), "A", s.loop("i"), 2);
  const [, inner] = s.split(s.loop("j"), { factor: 16, tail: "exact" });
  s.vectorize(inner);
  const target = { cpu: "x86-64-v4", features: "", vectorBits: 512 };
  const { text } = emitLlvm(lowerProgram(s.program, target), target);
  expect(text).toMatch(/store <16 x i32> %\S+, ptr %\S+, align 64, !nontemporal !\d+/);
  expect(text).toContain("call void @llvm.prefetch.p0");
  expect(text).toMatch(/fence seq_cst\n\s*ret void/);
  keepsValues(scale(8, 64), s);
});
test("storage moved out of a loop makes its iterations follow each other", () => {
  const program = programs.withAllocation();
  const s = new Schedule(program);
  s.hoistStorage(s.block("T"), "T");
  expect(s.describe(s.block("T")).iterVars.map((v) => v.kind)).toEqual(["ordered"]);
  s.split(s.loop("i"), { factor: 3 });
  keepsValues(program, s);
});
test("blocks of a circular buffer do not move", () => {
  const s = new Schedule(parseProgram(rows(8)));
  s.storageFold(s.block("C"), "B", 0, 4);
  const violation = s.probe("cacheWrite", { block: s.block("C"), buffer: "C", scope: "stack" });
  expect([violation?.rule, violation?.at?.name]).toEqual(["no-circular-buffer", "C"]);
});
const gone = { kind: "block", id: 9999, name: "gone" } as never;
test("a block that is gone is refused before the rules are asked", () => {
  const s = new Schedule(stencil(8));
  expect(s.probe("nontemporal", { block: gone })?.rule).toBe("live-handle");
});
test.each([3, 4])("a rolling buffer whose start another loop fills keeps %i elements", (factor) => {
  const s = sliding(8);
  s.storageFold(s.block("B"), "B", 0, factor);
  expect(s.describe(s.block("B0")).iterVars.map((v) => v.kind)).toEqual(["ordered"]);
  keepsValues(parseProgram(rolling(8)), s);
});
test("a rolling buffer stays whole when the loop before it fills more than the first window", () => {
  const s = new Schedule(
    parseProgram(rolling(8).replace("h in 0..2", "h in 0..4").replace("u: spatial 2", "u: spatial 4")),
  );
  expect(s.probe("storageFold", { block: s.block("B"), buffer: "B", dim: 0, factor: 4 })?.rule).toBe("one-loop");
});
