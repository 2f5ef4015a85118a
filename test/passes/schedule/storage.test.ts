/** hoistStorage, storageAlign, storageFold, prefetch, nontemporal: what they make, values, refusals. */
import { describe, expect, test } from "vitest";
import { emitLlvm } from "../../../codegen/llvm/index.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { lowerProgram } from "../../../passes/lower/index.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues, type Refused, refusals } from "./fixtures.ts";
import * as programs from "./loop-programs.ts";

const { matmul, scale, stencil } = programs;
/** The stencil with B computed as C goes: one row ahead. */
function sliding(n: number): Schedule {
  const s = new Schedule(parseProgram(rolling(n)));
  return s;
}
const rolling = (n: number): string => `program rolling(A: int32[${n + 2}], C: output int32[${n}]):
  allocate B: int32[${n + 2}]
  for h in 0..2:
    block B0(u: spatial 2 = h):
      reads A[u]
      writes B[u]
      B[u] = A[u] * 2i32
  for i in 0..${n}:
    block B(v: spatial ${n} = i):
      reads A[v + 2]
      writes B[v + 2]
      B[v + 2] = A[v + 2] * 2i32
    block C(w: spatial ${n} = i):
      reads B[w], B[w + 2]
      writes C[w]
      C[w] = B[w] + B[w + 2]
`;
/** B is filled and read within each iteration of one loop. */
const rows = (n: number): string => `program rows(A: int32[${n + 2}], C: output int32[${n}]):
  allocate B: int32[${n + 2}]
  for i in 0..${n}:
    for j in 0..3:
      block B(v: ordered ${n} = i, q: ordered 3 = j):
        reads A[v + q]
        writes B[v + q]
        B[v + q] = A[v + q] * 2i32
    block C(w: spatial ${n} = i):
      reads B[w], B[w + 2]
      writes C[w]
      C[w] = B[w] + B[w + 2]
`;
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

const gone = { kind: "block", id: 9999, name: "gone" } as never;
const fixtures: Record<string, Refused> = {};
const common = {
  hoistStorage: (s: Schedule, b: never, name: string) => s.hoistStorage(b, name),
  storageAlign: (s: Schedule, b: never, name: string) => s.storageAlign(b, name, 0, 8),
  storageFold: (s: Schedule, b: never, name: string) => s.storageFold(b, name, 0, 2),
};
for (const [name, step] of Object.entries(common)) {
  fixtures[`${name}/uses-buffer`] = {
    program: () => stencil(8),
    steps: (s) => step(s, s.block("B") as never, "C"),
    at: "B",
  };
  fixtures[`${name}/not-parameter`] = {
    program: () => stencil(8),
    steps: (s) => step(s, s.block("B") as never, "A"),
    at: "B",
  };
  fixtures[`${name}/static-shape`] = {
    program: () => parseProgram(symbolic),
    steps: (s) => step(s, s.block("B") as never, "B"),
    at: "B",
  };
}
const symbolic = `program symbolic(n: int64, A: int32[n], C: output int32[n]):
  allocate B: int32[n]
  for i in 0..n:
    block B(v: spatial n = i):
      reads A[v]
      writes B[v]
      B[v] = A[v]
  for j in 0..n:
    block C(w: spatial n = j):
      reads B[w]
      writes C[w]
      C[w] = B[w]
`;
Object.assign(fixtures, {
  "hoistStorage/nested": {
    program: () => programs.withAllocation(),
    steps: (s) => {
      s.cacheRead(s.block("T"), "A", "stack");
      s.hoistStorage(s.block("T"), "T", s.loopAt("A_stack_copy", 0));
    },
    at: "d0",
  },
  "hoistStorage/holds-uses": {
    program: () => stencil(8),
    steps: (s) => s.hoistStorage(s.block("B"), "B", s.loopAt("B", 0)),
    at: "i0",
  },
  "hoistStorage/no-carried-values": {
    program: () => parseProgram(rolling(8).replace(/ {2}for h[\s\S]*?(?= {2}for i)/, "")),
    steps: (s) => s.hoistStorage(s.block("B"), "B", s.loop("i")),
    at: "i",
  },
  "hoistStorage/serial-loops": {
    program: () => programs.withAllocation(),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.hoistStorage(s.block("T"), "T");
    },
    at: "i",
  },
  "storageAlign/outer-dim": {
    program: () => stencil(8),
    steps: (s) => s.storageAlign(s.block("B"), "B", 0, 8),
    at: "B",
  },
  "storageAlign/positive-factor": {
    program: () => matmul(4, 4, 4),
    steps: (s) => {
      s.cacheRead(s.block("C"), "A", "stack");
      s.storageAlign(s.block("C"), "A_stack", 0, 8, 8);
    },
    at: "C",
  },
  "storageFold/dim-range": {
    program: () => stencil(8),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 9),
    at: "B",
  },
  "storageFold/one-loop": {
    program: () => stencil(8),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 4),
    at: "B",
  },
  "storageFold/moving-window": {
    program: () => parseProgram(rows(8).replaceAll("B[w + 2]", "B[0]")),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 4),
    at: "i",
  },
  "storageFold/window-fits": {
    program: () => parseProgram(rows(8)),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 2),
    at: "i",
  },
  "storageFold/spatial-writes": {
    program: () => parseProgram(rows(8).replace("q: ordered 3", "q: reduction 3")),
    steps: (s) => s.storageFold(s.block("B"), "B", 0, 4),
    at: "B",
  },
  "prefetch/reads-buffer": {
    program: () => scale(8, 8),
    steps: (s) => s.prefetch(s.block("B"), "B", s.loop("i"), 1),
    at: "B",
  },
  "prefetch/loop-around-block": {
    program: () => stencil(8),
    steps: (s) => s.prefetch(s.block("B"), "A", s.loopAt("C", 0), 1),
    at: "i0",
  },
  "prefetch/positive-distance": {
    program: () => scale(8, 8),
    steps: (s) => s.prefetch(s.block("B"), "A", s.loop("i"), 0),
    at: "i",
  },
  "prefetch/scalar-loop": {
    program: () => scale(8, 8),
    steps: (s) => {
      s.vectorize(s.loop("j"));
      s.prefetch(s.block("B"), "A", s.loop("j"), 1);
    },
    at: "j",
  },
  "prefetch/known-region": {
    program: () => programs.symbolic(),
    steps: (s) => s.prefetch(s.block("C"), "A", s.loop("i"), 1),
    at: "C",
  },
  "prefetch/few-lines": {
    program: () => scale(8, 2000),
    steps: (s) => s.prefetch(s.block("B"), "A", s.loop("i"), 1),
    at: "i",
  },
  "nontemporal/stores-once": {
    program: () => matmul(4, 4, 4),
    steps: (s) => s.nontemporal(s.block("C")),
    at: "C",
  },
  "nontemporal/not-reread": {
    program: () => parseProgram(twice),
    steps: (s) => s.nontemporal(s.block("C")),
    at: "C",
  },
} satisfies Record<string, Refused>);
const twice = `program twice(A: int32[8], C: output int32[8]):
  for i in 0..8:
    block C(v: spatial 8 = i):
      reads A[v], C[v]
      writes C[v]
      C[v] = A[v]
      C[v] = C[v] + A[v]
`;
refusals(["hoistStorage", "storageAlign", "storageFold", "prefetch", "nontemporal"], fixtures, [
  "found",
  "no-circular-buffer",
]);

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
