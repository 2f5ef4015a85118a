/** Iterations that run at once and meet: carried dependences of all kinds, distances and disguises. */
import type { Program } from "../../../../ir/loop/program.ts";
import { parseProgram } from "../../../../ir/text/parser.ts";
import type { Refused } from "../fixtures.ts";
import { fill, nest, parallel, steps, text, vectorize } from "./texts.ts";

const A = "A: output int32[16]";
const AA = "A: output int32[16, 16]";
/** One loop over a row that was set before. */
const row = (loop: string, ...body: string[]) => text(A, ...fill("A", 16), ...nest([loop], ...body));
const square = (i: string, j: string, ...body: string[]) => text(AA, ...fill("A", 16, 16), ...nest([i, j], ...body));
const inPlace = (index: string, loop = "i in 0..8") => row(loop, `A[i] = A[${index}] + 1i32`);
const race = { at: "i", steps: parallel("i") };

/** A block writes T, of which each iteration may have its own, and then S, of which it may not where it sums up. */
const twoResults = (iterations: string, place: string) => (): Program =>
  parseProgram(`program p(A: int32[8], S: output int32[8], C: output int32[8]):
  allocate T: int32[8]
  for z in 0..8:
    S[z] = 0i32
  for k in 0..8:
    block X(${iterations}):
      reads S[${place}], A[vk]
      writes T[${place}], S[${place}]
      T[${place}] = A[vk] * 2i32
      S[${place}] = S[${place}] + A[vk]
    block Y(vc: spatial 8 = k):
      reads T[${place === "u" ? 0 : "vc"}]
      writes C[vc]
      C[vc] = T[${place === "u" ? 0 : "vc"}]
`);
export const fixtures: Record<string, Refused> = {
  "parallel/independent-iterations: the second buffer that a block writes": {
    program: twoResults("u: spatial 1 = 0, vk: reduction 8 = k", "u"),
    steps: (s) => s.parallel(s.loop("k")),
    at: "k",
    twin: { program: twoResults("vk: spatial 8 = k", "vk") },
  },
  "parallel/independent-iterations: a value from the iteration before": {
    ...race,
    program: inPlace("i - 1", "i in 1..9"),
    twin: { program: inPlace("i + 8") },
  },
  "parallel/independent-iterations: a value that the next iteration overwrites": {
    ...race,
    program: inPlace("i + 1"),
    twin: { program: inPlace("i") },
  },
  "parallel/independent-iterations: the last iteration reads what the first wrote": {
    ...race,
    program: inPlace("i + 7"),
    twin: { program: inPlace("i + 8") },
  },
  "parallel/independent-iterations: a distance that one pair of iterations has": {
    ...race,
    program: inPlace("15 - i", "i in 0..9"),
    twin: { program: inPlace("15 - i") },
  },
  "parallel/independent-iterations: both write one element": {
    ...race,
    program: row("i in 0..8", "A[i // 2] = int32(i)"),
    twin: { program: row("i in 0..8", "A[i * 2] = int32(i)") },
  },
  "parallel/independent-iterations: a remainder wraps around": {
    ...race,
    program: row("i in 0..9", "A[i % 8] = int32(i)"),
    twin: { program: row("i in 0..8", "A[(i + 3) % 8] = int32(i)") },
  },
  "parallel/independent-iterations: even and odd iterations share elements": {
    ...race,
    program: inPlace("i * 2"),
    twin: { program: row("i in 0..8", "A[i * 2] = A[i * 2 + 1] + 1i32") },
  },
  "parallel/independent-iterations: the iterations of one parity write what the others read": {
    ...race,
    program: row("i in 0..6", "A[i * 2] = A[i * 2 + 4] + 1i32"),
    twin: { program: row("i in 0..6", "A[i * 2] = A[i * 2 + 5] + 1i32") },
  },
  "parallel/independent-iterations: a multiple of three meets a multiple of two": {
    ...race,
    program: row("i in 0..6", "A[i * 3] = A[i * 2 + 4] + 1i32"),
    twin: { program: row("i in 0..2", "A[i * 3] = A[i * 2 + 4] + 1i32") },
  },
  "parallel/independent-iterations: two accesses differ by what an inner loop covers": {
    ...race,
    program: text(A, ...fill("A", 16), ...nest(["i in 0..4", "j in 0..4"], "A[i * 3 + j] = int32(j)")),
    twin: { program: text(A, ...fill("A", 16), ...nest(["i in 0..4", "j in 0..4"], "A[i * 4 + j] = int32(j)")) },
  },
  "parallel/independent-iterations: an inner loop is one iteration too long": {
    ...race,
    program: text(A, ...fill("A", 16), ...nest(["i in 0..3", "j in 0..5"], "A[i * 4 + j] = int32(j)")),
    twin: { program: text(A, ...fill("A", 16), ...nest(["i in 0..3", "j in 0..4"], "A[i * 4 + j] = int32(j)")) },
  },
  "parallel/independent-iterations: an inner loop starts one too early": {
    ...race,
    program: text(A, ...fill("A", 16), ...nest(["i in 1..4", "j in -1..3"], "A[i * 3 + j] = int32(j)")),
    twin: { program: text(A, ...fill("A", 16), ...nest(["i in 1..4", "j in -1..2"], "A[i * 3 + j] = int32(j)")) },
  },
  "parallel/independent-iterations: every iteration writes one element": {
    ...race,
    program: row("i in 0..8", "A[3] = int32(i)"),
    twin: { program: row("i in 0..1", "A[3] = int32(i)") },
  },
  "parallel/independent-iterations: every iteration reads what one of them writes": {
    ...race,
    program: inPlace("3"),
    twin: { program: inPlace("8") },
  },
  "parallel/independent-iterations: a scalar carries a sum": {
    ...race,
    program: text("A: output int32[1]", "A[0] = 0i32", ...nest(["i in 0..8"], "A[0] = A[0] + int32(i)")),
    twin: { program: text("A: output int32[8]", ...fill("A", 8), ...nest(["i in 0..8"], "A[i] = A[i] + int32(i)")) },
  },
  "parallel/independent-iterations: data chooses what is written": {
    ...race,
    program: text(
      "T: int64[8], A: output int32[16]",
      ...fill("A", 16),
      ...nest(["i in 0..8"], "A[T[i] % 16] = int32(i)"),
    ),
    twin: { program: text("T: int64[8], A: output int32[8]", ...nest(["i in 0..8"], "A[i] = int32(T[i])")) },
  },
  "parallel/independent-iterations: data chooses what is read": {
    ...race,
    program: text("T: int64[8], A: output int32[16]", ...fill("A", 16), ...nest(["i in 0..8"], "A[i] = A[T[i] % 16]")),
    twin: {
      program: text(
        "T: int64[8], A: output int32[16]",
        ...fill("A", 16),
        ...nest(["i in 0..8"], "A[i] = A[T[i] % 8 + 8]"),
      ),
    },
  },
  "parallel/independent-iterations: a product of variables is an index": {
    ...race,
    program: text("A: output int32[64]", ...fill("A", 64), ...nest(["i in 0..8", "j in 0..8"], "A[i * j] = int32(i)")),
    twin: {
      program: text(
        "A: output int32[64]",
        ...fill("A", 64),
        ...nest(["i in 0..8", "j in 0..8"], "A[i * 8 + j] = int32(i)"),
      ),
    },
  },
  "parallel/independent-iterations: the smaller of two variables is an index": {
    ...race,
    program: row("i in 0..8", "A[min(i, 3)] = int32(i)"),
    twin: { program: row("i in 0..4", "A[min(i, 3)] = int32(i)") },
  },
  "parallel/independent-iterations: a guard lets only the border meet": {
    ...race,
    program: row("i in 0..8", "if i >= 7:", "  A[i] = A[i - 7] + 1i32", "else:", "  A[i] = 2i32"),
    twin: { program: row("i in 0..8", "if i >= 8:", "  A[i] = A[i - 7] + 1i32", "else:", "  A[i] = 2i32") },
  },
  "parallel/independent-iterations: a select reads a neighbour at the border only": {
    ...race,
    program: row("i in 0..8", "A[i] = select(i == 0, A[1], 2i32)"),
    twin: { program: row("i in 0..8", "A[i] = select(i == 0, A[0], 2i32)") },
  },
  "parallel/independent-iterations: a guard that excludes too few iterations": {
    ...race,
    program: row("i in 0..8", "if i < 5:", "  A[i] = A[i + 4] + 1i32"),
    twin: { program: row("i in 0..8", "if i < 4:", "  A[i] = A[i + 4] + 1i32") },
  },
  "parallel/independent-iterations: what is excluded is not what is read": {
    ...race,
    program: row("i in 0..8", "if i != 3:", "  A[i] = A[4] + 1i32"),
    twin: { program: row("i in 0..8", "if i != 3:", "  A[i] = A[3] + 1i32") },
  },
  "parallel/independent-iterations: a guard on data": {
    ...race,
    program: text(
      "T: int32[8], A: output int32[16]",
      ...fill("A", 16),
      ...nest(["i in 0..8"], "if T[i] > 0i32:", "  A[i] = A[i + 1]"),
    ),
    twin: {
      program: text(
        "T: int32[8], A: output int32[16]",
        ...fill("A", 16),
        ...nest(["i in 0..8"], "if T[i] > 0i32:", "  A[i] = A[i + 8]"),
      ),
    },
  },
  "parallel/independent-iterations: a diagonal from above": {
    ...race,
    program: square("i in 1..16", "j in 1..16", "A[i, j] = A[i - 1, j - 1] + 1i32"),
    twin: { program: square("i in 0..16", "j in 1..16", "A[i, j] = A[i, j - 1] + 1i32") },
  },
  "parallel/independent-iterations: a diagonal to the right": {
    ...race,
    program: square("i in 1..16", "j in 0..15", "A[i, j] = A[i - 1, j + 1] + 1i32"),
    twin: { program: square("i in 0..16", "j in 0..15", "A[i, j] = A[i, j + 1] + 1i32") },
  },
  "parallel/independent-iterations: the inner of two loops carries": {
    at: "j",
    steps: parallel("j"),
    program: square("i in 0..16", "j in 1..16", "A[i, j] = A[i, j - 1] + 1i32"),
    twin: { program: square("i in 1..16", "j in 1..16", "A[i, j] = A[i - 1, j - 1] + 1i32") },
  },
  "parallel/independent-iterations: a transposition in place": {
    ...race,
    program: square("i in 0..16", "j in 0..16", "A[i, j] = A[j, i]"),
    twin: { program: square("i in 0..8", "j in 8..16", "A[i, j] = A[j, i]") },
  },
  "parallel/independent-iterations: a transposition of one triangle and the diagonal next to it": {
    ...race,
    program: text(AA, ...fill("A", 16, 16), ...nest(["i in 0..8", "j in 0..i + 2"], "A[i, j] = A[j, i]")),
    twin: { program: text(AA, ...fill("A", 16, 16), ...nest(["i in 0..8", "j in 0..i + 1"], "A[i, j] = A[j, i]")) },
  },
  "parallel/independent-iterations: rows of a triangle overlap": {
    ...race,
    program: text(AA, ...fill("A", 16, 16), ...nest(["i in 0..8", "j in 0..i + 1"], "A[0, i + j] = int32(i)")),
    twin: {
      program: text(AA, ...fill("A", 16, 16), ...nest(["i in 0..8", "j in 0..i + 1"], "A[i, i + j] = int32(i)")),
    },
  },
  "parallel/independent-iterations: a let hides the index": {
    ...race,
    program: row("i in 0..8", "let at = i // 2:", "  A[at] = int32(i)"),
    twin: { program: row("i in 0..8", "let at = i + 2:", "  A[at] = int32(i)") },
  },
  "parallel/independent-iterations: a second statement reads the first's neighbour": {
    ...race,
    program: text(
      "A: output int32[16], B: output int32[16]",
      ...fill("A", 16),
      ...nest(["i in 0..8"], "A[i] = int32(i)", "B[i] = A[i + 1]"),
    ),
    twin: {
      program: text(
        "A: output int32[16], B: output int32[16]",
        ...fill("A", 16),
        ...nest(["i in 0..8"], "A[i] = int32(i)", "B[i] = A[i]"),
      ),
    },
  },
  "parallel/independent-iterations: one of two inner nests reads across": {
    ...race,
    program: text(
      "A: output int32[8, 8], B: output int32[8, 8]",
      ...fill("A", 8, 8),
      ...nest(["i in 0..8"], "for j in 0..8:", "  A[i, j] = int32(i)", "for k in 0..8:", "  B[i, k] = A[k, i]"),
    ),
    twin: {
      program: text(
        "A: output int32[8, 8], B: output int32[8, 8]",
        ...fill("A", 8, 8),
        ...nest(["i in 0..8"], "for j in 0..8:", "  A[i, j] = int32(i)", "for k in 0..8:", "  B[i, k] = A[i, k]"),
      ),
    },
  },
  "parallel/independent-iterations: a buffer outside the loop hands a value on": {
    ...race,
    program: text(
      "A: int32[8], B: output int32[8]",
      "allocate T: int32[1]",
      "T[0] = 0i32",
      ...nest(["i in 0..8"], "B[i] = T[0]", "T[0] = A[i]"),
    ),
    twin: {
      program: text(
        "A: int32[8], B: output int32[8]",
        "allocate T: int32[1]",
        ...nest(["i in 0..8"], "T[0] = A[i]", "B[i] = T[0]"),
      ),
    },
  },
  "parallel/independent-iterations: a symbolic extent does not save it": {
    ...race,
    program: text("n: int64, A: output int32[n + 1]", ...nest(["i in 0..n"], "A[i] = A[i + 1]")),
  },
  "vectorize/independent-iterations: a value from the lane before": {
    at: "i",
    steps: vectorize("i"),
    program: inPlace("i - 1", "i in 1..9"),
    twin: { program: inPlace("i + 8") },
  },
  "vectorize/independent-iterations: a distance smaller than the lanes": {
    at: "i_i",
    program: inPlace("i - 3", "i in 4..12"),
    steps: (s) => s.vectorize(s.split(s.loop("i"), { factor: 4 })[1]),
    twin: { steps: (s) => s.vectorize(s.split(s.loop("i"), { factor: 2 })[1]) },
  },
  "vectorize/independent-iterations: a distance of as many lanes, read the other way": {
    at: "i_i",
    program: inPlace("i + 3", "i in 0..8"),
    steps: (s) => s.vectorize(s.split(s.loop("i"), { factor: 4 })[1]),
    twin: { program: inPlace("i + 4", "i in 0..8") },
  },
  "vectorize/independent-iterations: lanes of a blocked row overlap": {
    at: "j",
    program: text(A, ...fill("A", 16), ...nest(["i in 0..4", "j in 0..4"], "A[i * 4 + j // 2] = int32(j)")),
    steps: vectorize("j"),
    twin: { program: text(A, ...fill("A", 16), ...nest(["i in 0..4", "j in 0..4"], "A[i * 4 + 3 - j] = int32(j)")) },
  },
  "vectorize/independent-iterations: the reflection of a row in itself": {
    at: "i",
    program: inPlace("15 - i", "i in 0..16"),
    steps: vectorize("i"),
    twin: { program: inPlace("15 - i", "i in 0..8") },
  },
  "vectorize/independent-iterations: a table of places": {
    at: "i",
    program: text(
      "T: int64[8], A: output int32[16]",
      ...fill("A", 16),
      ...nest(["i in 0..8"], "A[T[i] % 16] = int32(i)"),
    ),
    steps: vectorize("i"),
    twin: {
      program: text("T: int64[8], A: output int32[16]", ...fill("A", 16), ...nest(["i in 0..8"], "A[i] = int32(T[i])")),
    },
  },
  "vectorize/not-nested: a vector of vectors after a split": {
    at: "j_i",
    program: square("i in 0..16", "j in 0..16", "A[i, j] = int32(i * j)"),
    steps: (s) => {
      const [outer, inner] = s.split(s.loop("j"), { factor: 4 });
      s.vectorize(inner);
      s.vectorize(outer);
    },
    twin: { steps: (s) => s.vectorize(s.split(s.loop("j"), { factor: 4 })[1]) },
  },
  "parallel/not-nested: inside a vector": {
    at: "i",
    program: square("i in 0..16", "j in 0..16", "A[i, j] = int32(i * j)"),
    steps: steps(vectorize("i"), parallel("j")),
    twin: { steps: steps(parallel("i"), vectorize("j")) },
  },
  "parallel/not-nested: around what is parallel three loops below": {
    at: "j_i",
    program: square("i in 0..16", "j in 0..16", "A[i, j] = int32(i * j)"),
    steps: (s) => {
      const [, inner] = s.split(s.loop("j"), { factor: 4 });
      s.parallel(inner);
      s.parallel(s.loop("i"));
    },
    twin: {
      steps: (s) => {
        s.split(s.loop("j"), { factor: 4 });
        s.parallel(s.loop("i"));
      },
    },
  },
};
