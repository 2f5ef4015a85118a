/** Reading whole files that a user named. */
import { readFileSync } from "node:fs";
import { InputError } from "../../ir/support/errors.ts";
import { causeOf } from "./write-file.ts";

/** @throws InputError [file/unreadable] */
export function readWhole(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new InputError("file/unreadable", `cannot read ${path} (${causeOf(cause)})`, { path });
  }
}
