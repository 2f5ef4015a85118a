/** Counting what real kernels execute, and the instruments that runs are linked with. */
import { afterAll, describe, expect, it } from "vitest";
import { GraphBuilder } from "../../../../ir/graph/build.ts";
import { tensorValue } from "../../../../ir/graph/tensor-value.ts";
import { type CompileOptions, compileNetwork } from "../../../../src/runtime/compile.ts";
import { Executable } from "../../../../src/runtime/executable.ts";
import { missingHere, resolveTarget } from "../../../../src/runtime/host.ts";
import { analyse, withoutCode } from "../../../../src/runtime/profile/analyse.ts";
import { countHardware } from "../../../../src/runtime/profile/hardware.ts";
import { busyShares, timelineFrom, timelineOf } from "../../../../src/runtime/profile/timeline.ts";

const [rows, depth, columns] = [64, 128, 96];
const feeds = { x: tensorValue("float32", [rows, depth], new Float32Array(rows * depth).fill(1)) };
/** y = max(x w, 0), twice with equal shapes, so that two steps share a kernel. */
function products() {
  const g = new GraphBuilder();
  const x = g.value("x", { dtype: "float32", dims: [rows, depth] });
  const weights = (name: string) => {
    const values = Float32Array.from({ length: depth * columns }, (_, i) => Math.sin(i));
    return g.constant(name, tensorValue("float32", [depth, columns], values));
  };
  const outputs = ["a", "b"].flatMap((name) => g.node("MatMul", [x, weights(`w_${name}`)], { outputs: [name] }));
  return g.finish({ name: "products", inputs: [x], outputs });
}
const opened: Executable[] = [];
afterAll(() => {
  for (const net of opened) net.dispose();
});
async function open(options: CompileOptions = {}) {
  const compiled = await compileNetwork(products(), { cache: false, profile: true, ...options });
  const net = new Executable(compiled.parts);
  opened.push(net);
  return { compiled, net };
}
const latencies = { multiplyAdd: 4, add: 4 };

describe("instructions of a matrix product", () => {
  it.each([
    ["x86-64-v3", 256],
    ["x86-64-v4", 512],
  ] as const)("are exact for %s", async (target, bits) => {
    const missing = missingHere(resolveTarget(target));
    if (missing.length > 0) return console.warn(`skipped: this machine lacks ${missing.join(", ")}`);
    for (const threads of [1, 2]) {
      const { compiled, net } = await open({ target, threads });
      const before = net.runSync(feeds);
      const { steps, missing: unknown } = await analyse(compiled, net, feeds, latencies);
      expect(unknown).toEqual([]);
      expect(steps.map((s) => s.title)).toEqual(Array(2).fill(`matmul ${rows}×${depth}×${columns}`));
      for (const { execution, regions, traffic } of steps) {
        const products = (rows * depth * columns) / (bits / 32);
        expect(execution!.total.multiplyAdds).toEqual({ 128: 0, 256: 0, 512: 0, [bits]: products });
        expect(execution!.total.calls).toEqual(threads === 1 ? {} : { tw_parallel_for: 1 });
        expect(execution!.total.operations).toBe(2 * rows * depth * columns);
        expect(execution!.total.stores[bits]).toBe((rows * columns) / (bits / 32));
        expect(execution!.hotLoop!.share).toBeGreaterThan(0.9);
        expect(regions).toHaveLength(threads === 1 ? 0 : 1);
        expect(traffic!.touched).toBe(4 * (rows * depth + depth * columns + rows * columns));
      }
      // The measured code is not the counted one.
      expect(net.runSync(feeds)).toEqual(before);
    }
  });

  it("are unknown of compiled files, which says so", async () => {
    const { net } = await open();
    const { steps, missing } = withoutCode(net);
    expect(steps.map((s) => [s.flops, s.execution])).toEqual(net.steps.map((s) => [s.flops, undefined]));
    expect(missing.join()).toMatch(/neither assembly nor loops nor a memory plan/);
  });
});

describe("timelines", () => {
  it("hold real runs in order, with the chunks of every thread", async () => {
    for (const threads of [1, 2]) {
      const { compiled, net } = await open({ threads });
      const { runs, chunks } = timelineOf(net, compiled.parts, feeds, 3);
      expect(runs).toHaveLength(3);
      const steps = runs.flatMap((r) => r.steps);
      expect(steps).toHaveLength(3 * net.steps.length);
      expect(steps.every((s, i) => s.end > s.start && s.start >= (steps[i - 1]?.end ?? 0))).toBe(true);
      expect(chunks.length > 0).toBe(threads > 1);
      expect(chunks.every((c) => c.end > c.start && c.thread < threads)).toBe(true);
      expect(new Set(chunks.map((c) => c.thread)).has(0)).toBe(threads > 1);
    }
  });

  it("number threads with the calling one first, and tell how busy they are", () => {
    const log = Float64Array.of(7, 90, 99, 7, 1000, 1100, 4, 1000, 1050, 5, 1200, 1300);
    const timeline = timelineFrom([BigInt64Array.of(1000n, 1100n, 1300n)], log, 7);
    expect(timeline.chunks.map((c) => [c.thread, c.start, c.end])).toEqual([
      [0, 0, 100],
      [1, 0, 50],
      [2, 200, 300],
    ]);
    expect(busyShares(timeline, 3)).toEqual([0.5, 100 / 600]);
    expect(busyShares({ ...timeline, chunks: [] }, 3)).toEqual([undefined, undefined]);
  });
});

describe("hardware counters", () => {
  /** PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK: there without hardware, too. */
  const clock = { name: "task clock", type: 1, config: 1 };
  it("are read around every step", async () => {
    const { compiled, net } = await open();
    const counts = countHardware(net, compiled.parts, feeds, [clock, { name: "nothing", type: 1, config: 999 }]);
    if ("reason" in counts) {
      expect(counts.reason).toMatch(/^(the system does not permit it|this )/);
      return console.warn(`skipped: ${counts.reason}`);
    }
    expect(counts.steps.map((s) => Object.keys(s))).toEqual([["task clock"], ["task clock"]]);
    expect(counts.steps.every((s) => s["task clock"]! > 0)).toBe(true);
  });
  it("say why there are none", async () => {
    const { compiled, net } = await open();
    const counts = countHardware(net, compiled.parts, feeds, [{ name: "nothing", type: 1, config: 999 }, clock]);
    expect(counts).toEqual({ reason: expect.stringMatching(/^(this|the system|perf_event_open)/) });
  });
});
