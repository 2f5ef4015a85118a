/** Sizes and uses beyond the ordinary: long chains, wide graphs, many channels, results kept, networks side by side. */
import { describe, expect, it } from "vitest";
import type { Graph } from "../../../ir/graph/graph.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { check } from "./check.ts";
import { randomCase } from "./generate.ts";
import type { Results } from "./oracle.ts";
import { type Known, Source } from "./source.ts";

function caseOf(build: (s: Source) => readonly Known[], seed = 1): { graph: Graph; feeds: Results[] } {
  const s = new Source(seed);
  const outputs = build(s);
  const graph = s.finish("case", outputs);
  const feeds = [0, 1].map(() =>
    Object.fromEntries(s.inputs.map((i) => [graph.values.get(i.id)!.name, s.values(i.type, i.dims)])),
  );
  return { graph, feeds };
}
const host = { target: "host", threads: 2 };

describe("size", () => {
  it("takes a chain of a thousand element-wise nodes", async () => {
    const { graph, feeds } = caseOf((s) => {
      let x = s.input([3, 17]);
      for (let i = 0; i < 500; i++) x = s.one("Mul", [s.one("Tanh", [x]), s.scalar(1.125)]);
      return [x];
    });
    expect(await check(graph, feeds, host)).not.toHaveProperty("failure");
  }, 60_000);
  it("takes a thousand reshapes and transposes", async () => {
    const { graph, feeds } = caseOf((s) => {
      let x = s.input([6, 10]);
      for (let i = 0; i < 500; i++)
        x = s.one("Transpose", [s.one("Reshape", [x, s.ints(i % 2 ? [6, 10] : [10, 6])])], { perm: [1, 0] });
      return [x];
    });
    expect(await check(graph, feeds, host)).not.toHaveProperty("failure");
  }, 60_000);
  it("takes dozens of readers of one value and their sum", async () => {
    const { graph, feeds } = caseOf((s) => {
      const x = s.input([1, 20, 5, 5]);
      const parts = Array.from({ length: 60 }, (_, i) => s.one("Add", [x, s.scalar(i / 64)]));
      return [s.one("Concat", parts, { axis: 1 }), s.one("Sum", parts)];
    });
    expect(await check(graph, feeds, host)).not.toHaveProperty("failure");
  }, 60_000);
  it("takes two hundred convolutions in a row", async () => {
    const { graph, feeds } = caseOf((s) => {
      let x = s.input([1, 17, 6, 6]);
      for (let i = 0; i < 200; i++)
        x = s.one("Clip", [
          s.one("Conv", [x, s.constant([17, 17, 3, 3], 0.1)], { pads: [1, 1, 1, 1] }),
          s.scalar(-1),
          s.scalar(1),
        ]);
      return [x];
    });
    expect(await check(graph, feeds, host)).not.toHaveProperty("failure");
  }, 60_000);
  it("takes thousands of channels", async () => {
    const { graph, feeds } = caseOf((s) => {
      const x = s.input([1, 3000, 2, 3]);
      const y = s.one("Relu", [s.one("Conv", [x, s.constant([2049, 3000, 1, 1], 0.02)])]);
      return [s.one("Conv", [y, s.constant([2049, 1, 3, 3])], { group: 2049, pads: [1, 1, 1, 1] })];
    });
    expect(await check(graph, feeds, host)).not.toHaveProperty("failure");
  }, 60_000);
});

describe("outputs", () => {
  it("are inputs, constants, views and repeated values, each in memory of its own", async () => {
    const { graph, feeds } = caseOf((s) => {
      const x = s.input([2, 6]);
      const y = s.one("Relu", [x]);
      const view = s.one("Reshape", [y, s.ints([3, 4])]);
      return [
        s.one("Identity", [x]),
        s.one("Identity", [s.constant([4])]),
        y,
        view,
        s.one("Identity", [view]),
        s.one("Reshape", [x, s.ints([12])]),
      ];
    });
    expect(await check(graph, feeds, host)).not.toHaveProperty("failure");
    const net = await compile(graph, { cache: false });
    const results = net.runSync(feeds[0]!);
    const buffers = new Set(Object.values(results).map((t) => (t.data as Float32Array).buffer));
    expect(buffers.size).toBe(graph.outputs.length);
    net.dispose();
  });
  it("may be a graph's input or constant itself", async () => {
    const { graph, feeds } = caseOf((s) => [s.input([2, 3]), s.constant([3])]);
    const net = await compile(graph, { cache: false });
    const results = net.runSync(feeds[0]!);
    const [input, constant] = graph.outputs.map((o) => graph.values.get(o)!);
    expect(results[input!.name]!.data).toEqual(feeds[0]![input!.name]!.data);
    expect(results[constant!.name]!.data).toEqual(constant!.constant!.data);
    net.dispose();
  });
});

describe("use", () => {
  const seeds = [3, 4, 9, 14];
  it.each(seeds)(
    "gives the same results on every run as a fresh network does, seed %i",
    async (seed) => {
      const { graph } = randomCase(seed, "images");
      const s = new Source(seed);
      const feeds = Array.from({ length: 6 }, () =>
        Object.fromEntries(
          graph.inputs.map((id) => [
            graph.values.get(id)!.name,
            s.values("float32", graph.values.get(id)!.type!.dims as number[], 4),
          ]),
        ),
      );
      const [used, other] = await Promise.all([
        compile(graph, { ...host, cache: false }),
        compile(graph, { ...host, cache: false }),
      ]);
      const kept = feeds.map((f) => {
        const a = used.runSync(f);
        expect(other.runSync(feeds[0]!)).not.toBe(a);
        return a;
      });
      for (const [i, f] of feeds.entries()) {
        const fresh = await compile(graph, { ...host, cache: false });
        expect(fresh.runSync(f)).toEqual(kept[i]);
        fresh.dispose();
      }
      used.dispose();
      expect(other.runSync(feeds[1]!)).toEqual(kept[1]);
      other.dispose();
    },
    60_000,
  );
});
