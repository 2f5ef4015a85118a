/** Attention in one kernel: values beside the separate kernels and a reference, what joins and what stays apart. */
import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import { elementCount, type TypedArray, tensorValue } from "../../../ir/graph/tensor-value.ts";
import { runProgram } from "../../../ir/interp/run.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { keysAtATime, stripRows } from "../../../passes/schedule/library/attention-plan.ts";
import { defaultSchedule } from "../../../passes/schedule/library/index.ts";
import { buildGroupProgram } from "../../../src/operators/build-program.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { packConstant, packedBytes } from "../../../src/runtime/constants.ts";
import { layOut, simplifyGraph } from "../../../src/runtime/prepare.ts";
import { Tensor } from "../../../src/tensor.ts";
import { machine, ringTarget } from "./support.ts";

interface Case {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly depth: number;
  readonly size: number;
  /** How scores are masked: by a float mask that broadcasts over heads, or so that no query looks ahead. */
  readonly mask?: "float" | "causal";
  /** Operands and result are [batch, sequence, heads, size], turned by transpositions. */
  readonly turned?: boolean;
  /** Divides scores instead of multiplying them; nothing at all without. */
  readonly scale?: "Mul" | "Div";
}
const wave = (dims: readonly number[], seed: number): Float32Array =>
  Float32Array.from({ length: elementCount(dims) }, (_, i) => 2 * Math.sin(seed + i * 1.37 + Math.cos(i * 0.11)));

/** Shapes of Q, K, V and the mask as the network takes them. */
function shapesOf(c: Case): Record<string, number[]> {
  const { batch, heads } = c;
  const shape = (n: number, width: number) => (c.turned ? [batch, n, heads, width] : [batch, heads, n, width]);
  return {
    q: shape(c.queries, c.depth),
    k: c.turned ? shape(c.keys, c.depth) : [batch, heads, c.depth, c.keys],
    v: shape(c.keys, c.size),
    ...(c.mask ? { mask: c.mask === "causal" ? [c.queries, c.keys] : [batch, 1, 1, c.keys] } : {}),
  };
}
function feedsOf(c: Case): Record<string, Float32Array> {
  const shapes = shapesOf(c);
  const feeds = Object.fromEntries(Object.entries(shapes).map(([name, dims], i) => [name, wave(dims, i)]));
  if (c.mask === "causal")
    feeds.mask = Float32Array.from({ length: c.queries * c.keys }, (_, i) =>
      i % c.keys > Math.floor(i / c.keys) ? Number.NEGATIVE_INFINITY : 0,
    );
  return feeds;
}
function network(c: Case): Graph {
  const b = new GraphBuilder();
  const inputs: Record<string, ValueId> = {};
  for (const [name, dims] of Object.entries(shapesOf(c))) inputs[name] = b.value(name, { dtype: "float32", dims });
  const turn = (v: ValueId, perm: number[]) => (c.turned ? b.node("Transpose", [v], { attributes: { perm } })[0]! : v);
  const [q, k, v] = [turn(inputs.q!, [0, 2, 1, 3]), turn(inputs.k!, [0, 2, 3, 1]), turn(inputs.v!, [0, 2, 1, 3])];
  let [scores] = b.node("MatMul", [q, k]) as [ValueId];
  if (c.scale) {
    const factor = c.scale === "Mul" ? 1 / Math.sqrt(c.depth) : Math.sqrt(c.depth);
    [scores] = b.node(c.scale, [scores, b.constant("factor", tensorValue("float32", [], Float32Array.of(factor)))]) as [
      ValueId,
    ];
  }
  if (inputs.mask !== undefined) [scores] = b.node("Add", [scores, inputs.mask]) as [ValueId];
  const [weights] = b.node("Softmax", [scores], { attributes: { axis: -1 } });
  const [mixed] = b.node("MatMul", [weights, v], { outputs: [c.turned ? "mixed" : "y"] });
  const [y] = c.turned ? b.node("Transpose", [mixed], { attributes: { perm: [0, 2, 1, 3] }, outputs: ["y"] }) : [mixed];
  return b.finish({ name: "attention", inputs: Object.values(inputs), outputs: [y!] });
}

/** What the network computes, in double precision. */
function reference(c: Case, f: Record<string, Float32Array>): Float64Array {
  const { batch, heads, queries, keys, depth, size } = c;
  const scale = c.scale ? 1 / Math.sqrt(depth) : 1;
  const row = (b: number, h: number, i: number, n: number) =>
    c.turned ? (b * n + i) * heads + h : (b * heads + h) * n + i;
  const y = new Float64Array(batch * heads * queries * size);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < queries; i++) {
        const scores = Array.from({ length: keys }, (_, j) => {
          let sum = 0;
          for (let p = 0; p < depth; p++) {
            const key = c.turned ? row(b, h, j, keys) * depth + p : ((b * heads + h) * depth + p) * keys + j;
            sum += f.q![row(b, h, i, queries) * depth + p]! * f.k![key]!;
          }
          const bias = c.mask === "causal" ? f.mask![i * keys + j]! : c.mask ? f.mask![b * keys + j]! : 0;
          return sum * scale + bias;
        });
        const peak = Math.max(...scores);
        const weights = scores.map((x) => Math.exp(x - peak));
        const total = weights.reduce((a, x) => a + x, 0);
        for (let e = 0; e < size; e++)
          y[row(b, h, i, queries) * size + e] =
            weights.reduce((a, w, j) => a + w * f.v![row(b, h, j, keys) * size + e]!, 0) / total;
      }
  return y;
}
const errorOf = (got: ArrayLike<number>, want: Float64Array): number => {
  let [error, largest] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    error = Math.max(error, Number.isNaN(got[i]) ? Number.POSITIVE_INFINITY : Math.abs(got[i]! - want[i]!));
    largest = Math.max(largest, Math.abs(want[i]!));
  }
  return error / largest;
};

async function run(
  graph: Graph,
  feeds: Record<string, Float32Array>,
  options: Parameters<typeof compile>[1],
): Promise<{ y: Float32Array; kernels: readonly string[] }> {
  const net = await compile(graph, { target: ringTarget, ...options, cache: false });
  const tensors = net.inputs.map((port) => [
    port.name,
    new Tensor("float32", feeds[port.name]!, port.dims as number[]),
  ]);
  const { y } = net.runSync(Object.fromEntries(tensors));
  const kernels = net.steps.map((s) => s.name);
  net.dispose();
  return { y: y!.data as Float32Array, kernels };
}
const isFused = (kernel: string): boolean => /MatMul.*SoftmaxMatMul/.test(kernel);

const cases: readonly Case[] = [
  { batch: 1, heads: 2, queries: 128, keys: 128, depth: 64, size: 64, scale: "Mul", turned: true },
  { batch: 2, heads: 3, queries: 77, keys: 77, depth: 64, size: 64, scale: "Div", turned: true, mask: "float" },
  { batch: 1, heads: 1, queries: 130, keys: 130, depth: 32, size: 32, turned: true },
  { batch: 2, heads: 1, queries: 61, keys: 197, depth: 40, size: 80, mask: "float" },
  { batch: 1, heads: 2, queries: 100, keys: 100, depth: 33, size: 49, scale: "Mul", mask: "causal" },
  { batch: 1, heads: 1, queries: 4, keys: 2048, depth: 40, size: 24, scale: "Mul" },
  { batch: 1, heads: 2, queries: 9, keys: 2048, depth: 16, size: 16, scale: "Mul", turned: true, mask: "float" },
  { batch: 1, heads: 1, queries: 300, keys: 1500, depth: 16, size: 16, turned: true },
];
describe("attention in one kernel", () => {
  it.each(cases)(
    "$batch × $heads heads of $queries queries, $keys keys, $depth × $size, mask $mask, turned $turned",
    async (c) => {
      const [graph, feeds] = [network(c), feedsOf(c)];
      const want = reference(c, feeds);
      for (const threads of [1, 2]) {
        const fused = await run(graph, feeds, { threads });
        expect(fused.kernels.filter(isFused)).toHaveLength(1);
        expect(errorOf(fused.y, want)).toBeLessThan(1e-5);
      }
      const apart = await run(graph, feeds, { math: "strict" });
      expect(apart.kernels.some(isFused)).toBe(false);
      expect(errorOf(apart.y, want)).toBeLessThan(1e-5);
    },
    30_000,
  );

  it.each(cases)("is scheduled by its recipe: $queries queries, $keys keys", (c) => {
    const fused = layOut(simplifyGraph(network(c), { math: "default" }), machine);
    const { program } = buildGroupProgram(fused.graph, fused.groups[0]!, { name: "attention" });
    for (const threads of [1, 2, 8]) {
      const refused: string[] = [];
      defaultSchedule(program, {
        machine,
        threads,
        onRefusal: ({ recipe, reason }) => refused.push(`${recipe}: ${reason}`),
      });
      expect(refused).toEqual([]);
    }
  });

  it("computes as its program says before it is scheduled", async () => {
    const c = cases[1]!;
    const { y } = await run(network(c), feedsOf(c), { schedule: "none" });
    expect(errorOf(y, reference(c, feedsOf(c)))).toBeLessThan(1e-5);
  }, 30_000);

  it("gives NaN for a row without any key, as Softmax does, in one tile of keys and in several", async () => {
    for (const c of [cases[4]!, { ...cases[6]!, mask: "causal" as const }]) {
      const feeds = feedsOf(c);
      feeds.mask!.fill(Number.NEGATIVE_INFINITY, 2 * c.keys, 3 * c.keys);
      const { y } = await run(network(c), feeds, {});
      const rows = Array.from({ length: c.queries }, (_, i) => {
        const from = c.turned ? i * c.heads * c.size : i * c.size;
        return [...y.subarray(from, from + c.size)].some(Number.isNaN);
      });
      expect(rows.flatMap((bad, i) => (bad ? [i] : []))).toEqual([2]);
    }
  }, 30_000);
});

describe("the operator Attention", () => {
  it("is one kernel too, and gives zeros for a query that may see no key", async () => {
    const dims = [2, 2, 96, 64];
    const b = new GraphBuilder();
    const [q, k, v] = ["q", "k", "v"].map((name) => b.value(name, { dtype: "float32", dims })) as [
      ValueId,
      ValueId,
      ValueId,
    ];
    const allowed = Uint8Array.from({ length: 96 * 96 }, (_, i) => Number(i % 7 > 0 && Math.floor(i / 96) !== 5));
    const mask = b.constant("mask", tensorValue("bool", [96, 96], allowed));
    const [y] = b.node("Attention", [q, k, v, mask], { attributes: { is_causal: 1 }, opset: 23, outputs: ["y"] });
    const graph = b.finish({ name: "t", inputs: [q, k, v], outputs: [y!] });
    const feeds = Object.fromEntries(["q", "k", "v"].map((name, i) => [name, wave(dims, i)]));
    const [fused, apart] = [await run(graph, feeds, {}), await run(graph, feeds, { math: "strict" })];
    expect(fused.kernels.filter(isFused)).toHaveLength(1);
    expect(apart.kernels.some(isFused)).toBe(false);
    expect(errorOf(fused.y, Float64Array.from(apart.y))).toBeLessThan(1e-5);
    expect(new Set(fused.y.subarray(5 * 64, 6 * 64))).toEqual(new Set([0]));
  }, 30_000);
});

describe("the schedule, in the interpreter", () => {
  const small = { ...machine, lanes: 4, registers: 16, l1Bytes: 4096, l2Bytes: 1 << 16 };
  it.each([
    { batch: 1, heads: 2, queries: 25, keys: 131, depth: 64, size: 59, scale: "Mul", turned: true },
    { batch: 1, heads: 1, queries: 17, keys: 256, depth: 48, size: 48, turned: true },
    { batch: 2, heads: 1, queries: 9, keys: 384, depth: 64, size: 56, mask: "causal" },
  ] satisfies Case[])(
    "changes nothing: $queries queries, $keys keys",
    (c) => {
      const graph = simplifyGraph(network(c), { math: "default" });
      const fused = layOut(graph, small);
      const [group, ...others] = fused.groups;
      expect(others).toEqual([]);
      const { program } = buildGroupProgram(fused.graph, group!, { name: "attention" });
      const refused: string[] = [];
      const s = defaultSchedule(program, {
        machine: small,
        threads: 2,
        onRefusal: ({ recipe, reason }) => refused.push(`${recipe}: ${reason}`),
      });
      expect(refused).toEqual([]);
      const named = program.functions[0]!.params.flatMap((p): [string, TypedArray][] => {
        if (p.role === "output") return [];
        const name = p.buffer.name.replace(/_\d+$/, "");
        const value = tensorValue("float32", shapesOf(c)[name]!, feedsOf(c)[name]!);
        const bytes = new Uint8Array(packedBytes(value, undefined));
        packConstant(value, undefined, bytes);
        return [[p.buffer.name, new Float32Array(bytes.buffer)]];
      });
      const [y] = Object.values(runProgram(s.program, Object.fromEntries(named)));
      expect(errorOf(y as Float32Array, reference(c, feedsOf(c)))).toBeLessThan(1e-5);
    },
    60_000,
  );
});

describe("the operator SoftmaxMatMul", () => {
  it("refuses scores and values that do not fit, and tiles that do not divide the keys", () => {
    const infer = (x: readonly number[], v: readonly number[], tile: number) => () => {
      const b = new GraphBuilder();
      const inputs = [x, v].map((dims, i) => b.value(`x${i}`, { dtype: "float32", dims }));
      const outputs = b.node("SoftmaxMatMul", inputs, { attributes: { tile }, domain: "tilewright", opset: 1 });
      return simplifyGraph(b.finish({ name: "t", inputs, outputs }), { math: "default" });
    };
    expect(infer([2, 4, 6], [2, 6, 5], 3)().nodes.map((n) => n.op)).toEqual(["SoftmaxMatMul"]);
    expect(infer([2, 4, 6], [2, 6, 5], 4)).toThrow("6 keys in tiles of 4");
    expect(infer([2, 4, 6], [2, 6, 5], 0)).toThrow("6 keys in tiles of 0");
    expect(infer([2, 4, 6], [3, 6, 5], 6)).toThrow("scores [2,4,6] of values [3,6,5]");
    expect(infer([2, 4, 0], [2, 0, 5], 1)).toThrow("0 keys in tiles of 1");
  });
});

describe("what joins", () => {
  const shape = { queries: 128, keys: 128, depth: 64, size: 64 };
  it("takes all keys while a strip of their scores stays in the first cache, else parts that divide them", () => {
    expect(keysAtATime(shape, machine)).toBe(128);
    expect(keysAtATime({ ...shape, keys: 1500 }, machine)).toBe(1500);
    for (const keys of [2048, 4096, 65536]) {
      const tile = keysAtATime({ ...shape, queries: keys, keys }, machine)!;
      expect(tile).toBeLessThan(keys);
      expect(keys % tile).toBe(0);
      expect(4 * tile * stripRows(machine, keys, tile)).toBeLessThanOrEqual(machine.l1Bytes);
    }
  });
  it("leaves small heads apart, single queries, and keys beyond the cache that do not divide", () => {
    expect(keysAtATime({ queries: 32, keys: 32, depth: 64, size: 64 }, machine)).toBeUndefined();
    expect(keysAtATime({ ...shape, queries: 1, keys: 65536 }, machine)).toBeUndefined();
    expect(keysAtATime({ ...shape, keys: 8191 }, machine)).toBeUndefined();
  });
  const big = { batch: 1, heads: 1, queries: 128, keys: 128, depth: 64, size: 64 } as const;
  const groupsOf = (change: (b: GraphBuilder, scores: ValueId, v: ValueId) => ValueId[]) => {
    const b = new GraphBuilder();
    const value = (name: string) => b.value(name, { dtype: "float32", dims: [1, 1, big.queries, big.keys] });
    const [q, k] = [value("q"), value("k")];
    const v = b.value("v", { dtype: "float32", dims: [1, 1, big.keys, big.size] });
    const [scores] = b.node("MatMul", [q, k]) as [ValueId];
    const outputs = change(b, scores, v);
    const graph = b.finish({ name: "t", inputs: [q, k, v], outputs });
    return layOut(simplifyGraph(graph, { math: "default" }), machine).groups.map((g) =>
      g.nodes.map((n) => n.op).join("+"),
    );
  };
  it("joins a product with a softmax of its own rows only", () => {
    const mix = (axis: number) =>
      groupsOf((b, scores, v) => {
        const [w] = b.node("Softmax", [scores], { attributes: { axis } });
        return b.node("MatMul", [w, v]);
      });
    expect(mix(-1)).toEqual(["Identity+MatMul+Identity+SoftmaxMatMul"]);
    expect(mix(3)).toEqual(["Identity+MatMul+Identity+SoftmaxMatMul"]);
    expect(mix(2)).toHaveLength(3);
  });
  it("leaves what others read: scores and weights", () => {
    for (const kept of ["scores", "weights"])
      expect(
        groupsOf((b, scores, v) => {
          const [w] = b.node("Softmax", [scores], { attributes: { axis: -1 } });
          const [y] = b.node("MatMul", [w, v]);
          return [y!, kept === "scores" ? scores : w!];
        }).some((g) => g.includes("SoftmaxMatMul")),
      ).toBe(false);
  });
});
