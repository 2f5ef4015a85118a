/** What users get when they install the package. Needs the build (`npm run build`, which `npm test` does first). */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { readText, root } from "./repository.ts";

const manifest = JSON.parse(readText("package.json")) as {
  readonly bin: Record<string, string>;
  readonly exports: Record<string, { readonly types: string; readonly default: string }>;
  readonly dependencies: Record<string, string>;
};
const built = existsSync(join(root, "dist/src/index.js"));
if (!built) console.warn("dist/ is not built: the package is not tested (npm run build)");

describe.skipIf(!built)("the package", () => {
  const packed = JSON.parse(
    execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" }),
  ) as readonly { readonly files: readonly { readonly path: string }[] }[];
  const files = new Set(packed[0]!.files.map((f) => f.path));

  test("has every file that its manifest names", () => {
    const named = [
      ...Object.values(manifest.exports).flatMap((e) => [e.types, e.default]),
      ...Object.values(manifest.bin),
    ];
    expect(named.map((path) => path.replace(/^\.\//, "")).filter((path) => !files.has(path))).toEqual([]);
  });
  test("has what building the add-on and compiling in child processes take", () => {
    const needed = [
      "native/addon/CMakeLists.txt",
      "native/addon/src/module.cc",
      "native/runtime-c/tw_runtime.c",
      "native/compile-worker.cjs",
      "scripts/setup.mjs",
      "README.md",
      "LICENSE",
    ];
    expect(needed.filter((path) => !files.has(path))).toEqual([]);
    expect(Object.keys(manifest.dependencies)).toContain("node-api-headers");
  });
  test("has no tests, no sources of ours in TypeScript, nothing built for this machine", () => {
    const stray = [...files].filter((path) => /^(test|bench|examples)\/|\.node$|(?<!\.d)\.ts$|\/build\//.test(path));
    expect(stray).toEqual([]);
  });
  test("imports from each of its doors in plain Node", () => {
    const doors = Object.keys(manifest.exports).map((door) => door.replace(/^\./, "tilewright"));
    const script = doors.map((door) => `Object.keys(await import("${door}")).length`).join(", ");
    const counts = printed(`console.log(${script})`).split(" ").map(Number);
    expect(counts).toHaveLength(doors.length);
    expect(Math.min(...counts)).toBeGreaterThan(1);
  });
  test("evaluates what only compiling needs when it is used", () => {
    const loaded = `process.moduleLoadList.includes("NativeModule child_process")`;
    expect(printed(`await import("tilewright"); console.log(${loaded})`)).toBe("false");
  });
  test("is the same by import, by require, and from all its doors; another in each thread", () => {
    const script = `
      import { createRequire } from "node:module";
      import { Worker } from "node:worker_threads";
      import { Tensor } from "tilewright";
      import * as compatible from "tilewright/onnxruntime";
      const required = createRequire(${JSON.stringify(join(root, "package.json"))})("tilewright");
      console.log(required.Tensor === Tensor, compatible.Tensor === Tensor);
      new Worker('import("tilewright").then(({ Tensor }) => console.log(new Tensor([true]).type))', { eval: true });`;
    expect(printed(script)).toBe("true true\nbool");
  });
  test("keeps its code in the cache, and does without one", () => {
    const folder = mkdtempSync(join(tmpdir(), "tilewright-package-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const script = `import { Tensor } from "tilewright"; console.log(new Tensor([true]).type)`;
    const typeWith = (env: Record<string, string>) => printed(script, env);
    for (let i = 0; i < 2; i++) {
      expect(typeWith({ TILEWRIGHT_CACHE: folder })).toBe("bool");
      expect(readdirSync(join(folder, "objects"))).toHaveLength(1);
    }
    expect(typeWith({ TILEWRIGHT_CACHE: "off" })).toBe("bool");
    expect(typeWith({ TILEWRIGHT_CACHE: join(root, "package.json") })).toBe("bool");
    expect(typeWith({ TILEWRIGHT_CACHE_BYTES: "many" })).toBe("bool");
    expect(typeWith({ NODE_OPTIONS: "--enable-source-maps" })).toBe("bool");
  });
});

/** What Node prints when it runs an ES module in the package's folder. */
function printed(script: string, env: Record<string, string> = {}): string {
  return execFileSync(process.execPath, ["--no-warnings", "--input-type=module", "-e", script], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
  }).trim();
}
