/** Writing files so that nobody ever sees half of one. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { InputError } from "../../ir/support/errors.ts";

/** Writes under a temporary name in the same folder, then renames. @throws InputError [file/unwritable] */
export function writeWhole(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, bytes);
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw new InputError("file/unwritable", `cannot write ${path} (${causeOf(cause)})`, { path });
  }
}

/** The code of a system error, for messages. */
export const causeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
