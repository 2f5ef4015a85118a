/** Resident memory does not grow with runs, nor with rounds of compiling and disposing. `npm run soak:memory` is the long version. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, expect, test } from "vitest";
import { allocatedBytes } from "../../../native/addon.ts";
import { buildMobileNetV2 } from "../../../src/models/mobilenet-v2.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { ObjectCache } from "../../../src/runtime/object-cache.ts";
import { randomFeeds } from "../support.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const folder = mkdtempSync(join(tmpdir(), "tilewright-memory-"));
const cache = ObjectCache.open({ folder });
afterAll(() => rmSync(folder, { recursive: true }));
const graph = buildMobileNetV2({ width: 0.35, resolution: 96 });

/** Finalizers of native memory run between the two collections. */
async function residentBytes(): Promise<number> {
  for (let i = 0; i < 2; i++) {
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage.rss();
}

/** The least resident memory after each of `blocks` blocks of steps. */
async function sampled(blocks: number, stepsPerBlock: number, step: () => Promise<void>): Promise<number[]> {
  const samples: number[] = [];
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < stepsPerBlock; i++) await step();
    samples.push(await residentBytes());
  }
  return samples;
}

test.each([1, 2])("500 runs with %i threads need no more memory than 100", async (threads) => {
  const net = await compile(graph, { threads, cache });
  const feeds = randomFeeds(net.inputs);
  const samples = await sampled(5, 100, async () => {
    await net.run(feeds);
  });
  net.dispose();
  // Less than a kilobyte a run, beyond what the allocator keeps for itself.
  const [warm, ...later] = samples;
  expect(Math.min(...later) - warm!).toBeLessThan(400 * 1024);
});

test("20 rounds of compiling and disposing give back what they took", async () => {
  const round = async () => {
    const net = await compile(graph, { threads: 2, cache });
    await net.run(randomFeeds(net.inputs));
    net.dispose();
  };
  const mapped = allocatedBytes();
  const [, warm, ...later] = await sampled(6, 4, round);
  expect(allocatedBytes()).toBe(mapped);
  // A leak of the arena or the constants alone would be 16 × 7 MB.
  expect(Math.min(...later) - warm!).toBeLessThan(8 * 2 ** 20);
});
