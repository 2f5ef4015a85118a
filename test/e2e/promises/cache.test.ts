/** What was compiled once is found again: by the same process, and by one that starts anew. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { packageRoot } from "../../../native/addon.ts";
import { buildMobileNetV2 } from "../../../src/models/mobilenet-v2.ts";
import { compile } from "../../../src/runtime/compile.ts";
import { ObjectCache } from "../../../src/runtime/object-cache.ts";
import { randomFeeds } from "../support.ts";

const folder = mkdtempSync(join(tmpdir(), "tilewright-promises-"));
afterAll(() => rmSync(folder, { recursive: true }));
const graph = buildMobileNetV2({ width: 0.35, resolution: 96 });

async function logits(cache: ObjectCache): Promise<number[]> {
  const net = await compile(graph, { cache });
  const outputs = net.runSync(randomFeeds(net.inputs));
  net.dispose();
  return [...(outputs.logits!.data as Float32Array)];
}

test("the second compilation misses nothing and computes the same", async () => {
  const cold = ObjectCache.open({ folder });
  const first = await logits(cold);
  const { misses, writes } = cold.stats();
  expect(misses).toBeGreaterThan(10);
  expect(writes).toBe(misses);
  const warm = ObjectCache.open({ folder });
  expect(await logits(warm)).toEqual(first);
  expect(warm.stats()).toMatchObject({ misses: 0, writes: 0, damaged: 0 });
});

test("another process finds it too, and starts no compile worker", () => {
  const script = `
    import { sharedPool } from "./src/runtime/host.ts";
    import { compile } from "./src/runtime/compile.ts";
    import { ObjectCache } from "./src/runtime/object-cache.ts";
    import { buildMobileNetV2 } from "./src/models/mobilenet-v2.ts";
    const cache = ObjectCache.open({ folder: ${JSON.stringify(folder)} });
    await compile(buildMobileNetV2({ width: 0.35, resolution: 96 }), { cache });
    console.log(JSON.stringify({ misses: cache.stats().misses, workers: sharedPool().childPids.length }));
  `;
  const arguments_ = ["--import", "tsx", "--input-type=module", "--eval", script];
  const printed = execFileSync(process.execPath, arguments_, { cwd: packageRoot(), encoding: "utf8" });
  expect(JSON.parse(printed)).toEqual({ misses: 0, workers: 0 });
});

test("truncated entries are compiled again", async () => {
  const expected = await logits(ObjectCache.open({ folder }));
  const objects = join(folder, "objects");
  const [first, second] = readdirSync(objects).sort();
  truncateSync(join(objects, first!), 100);
  truncateSync(join(objects, second!), 0);
  const cache = ObjectCache.open({ folder });
  expect(await logits(cache)).toEqual(expected);
  expect(cache.stats()).toMatchObject({ misses: 2, damaged: 2, writes: 2 });
});
