/** Temporary folders that an interruption removes. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exitCodes } from "./errors.ts";

const folders = new Set<string>();

/** Runs `work` with a folder of its own, which is gone afterwards whatever happens. */
export async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "tilewright-"));
  folders.add(folder);
  try {
    return await work(folder);
  } finally {
    folders.delete(folder);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** From now on Ctrl-C and SIGTERM remove what is temporary and end the process with 130. */
export function endCleanlyWhenInterrupted(): void {
  const end = (): void => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    process.stderr.write("\ninterrupted\n");
    process.exit(exitCodes.interrupted);
  };
  process.once("SIGINT", end);
  process.once("SIGTERM", end);
}
