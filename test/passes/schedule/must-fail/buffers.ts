/** Steps that must be refused: one for every rule of the primitives that make or change buffers. */
import type { Refused } from "../fixtures.ts";
import { centre, matmul } from "../loop-programs.ts";
import { chain, large, links, strided, total, unknown, zeroed } from "./chains.ts";
import { point } from "./texts.ts";

/** A sum into the first elements of what its domain is. */
const wide = (extent: number) => links({ first: total.map((l) => l.replace("i in 0..8", `i in 0..${8 / extent}`)) });

export const fixtures: Record<string, Refused> = {
  "cacheRead/reads-buffer": { program: chain(), steps: (s) => s.cacheRead(s.block("B"), "B", "stack"), at: "B" },
  "cacheRead/static-shape": { program: unknown, steps: (s) => s.cacheRead(s.block("B"), "A", "stack"), at: "B" },
  "cacheRead/written-before": {
    program: chain(),
    steps: (s) => {
      s.computeAt(s.block("B"), s.loop("j"));
      s.cacheRead(s.block("C"), "B", "stack");
    },
    at: "B",
  },
  "cacheRead/read-defined": {
    program: links({ second: point("j in 0..8", "C", "C[v] = select(v < 7, B[v + 1], 0i32)") }),
    steps: (s) => s.cacheRead(s.block("C"), "B", "stack"),
    at: "C",
    twin: { program: links({ second: point("j in 0..8", "C", "C[v] = B[7 - v]") }) },
  },
  "cacheWrite/writes-buffer": { program: chain(), steps: (s) => s.cacheWrite(s.block("C"), "B", "stack"), at: "C" },
  "cacheWrite/exact-writes": {
    program: strided,
    steps: (s) => s.cacheWrite(s.block("B"), "B", "stack"),
    at: "B",
    twin: {
      program: links({
        first: point("i in 0..8", "B", "B[v + 2] = A[v]"),
        second: point("j in 0..8", "C", "C[v] = B[v + 2]"),
      }),
    },
  },
  "cacheWrite/sole-writer": {
    program: links({ between: zeroed, second: point("j in 0..8", "C", "C[v] = B[v]") }),
    steps: (s) => s.cacheWrite(s.block("B"), "B", "stack"),
    at: "Z",
  },
  "cacheWrite/reads-own": {
    program: links({
      first: ["for z in 0..8:", "  block Z(vz: spatial 8 = z):", "    writes B[vz + 8]", "    B[vz + 8] = 0i32"],
      between: point("i in 0..8", "B", "B[v] = B[v + 8] + A[v]"),
    }),
    steps: (s) => s.cacheWrite(s.block("B"), "B", "stack"),
    at: "B",
  },
  "cacheWrite/readers-outside": {
    program: chain(),
    steps: (s) => {
      s.computeAt(s.block("B"), s.loop("j"));
      s.cacheWrite(s.block("B"), "B", "stack");
    },
    at: "C",
  },
  "rfactor/alone": {
    program: () => centre(4, 4),
    steps: (s) => {
      s.computeAt(s.block("M"), s.loopAt("D", 0));
      s.rfactor(s.loopAt("D", 0), 0);
    },
    at: "i",
  },
  "rfactor/reduction-loop": { program: () => matmul(4, 4, 4), steps: (s) => s.rfactor(s.loop("j"), 0), at: "j" },
  "rfactor/has-init": {
    program: () => matmul(4, 4, 4),
    steps: (s) => {
      s.decomposeReduction(s.block("C"), s.loop("i"));
      s.rfactor(s.loopAt("C", 2), 0);
    },
    at: "C",
    twin: { steps: (s) => s.rfactor(s.loop("k"), 0) },
  },
  "rfactor/associative": {
    program: links({ first: total.map((l) => l.replace("B[v] + A[v]", "A[v] - B[v]")) }),
    steps: (s) => s.rfactor(s.loop("k"), 0),
    at: "B",
    twin: { program: links({ first: total }) },
  },
  "rfactor/reassociation-allowed": {
    program: () => matmul(4, 4, 4, "strict"),
    steps: (s) => s.rfactor(s.loop("k"), 0),
    at: "C",
    twin: { program: () => matmul(4, 4, 4) },
  },
  "rfactor/whole-domains": {
    program: wide(2),
    steps: (s) => s.rfactor(s.loop("k"), 0),
    at: "B",
    twin: { program: wide(1) },
  },
  "rfactor/guard": {
    program: links({ first: total.map((l) => l.replace("= k):", "= k) where k != 2:")) }),
    steps: (s) => s.rfactor(s.loop("k"), 0),
    at: "B",
  },
  "rfactor/axis-range": {
    program: () => matmul(4, 4, 4),
    steps: (s) => s.rfactor(s.loop("k"), 3),
    at: "k",
    twin: { steps: (s) => s.rfactor(s.loop("k"), 2) },
  },
  "setScope/uses-buffer": { program: chain(), steps: (s) => s.setScope(s.block("B"), "C", "stack"), at: "B" },
  "setScope/not-parameter": { program: chain(), steps: (s) => s.setScope(s.block("B"), "A", "stack"), at: "B" },
  "setScope/register-bytes": {
    program: large,
    steps: (s) => s.setScope(s.block("B"), "B", "register"),
    at: "B",
    twin: {
      steps: (s) => {
        s.computeAt(s.block("B"), s.loop("j"));
        s.setScope(s.block("B"), "B", "register");
      },
    },
  },
  "transformLayout/uses-buffer": {
    program: chain(),
    steps: (s) => s.transformLayout(s.block("B"), "C", [{ axis: 0, divisor: 1 }]),
    at: "B",
  },
  "transformLayout/not-parameter": {
    program: chain(),
    steps: (s) => s.transformLayout(s.block("B"), "A", [{ axis: 0, divisor: 1 }]),
    at: "B",
  },
  "transformLayout/static-shape": {
    program: unknown,
    steps: (s) => s.transformLayout(s.block("B"), "B", [{ axis: 0, divisor: 1 }]),
    at: "B",
  },
  "transformLayout/bijective": {
    program: chain(),
    steps: (s) => s.transformLayout(s.block("B"), "B", [{ axis: 0, divisor: 4 }]),
    at: "B",
    twin: {
      steps: (s) =>
        s.transformLayout(s.block("B"), "B", [
          { axis: 0, divisor: 4 },
          { axis: 0, divisor: 1, modulus: 4 },
        ]),
    },
  },
};
