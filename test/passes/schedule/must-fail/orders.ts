/** New orders that turn a dependence around, or move what must come first. */
import type { Refused } from "../fixtures.ts";
import { matmul, scan, triangular } from "../loop-programs.ts";
import { fill, nest, point, reorder, steps, text } from "./texts.ts";

const AA = "A: output int32[16, 16]";
const square = (i: string, j: string, ...body: string[]) => text(AA, ...fill("A", 16, 16), ...nest([i, j], ...body));
const interchanged = { at: "j", steps: reorder("j", "i") };
const pair = (first: string, second: string, n = 8) =>
  text(
    "A: output int32[24], B: output int32[24]",
    ...fill("A", 24),
    ...fill("B", 24),
    ...nest([`i in 0..${n}`], first, second),
  );
const cut = { at: "i", steps: (s) => s.fission(s.loop("i"), s.block("S3")) } satisfies Partial<Refused>;
const staged = { at: "i", steps: (s) => s.softwarePipeline(s.loop("i"), [0, 1]) } satisfies Partial<Refused>;
const swapped = { at: "i", steps: (s) => s.softwarePipeline(s.loop("i"), [1, 0]) } satisfies Partial<Refused>;

export const fixtures: Record<string, Refused> = {
  "reorder/keeps-dependences: a diagonal to the upper right": {
    ...interchanged,
    program: square("i in 1..16", "j in 0..15", "A[i, j] = A[i - 1, j + 1] + 1i32"),
    twin: { program: square("i in 1..16", "j in 1..16", "A[i, j] = A[i - 1, j - 1] + 1i32") },
  },
  "reorder/keeps-dependences: a diagonal that is read before it is written": {
    ...interchanged,
    program: square("i in 0..15", "j in 1..16", "A[i, j] = A[i + 1, j - 1] + 1i32"),
    twin: { program: square("i in 0..15", "j in 0..15", "A[i, j] = A[i + 1, j + 1] + 1i32") },
  },
  "reorder/keeps-dependences: a knight's move": {
    ...interchanged,
    program: square("i in 2..16", "j in 0..15", "A[i, j] = A[i - 2, j + 1] + 1i32"),
    twin: { program: square("i in 2..16", "j in 1..16", "A[i, j] = A[i - 2, j - 1] + 1i32") },
  },
  "reorder/keeps-dependences: one of five neighbours": {
    ...interchanged,
    program: square(
      "i in 1..15",
      "j in 1..15",
      "A[i, j] = A[i - 1, j - 1] + A[i, j - 1] + A[i - 1, j] + A[i - 1, j + 1]",
    ),
    twin: {
      program: square(
        "i in 1..15",
        "j in 1..15",
        "A[i, j] = A[i - 1, j - 1] + A[i, j - 1] + A[i - 1, j] + A[i + 1, j + 1]",
      ),
    },
  },
  "reorder/keeps-dependences: the last to write an element changes": {
    ...interchanged,
    program: text("A: output int32[32]", ...fill("A", 32), ...nest(["i in 0..8", "j in 0..8"], "A[i + j] = int32(j)")),
    twin: {
      program: text(
        "A: output int32[32]",
        ...fill("A", 32),
        ...nest(["i in 0..4", "j in 0..8"], "A[i + j * 4] = int32(j)"),
      ),
    },
  },
  "reorder/keeps-dependences: a scalar keeps the last value": {
    ...interchanged,
    program: text("A: output int32[1]", "A[0] = 0i32", ...nest(["i in 0..8", "j in 0..8"], "A[0] = int32(i * 3 + j)")),
    twin: {
      program: text(
        "A: output int32[1]",
        "A[0] = 0i32",
        ...nest(["i in 0..8", "j in 0..8"], "A[0] = A[0] + int32(i * 3 + j)"),
      ),
    },
  },
  "reorder/keeps-dependences: the tiles of a scan": {
    at: "j_i",
    program: () => scan(4, 8),
    steps: (s) => {
      const [outer, inner] = s.split(s.loop("j"), { factor: 4 });
      s.reorder(inner, outer);
    },
    twin: {
      steps: (s) => {
        const [outer, inner] = s.split(s.loop("j"), { factor: 4 });
        s.reorder(outer, inner, s.loop("i"));
      },
    },
  },
  "reorder/keeps-dependences: a strict sum in tiles": {
    at: "k_i",
    program: () => matmul(3, 4, 12, "strict"),
    steps: (s) => {
      const [outer, inner] = s.split(s.loop("k"), { factor: 4 });
      s.reorder(inner, outer);
    },
    twin: { program: () => matmul(3, 4, 12) },
  },
  "reorder/keeps-dependences: a polynomial by its coefficients": {
    at: "b",
    program: text(
      "A: float32[4, 4], C: output float32[1]",
      "C[0] = 0.0",
      "for a in 0..4:",
      "  for b in 0..4:",
      "    block C(p: ordered 4 = a, q: ordered 4 = b):",
      "      reads C[0], A[p, q]",
      "      writes C[0]",
      "      C[0] = C[0] * 2.0 + A[p, q]",
    ),
    steps: reorder("b", "a"),
    twin: {
      program: text(
        "A: float32[4, 4], C: output float32[1]",
        "for a in 0..4:",
        "  for b in 0..4:",
        "    block C(p: reduction 4 = a, q: reduction 4 = b):",
        "      reads C[0], A[p, q]",
        "      writes C[0]",
        "      init:",
        "        C[0] = 0.0",
        "      C[0] = C[0] + A[p, q]",
      ),
    },
  },
  "reorder/keeps-dependences: a guard lets one pair of iterations meet": {
    ...interchanged,
    program: square("i in 0..8", "j in 0..8", "if i + j == 7:", "  A[0, i] = A[0, 7 - i] + 1i32"),
    twin: { program: square("i in 0..8", "j in 0..8", "if i == j:", "  A[0, i] = A[0, 7 - i] + 1i32") },
  },
  "reorder/keeps-dependences: three loops, the middle one outermost": {
    at: "j",
    program: text(
      "A: output int32[6, 6, 6]",
      ...fill("A", 6, 6, 6),
      ...nest(["i in 1..6", "j in 0..5", "k in 0..6"], "A[i, j, k] = A[i - 1, j + 1, k] + 1i32"),
    ),
    steps: reorder("j", "k", "i"),
    twin: { steps: reorder("k", "i", "j") },
  },
  "reorder/keeps-dependences: three loops, the innermost outermost": {
    at: "k",
    program: text(
      "A: output int32[6, 6, 6]",
      ...fill("A", 6, 6, 6),
      ...nest(["i in 0..6", "j in 1..6", "k in 0..5"], "A[i, j, k] = A[i, j - 1, k + 1] + 1i32"),
    ),
    steps: reorder("k", "i", "j"),
    twin: { steps: reorder("j", "i", "k") },
  },
  "reorder/keeps-dependences: places that data gives": {
    ...interchanged,
    program: text(
      "T: int64[8], A: output int32[16]",
      ...fill("A", 16),
      ...nest(["i in 0..8", "j in 0..8"], "A[T[j] % 16] = int32(i)"),
    ),
    twin: {
      program: text(
        "T: int64[8], A: output int32[16]",
        ...fill("A", 16),
        ...nest(["i in 0..8", "j in 0..8"], "A[T[j] % 16] = A[T[j] % 16] + int32(i)"),
      ),
    },
  },
  "reorder/keeps-dependences: rows and columns of a triangle": {
    ...interchanged,
    program: square("i in 1..8", "j in 0..7", "A[i, j] = A[i - 1, i] + 1i32"),
    twin: { program: square("i in 1..8", "j in 0..7", "A[i, j] = A[0, i] + 1i32") },
  },
  "reorder/independent-bounds: a triangle's bound moves outside": { ...interchanged, program: triangular },
  "fission/keeps-dependences: the second part wrote what the first reads next": {
    ...cut,
    program: pair("A[i + 1] = B[i]", "B[i + 1] = A[i + 1]"),
    twin: { program: pair("A[i + 1] = B[i + 8]", "B[i + 1] = A[i + 1]", 7) },
  },
  "fission/keeps-dependences: the first part overwrites what the second reads": {
    ...cut,
    program: pair("A[i] = 3i32", "B[i] = A[i + 1]"),
    twin: { program: pair("A[i] = 3i32", "B[i] = A[i]") },
  },
  "fission/keeps-dependences: both write one element": {
    ...cut,
    program: pair("A[i] = 3i32", "A[i + 1] = 4i32"),
    twin: { program: pair("A[i + 1] = 3i32", "A[i] = 4i32") },
  },
  "fission/keeps-dependences: a scalar goes from part to part": {
    ...cut,
    program: pair("A[0] = B[i]", "B[i] = A[0] + 1i32"),
    twin: { program: pair("A[i] = B[i]", "B[i] = A[i] + 1i32") },
  },
  "fission/keeps-dependences: two iterations later": {
    ...cut,
    program: pair("A[i] = B[i]", "B[i + 2] = 5i32"),
    twin: { program: pair("A[i + 2] = B[i + 2]", "B[i] = 5i32") },
  },
  "fission/keeps-dependences: only the border meets": {
    ...cut,
    program: pair("A[i] = 3i32", "B[i] = A[7]"),
    twin: { program: pair("A[i] = 3i32", "B[i] = A[8]") },
  },
  "softwarePipeline/keeps-dependences: the first stage reads what the second wrote": {
    ...staged,
    program: pair("A[i] = B[i] + 1i32", "B[i + 1] = A[i]"),
    twin: { program: pair("A[i] = B[i] + 1i32", "B[i] = A[i]") },
  },
  "softwarePipeline/keeps-dependences: the next iteration overwrites one buffer": {
    ...staged,
    program: pair("A[0] = int32(i)", "B[i] = A[0]"),
    twin: { program: pair("A[i] = int32(i)", "B[i] = A[i]") },
  },
  "softwarePipeline/keeps-dependences: two tiles for three stages": {
    at: "i",
    program: pair("A[i % 2] = int32(i)", "B[i] = A[i % 2]"),
    steps: (s) => s.softwarePipeline(s.loop("i"), [0, 2]),
  },
  "softwarePipeline/keeps-dependences: the consumer before the producer": {
    ...swapped,
    program: pair("A[i] = int32(i)", "B[i] = A[i]"),
    twin: { program: pair("A[i] = int32(i)", "B[i] = 2i32") },
  },
  "skew/perfect-nest: a statement beside the inner loop": {
    at: "j",
    program: text(
      "A: output int32[8, 8], B: output int32[8]",
      ...nest(["i in 0..8"], "B[i] = 2i32", ...nest(["j in 0..8"], "A[i, j] = 1i32")),
    ),
    steps: (s) => s.skew(s.loop("i"), s.loop("j"), 1),
    twin: { program: text("A: output int32[8, 8]", ...nest(["i in 0..8", "j in 0..8"], "A[i, j] = 1i32")) },
  },
  "skew/constant-bounds: a triangle": {
    at: "j",
    program: triangular,
    steps: (s) => s.skew(s.loop("i"), s.loop("j"), 1),
  },
  "reorder/keeps-dependences: a wave front before it is skewed": {
    ...interchanged,
    program: square("i in 1..8", "j in 1..8", "A[i, j] = A[i - 1, j + 1] + A[i, j - 1]"),
    twin: {
      steps: (s) => {
        s.skew(s.loop("i"), s.loop("j"), 1);
        s.reorder(s.loopAt("S2", 1), s.loopAt("S2", 0));
      },
    },
  },
  "fuse/perfect-nest: two nests side by side": {
    at: "j",
    program: text(
      "A: int32[8], B: output int32[8], C: output int32[8]",
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("j in 0..8", "C", "C[v] = A[v]"),
    ),
    steps: (s) => s.fuse(s.loop("i"), s.loop("j")),
  },
  "fuse/known-extents: a triangle": { at: "j", program: triangular, steps: (s) => s.fuse(s.loop("i"), s.loop("j")) },
  "fuse/serial-loops: the inner one is parallel": {
    at: "j",
    program: square("i in 0..8", "j in 0..8", "A[i, j] = int32(j)"),
    steps: steps(
      (s) => s.parallel(s.loop("j")),
      (s) => s.fuse(s.loop("i"), s.loop("j")),
    ),
    twin: {
      steps: steps((s) => s.parallel(s.fuse(s.loop("i"), s.loop("j")))),
    },
  },
};
