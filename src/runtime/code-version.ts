/** A version of our own code for cache keys: whatever changes generated kernels changes it. */
import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Folders whose code decides what a kernel is. */
const deciding = ["ir", "passes", "codegen", "src/onnx", "src/operators", "src/runtime"];
let version: string | undefined;
/** Bundles carry the hash of what they were made from. */
declare const TILEWRIGHT_CODE_VERSION: string | undefined;

/** Hash of the compiler's own code; of names, sizes and times of its files where it is not bundled. */
export function codeVersion(): string {
  version ??= typeof TILEWRIGHT_CODE_VERSION === "string" ? TILEWRIGHT_CODE_VERSION : hashFiles();
  return version;
}
function hashFiles(): string {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
  const hash = createHash("sha256");
  for (const folder of deciding) {
    for (const file of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!file.isFile() || !/\.[jt]s$/.test(file.name) || file.name.endsWith(".d.ts")) continue;
      const { size, mtimeMs } = statSync(join(file.parentPath, file.name));
      hash.update(`${file.name}:${size}:${mtimeMs};`);
    }
  }
  return hash.digest("hex").slice(0, 16);
}
