/** Inlining that would lose a value: writers that share loops, values that change before they are read. */
import type { Refused } from "../fixtures.ts";
import { rows } from "./chains.ts";
import { fill, point, text } from "./texts.ts";

const together = (loop: string, ...blocks: (readonly [string, string])[]): string[] => [
  `for ${loop}:`,
  ...blocks.flatMap(([name, body]) => point(loop, name, body).slice(1)),
];
/** B reads Z in a loop in which X writes it. */
const lagging = (b: string) =>
  text(
    "A: int32[8], C: output int32[8]",
    "allocate Z: int32[9]",
    "allocate B: int32[8]",
    ...fill("Z", 9),
    ...together("i in 0..8", ["X", "Z[v] = A[v]"], ["B", b]),
    ...point("j in 0..8", "C", "C[v] = B[v] + 1i32"),
  );
/** C reads what its producer's companion writes. */
const leading = (c: string) =>
  text(
    "A: int32[8], Z: output int32[8], C: output int32[8]",
    "allocate B: int32[8]",
    ...together("i in 0..8", ["X", "Z[v] = A[v]"], ["B", "B[v] = A[v] * 2i32"]),
    ...point("j in 0..8", "C", c),
  );
/** C stands in a loop in which Y writes the element that the next iteration reads. */
const following = (c: string) =>
  text(
    "A: int32[8], Z: output int32[9], C: output int32[8]",
    "allocate B: int32[8]",
    ...fill("Z", 9),
    ...point("i in 0..8", "B", "B[v] = A[v] * 2i32"),
    ...together("j in 0..8", ["C", c], ["Y", "Z[v + 1] = A[v]"]),
  );
/** D and E write two halves of B; the columns of D go with a loop. */
const diagonal = (column: string) =>
  text(
    "A: int32[8], C: output int32[8]",
    "allocate B: int32[8, 16]",
    ...["D", "E"].flatMap((name) => [
      "for i in 0..8:",
      "  for k in 0..8:",
      `    block ${name}(vi: spatial 8 = i, vk: spatial 8 = ${name === "D" ? column : "k"}):`,
      "      reads A[vi]",
      `      writes B[vi, vk${name === "D" ? "" : " + 8"}]`,
      `      B[vi, vk${name === "D" ? "" : " + 8"}] = A[vi]`,
    ]),
    ...point("j in 0..8", "C", "C[v] = B[v, v + 8]"),
  );
/** X and Y write B in one loop. */
const inTurn = (y: string) =>
  text(
    "A: int32[8], C: output int32[8]",
    "allocate B: int32[16]",
    ...together("i in 0..8", ["X", "B[v] = A[v] * 2i32"], ["Y", y]),
    ...point("j in 0..8", "C", "C[v] = B[v]"),
  );

export const fixtures: Record<string, Refused> = {
  "computeInline/inputs-unchanged: an input that the next iteration overwrites": {
    program: lagging("B[v] = Z[v + 1]"),
    steps: (s) => s.computeInline(s.block("B")),
    at: "X",
    twin: { program: lagging("B[v] = Z[v]") },
  },
  "computeInline/not-prefetched: a producer that its reader fetches ahead": {
    program: rows,
    steps: (s) => {
      s.blockize(s.loopAt("C", 1));
      s.prefetch(s.block("C"), "B", s.loopAt("C", 1), 1);
      s.computeInline(s.block("B"));
    },
    at: "B",
    twin: {
      steps: (s) => {
        s.blockize(s.loopAt("C", 1));
        s.computeInline(s.block("B"));
      },
    },
  },
  "reverseComputeInline/inputs-ready: an input of a later iteration": {
    program: leading("C[v] = B[v] + Z[7 - v]"),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "X",
    twin: { program: leading("C[v] = B[v] + A[7 - v]") },
  },
  "reverseComputeInline/inputs-ready: an input of the iteration before": {
    program: following("C[v] = B[v] + Z[v]"),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "Y",
    twin: { program: following("C[v] = B[v] + A[v]") },
  },
  "computeInline/whole-domains: a diagonal": {
    program: diagonal("i"),
    steps: (s) => s.computeInline(s.block("D")),
    at: "D",
    twin: { program: diagonal("k") },
  },
  "computeInline/ordered-writers: two that overwrite each other's elements": {
    program: inTurn("B[v + 1] = A[v]"),
    steps: (s) => s.computeInline(s.block("X")),
    at: "Y",
    twin: { program: inTurn("B[v + 8] = A[v]") },
  },
};
