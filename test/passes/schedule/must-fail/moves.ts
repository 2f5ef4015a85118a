/** Producers and consumers that cannot meet: several readers, cycles, borders, values that change in between. */
import { add } from "../../../../ir/expr/build.ts";
import { ComputeBuilder } from "../../../../ir/loop/compute.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import type { Refused } from "../fixtures.ts";
import { centre, matmul, stencil } from "../loop-programs.ts";
import { fill, nest, point, text } from "./texts.ts";

const AC = "A: int32[16], C: output int32[8]";
const ACD = "A: int32[16], C: output int32[8], D: output int32[8]";
const B = "allocate B: int32[16]";
const doubled = point("i in 0..16", "B", "B[v] = A[v] * 2i32");
/** Doubles A into B, then runs what follows. */
const after = (params: string, ...body: string[]) => text(params, B, ...doubled, ...body);
const at = (block: string, loop: string) => ({
  steps: ((s) => s.computeAt(s.block(block), s.loop(loop))) satisfies Refused["steps"],
});
const reverse = (block: string, loop: string) => ({
  steps: ((s) => s.reverseComputeAt(s.block(block), s.loop(loop))) satisfies Refused["steps"],
});
const two = [...point("j in 0..8", "C", "C[v] = B[v] + B[v + 1]"), ...point("k in 0..8", "D", "D[v] = B[v + 2]")];
/** B → M → C, each from the one before. */
const three = (m: string, c: string) =>
  text(AC, B, "allocate M: int32[16]", ...doubled, ...point("m in 0..8", "M", m), ...point("j in 0..8", "C", c));

/** B is the running sum of A. */
const running = (kind: "ordered" | "spatial", c: string) =>
  text(
    "A: int32[8], C: output int32[7]",
    "allocate B: int32[8]",
    "for i in 0..8:",
    `  block B(v: ${kind} 8 = i):`,
    ...(kind === "ordered" ? ["    reads A[v], B[v - 1]"] : ["    reads A[v]"]),
    "    writes B[v]",
    `    B[v] = ${kind === "ordered" ? "select(v == 0, A[v], B[v - 1] + A[v])" : "A[v]"}`,
    ...point("j in 0..7", "C", c),
  );

/** The digits of B to base 4, written in steps, read one after the other. */
const every = (step: number) =>
  text(
    "A: int32[16], C: output int32[16]",
    "allocate B: int32[4, 4]",
    ...fill("B", 4, 4),
    ...point(`i in 0..${16 / step}`, "X", `B[v * ${step} // 4, v * ${step} % 4] = A[v]`),
    ...point("j in 0..16", "C", "C[v] = B[v // 4, v % 4] + 1i32"),
  );
export const fixtures: Record<string, Refused> = {
  "computeAt/in-order: a running sum in parallel": {
    at: "B",
    program: running("ordered", "C[v] = B[v]"),
    steps: (s) => {
      s.parallel(s.loop("j"));
      s.computeAt(s.block("B"), s.loop("j"));
    },
    twin: { program: running("spatial", "C[v] = B[v]") },
  },
  "slideAt/in-order: windows over a running sum": {
    at: "B",
    program: running("ordered", "C[v] = B[v] + B[v + 1]"),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    twin: { program: running("spatial", "C[v] = B[v] + B[v + 1]") },
  },
  "computeInline/whole-domains: what a sliding window starts with": {
    at: "B_head",
    program: () => {
      const b = new ComputeBuilder(new IdSource());
      const A = b.param("A", "int32", [8], "input");
      const B = b.compute("B", "int32", [7], (i) => add(A.at(i!), A.at(add(i!, 1))));
      return b.finish("slid", [b.compute("C", "int32", [5], (i) => add(B.at(i!), B.at(add(i!, 2))))]);
    },
    steps: (s) => {
      const head = s.slideAt(s.block("B"), s.loopAt("C", 0));
      s.computeAt(s.cacheRead(head, "A", "stack"), s.loops(head)[0]!);
      s.computeInline(head);
    },
    twin: { steps: (s) => s.computeInline(s.block("B")) },
  },
  "computeAt/consumers-in-loop: the second of two consumers": {
    ...at("B", "j"),
    at: "D",
    program: after(ACD, ...two),
    twin: { program: after(ACD, ...two.map((l) => l.replace("B[v + 2]", "A[v + 2]"))) },
  },
  "computeAt/consumers-in-loop: the first of two consumers": {
    ...at("B", "k"),
    at: "C",
    program: after(ACD, ...two),
    twin: {
      program: after(
        ACD,
        ...two.map((l) => l.replaceAll(/B\[v( \+ 1)?\](?=[, ]|$)/g, "A[v$1]").replace("A[v + 2]", "B[v + 2]")),
      ),
    },
  },
  "computeAt/consumers-in-loop: past the block between": {
    ...at("B", "j"),
    at: "M",
    program: three("M[v] = B[v] + 1i32", "C[v] = M[v] + B[v]"),
    twin: { program: three("M[v] = A[v] + 1i32", "C[v] = M[v] + B[v]") },
  },
  "computeAt/consumer: a grandchild": {
    ...at("B", "j"),
    at: "j",
    program: three("M[v] = B[v] + 1i32", "C[v] = M[v]"),
    twin: at("M", "j"),
  },
  "computeAt/before-loop: its own loop": {
    ...at("B", "i"),
    at: "B",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v]")),
  },
  "computeAt/before-loop: a cycle of two": {
    at: "C",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v]")),
    steps: (s) => {
      const loop = s.loop("j");
      s.computeAt(s.block("B"), loop);
      s.computeAt(s.block("C"), loop);
    },
    twin: { steps: (s) => s.computeAt(s.block("B"), s.loop("j")) },
  },
  "computeAt/before-loop: a producer that is computed there already": {
    at: "B",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v]")),
    steps: (s) => {
      s.computeAt(s.block("B"), s.loop("j"));
      s.computeAt(s.block("B"), s.loop("j"));
    },
  },
  "computeAt/before-loop: a sum that its own update needs": {
    at: "M",
    program: () => centre(4, 4),
    steps: (s) => s.computeAt(s.block("M"), s.loopAt("M", 1)),
    twin: { steps: (s) => s.computeAt(s.block("M"), s.loopAt("D", 0)) },
  },
  "computeAt/inputs-unchanged: the input is doubled in place afterwards": {
    ...at("B", "j"),
    at: "A2",
    program: text(
      "A: output int32[8], C: output int32[8]",
      "allocate B: int32[8]",
      ...point("a in 0..8", "A1", "A[v] = 3i32"),
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("b in 0..8", "A2", "A[v] = A[v] * 2i32"),
      ...point("j in 0..8", "C", "C[v] = B[v]"),
    ),
    twin: {
      program: text(
        "A: output int32[8], C: output int32[8]",
        "allocate B: int32[8]",
        ...point("a in 0..8", "A1", "A[v] = 3i32"),
        ...point("b in 0..8", "A2", "A[v] = A[v] * 2i32"),
        ...point("i in 0..8", "B", "B[v] = A[v]"),
        ...point("j in 0..8", "C", "C[v] = B[v]"),
      ),
    },
  },
  "computeAt/inputs-unchanged: the consumer writes what the producer reads": {
    ...at("B", "j"),
    at: "C",
    program: text(
      "A: output int32[8]",
      "allocate B: int32[8]",
      ...point("a in 0..8", "A1", "A[v] = 3i32"),
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("j in 0..8", "C", "A[v] = B[7 - v]"),
    ),
    twin: {
      program: text(
        "A: output int32[8], D: output int32[8]",
        "allocate B: int32[8]",
        ...point("a in 0..8", "A1", "A[v] = 3i32"),
        ...point("i in 0..8", "B", "B[v] = A[v]"),
        ...point("j in 0..8", "C", "D[v] = B[7 - v]"),
      ),
    },
  },
  "computeAt/inputs-unchanged: only the last element changes": {
    ...at("B", "j"),
    at: "A2",
    program: text(
      "A: output int32[9], C: output int32[8]",
      "allocate B: int32[8]",
      ...point("a in 0..9", "A1", "A[v] = 3i32"),
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("b in 0..1", "A2", "A[v + 7] = 5i32"),
      ...point("j in 0..8", "C", "C[v] = B[v]"),
    ),
    twin: {
      program: text(
        "A: output int32[9], C: output int32[8]",
        "allocate B: int32[8]",
        ...point("a in 0..9", "A1", "A[v] = 3i32"),
        ...point("i in 0..8", "B", "B[v] = A[v]"),
        ...point("b in 0..1", "A2", "A[v + 8] = 5i32"),
        ...point("j in 0..8", "C", "C[v] = B[v]"),
      ),
    },
  },
  "computeAt/no-conflict: one element is overwritten before it is read": {
    ...at("B", "j"),
    at: "Z",
    program: after(AC, ...point("z in 0..1", "Z", "B[v + 15] = 0i32"), ...point("j in 0..8", "C", "C[v] = B[v]")),
    twin: {
      program: text(
        AC,
        B,
        ...point("i in 0..15", "B", "B[v] = A[v]"),
        ...point("z in 0..1", "Z", "B[v + 15] = 0i32"),
        ...point("j in 0..8", "C", "C[v] = B[v]"),
      ),
    },
  },
  "computeAt/point-access: a transposed sum of coordinates": {
    ...at("B", "j"),
    at: "B",
    program: text(
      "A: int32[4, 4], C: output int32[8]",
      "allocate B: int32[16]",
      "for a in 0..4:",
      "  for b in 0..4:",
      "    block B(v: spatial 4 = a, w: spatial 4 = b):",
      "      reads A[v, w]",
      "      writes B[v * 4 + w]",
      "      B[v * 4 + w] = A[v, w]",
      ...point("j in 0..8", "C", "C[v] = B[v]"),
    ),
  },
  "computeAt/complete: a part of a sum": {
    ...at("M", "j"),
    at: "M",
    program: text(
      "A: int32[4, 8], C: output int32[4]",
      "allocate M: int32[4]",
      "for i in 0..4:",
      "  for k in 0..7:",
      "    block M(v: spatial 4 = i, q: reduction 8 = k):",
      "      reads M[v], A[v, q]",
      "      writes M[v]",
      "      init:",
      "        M[v] = 0i32",
      "      M[v] = M[v] + A[v, q]",
      ...point("j in 0..4", "C", "C[v] = M[v]"),
    ),
    twin: {
      program: text(
        "A: int32[4, 8], C: output int32[4]",
        "allocate M: int32[4]",
        "for i in 0..4:",
        "  for k in 0..8:",
        "    block M(v: spatial 4 = i, q: reduction 8 = k):",
        "      reads M[v], A[v, q]",
        "      writes M[v]",
        "      init:",
        "        M[v] = 0i32",
        "      M[v] = M[v] + A[v, q]",
        ...point("j in 0..4", "C", "C[v] = M[v]"),
      ),
    },
  },
  "reverseComputeAt/covered: the last element comes from the next iteration": {
    ...reverse("C", "i"),
    at: "C",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v + 1] + B[v]")),
    twin: { program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v + 1] + A[v]")) },
  },
  "reverseComputeAt/complete: a sum that goes on": {
    at: "M",
    program: () => centre(4, 4),
    steps: (s) => s.reverseComputeAt(s.block("D"), s.loopAt("M", 1)),
    twin: { steps: (s) => s.reverseComputeAt(s.block("D"), s.loopAt("M", 0)) },
  },
  "reverseComputeAt/after-loop: a nest between holds both": {
    ...reverse("B", "i"),
    at: "B",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v]")),
    twin: reverse("C", "i"),
  },
  "reverseComputeAt/no-conflict: what it writes is read in between": {
    ...reverse("C", "i"),
    at: "D",
    program: text(
      "A: int32[8], C: output int32[8], D: output int32[8]",
      "allocate B: int32[8]",
      ...point("c in 0..8", "C0", "C[v] = 7i32"),
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("d in 0..8", "D", "D[v] = C[v]"),
      ...point("j in 0..8", "C", "C[v] = B[v]"),
    ),
    twin: {
      program: text(
        "A: int32[8], C: output int32[8], D: output int32[8]",
        "allocate B: int32[8]",
        ...point("c in 0..8", "C0", "C[v] = 7i32"),
        ...point("d in 0..8", "D", "D[v] = C[v]"),
        ...point("i in 0..8", "B", "B[v] = A[v]"),
        ...point("j in 0..8", "C", "C[v] = B[v]"),
      ),
    },
  },
  "reverseComputeAt/inputs-ready: the other operand comes later": {
    ...reverse("C", "i"),
    at: "D",
    program: after(ACD, ...point("d in 0..8", "D", "D[v] = A[v]"), ...point("j in 0..8", "C", "C[v] = B[v] + D[v]")),
    twin: {
      program: text(
        ACD,
        B,
        ...point("d in 0..8", "D", "D[v] = A[v]"),
        ...doubled,
        ...point("j in 0..8", "C", "C[v] = B[v] + D[v]"),
      ),
    },
  },
  "computeInline/inputs-unchanged: the consumer shifts its own input": {
    at: "C",
    program: text(
      "A: output int32[8]",
      "allocate B: int32[8]",
      ...point("a in 0..8", "A1", "A[v] = 3i32"),
      ...point("i in 0..7", "B", "B[v] = A[v + 1]"),
      ...point("j in 0..7", "C", "A[v] = B[v]"),
    ),
    steps: (s) => s.computeInline(s.block("B")),
    twin: {
      program: text(
        "A: output int32[8], D: output int32[8]",
        "allocate B: int32[8]",
        ...point("a in 0..8", "A1", "A[v] = 3i32"),
        ...point("d in 0..8", "D1", "D[v] = 3i32"),
        ...point("i in 0..7", "B", "B[v] = A[v + 1]"),
        ...point("j in 0..7", "C", "D[v] = B[v]"),
      ),
    },
  },
  "computeInline/spatial: a running sum": {
    at: "S",
    program: text(
      AC,
      "allocate B: int32[8]",
      "B[0] = 0i32",
      ...nest(["i in 0..7"], "B[i + 1] = B[i] + A[i]"),
      ...point("j in 0..8", "C", "C[v] = B[v]"),
    ),
    steps: (s) => s.computeInline(s.block("S")),
  },
  "reverseComputeInline/sole-consumer: two consumers": {
    at: "D",
    program: after(ACD, ...point("j in 0..8", "C", "C[v] = B[v]"), ...point("k in 0..8", "D", "D[v] = B[v]")),
    steps: (s) => s.reverseComputeInline(s.block("C")),
  },
  "reverseComputeInline/point-access: the reader reverses": {
    at: "C",
    program: text(
      AC,
      "allocate B: int32[8]",
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("j in 0..8", "C", "C[v] = B[7 - v]"),
    ),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    twin: {
      program: text(
        AC,
        "allocate B: int32[8]",
        ...point("i in 0..8", "B", "B[v] = A[v]"),
        ...point("j in 0..8", "C", "C[v] = B[v]"),
      ),
    },
  },
  "slideAt/windows-overlap: windows that lie side by side": {
    at: "B",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v * 2] + B[v * 2 + 1]")),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    twin: {
      program: after("A: int32[16], C: output int32[7]", ...point("j in 0..7", "C", "C[v] = B[v * 2] + B[v * 2 + 2]")),
    },
  },
  "slideAt/moving-window: a window that moves back": {
    at: "B",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[8 - v] + B[9 - v]")),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    twin: { program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v] + B[v + 1]")) },
  },
  "slideAt/sliding-loops: windows of a loop in parallel": {
    at: "i0_o",
    program: () => stencil(8),
    steps: (s) => {
      const [outer] = s.split(s.loopAt("C", 0), { factor: 4 });
      s.parallel(outer);
      s.slideAt(s.block("B"), s.loopAt("C", 1), outer);
    },
  },
  "cacheWrite/exact-writes: every other element": {
    at: "B",
    program: text(
      AC,
      B,
      ...point("i in 0..8", "B", "B[v * 2 + 1] = A[v]"),
      ...point("j in 0..8", "C", "C[v] = B[v * 2 + 1]"),
    ),
    steps: (s) => s.cacheWrite(s.block("B"), "B", "stack"),
    twin: {
      program: text(
        AC,
        B,
        ...point("i in 0..8", "B", "B[v + 1] = A[v]"),
        ...point("j in 0..8", "C", "C[v] = B[v + 1]"),
      ),
    },
  },
  "cacheRead/written-before: in the same nest": {
    at: "S",
    program: text(
      "A: int32[8], B: output int32[8], C: output int32[8]",
      ...nest(["i in 0..8"], "B[i] = A[i]", "C[i] = B[i]"),
    ),
    steps: (s) => s.cacheRead(s.block("S2"), "B", "stack"),
    twin: {
      program: text(
        "A: int32[8], B: output int32[8], C: output int32[8]",
        ...nest(["i in 0..8"], "B[i] = A[i]"),
        ...nest(["j in 0..8"], "C[j] = B[j]"),
      ),
    },
  },
  "cacheRead/read-defined: an element that nothing wrote": {
    at: "C",
    program: text(
      AC,
      B,
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("j in 0..8", "C", "C[v] = select(v < 7, B[v + 1], 0i32)"),
    ),
    steps: (s) => s.cacheRead(s.block("C"), "B", "stack"),
    twin: { program: after(AC, ...point("j in 0..8", "C", "C[v] = select(v < 7, B[v + 1], 0i32)")) },
  },
  "cacheRead/reads-buffer: what it only writes": {
    at: "C",
    program: () => matmul(3, 4, 5),
    steps: (s) => s.cacheRead(s.block("C"), "D", "stack"),
  },
  "transformLayout/bijective: two dimensions from one": {
    at: "B",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v]")),
    steps: (s) =>
      s.transformLayout(s.block("B"), "B", [
        { axis: 0, divisor: 4 },
        { axis: 0, divisor: 1, modulus: 2 },
      ]),
    twin: {
      steps: (s) =>
        s.transformLayout(s.block("B"), "B", [
          { axis: 0, divisor: 2 },
          { axis: 0, divisor: 1, modulus: 2 },
        ]),
    },
  },
  "transformLayout/bijective: a dimension left out": {
    at: "B",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v]")),
    steps: (s) => s.transformLayout(s.block("B"), "B", []),
  },
  "transformLayout/bijective: a dimension that is not there": {
    at: "B",
    program: after(AC, ...point("j in 0..8", "C", "C[v] = B[v]")),
    steps: (s) =>
      s.transformLayout(s.block("B"), "B", [
        { axis: 0, divisor: 1 },
        { axis: 1, divisor: 1 },
      ]),
  },
  "setScope/register-bytes: one element too many": {
    at: "B",
    program: text(
      "A: int32[4097], C: output int32[4097]",
      "allocate B: int32[4097]",
      ...point("i in 0..4097", "B", "B[v] = A[v]"),
      ...point("j in 0..4097", "C", "C[v] = B[v]"),
    ),
    steps: (s) => s.setScope(s.block("B"), "B", "register"),
    twin: {
      program: text(
        "A: int32[4096], C: output int32[4096]",
        "allocate B: int32[4096]",
        ...point("i in 0..4096", "B", "B[v] = A[v]"),
        ...point("j in 0..4096", "C", "C[v] = B[v]"),
      ),
    },
  },
  "reverseComputeAt/covered: every other digit of a layout": {
    program: every(2),
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("i")),
    at: "C",
    twin: { program: every(1) },
  },
};
