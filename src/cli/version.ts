/** The version of the package. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../native/addon.ts";

/** As `package.json` says. */
export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8"));
  return typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown";
}
