/** NumPy's .npz files: ZIP archives of .npy files, named by tensor. */
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import { InputError } from "../../ir/support/errors.ts";
import type { Tensor } from "../tensor.ts";
import { decodeNpy, encodeNpy } from "./npy.ts";
import { readWhole } from "./read-file.ts";
import { writeWhole } from "./write-file.ts";
import { readZip, writeZip } from "./zip.ts";

const suffix = ".npy";

/** Tensors by name, in a Map because names come from files. */
export type NamedTensors = ReadonlyMap<string, Tensor>;

/** Reads a .npz file. @throws InputError [file/unreadable], and as decodeNpz */
export const readNpz = (path: string): NamedTensors => decodeNpz(readWhole(path), path);

/** Writes a .npz file. @throws as encodeNpz, and InputError [file/unwritable] */
export function writeNpz(
  path: string,
  tensors: Iterable<readonly [string, TensorValue]>,
  options: NpzOptions = {},
): void {
  writeWhole(path, encodeNpz(tensors, options));
}

/** How to write. */
export interface NpzOptions {
  /** Whether to deflate, as `numpy.savez_compressed` does. Default false. */
  readonly compress?: boolean;
}

/** Decodes a .npz file. @throws InputError [npz/duplicate-name], [zip/…], [npy/…], UnsupportedError */
export function decodeNpz(bytes: Uint8Array, what = "the .npz data"): NamedTensors {
  const tensors = new Map<string, Tensor>();
  for (const entry of readZip(bytes, what)) {
    if (!entry.name.endsWith(suffix)) throw new InputError("npz/entry", `${what} holds ${JSON.stringify(entry.name)}`);
    const name = entry.name.slice(0, -suffix.length);
    if (tensors.has(name)) throw new InputError("npz/duplicate-name", `${what} holds ${JSON.stringify(name)} twice`);
    tensors.set(name, decodeNpy(entry.bytes, `${JSON.stringify(name)} in ${what}`));
  }
  return tensors;
}

/** Encodes tensors as a .npz file. @throws UnsupportedError [npy/type] for bfloat16 */
export function encodeNpz(tensors: Iterable<readonly [string, TensorValue]>, options: NpzOptions = {}): Uint8Array {
  const entries = [...tensors].map(([name, tensor]) => ({ name: name + suffix, bytes: encodeNpy(tensor) }));
  return writeZip(entries, options);
}
