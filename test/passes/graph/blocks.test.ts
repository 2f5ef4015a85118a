/** Convolutions in one kernel: the same bits as separate kernels, what joins and what stays apart. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GraphBuilder, staticDims, valueOf } from "../../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group } from "../../../ir/graph/graph.ts";
import { elementCount, tensorValue } from "../../../ir/graph/tensor-value.ts";
import { runProgram } from "../../../ir/interp/run.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { assignLayouts } from "../../../passes/graph/assign-layouts.ts";
import { fuseBlocks } from "../../../passes/graph/fuse-blocks.ts";
import { fuseGroups } from "../../../passes/graph/fuse-groups.ts";
import { cutBlock, savedCycles } from "../../../passes/schedule/library/block-plan.ts";
import { defaultSchedule } from "../../../passes/schedule/library/index.ts";
import type { Machine } from "../../../passes/schedule/library/plan.ts";
import { buildGroupProgram } from "../../../src/operators/build-program.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { packConstant, packedBytes } from "../../../src/runtime/constants.ts";
import { patternOf, simplifyGraph } from "../../../src/runtime/prepare.ts";
import { Tensor } from "../../../src/tensor.ts";
import { share } from "../../property/support/share.ts";
import { machine as zen4 } from "./support.ts";

/** Four lanes and small caches, so that small maps leave them. */
const small: Machine = { ...zen4, lanes: 4, registers: 16, l1Bytes: 1 << 12, l2Bytes: 1 << 13 };

interface Block {
  readonly batch?: number;
  readonly size: readonly [number, number];
  readonly channels: number;
  readonly wide: number;
  readonly kernel?: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly padding?: "none" | "lower";
  readonly activation?: string;
  /** Channels of the projection; that of the input with `residual`; none for no projection. */
  readonly outputs?: number;
  readonly residual?: boolean;
  /** Without: the depthwise convolution reads the input. */
  readonly expands?: boolean;
  /** What else reads the expansion or the depthwise result. */
  readonly also?: "expanded" | "filtered";
}
const wave = (dims: readonly number[], seed: number): Float32Array =>
  Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(seed + i * 1.37 + Math.cos(i * 0.11)));

function network(c: Block): Graph {
  const { batch = 1, wide, kernel = 3, stride = 1, dilation = 1, activation = "Relu", expands = true } = c;
  const b = new GraphBuilder();
  let seed = 1;
  const weights = (dims: readonly number[]) => b.constant("w", tensorValue("float32", dims, wave(dims, seed++)));
  const conv = (v: ValueId, dims: readonly number[], attributes = {}): ValueId =>
    b.node("Conv", [v, weights(dims), weights([dims[0]!])], { attributes })[0]!;
  const act = (v: ValueId): ValueId => b.node(activation, [v])[0]!;
  const x = b.value("x", { dtype: "float32", dims: [batch, expands ? c.channels : wide, ...c.size] });
  // So that the block reads what a kernel made, as within a network.
  const input = act(x);
  const expanded = expands ? act(conv(input, [wide, c.channels, 1, 1])) : input;
  const half = (dilation * (kernel - 1)) >> 1;
  const pads = c.padding === "none" ? [0, 0, 0, 0] : c.padding === "lower" ? [0, half, half, 0] : Array(4).fill(half);
  const window = { strides: [stride, stride], dilations: [dilation, dilation], pads, group: wide };
  const filtered = act(conv(expanded, [wide, 1, kernel, kernel], window));
  const outputs = c.residual ? c.channels : c.outputs;
  let y = outputs === undefined ? filtered : conv(filtered, [outputs, wide, 1, 1]);
  if (c.residual) [y] = b.node("Add", [y, input]) as [ValueId];
  [y] = b.node("Identity", [act(y)], { outputs: ["y"] }) as [ValueId];
  const other = c.also && b.node("Abs", [c.also === "expanded" ? expanded : filtered], { outputs: ["other"] })[0]!;
  return b.finish({ name: "block", inputs: [x], outputs: other === undefined ? [y] : [y, other] });
}

const separate = (graph: Graph, m: Machine): FusedGraph =>
  assignLayouts(fuseGroups(simplifyGraph(graph, { math: "strict" }), patternOf), m);
const convsOf = (g: Group): number => g.nodes.filter((n) => n.op === "Conv").length;
const convsOfKernels = (f: FusedGraph): number[] => f.groups.map(convsOf).filter((n) => n > 0);

/** Runs all groups one after the other in the interpreter, each with its schedule; elements of the outputs in memory's order. */
function run({ graph, groups }: FusedGraph, m: Machine, threads: number): Float32Array[] {
  const memory = new Map<ValueId, Float32Array>();
  for (const id of graph.inputs) memory.set(id, wave(staticDims(graph, id), 0.3));
  const refused: string[] = [];
  for (const g of groups) {
    const { program, params } = buildGroupProgram(graph, g, { name: "group" });
    const s = defaultSchedule(program, { machine: m, threads, onRefusal: (...why) => refused.push(why.join(": ")) });
    const named = program.functions[0]!.params.map((p, i) => [p.buffer.name, params[i]!.value, p.role] as const);
    const given = named.filter(([, , role]) => role !== "output");
    const results = runProgram(s.program, Object.fromEntries(given.map(([name, id]) => [name, elementsOf(graph, id)])));
    for (const [name, id, role] of named) if (role === "output") memory.set(id, results[name] as Float32Array);
  }
  expect(refused).toEqual([]);
  return graph.outputs.map((id) => memory.get(id)!);

  function elementsOf(g: Graph, id: ValueId): Float32Array {
    const { constant, layout } = valueOf(g, id);
    if (!constant) return memory.get(id)!;
    const bytes = new Uint8Array(packedBytes(constant, layout));
    packConstant(constant, layout, bytes);
    return new Float32Array(bytes.buffer);
  }
}

const cases: readonly (Block & { readonly threads: number; readonly kernels: readonly number[] })[] = [
  // The expansion is beyond the second cache, or several threads wait for each other less often.
  { size: [32, 9], channels: 3, wide: 21, residual: true, threads: 2, kernels: [3] },
  { size: [32, 15], channels: 1, wide: 36, stride: 2, outputs: 7, threads: 1, kernels: [3] },
  { size: [64, 9], channels: 2, wide: 18, kernel: 5, stride: 2, outputs: 4, threads: 2, kernels: [3] },
  { size: [32, 11], channels: 1, wide: 36, stride: 2, threads: 1, kernels: [2] },
  { size: [97, 9], channels: 2, wide: 20, stride: 2, padding: "none", outputs: 9, threads: 3, kernels: [3] },
  { size: [64, 9], channels: 2, wide: 19, stride: 2, padding: "lower", outputs: 3, threads: 2, kernels: [3] },
  { size: [32, 9], channels: 2, wide: 21, kernel: 1, outputs: 8, threads: 2, kernels: [3] },
  { size: [48, 9], channels: 3, wide: 21, activation: "HardSwish", residual: true, threads: 3, kernels: [3] },
  { batch: 2, size: [64, 7], channels: 2, wide: 24, stride: 2, outputs: 5, threads: 2, kernels: [3] },
  // Rows that no window reaches are gaps in what a piece of the rows needs.
  { size: [48, 12], channels: 1, wide: 11, kernel: 1, stride: 2, padding: "none", threads: 1, kernels: [2] },
  // Rows computed twice would cost more than they save.
  { size: [32, 8], channels: 28, wide: 30, residual: true, threads: 2, kernels: [1, 2] },
  { size: [48, 7], channels: 3, wide: 3, expands: false, outputs: 5, threads: 3, kernels: [2] },
  { size: [32, 9], channels: 3, wide: 13, dilation: 2, expands: false, outputs: 5, threads: 2, kernels: [2] },
  // One thread gains nothing there; strips that are no whole rows, or too short, cannot be cut.
  { size: [16, 9], channels: 3, wide: 13, expands: false, outputs: 5, threads: 1, kernels: [1, 1] },
  { size: [13, 9], channels: 3, wide: 13, expands: false, outputs: 5, threads: 2, kernels: [1, 1] },
  { size: [14, 9], channels: 3, wide: 13, expands: false, outputs: 5, threads: 2, kernels: [1, 1] },
  { size: [32, 9], channels: 3, wide: 21, activation: "Sigmoid", residual: true, threads: 2, kernels: [1, 2] },
  // What another kernel reads must be in memory.
  { size: [32, 9], channels: 3, wide: 21, residual: true, also: "expanded", threads: 2, kernels: [1, 2] },
  { size: [32, 9], channels: 3, wide: 21, residual: true, also: "filtered", threads: 2, kernels: [2, 1] },
];

describe("blocks of convolutions", () => {
  it.each(cases)(
    "$size $channels → $wide → $outputs, stride $stride, $threads threads: $kernels",
    (c) => {
      const apart = separate(network(c), small);
      const fused = fuseBlocks(apart, small, c.threads);
      expect(convsOfKernels(fused)).toEqual(c.kernels);
      expect(run(fused, small, c.threads)).toEqual(run(apart, small, 1));
    },
    30_000,
  );

  it("keep their bits, whatever their shapes", () => {
    const extent = fc.integer({ min: 1, max: 9 });
    const shapes = fc.record({
      batch: fc.integer({ min: 1, max: 2 }),
      size: fc.tuple(fc.constantFrom(8, 13, 16, 32, 48), fc.integer({ min: 4, max: 13 })),
      channels: extent,
      wide: fc.integer({ min: 2, max: 13 }),
      kernel: fc.constantFrom(1, 2, 3, 4),
      stride: fc.constantFrom(1, 2, 3),
      padding: fc.constantFrom("none" as const, "lower" as const, undefined),
      outputs: fc.option(extent, { nil: undefined }),
      expands: fc.boolean(),
    });
    const test = (shape: Block, threads: number): void => {
      const apart = separate(network(shape), small);
      expect(run(fuseBlocks(apart, small, threads), small, threads)).toEqual(run(apart, small, 1));
    };
    fc.assert(fc.property(shapes, fc.integer({ min: 1, max: 3 }), test), { numRuns: share(15) });
  }, 60_000);

  it("are compiled to the bits of separate kernels, under any policy", async () => {
    const graph = network({ size: [32, 30], channels: 24, wide: 72, kernel: 5, residual: true });
    const feeds = { x: new Tensor("float32", wave([1, 24, 32, 30], 0.3), [1, 24, 32, 30]) };
    for (const math of ["strict", "default"] as const) {
      const results: Tensor[] = [];
      for (const threads of [1, 2, 3]) {
        const net = await compile(graph, { threads, math, cache: false });
        const kernels = net.steps.filter((s) => s.name.includes("Conv"));
        expect(kernels.map((s) => s.name.match(/Conv/g)!.length)).toEqual(threads === 2 ? [1, 2] : [1, 1, 1]);
        results.push(net.runSync(feeds).y!);
        net.dispose();
      }
      expect(results[1]!.data).toEqual(results[0]!.data);
      expect(results[2]!.data).toEqual(results[0]!.data);
    }
  }, 60_000);
});

describe("the cut", () => {
  const extents = { batch: 1, channels: 144, rows: 56, width: 56, depth: 24 };
  const depthwise = { ...extents, depth: 9, window: 3, stride: 1 };
  const project = { ...extents, channels: 24, depth: 144 };
  it.each([
    [1, 56, { strips: 1, rows: 8 }],
    [2, 56, { strips: 4, rows: 7 }],
    [3, 48, { strips: 6, rows: 8 }],
    [8, 56, undefined],
    [2, 28, undefined],
    [2, 14, undefined],
    [2, 7, undefined],
    [3, 56, undefined],
    [16, 56, undefined],
  ])("for %i threads and %i rows", (threads, rows, cut) => {
    expect(cutBlock({ depthwise: { ...depthwise, rows }, project }, zen4, threads)).toEqual(cut);
  });
  it("takes as many rows as the second cache holds where some are computed twice", () => {
    expect(cutBlock({ expand: extents, depthwise, project }, zen4, 2)).toEqual({ strips: 4, rows: 14 });
    expect(cutBlock({ expand: extents, depthwise }, zen4, 1)).toEqual({ strips: 1, rows: 28 });
  });
});

describe("what one kernel saves (MobileNetV2)", () => {
  const pixels = (size: number, channels: number, depth: number) => ({
    batch: 1,
    channels,
    rows: size,
    width: size,
    depth,
  });
  const block = (size: number, channels: number, wide: number, stride: number, outputs: number) => ({
    expand: pixels(size, wide, channels),
    depthwise: { ...pixels(size / stride, wide, 9), window: 3, stride },
    project: pixels(size / stride, outputs, wide),
  });
  const faster = (shape: ReturnType<typeof block>, threads: number): string => {
    const { expand, depthwise, project } = shape;
    const forms = { all: shape, expand: { expand, depthwise }, project: { depthwise, project } };
    const saved = Object.entries(forms).map(([name, s]) => [name, savedCycles(s, zen4, threads)] as const);
    const [best] = saved.toSorted((a, b) => b[1] - a[1]);
    return best![1] > 0 ? best![0] : "none";
  };
  it.each([
    [112, 16, 96, 2, 24, "all", "all"],
    [56, 24, 144, 1, 24, "none", "project"],
    [28, 32, 192, 1, 32, "none", "none"],
    [14, 64, 384, 1, 64, "none", "none"],
    [7, 160, 960, 1, 160, "none", "none"],
  ])("of %i pixels, %i → %i channels, stride %i → %i", (size, channels, wide, stride, outputs, one, two) => {
    const shape = block(size, channels, wide, stride, outputs);
    expect([faster(shape, 1), faster(shape, 2)]).toEqual([one, two]);
  });
});

describe("the loops of a block", () => {
  it("are strips of rows that threads share, of which some rows at a time go through all stages", () => {
    const graph = network({ size: [64, 8], channels: 4, wide: 32, stride: 2, outputs: 32 });
    const fused = fuseBlocks(separate(graph, small), small, 2);
    const group = fused.groups.find((g) => convsOf(g) === 3)!;
    const { program } = buildGroupProgram(fused.graph, group, { name: "block" });
    expect(printProgram(defaultSchedule(program, { machine: small, threads: 2 }).program)).toMatchSnapshot();
  });
});
