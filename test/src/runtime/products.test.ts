/** Compiled matrix products and convolutions of one row, of any extents, against the interpreter. */
import { expect, test } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { elementCount, type TensorValue } from "../../../ir/graph/tensor-value.ts";
import type { LoopKind } from "../../../ir/loop/program.ts";
import type { Schedule } from "../../../passes/schedule/schedule.ts";
import { findLoop } from "../../../passes/schedule/tree.ts";
import { compile, Tensor } from "../../../src/index.ts";
import { numbersOf, tensorOf } from "../../../src/operators/elements.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";
import { kernelContext, prepareGraph } from "../../../src/runtime/compile.ts";
import { lowerGroup } from "../../../src/runtime/kernels.ts";
import { describeNative } from "../../codegen/native-run.ts";
import { Random } from "../../property/support/random.ts";

function tensor(dims: readonly number[], seed: number): TensorValue {
  const values = Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(seed + i * 0.7));
  return tensorOf("float32", dims, values);
}
/** relu(A·B + bias); B is an input or a constant. */
function product(rows: number, depth: number, columns: number, constant: boolean): Graph {
  const b = new GraphBuilder();
  const A = b.value("A", { dtype: "float32", dims: [rows, depth] });
  const B = constant
    ? b.constant("B", tensor([depth, columns], 2))
    : b.value("B", { dtype: "float32", dims: [depth, columns] });
  const bias = b.constant("bias", tensor([columns], 3));
  const [y] = b.node("Gemm", [A, B, ...(constant ? [bias] : [])]);
  const [z] = b.node("Relu", [y!]);
  return b.finish({ name: "product", inputs: constant ? [A] : [A, B], outputs: [z!] });
}
/** A·B + bias + more, of a batch of matrices that share B, or have one each. */
function batched(dims: readonly number[], columns: number, right: "shared" | "own" | "constant"): Graph {
  const b = new GraphBuilder();
  const depth = dims.at(-1)!;
  const result = [...dims.slice(0, -1), columns];
  const A = b.value("A", { dtype: "float32", dims });
  const more = b.value("more", { dtype: "float32", dims: result });
  const shape = right === "own" ? [...dims.slice(0, -2), depth, columns] : [depth, columns];
  const B = right === "constant" ? b.constant("B", tensor(shape, 2)) : b.value("B", { dtype: "float32", dims: shape });
  const [y] = b.node("MatMul", [A, B]);
  const [z] = b.node("Add", [y!, b.constant("bias", tensor([columns], 3))]);
  const [sum] = b.node("Add", [z!, more]);
  return b.finish({ name: "batched", inputs: right === "constant" ? [A, more] : [A, B, more], outputs: [sum!] });
}
/** A convolution of a map of 1 × `width` pixels, `taps` of them (an odd number) at a time. */
function ofRow(channels: number, filters: number, width: number, taps = 1): Graph {
  const b = new GraphBuilder();
  const A = b.value("A", { dtype: "float32", dims: [1, channels, 1, width] });
  const weights = b.constant("weights", tensor([filters, channels, 1, taps], 2));
  const pads = [0, (taps - 1) / 2, 0, (taps - 1) / 2];
  const [y] = b.node("Conv", [A, weights, b.constant("bias", tensor([filters], 3))], { attributes: { pads } });
  const [z] = b.node("HardSigmoid", [y!]);
  return b.finish({ name: "row", inputs: [A], outputs: [z!] });
}
async function check(graph: Graph, depth: number, options: { readonly threads: number; readonly math?: "strict" }) {
  const typed = inferGraph(graph);
  const named = typed.inputs.map((id, k) => {
    const v = typed.values.get(id)!;
    return [v.name, tensor(v.type!.dims as number[], k)] as const;
  });
  const [want] = Object.values(interpretGraph(typed, Object.fromEntries(named)));
  const net = await compile(graph, { ...options, cache: false });
  const feeds = Object.fromEntries(named.map(([n, t]) => [n, new Tensor("float32", t.data as Float32Array, t.dims)]));
  const [got] = Object.values(net.runSync(feeds));
  const errors = numbersOf(want!).map((e, i) => Math.abs(e - Number(got!.data[i])));
  net.dispose();
  expect(Math.max(...errors)).toBeLessThanOrEqual(depth * 2 ** -22);
}

/** Schedule and LLVM IR of a graph of one kernel, for AVX-512. */
function lowered(graph: Graph) {
  const options = { threads: 1, target: "x86-64-v4" } as const;
  const context = kernelContext(options);
  const prepared = prepareGraph(graph, context, options);
  return lowerGroup(prepared.fused.graph, prepared.steps[0]!, context, "product");
}
const scheduleOf = (graph: Graph): Schedule => lowered(graph).schedule!;
test("results with as many vectors in a row as the depth are not taken for panels", () => {
  const { steps } = scheduleOf(product(472, 6, 96, false)).trace;
  expect(steps.map((step) => step.primitive)).not.toContain("prefetch");
});
test("left sides that lie turned are not taken for panels", () => {
  const b = new GraphBuilder();
  const A = b.value("A", { dtype: "float32", dims: [1, 49, 256] });
  const [turned] = b.node("Transpose", [A], { attributes: { perm: [0, 2, 1] } });
  const [y] = b.node("MatMul", [turned!, b.constant("B", tensor([49, 128], 2))]);
  const s = scheduleOf(b.finish({ name: "turned", inputs: [A], outputs: [b.node("Relu", [y!])[0]!] }));
  // As panels, their 256 rows would decide how many columns a tile has.
  const splits = s.trace.steps.flatMap((step) => (step.primitive === "split" ? [JSON.stringify(step)] : []));
  expect(splits.filter((step) => step.includes('"guard"'))).toEqual([]);
});
test.each([
  { dims: [1, 3, 3, 768], matrices: 3 },
  { dims: [2, 50, 1, 256], matrices: 5 },
  { dims: [1, 7, 7, 384], matrices: 1 },
])("matrices $dims that share their right-hand side are rows of one product", ({ dims, matrices }) => {
  const s = scheduleOf(batched(dims, 192, "constant"));
  const extents = (kind: LoopKind) =>
    s.loops("matmul").flatMap((l) => (findLoop(s.program, l.id)!.loopKind === kind ? [s.extent(l)!] : []));
  // Tiles of columns outermost: each panel of weights is read for all rows in turn.
  const [columnTiles] = extents("serial");
  const [, ...tile] = extents("unrolled");
  expect(columnTiles! * tile.at(-1)! * 16).toBe(192);
  expect(tile.slice(0, -1).reduce((n, k) => n * k, 1)).toBe(matrices * dims.at(-2)!);
});
test("narrow sums of a row come before those of whole vectors", () => {
  const { text } = lowered(product(9, 34, 40, false));
  const [narrow, whole] = [8, 16].map((lanes) => text.indexOf(`fadd contract <${lanes} x float>`));
  expect(narrow).toBeGreaterThan(0);
  expect(whole).toBeGreaterThan(narrow!);
});

const random = new Random(11);
const extent = (most: number): number => Math.max(1, Math.round(most ** random.unit()));
const few = [1, 2, 3, 4, 5, 6, 7, 9, 11, 12];

describeNative("products", () => {
  test.each(few)("of %i columns, lanes along the reduction", async (columns) => {
    for (const [rows, depth] of [
      [1, 64],
      [7, 97],
      [33, 160],
    ] as const)
      for (const constant of [true, false]) await check(product(rows, depth, columns, constant), depth, { threads: 1 });
  });
  test.each(few.slice(0, 3))("of %i rows and odd numbers of columns", async (rows) => {
    for (const columns of [17, 90, 168, 208])
      for (const math of [undefined, "strict"] as const)
        await check(product(rows, 72, columns, true), 72, { threads: 1, ...(math ? { math } : {}) });
  });
  test.each([1, 2, 3])("of maps of %i pixels, any number of channel blocks", async (width) => {
    for (const [channels, filters] of [
      [1, 5],
      [40, 88],
      [96, 176],
      [23, 104],
      [64, 24],
    ] as const)
      for (const math of [undefined, "strict"] as const)
        await check(ofRow(channels, filters, width), channels, { threads: 1, ...(math ? { math } : {}) });
  });
  test.each([2, 3])("of one row of pixels, shared by %i threads", async (threads) => {
    for (const [width, taps] of [
      [50, 1],
      [100, 3],
      [197, 3],
      [61, 5],
    ] as const)
      await check(ofRow(24, 48, width, taps), 24 * taps * 8, { threads });
  });
  test.each([
    [2, 3, 3, 40],
    [1, 5, 1, 33],
    [3, 7, 2, 24],
    [29, 1, 70],
    [2, 40, 16],
  ])("of batches %i, %i, %i, %i", async (...dims) => {
    const own = dims.filter((d) => d !== undefined);
    for (const columns of [8, 48, 100])
      for (const right of ["shared", "own", "constant"] as const)
        for (const threads of [1, 2]) await check(batched(own, columns, right), own.at(-1)!, { threads });
  });
  test("of random extents", async () => {
    for (let n = 0; n < 24; n++) {
      const [rows, depth, columns] = [extent(60), extent(300), extent(60)];
      await check(product(rows, depth, columns, n % 2 === 0), depth, { threads: 1 + (n % 3 === 0 ? 1 : 0) });
    }
  });
});
