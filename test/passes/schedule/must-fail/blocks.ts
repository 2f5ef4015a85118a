/** Steps that must be refused: one for every rule of the primitives that move blocks. */
import type { Refused } from "../fixtures.ts";
import { centre, stencil } from "../loop-programs.ts";
import { chain, links, strided, total } from "./chains.ts";
import { point, text } from "./texts.ts";

/** B, and behind it C, which needs nothing of it. */
const beside = ({ c = "C[v] = A[0]", n = 8, between = [] }: { c?: string; n?: number; between?: string[] } = {}) =>
  text(
    "A: int32[8], B: output int32[16], C: output int32[16], D: output int32[8]",
    ...point("i in 0..8", "B", "B[v] = A[v]"),
    ...between,
    ...point(`j in 0..${n}`, "C", c),
  );
export const fixtures: Record<string, Refused> = {
  "computeAt/before-loop": { program: chain(), steps: (s) => s.computeAt(s.block("C"), s.loop("i")), at: "C" },
  "computeAt/pure": {
    program: links({ first: total }),
    steps: (s) => {
      s.decomposeReduction(s.block("B"), s.loop("i"));
      s.computeAt(s.block("B"), s.loop("j"));
    },
    at: "B",
    twin: { steps: (s) => s.computeAt(s.block("B"), s.loop("j")) },
  },
  "computeAt/complete": {
    program: links({
      first: [
        "for i in 0..8:",
        "  block B(v: spatial 8 = i) where i != 3:",
        "    reads A[v]",
        "    writes B[v]",
        "    B[v] = A[v]",
      ],
    }),
    steps: (s) => s.computeAt(s.block("B"), s.loop("j")),
    at: "B",
  },
  "computeAt/not-output": {
    program: text(
      "A: int32[8], B: output int32[8], C: output int32[8]",
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("j in 0..8", "C", "C[v] = B[v]"),
    ),
    steps: (s) => s.computeAt(s.block("B"), s.loop("j")),
    at: "B",
  },
  "computeAt/consumer": {
    program: links({ second: point("j in 0..8", "C", "C[v] = A[v]") }),
    steps: (s) => s.computeAt(s.block("B"), s.loop("j")),
    at: "j",
  },
  "computeAt/consumers-in-loop": {
    program: links({
      params: "A: int32[8], C: output int32[8], D: output int32[8]",
      after: point("k in 0..8", "D", "D[v] = B[v]"),
    }),
    steps: (s) => s.computeAt(s.block("B"), s.loop("j")),
    at: "D",
    twin: {
      program: links({
        params: "A: int32[8], C: output int32[8], D: output int32[8]",
        after: point("k in 0..8", "D", "D[v] = A[v]"),
      }),
    },
  },
  "computeAt/point-access": {
    program: strided,
    steps: (s) => s.computeAt(s.block("B"), s.loop("j")),
    at: "B",
  },
  "computeAt/inputs-unchanged": {
    program: links({
      params: "A: output int32[8], C: output int32[8]",
      first: [...point("a in 0..8", "A0", "A[v] = 3i32"), ...point("i in 0..8", "B", "B[v] = A[v]")],
      between: point("b in 0..8", "A1", "A[v] = 5i32"),
    }),
    steps: (s) => s.computeAt(s.block("B"), s.loop("j")),
    at: "A1",
    twin: {
      program: links({
        params: "A: int32[8], D: output int32[8], C: output int32[8]",
        between: point("b in 0..8", "D", "D[v] = 5i32"),
      }),
    },
  },
  "computeAt/no-conflict": {
    program: links({
      between: ["for z in 0..2:", "  block Z(vz: spatial 2 = z):", "    writes B[vz]", "    B[vz] = 0i32"],
    }),
    steps: (s) => s.computeAt(s.block("B"), s.loop("j")),
    at: "Z",
  },
  "computeAt/private-buffer": {
    program: links({
      first: [...point("b in 0..4", "Z", "B[v + 8] = 1i32"), ...point("i in 0..8", "B", "B[v] = A[v]")],
    }),
    steps: (s) => {
      s.parallel(s.loop("j"));
      s.computeAt(s.block("B"), s.loop("j"));
    },
    at: "Z",
    twin: {
      steps: (s) => s.computeAt(s.block("B"), s.loop("j")),
    },
  },
  "computeInline/spatial": { program: links({ first: total }), steps: (s) => s.computeInline(s.block("B")), at: "B" },
  "computeInline/intermediate": { program: chain(), steps: (s) => s.computeInline(s.block("C")), at: "C" },
  "computeInline/point-write": { program: strided, steps: (s) => s.computeInline(s.block("B")), at: "B" },
  "computeInline/guard": {
    program: links({
      first: [
        "for i in 0..8:",
        "  block B(v: spatial 8 = i) where i < 7:",
        "    reads A[v]",
        "    writes B[v]",
        "    B[v] = A[v]",
      ],
    }),
    steps: (s) => s.computeInline(s.block("B")),
    at: "B",
  },
  "computeInline/consumed": {
    program: links({ second: point("j in 0..8", "C", "C[v] = A[v]") }),
    steps: (s) => s.computeInline(s.block("B")),
    at: "B",
  },
  "computeInline/inputs-unchanged": {
    program: links({
      params: "A: output int32[8], C: output int32[8]",
      first: [...point("a in 0..8", "A0", "A[v] = 3i32"), ...point("i in 0..8", "B", "B[v] = A[v]")],
      between: point("b in 0..8", "A1", "A[v] = 5i32"),
    }),
    steps: (s) => s.computeInline(s.block("B")),
    at: "A1",
  },
  "reverseComputeInline/spatial": {
    program: () => centre(4, 4),
    steps: (s) => s.reverseComputeInline(s.block("M")),
    at: "M",
  },
  "reverseComputeInline/single-producer": {
    program: chain(),
    steps: (s) => s.reverseComputeInline(s.block("B")),
    at: "B",
  },
  "reverseComputeInline/producer-spatial": {
    program: links({ first: total }),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "B",
  },
  "reverseComputeInline/sole-consumer": {
    program: links({
      params: "A: int32[8], C: output int32[8], D: output int32[8]",
      after: point("k in 0..8", "D", "D[v] = B[v]"),
    }),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "D",
  },
  "reverseComputeInline/point-access": {
    program: () => stencil(8),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "C",
  },
  "reverseComputeInline/covered": {
    program: links({
      first: [...point("b in 0..8", "B", "B[v] = A[v]")],
      second: point("j in 0..8", "C", "C[v] = B[v + 1]"),
    }),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "C",
    twin: {
      program: links({
        first: point("b in 0..8", "B", "B[v + 1] = A[v]"),
        second: point("j in 0..8", "C", "C[v] = B[v + 1]"),
      }),
    },
  },
  "reverseComputeInline/guard": {
    program: links({
      second: [
        "for j in 0..8:",
        "  block C(v: spatial 8 = j) where j != 2:",
        "    reads B[v]",
        "    writes C[v]",
        "    C[v] = B[v]",
      ],
    }),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "C",
  },
  "reverseComputeInline/inputs-ready": {
    program: links({
      params: "A: int32[8], D: output int32[8], C: output int32[8]",
      between: point("b in 0..8", "D", "D[v] = 5i32"),
      second: point("j in 0..8", "C", "C[v] = B[v] + D[v]"),
    }),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "D",
  },
  "reverseComputeAt/spatial": {
    program: () => centre(4, 4),
    steps: (s) => {
      s.cacheRead(s.block("M"), "A", "global");
      s.reverseComputeAt(s.block("M"), s.loopAt("A_global_copy", 0));
    },
    at: "M",
  },
  "reverseComputeAt/after-loop": {
    program: chain(),
    steps: (s) => s.reverseComputeAt(s.block("B"), s.loop("j")),
    at: "B",
  },
  "reverseComputeAt/producer": {
    program: links({ second: point("j in 0..8", "C", "C[v] = A[v]") }),
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("i")),
    at: "C",
  },
  "reverseComputeAt/producer-in-loop": {
    program: text(
      "A: int32[8, 8], C: output int32[8]",
      "allocate B: int32[8]",
      "for i in 0..8:",
      "  block Z(v: spatial 8 = i):",
      "    writes B[v]",
      "    B[v] = 0i32",
      "  for k in 0..8:",
      "    block B(v: spatial 8 = i, q: ordered 8 = k):",
      "      reads B[v], A[v, q]",
      "      writes B[v]",
      "      B[v] = B[v] + A[v, q]",
      ...point("j in 0..8", "C", "C[v] = B[v]"),
    ),
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("k")),
    at: "Z",
  },
  "reverseComputeAt/complete": {
    program: links({ first: total }),
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("k")),
    at: "B",
    twin: { steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("i")) },
  },
  "reverseComputeAt/exact-tile": {
    program: chain(),
    steps: (s) => {
      const [outer, inner] = s.split(s.loop("i"), { factor: 4 });
      s.reorder(inner, outer);
      s.reverseComputeAt(s.block("C"), inner);
    },
    at: "B",
    twin: {
      steps: (s) => {
        const [outer] = s.split(s.loop("i"), { factor: 4 });
        s.reverseComputeAt(s.block("C"), outer);
      },
    },
  },
  "reverseComputeAt/point-access": {
    program: strided,
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("i")),
    at: "C",
  },
  "reverseComputeAt/covered": {
    program: () => stencil(8),
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loopAt("B", 0)),
    at: "C",
  },
  "reverseComputeAt/guard": {
    program: links({
      second: [
        "for j in 0..8:",
        "  block C(v: spatial 8 = j) where j != 2:",
        "    reads B[v]",
        "    writes C[v]",
        "    C[v] = B[v]",
      ],
    }),
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("i")),
    at: "C",
  },
  "reverseComputeAt/inputs-ready": {
    program: links({
      params: "A: int32[8], D: output int32[8], C: output int32[8]",
      between: point("b in 0..8", "D", "D[v] = 5i32"),
      second: point("j in 0..8", "C", "C[v] = B[v] + D[v]"),
    }),
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("i")),
    at: "D",
  },
  "reverseComputeAt/no-conflict": {
    program: links({ between: point("b in 0..8", "Z", "C[v] = 5i32") }),
    steps: (s) => s.reverseComputeAt(s.block("C"), s.loop("i")),
    at: "Z",
  },
  "computeWith/after-loop": {
    program: beside(),
    steps: (s) => s.computeWith(s.block("B"), s.loop("j")),
    at: "B",
  },
  "computeWith/serial-loops": {
    program: beside(),
    steps: (s) => {
      s.parallel(s.loop("i"));
      s.computeWith(s.block("C"), s.loop("i"));
    },
    at: "i",
  },
  "computeWith/matching-loops": {
    program: beside({ n: 9 }),
    steps: (s) => s.computeWith(s.block("C"), s.loop("i")),
    at: "C",
    twin: { program: beside({ n: 8 }) },
  },
  "computeWith/matching-loops: fewer loops": {
    program: beside(),
    steps: (s) => {
      const [, inner] = s.split(s.loop("i"), { factor: 4 });
      s.computeWith(s.block("C"), inner);
    },
    at: "C",
    twin: {
      steps: (s) => {
        const [outer] = s.split(s.loop("i"), { factor: 4 });
        s.split(s.loop("j"), { factor: 1 });
        s.computeWith(s.block("C"), outer);
      },
      program: beside({ n: 2 }),
    },
  },
  "computeWith/independent": {
    program: beside({ c: "C[v] = B[7 - v]" }),
    steps: (s) => s.computeWith(s.block("C"), s.loop("i")),
    at: "B",
  },
  "computeWith/independent: one element that both write": {
    program: beside({ c: "B[v + 7] = 1i32", n: 2 }),
    steps: (s) => s.computeWith(s.block("C"), s.loop("i")),
    at: "B",
    twin: { program: beside({ c: "B[v + 8] = 1i32", n: 2 }) },
  },
  "computeWith/independent: what stands between": {
    program: beside({ between: point("b in 0..8", "Z", "C[v] = 5i32") }),
    steps: (s) => s.computeWith(s.block("C"), s.loop("i")),
    at: "Z",
    twin: { program: beside({ between: point("b in 0..8", "Z", "D[v] = 5i32") }) },
  },
  "slideAt/before-loop": { program: chain(), steps: (s) => s.slideAt(s.block("C"), s.loop("i")), at: "C" },
  "slideAt/pure": {
    program: links({ first: total }),
    steps: (s) => {
      s.decomposeReduction(s.block("B"), s.loop("i"));
      s.slideAt(s.block("B"), s.loop("j"));
    },
    at: "B",
  },
  "slideAt/complete": {
    program: links({
      first: [
        "for i in 0..8:",
        "  block B(v: spatial 8 = i) where i != 3:",
        "    reads A[v]",
        "    writes B[v]",
        "    B[v] = A[v]",
      ],
    }),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    at: "B",
  },
  "slideAt/not-output": {
    program: text(
      "A: int32[8], B: output int32[8], C: output int32[8]",
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("j in 0..8", "C", "C[v] = B[v]"),
    ),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    at: "B",
  },
  "slideAt/consumer": {
    program: links({ second: point("j in 0..8", "C", "C[v] = A[v]") }),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    at: "j",
  },
  "slideAt/consumers-in-loop": {
    program: links({
      params: "A: int32[8], C: output int32[8], D: output int32[8]",
      after: point("k in 0..8", "D", "D[v] = B[v]"),
    }),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    at: "D",
  },
  "slideAt/point-access": { program: strided, steps: (s) => s.slideAt(s.block("B"), s.loop("j")), at: "B" },
  "slideAt/inputs-unchanged": {
    program: links({
      params: "A: output int32[8], C: output int32[8]",
      first: [...point("a in 0..8", "A0", "A[v] = 3i32"), ...point("i in 0..8", "B", "B[v] = A[v]")],
      between: point("b in 0..8", "A1", "A[v] = 5i32"),
    }),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    at: "A1",
  },
  "slideAt/no-conflict": {
    program: links({
      between: ["for z in 0..2:", "  block Z(vz: spatial 2 = z):", "    writes B[vz]", "    B[vz] = 0i32"],
    }),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    at: "Z",
  },
  "slideAt/private-buffer": {
    program: links({
      first: [...point("b in 0..4", "Z", "B[v + 8] = 1i32"), ...point("i in 0..8", "B", "B[v] = A[v]")],
    }),
    steps: (s) => {
      s.parallel(s.loop("j"));
      s.slideAt(s.block("B"), s.loop("j"));
    },
    at: "Z",
  },
  "slideAt/sliding-loops": {
    program: () => stencil(8),
    steps: (s) => {
      s.parallel(s.loopAt("C", 0));
      s.slideAt(s.block("B"), s.loopAt("C", 0));
    },
    at: "i0",
    twin: { steps: (s) => s.slideAt(s.block("B"), s.loopAt("C", 0)) },
  },
  "slideAt/moving-window": {
    program: links({ second: point("j in 0..8", "C", "C[v] = B[v // 2] + B[v // 2 + 1]") }),
    steps: (s) => s.slideAt(s.block("B"), s.loop("j")),
    at: "B",
  },
  "slideAt/windows-overlap": { program: chain(), steps: (s) => s.slideAt(s.block("B"), s.loop("j")), at: "B" },
};
