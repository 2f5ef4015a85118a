import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../../native/addon.ts";
import { ObjectCache, objectKey } from "../../../src/runtime/object-cache.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tilewright-cache-"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const key = (n: number) => objectKey({ irText: `module ${n}`, target: "t", options: "o", compilerVersion: "v" });
const bytesOf = (n: number, length: number) => new Uint8Array(length).fill(n);
const entryPath = (n: number) => join(folder, "objects", `${key(n)}.two`);

describe("ObjectCache", () => {
  it("gives back what was put, also to another process's object", () => {
    ObjectCache.open({ folder }).put(key(1), bytesOf(7, 1000));
    const cache = ObjectCache.open({ folder });
    expect(cache.get(key(1))).toEqual(bytesOf(7, 1000));
    expect(cache.get(key(2))).toBeUndefined();
    cache.put(key(3), new Uint8Array(0));
    expect(cache.get(key(3))).toEqual(new Uint8Array(0));
    expect(cache.stats()).toMatchObject({ hits: 2, misses: 1, writes: 1, damaged: 0, entries: 2 });
    cache.clear();
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 });
  });

  it("keys by content, with no confusion at the seams", () => {
    const base = { irText: "a", target: "b", options: "c", compilerVersion: "d" };
    const variants = [base, { ...base, irText: "x" }, { ...base, target: "bc", options: "" }, { ...base, target: "" }];
    expect(new Set(variants.map(objectKey)).size).toBe(4);
    expect(objectKey({ ...base })).toBe(objectKey(base));
  });

  it("ignores and deletes damaged and truncated entries", () => {
    const cache = ObjectCache.open({ folder });
    for (let n = 0; n < 4; n++) cache.put(key(n), bytesOf(n, 500));
    const flipped = readFileSync(entryPath(0));
    flipped.writeUInt8(flipped.readUInt8(300) ^ 1, 300);
    writeFileSync(entryPath(0), flipped);
    truncateSync(entryPath(1), 200);
    truncateSync(entryPath(2), 0);
    writeFileSync(entryPath(3), Buffer.concat([readFileSync(entryPath(3)), Buffer.from("more")]));
    for (let n = 0; n < 4; n++) expect(cache.get(key(n))).toBeUndefined();
    expect(cache.stats()).toMatchObject({ damaged: 4, entries: 0 });
    cache.put(key(0), bytesOf(9, 10));
    expect(cache.get(key(0))).toEqual(bytesOf(9, 10));
  });

  it("drops the least recently used entries when it is full", () => {
    const cache = ObjectCache.open({ folder, maxBytes: 10_500 });
    for (let n = 0; n < 10; n++) {
      cache.put(key(n), bytesOf(n, 950));
      utimesSync(entryPath(n), 1000 + n, 1000 + n);
    }
    expect(cache.get(key(0))).toHaveLength(950);
    cache.put(key(10), bytesOf(10, 950));
    const stats = cache.stats();
    expect(stats.bytes).toBeLessThanOrEqual(10_500);
    expect(stats.evicted).toBeGreaterThan(0);
    expect(cache.get(key(0))).toHaveLength(950);
    expect(cache.get(key(1))).toBeUndefined();
    expect(cache.get(key(10))).toHaveLength(950);
    cache.put(key(11), bytesOf(1, 20_000));
    expect(cache.get(key(11))).toBeUndefined();
  });

  it("deletes what dead writers left, not what living ones write", () => {
    const cache = ObjectCache.open({ folder });
    const old = join(folder, "objects", "aa.tmp");
    writeFileSync(old, "half");
    utimesSync(old, 1000, 1000);
    writeFileSync(join(folder, "objects", "bb.tmp"), "half");
    expect(cache.stats().entries).toBe(0);
    expect(readdirSync(join(folder, "objects"))).toEqual(["bb.tmp"]);
  });

  it("obeys the environment", () => {
    vi.stubEnv("TILEWRIGHT_CACHE", "off");
    const off = ObjectCache.open();
    off.put(key(1), bytesOf(1, 10));
    expect(off.enabled).toBe(false);
    expect(off.get(key(1))).toBeUndefined();
    expect(off.stats()).toMatchObject({ folder: undefined, entries: 0 });
    vi.stubEnv("TILEWRIGHT_CACHE", "");
    vi.stubEnv("XDG_CACHE_HOME", folder);
    expect(ObjectCache.open().stats().folder).toBe(join(folder, "tilewright", "objects"));
    vi.stubEnv("TILEWRIGHT_CACHE_BYTES", "lots");
    expect(() => ObjectCache.open()).toThrow(/number of bytes/);
  });

  it("works without a cache where the default folder cannot be made, and refuses a folder that was asked for", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(() => ObjectCache.open({ folder: join(file, "x") })).toThrow(/cache's folder cannot be made/);
    vi.stubEnv("TILEWRIGHT_CACHE", "");
    vi.stubEnv("XDG_CACHE_HOME", file);
    expect(ObjectCache.open().enabled).toBe(false);
  });

  it("refuses keys that are not hexadecimal", () => {
    expect(() => ObjectCache.open({ folder }).get("../../etc/passwd")).toThrow(/hexadecimal/);
  });

  it("reads 60 entries in a few milliseconds", () => {
    const cache = ObjectCache.open({ folder });
    for (let n = 0; n < 60; n++) cache.put(key(n), bytesOf(n, 20_000));
    const times = Array.from({ length: 7 }, () => {
      const start = performance.now();
      for (let n = 0; n < 60; n++) cache.get(key(n));
      return performance.now() - start;
    });
    expect(Math.min(...times)).toBeLessThan(20);
  });

  it("stays whole under processes that write, read and evict the same keys", async () => {
    const script = join(folder, "hammer.mts");
    writeFileSync(
      script,
      `import { ObjectCache } from ${JSON.stringify(join(packageRoot(), "src", "runtime", "object-cache.ts"))};
const cache = ObjectCache.open({ folder: ${JSON.stringify(folder)}, maxBytes: 60000 });
let wrong = 0;
for (let round = 0; round < 400; round++) {
  const n = (round * 7 + process.pid) % 40;
  const key = n.toString(16).padStart(8, "0");
  const found = cache.get(key);
  if (found && (found.length !== 1000 + n || found.some((byte) => byte !== n))) wrong++;
  cache.put(key, new Uint8Array(1000 + n).fill(n));
}
const { hits, damaged } = cache.stats();
console.log(JSON.stringify({ wrong, damaged, hit: hits > 0 }));`,
    );
    const tsx = pathToFileURL(join(packageRoot(), "node_modules", "tsx", "dist", "loader.mjs")).href;
    const run = () =>
      new Promise<unknown>((resolve, reject) => {
        const child = spawn(process.execPath, ["--import", tsx, script], { stdio: ["ignore", "pipe", "inherit"] });
        let text = "";
        child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
        child.on("error", reject);
        child.on("close", () => resolve(JSON.parse(text)));
      });
    const results = await Promise.all([run(), run(), run()]);
    expect(results).toEqual(Array(3).fill({ wrong: 0, damaged: 0, hit: true }));
    expect(readdirSync(join(folder, "objects")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});
