/** Scripts that schedule: a module in TypeScript or JavaScript whose default export is given the schedule. */
import { resolve } from "node:path";
import { createJiti } from "jiti";
import { InputError, TilewrightError } from "../../ir/support/errors.ts";
import type { Schedule } from "../../passes/schedule/schedule.ts";

/** What a script exports by default. */
export type ScheduleScript = (s: Schedule) => unknown;

/**
 * Loads a script; its types are stripped, not checked. It may import `tilewright` and `tilewright/passes` wherever it lies.
 * @throws InputError `script/unreadable`, `script/no-default`, or `script/failed` with the line
 */
export async function loadScript(path: string): Promise<ScheduleScript> {
  const file = resolve(path);
  const jiti = createJiti(import.meta.url, {
    fsCache: false,
    moduleCache: false,
    virtualModules: { tilewright: await import("../index.ts"), "tilewright/passes": await import("../passes.ts") },
  });
  let found: unknown;
  try {
    found = await jiti.import(file, { default: true });
  } catch (error) {
    throw failure(error, path, file);
  }
  if (typeof found !== "function")
    throw new InputError(
      "script/no-default",
      `${path} has no default export that is a function (s: Schedule) => void`,
      {
        path,
      },
    );
  return found as ScheduleScript;
}

/** Runs a script. @throws what a step refuses with, its place in the script added; InputError `script/failed` for the rest */
export async function runScript(script: ScheduleScript, s: Schedule, path: string): Promise<void> {
  try {
    await script(s);
  } catch (error) {
    throw failure(error, path, resolve(path));
  }
}
/** An error of the script's as ours; what Tilewright threw keeps its family and code. */
function failure(error: unknown, path: string, file: string): unknown {
  if (error instanceof TilewrightError) return error;
  if (!(error instanceof Error)) return new InputError("script/failed", `${path}: threw ${String(error)}`, { path });
  if ("code" in error && (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND")) {
    const missing = error.message.split("\n")[0];
    return new InputError("script/unreadable", `${path}: ${missing}`, { path });
  }
  const at = placeIn(error, file);
  return new InputError("script/failed", `${path}${at ? `:${at}` : ""}: ${error.name}: ${error.message}`, { path, at });
}
/** The line of the innermost frame in a file; without types its columns are others. */
export function placeIn(error: Error, file: string): string | undefined {
  const frame = error.stack?.split("\n").find((l) => l.includes(file) && /:\d+:\d+\)?$/.test(l));
  return frame ? /(\d+):\d+\)?$/.exec(frame)?.[1] : undefined;
}
