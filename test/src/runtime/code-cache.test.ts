/** Scripts with V8's code of them in the cache: used when it fits, and never in the way. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { runScript } from "../../../src/runtime/code-cache.ts";
import { ObjectCache } from "../../../src/runtime/object-cache.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tilewright-code-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  path = join(folder, "script.cjs");
  write("return 1 + x");
});

const write = (body: string) => writeFileSync(path, `exports.f = (x) => {\n  ${body};\n};\n`);
const entries = () => readdirSync(join(folder, "objects"));

/** What the script's function gives for 1, and what its cache did. */
function result() {
  const cache = ObjectCache.open({ folder });
  const script = runScript(path, cache);
  const value = (script.exports as { readonly f: (x: number) => unknown }).f(1);
  script.keepCode();
  const { hits, writes, damaged } = cache.stats();
  return { value, hits, writes, damaged };
}

describe("a script that was run before", () => {
  test("is compiled once", () => {
    expect(result()).toEqual({ value: 2, hits: 0, writes: 1, damaged: 0 });
    expect(result()).toEqual({ value: 2, hits: 1, writes: 0, damaged: 0 });
    expect(entries()).toHaveLength(1);
  });
  test("is compiled anew when it changed, even to another of the same length", () => {
    result();
    write("return 2 + x");
    expect(result()).toEqual({ value: 3, hits: 0, writes: 1, damaged: 0 });
  });
  test("is compiled anew when V8 refuses what the cache has", () => {
    const kept: Uint8Array[] = [];
    const cache = {
      get: () => new TextEncoder().encode("no code of V8"),
      put: (_: string, code: Uint8Array) => kept.push(code),
    };
    const script = runScript(path, cache);
    script.keepCode();
    expect((script.exports as { readonly f: (x: number) => unknown }).f(1)).toBe(2);
    expect(kept).toHaveLength(1);
  });
  test("is compiled anew when the entry is damaged", () => {
    result();
    const entry = join(folder, "objects", entries()[0]!);
    const bytes = readFileSync(entry);
    bytes[bytes.length - 9]! ^= 1;
    writeFileSync(entry, bytes);
    expect(result()).toEqual({ value: 2, hits: 0, writes: 1, damaged: 1 });
  });
});

describe("a script with code from the cache", () => {
  test("has Node's modules and files beside it", () => {
    writeFileSync(join(folder, "beside.cjs"), "module.exports = 5;");
    write(`return [require("./beside.cjs"), require("node:path").basename(__filename)]`);
    for (let i = 0; i < 2; i++) expect(result().value).toEqual([5, "script.cjs"]);
  });
  test("names its lines in stacks", () => {
    write("return new Error().stack");
    for (let i = 0; i < 2; i++) expect(result().value).toContain(`at exports.f (${path}:2:10)`);
  });
});
