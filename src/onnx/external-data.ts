/** Reads tensor bytes that a model keeps in files beside it. */
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, resolve, sep } from "node:path";
import { InputError } from "../../ir/support/errors.ts";
import type { StringStringEntryProto } from "./onnx_pb.ts";
import { quote } from "./quote.ts";

/** Where `external_data` entries of a model lead. */
export interface ExternalData {
  /** Exactly `length` bytes of the entry. @throws InputError [onnx/external-data] */
  read(entries: readonly StringStringEntryProto[], length: number, what: string): Uint8Array;
}

/** For models that are only bytes: every entry is refused. */
export const noExternalData: ExternalData = {
  read: (_entries, _length, what) => refuse(what, "the model was given as bytes, so it has no folder"),
};

/**
 * External data in the folder of a model file. A location is relative and stays inside the folder after every link is
 * resolved; only regular files with one link are read, so that neither a symbolic nor a hard link nor a device leads out.
 */
export function externalDataBeside(modelPath: string, onFile?: (path: string) => void): ExternalData {
  return externalDataIn(dirname(modelPath), onFile);
}

/**
 * External data in `folder`; `onFile` hears of every file before it is read.
 * @throws InputError [onnx/unreadable] when there is no such folder
 */
export function externalDataIn(folder: string, onFile: (path: string) => void = () => {}): ExternalData {
  const root = realFolder(folder);
  return {
    read(entries, length, what) {
      const place = placeOf(entries, length, what);
      const path = insideOf(root, place.location, what);
      onFile(resolve(root, place.location));
      try {
        return readRange(path, place.offset, length, what);
      } catch (cause) {
        if (cause instanceof InputError) throw cause;
        return refuse(what, `its file cannot be read (${codeOf(cause)})`);
      }
    },
  };
}

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch (cause) {
    throw new InputError("onnx/unreadable", `cannot read the folder ${folder} (${codeOf(cause)})`);
  }
}

interface Place {
  readonly location: string;
  readonly offset: number;
}

function placeOf(entries: readonly StringStringEntryProto[], need: number, what: string): Place {
  const fields = new Map(entries.map((e) => [e.key, e.value]));
  const location = fields.get("location");
  if (location === undefined || location === "") return refuse(what, "it has no location");
  const offset = wholeNumber(fields.get("offset"), 0, `offset of ${what}`);
  const length = wholeNumber(fields.get("length"), need, `length of ${what}`);
  if (length !== need) refuse(what, `its length is ${length} bytes, its shape asks for ${need}`);
  return { location, offset };
}

function wholeNumber(text: string | undefined, fallback: number, what: string): number {
  if (text === undefined || text === "") return fallback;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) refuse(what, `${quote(text)} is not a number of bytes`);
  return value;
}

/** The real path of a location, proven to lie inside `root`. */
function insideOf(root: string, location: string, what: string): string {
  if (location.includes("\0") || isAbsolute(location) || /^[A-Za-z]:|^\\/.test(location))
    return refuse(what, `its location ${quote(location)} is not a relative path`);
  const real = realOf(resolve(root, location), location, what);
  if (!real.startsWith(root.endsWith(sep) ? root : root + sep))
    refuse(what, `its location ${quote(location)} leads out of the model's folder`);
  return real;
}

function realOf(path: string, location: string, what: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    return refuse(what, `its location ${quote(location)} cannot be resolved (${codeOf(cause)})`);
  }
}

function readRange(path: string, offset: number, length: number, what: string): Uint8Array {
  // Opening a pipe would wait for its other end: look first, and open without waiting or following a link made since.
  if (!statSync(path).isFile()) return refuse(what, "its location is not a regular file");
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const facts = fstatSync(file);
    if (!facts.isFile()) return refuse(what, "its location is not a regular file");
    if (facts.nlink !== 1) return refuse(what, `its file has ${facts.nlink} links instead of one`);
    if (offset + length > facts.size)
      return refuse(what, `bytes ${offset} to ${offset + length} reach past its file's ${facts.size} bytes`);
    return readExactly(file, offset, length, what);
  } finally {
    closeSync(file);
  }
}

function readExactly(file: number, offset: number, length: number, what: string): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const got = readSync(file, bytes, done, Math.min(length - done, 2 ** 30), offset + done);
    if (got === 0) return refuse(what, "its file ended early");
    done += got;
  }
  return bytes;
}

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause ? String(cause.code) : "unknown cause";

function refuse(what: string, why: string): never {
  throw new InputError("onnx/external-data", `external data of ${what}: ${why}`);
}
