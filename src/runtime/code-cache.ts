/** Scripts of our own with what V8 compiled of them, kept in the cache: parsing is most of the time that loading takes. */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { Script } from "node:vm";
import type { ObjectCache } from "./object-cache.ts";

/** A CommonJS script that was run. */
export interface LoadedScript {
  readonly exports: unknown;
  /** Keeps the functions that V8 has compiled so far, unless it took them from the cache. */
  keepCode(): void;
}

/**
 * Runs a CommonJS script of ASCII characters, as `require` does but without Node's table of modules. V8 itself refuses code of another
 * version, or for other flags or processor features; the script is then compiled as if there were none.
 */
export function runScript(path: string, cache: Pick<ObjectCache, "get" | "put">): LoadedScript {
  const key = keyOf(path);
  const cachedData = cache.get(key);
  const script = new Script(functionOf(path), { filename: path, cachedData });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(path), module, path);
  return {
    exports: module.exports,
    keepCode() {
      if (cachedData === undefined || script.cachedDataRejected) cache.put(key, script.createCachedData());
    },
  };
}

/** The text of a function around the script, put together as bytes: V8 would keep the parts of joined strings. */
function functionOf(path: string): string {
  const parts = ["(function (exports, require, module, __filename) {", "\n})"].map((text) => Buffer.from(text));
  return Buffer.concat([parts[0]!, readFileSync(path), parts[1]!]).toString("latin1");
}

/** Of the file as it stands: V8 compares only the length of the source. */
function keyOf(path: string): string {
  const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  const flags = [...process.execArgv.filter((flag) => flag.startsWith("--")), process.env.NODE_OPTIONS];
  const parts = ["script", path, `${ino}`, `${size}`, `${mtimeNs}`, `${ctimeNs}`, process.arch, process.versions.v8];
  return createHash("sha256")
    .update(JSON.stringify([...parts, flags]))
    .digest("hex");
}
