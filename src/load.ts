/**
 * What the files of the doors in dist/bundle load: the one script with all our code, evaluated door by door. Bundled to
 * CommonJS, which Node evaluates without listing the exports of its own modules first.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { UsageError } from "../ir/support/errors.ts";
import { runScript } from "./runtime/code-cache.ts";
import { ObjectCache } from "./runtime/object-cache.ts";

type Door = "index" | "onnxruntime" | "passes" | "cli";
type Doors = Readonly<Record<Door, () => object>>;

let doors: Doors | undefined;

/** The exports of a door; the same object in every call. */
export function door(name: Door): object {
  return doors?.[name]() ?? load(name);
}

function load(name: Door): object {
  const path = join(__dirname, "tilewright.cjs");
  // Only Node's own loader reads source maps.
  const cache = process.sourceMapsEnabled ? undefined : openCache();
  if (!cache?.enabled) {
    doors = createRequire(path)(path) as Doors;
    return doors[name]();
  }
  const script = runScript(path, cache);
  doors = script.exports as Doors;
  const exports = doors[name]();
  script.keepCode();
  return exports;
}

/** Absent where the environment names a bad one: what is compiled then says so. */
function openCache(): ObjectCache | undefined {
  try {
    return ObjectCache.open();
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}
