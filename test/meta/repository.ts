/** The files of the repository as its tests see them. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Tracked files that still exist, relative to the root. */
export function trackedFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 });
  return listed.split("\0").filter((path) => path !== "" && existsSync(join(root, path)));
}

const textEndings =
  /\.(ts|mts|mjs|cjs|js|json|md|cc|h|c|txt|sh|proto|tw|map|yml|yaml)$|^(\.ci\/run|\.npmrc|\.gitignore|LICENSE)$/;

/** Tracked files of text, as a person wrote or reads them. */
export function textFiles(): string[] {
  return trackedFiles().filter((path) => textEndings.test(path));
}

export function readText(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** `path:line: text` of every line that matches. */
export function linesMatching(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    readText(path)
      .split("\n")
      .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
  );
}
