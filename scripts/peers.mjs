// Installs what benchmarks and some tests compare with (bench/package.json), once. Plain Node; nothing is compiled.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What went wrong; undefined when the peers are there. */
export function installPeers() {
  const { dependencies } = JSON.parse(readFileSync(join(root, "bench", "package.json"), "utf8"));
  const present = (name) => existsSync(join(root, "bench", "node_modules", name, "package.json"));
  if (Object.keys(dependencies).every(present)) return undefined;
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const args = ["--prefix", "bench", "install", "--ignore-scripts", "--no-save", ...quiet];
  const result = spawnSync("npm", args, { cwd: root, encoding: "utf8" });
  if (result.status === 0) return undefined;
  return result.stderr?.trim() || result.error?.message || `npm ended with status ${result.status}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const failure = installPeers();
  if (failure !== undefined) {
    process.stderr.write(`peers: not installed: ${failure}\n`);
    process.exit(1);
  }
}
