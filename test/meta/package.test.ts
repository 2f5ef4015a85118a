/** What users get when they install the package. Needs the build (`npm run build`, which `npm test` does first). */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
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
    const printed = execFileSync(process.execPath, ["--input-type=module", "-e", `console.log(${script})`], {
      cwd: root,
      encoding: "utf8",
    });
    expect(
      printed
        .trim()
        .split(" ")
        .every((count) => Number(count) > 1),
    ).toBe(true);
    expect(printed.trim().split(" ")).toHaveLength(doors.length);
  });
});
