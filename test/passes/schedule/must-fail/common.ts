/** Rules that primitives share: handles that are gone, circular buffers, loops that run at once, blocks that overlap. */
import type { Program } from "../../../../ir/loop/program.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import type { PrimitiveName } from "../../../../passes/schedule/apply.ts";
import { fmaOuterProduct } from "../../../../passes/schedule/library/intrinsics.ts";
import type { BlockRef, LoopRef } from "../../../../passes/schedule/primitive.ts";
import type { Schedule } from "../../../../passes/schedule/schedule.ts";
import type { Refused } from "../fixtures.ts";
import { folded, matmul, scale, stencil } from "../loop-programs.ts";
import { point, text } from "./texts.ts";

/** B is filled and read three elements at a time, in a buffer that goes around. */
const rolling = text(
  "A: int32[10], C: output int32[8]",
  "allocate B: int32[10]",
  "for i in 0..8:",
  "  for j in 0..3:",
  "    block B(v: ordered 8 = i, q: ordered 3 = j):",
  "      reads A[v + q]",
  "      writes B[v + q]",
  "      B[v + q] = A[v + q] * 2i32",
  "  block C(w: spatial 8 = i):",
  "    reads B[w], B[w + 2]",
  "    writes C[w]",
  "    C[w] = B[w] + B[w + 2]",
);
const folds = (s: Schedule): Schedule => {
  s.storageFold(s.block("C"), "B", 0, 4);
  return s;
};
/** After storage is folded, before which the same step is legal. */
const circular = (step: (s: Schedule) => unknown, at: string): Refused => ({
  program: rolling,
  steps: (s) => step(folds(s)),
  at,
});
const dead = (step: (s: Schedule, loop: LoopRef, block: BlockRef) => unknown): Refused => ({
  program: () => matmul(4, 4, 4),
  steps: (s) => {
    const loop = s.loop("k");
    const block = s.block("C");
    s.split(loop, { factor: 2 });
    step(s, loop, block);
  },
  at: undefined,
});
/** Two blocks, one after the other. */
const twoBlocks = (place: string) =>
  text(
    "A: int32[8], B: output int32[8], C: output int32[8]",
    "for i in 0..8:",
    "  block C(u: spatial 8 = i):",
    "    reads A[u]",
    "    writes C[u]",
    "    C[u] = A[u]",
    "  block B(v: spatial 8 = i):",
    "    reads A[v]",
    `    writes ${place}`,
    `    ${place} = A[v]`,
  );
/** A block that writes two buffers. */
const twoBuffers = (place: string) =>
  text(
    "A: int32[8], B: output int32[8], C: output int32[8]",
    "for i in 0..8:",
    "  block B(v: spatial 8 = i):",
    "    reads A[v]",
    `    writes C[v], B[${place}]`,
    "    C[v] = A[v]",
    `    B[${place}] = A[v]`,
  );
const overlapping = (step: (s: Schedule) => unknown): Refused => ({ program: () => folded(8), steps: step, at: "B" });

/** T holds A in another order, by a remainder; what follows reads T. */
const turned = (...after: string[]): Refused["program"] =>
  text(
    "A: int32[8], C: output int32[8]",
    "allocate T: int32[8]",
    "allocate B: int32[8]",
    ...point("t in 0..8", "T", "T[(v + 1) % 8] = A[v]"),
    ...after,
  );
const reads = (at: string, step: (s: Schedule) => unknown, ...after: string[]): Refused => ({
  program: turned(...after),
  steps: step,
  at,
  twin: { program: () => straight(...after) },
});
const straight = (...after: string[]): Program =>
  text(
    "A: int32[8], C: output int32[8]",
    "allocate T: int32[8]",
    "allocate B: int32[8]",
    ...point("t in 0..8", "T", "T[v] = A[v]"),
    ...after,
  )();
const bThenC = [...point("i in 0..8", "B", "B[v] = T[v] * 2i32"), ...point("j in 0..8", "C", "C[v] = B[v] + 1i32")];
const sums = [
  "for i in 0..8:",
  "  for k in 0..8:",
  "    block C(v: spatial 8 = i, q: reduction 8 = k):",
  "      reads C[v], T[q], A[v]",
  "      writes C[v]",
  "      init:",
  "        C[v] = 0i32",
  "      C[v] = C[v] + T[q] * A[v]",
];
const tiles = [
  "for i in 0..2:",
  "  for j in 0..4:",
  "    block B(v: spatial 8 = i * 4 + j):",
  "      reads T[v]",
  "      writes B[v]",
  "      B[v] = T[v] * 2i32",
  "  for l in 0..4:",
  "    block C(u: spatial 8 = i * 4 + l):",
  "      reads B[u]",
  "      writes C[u]",
  "      C[u] = B[u]",
];

export const fixtures: Record<string, Refused> = {
  "cacheRead/no-circular-buffer": circular((s) => s.cacheRead(s.block("B"), "A", "stack"), "B"),
  "cacheWrite/no-circular-buffer": circular((s) => s.cacheWrite(s.block("C"), "C", "stack"), "C"),
  "transformLayout/no-circular-buffer": circular(
    (s) => s.transformLayout(s.block("C"), "B", [{ axis: 0, divisor: 1 }]),
    "C",
  ),
  "computeAt/no-circular-buffer": reads("B", (s) => s.computeAt(s.block("B"), s.loop("j")), ...bThenC),
  "slideAt/no-circular-buffer": reads(
    "B",
    (s) => s.slideAt(s.block("B"), s.loop("j")),
    ...point("i in 0..8", "B", "B[v] = T[v] * 2i32"),
    ...point("j in 0..7", "C", "C[v] = B[v] + B[v + 1]"),
    "C[7] = 1i32",
  ),
  "reverseComputeAt/no-circular-buffer": reads("B", (s) => s.reverseComputeAt(s.block("C"), s.loop("i")), ...bThenC),
  "computeWith/no-circular-buffer": reads(
    "B",
    (s) => s.computeWith(s.block("C"), s.loop("i")),
    ...point("i in 0..8", "B", "B[v] = T[v] * 2i32"),
    ...point("j in 0..8", "C", "C[v] = A[v] + 1i32"),
  ),
  "computeInline/no-circular-buffer": reads("B", (s) => s.computeInline(s.block("B")), ...bThenC),
  "reverseComputeInline/no-circular-buffer": {
    program: text(
      "A: int32[8], C: output int32[8]",
      "allocate B: int32[8]",
      ...point("i in 0..8", "B", "B[v] = A[v]"),
      ...point("j in 0..8", "C", "C[(v + 1) % 8] = B[v]"),
    ),
    steps: (s) => s.reverseComputeInline(s.block("C")),
    at: "C",
    twin: {
      program: text(
        "A: int32[8], C: output int32[8]",
        "allocate B: int32[8]",
        ...point("i in 0..8", "B", "B[v] = A[v]"),
        ...point("j in 0..8", "C", "C[7 - v] = B[v]"),
      ),
    },
  },
  "rfactor/no-circular-buffer": reads("C", (s) => s.rfactor(s.loop("k"), 0), ...sums),
  "reindex/no-circular-buffer": reads("C", (s) => s.reindex(s.block("C"), "T"), ...sums),
  "padEinsum/no-circular-buffer": reads("C", (s) => s.padEinsum(s.block("C"), [3, 3]), ...sums),
  "decomposePadding/no-circular-buffer": reads(
    "C",
    (s) => s.decomposePadding(s.block("C")),
    ...point("j in 0..8", "C", "C[v] = select(v < 7, T[v], 0i32)"),
  ),
  "doubleBuffer/no-circular-buffer": reads("B", (s) => s.doubleBuffer(s.block("B"), "B", s.loop("i"), 0, 4), ...tiles),
  "reverseComputeAt/stays-independent: overlapping tiles are read": {
    program: text(
      "A: int32[7], C: output int32[7]",
      "allocate B: int32[7]",
      ...point("i in 0..7", "B", "B[v] = A[v]"),
      ...point("j in 0..7", "C", "C[v] = B[v]"),
    ),
    steps: (s) => {
      const [outer] = s.split(s.loop("i"), { factor: 4, tail: "shift-inwards" });
      s.parallel(outer);
      s.reverseComputeAt(s.block("C"), outer);
    },
    at: "i_o",
  },
  "split/live-handle: a loop that was split": dead((s, loop) => s.split(loop, { factor: 2 })),
  "vectorize/live-handle: a loop that was split": dead((s, loop) => s.vectorize(loop)),
  "reorder/live-handle: one of two loops": dead((s, loop) => s.reorder(loop, s.loop("j"))),
  "fuse/live-handle: the inner of two": dead((s, loop) => s.fuse(s.loop("j"), loop)),
  "computeAt/live-handle: where to": dead((s, loop, block) => s.computeAt(block, loop)),
  "decomposeReduction/live-handle: where the init goes": dead((s, loop, block) => s.decomposeReduction(block, loop)),
  "computeInline/live-handle: a block that is inlined already": {
    program: () => stencil(8),
    steps: (s) => {
      const block = s.block("B");
      s.computeInline(block);
      s.computeInline(block);
    },
    at: undefined,
    twin: { steps: (s) => s.computeInline(s.block("B")) },
  },
  "parallel/live-handle: a loop that went with its block": {
    program: () => stencil(8),
    steps: (s) => {
      const loop = s.loopAt("B", 0);
      s.computeInline(s.block("B"));
      s.parallel(loop);
    },
    at: undefined,
  },
  "parallel/spatial-writes-overlap: two iterations write each element": overlapping((s) =>
    s.parallel(s.loopAt("B", 0)),
  ),
  "vectorize/spatial-writes-overlap: the same for vectors": overlapping((s) => s.vectorize(s.loopAt("B", 0))),
  "split/spatial-writes-overlap: whatever the step": overlapping((s) => s.split(s.loopAt("B", 0), { factor: 2 })),
  "unroll/spatial-writes-overlap: a constant place": {
    program: text(
      "A: int32[8], B: output int32[8]",
      "for i in 0..8:",
      "  block B(v: spatial 8 = i):",
      "    reads A[v]",
      "    writes B[0]",
      "    B[0] = A[v]",
    ),
    steps: (s) => s.unroll(s.loop("i")),
    at: "B",
    twin: {
      program: text(
        "A: int32[8], B: output int32[8]",
        "for i in 0..8:",
        "  block B(v: spatial 8 = i):",
        "    reads A[v]",
        "    writes B[7 - v]",
        "    B[7 - v] = A[v]",
      ),
    },
  },
  "unroll/spatial-writes-overlap: the second of two blocks": {
    program: twoBlocks("B[0]"),
    steps: (s) => s.unroll(s.loop("i")),
    at: "B",
    twin: { program: twoBlocks("B[v]") },
  },
  "unroll/spatial-writes-overlap: the second of two buffers": {
    program: twoBuffers("0"),
    steps: (s) => s.unroll(s.loop("i")),
    at: "B",
    twin: { program: twoBuffers("v") },
  },
  "unroll/spatial-writes-overlap: a neighbour is read": {
    program: text(
      "A: int32[8], B: output int32[9]",
      "B[0] = 1i32",
      "for i in 0..8:",
      "  block B(v: spatial 8 = i):",
      "    reads A[v], B[v]",
      "    writes B[v + 1]",
      "    B[v + 1] = A[v] + B[v]",
    ),
    steps: (s) => s.unroll(s.loop("i")),
    at: "B",
    twin: {
      program: text(
        "A: int32[8], B: output int32[9]",
        "B[0] = 1i32",
        "for i in 0..8:",
        "  block B(v: spatial 8 = i):",
        "    reads A[v], B[0]",
        "    writes B[v + 1]",
        "    B[v + 1] = A[v] + B[0]",
      ),
    },
  },
  "unroll/spatial-writes-overlap: two variables give one place": {
    program: text(
      "A: int32[4, 4], B: output int32[8]",
      "for i in 0..4:",
      "  for j in 0..4:",
      "    block B(v: spatial 4 = i, w: spatial 4 = j):",
      "      reads A[v, w]",
      "      writes B[v + w]",
      "      B[v + w] = A[v, w]",
    ),
    steps: (s) => s.unroll(s.loop("j")),
    at: "B",
    twin: {
      program: text(
        "A: int32[4, 4], B: output int32[16]",
        "for i in 0..4:",
        "  for j in 0..4:",
        "    block B(v: spatial 4 = i, w: spatial 4 = j):",
        "      reads A[v, w]",
        "      writes B[v + w * 4]",
        "      B[v + w * 4] = A[v, w]",
      ),
    },
  },
  "unroll/spatial-writes-overlap: only where a guard holds": {
    program: text(
      "A: int32[8], B: output int32[8]",
      ...point("z in 0..8", "Z", "B[v] = 1i32"),
      "for i in 0..8:",
      "  block B(v: spatial 8 = i):",
      "    reads A[v]",
      "    writes B[0..8]",
      "    if v >= 6:",
      "      B[6] = A[v]",
    ),
    steps: (s) => s.unroll(s.loop("i")),
    at: "B",
    twin: {
      program: text(
        "A: int32[8], B: output int32[8]",
        ...point("z in 0..8", "Z", "B[v] = 1i32"),
        "for i in 0..8:",
        "  block B(v: spatial 8 = i):",
        "    reads A[v]",
        "    writes B[0..8]",
        "    if v >= 7:",
        "      B[6] = A[v]",
      ),
    },
  },
  "transformLayout/keeps-intrinsics: rows that an intrinsic reads": {
    program: () => matmul(4, 16, 8),
    steps: (s) => {
      s.cacheRead(s.block("C"), "B", "global");
      outerProducts(s);
      s.transformLayout(s.block("C"), "B_global", [
        { axis: 1, divisor: 1 },
        { axis: 0, divisor: 1 },
      ]);
    },
    at: undefined,
  },
};
/** One k step of a 4 × 16 tile as an intrinsic. */
function outerProducts(s: Schedule): void {
  const [i, j, k] = s.loops("C");
  s.reorder(k!, i!, j!);
  s.decomposeReduction(s.block("C"), k!);
  s.tensorize(s.loopAt("C", 1), fmaOuterProduct(4));
}

interface Direct {
  readonly primitive: PrimitiveName;
  readonly args: { readonly program: Program; readonly of: object };
  readonly at: string;
}
const ids = new IdSource(90_000);
const block: BlockRef = { kind: "block", id: ids.fresh<"block">(), name: "gone" };
const loop: LoopRef = { kind: "loop", id: ids.fresh<"var">(), name: "gone" };
const asked = (primitive: PrimitiveName, of: object): Direct => ({
  primitive,
  args: { program: scale(4, 4), of },
  at: "gone",
});
/** Rules that no step of a schedule comes to, because it looks whether handles are alive first. */
export const direct: Readonly<Record<string, Direct>> = {
  "cacheRead/found": asked("cacheRead", { block, buffer: "A", scope: "stack" }),
  "cacheWrite/found": asked("cacheWrite", { block, buffer: "B", scope: "stack" }),
  "computeAt/found": asked("computeAt", { block, loop }),
  "slideAt/found": asked("slideAt", { block, loop }),
  "reverseComputeAt/found": asked("reverseComputeAt", { block, loop }),
  "computeWith/found": asked("computeWith", { block, loop, align: "start" }),
  "computeInline/found": asked("computeInline", { block }),
  "reverseComputeInline/found": asked("reverseComputeInline", { block }),
  "rfactor/found": asked("rfactor", { loop, factorAxis: 0 }),
  "setScope/found": asked("setScope", { block, buffer: "A", scope: "stack" }),
  "transformLayout/found": asked("transformLayout", { block, buffer: "A", dims: [] }),
  "hoistStorage/found": asked("hoistStorage", { block, buffer: "A" }),
  "storageAlign/found": asked("storageAlign", { block, buffer: "A", dim: 0, factor: 8, offset: 0 }),
  "storageFold/found": asked("storageFold", { block, buffer: "A", dim: 0, factor: 8 }),
  "prefetch/found": asked("prefetch", { block, buffer: "A", loop, distance: 1 }),
  "nontemporal/found": asked("nontemporal", { block }),
};
