/** NumPy's .npy files (numpy.lib.format, versions 1 to 3). */
import { bytesOf, type ScalarType } from "../../ir/expr/dtype.ts";
import { arrayTypeOf, elementCount, type TensorValue, type TypedArray } from "../../ir/graph/tensor-value.ts";
import { InputError, UnsupportedError } from "../../ir/support/errors.ts";
import { Tensor } from "../tensor.ts";
import { readWhole } from "./read-file.ts";
import { writeWhole } from "./write-file.ts";

const typeOfDescriptor: ReadonlyMap<string, ScalarType> = new Map([
  ["b1", "bool"],
  ["i1", "int8"],
  ["i2", "int16"],
  ["i4", "int32"],
  ["i8", "int64"],
  ["u1", "uint8"],
  ["u2", "uint16"],
  ["u4", "uint32"],
  ["u8", "uint64"],
  ["f2", "float16"],
  ["f4", "float32"],
  ["f8", "float64"],
]);
const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);
/** NumPy aligns the first element to this many bytes. */
const alignment = 64;
const longestHeader = 1 << 20;

/** Reads a .npy file. @throws InputError [file/unreadable], and as decodeNpy */
export const readNpy = (path: string): Tensor => decodeNpy(readWhole(path), path);

/** Writes a .npy file. @throws UnsupportedError [npy/type], InputError [file/unwritable] */
export const writeNpy = (path: string, tensor: TensorValue): void => writeWhole(path, encodeNpy(tensor));

/**
 * Decodes the bytes of a .npy file; either byte order, and Fortran order, which is transposed to row-major.
 * @throws InputError [npy/malformed], UnsupportedError [npy/type]
 */
export function decodeNpy(bytes: Uint8Array, what = "the .npy data"): Tensor {
  const header = headerOf(bytes, what);
  const { type, swapped } = elementType(header.descriptor, what);
  const count = countOf(header.shape, what);
  const length = count * bytesOf(type);
  const have = bytes.length - header.end;
  if (have !== length)
    malformed(what, `shape [${header.shape.join(", ")}] of ${type} needs ${length} bytes, the file has ${have}`);
  // A copy that starts at an aligned address; `slice` would not do, a Buffer's gives a view.
  const body = new Uint8Array(bytes.subarray(header.end, header.end + length));
  if (swapped) reverseEach(body, bytesOf(type));
  const stored = new (arrayTypeOf(type))(body.buffer, body.byteOffset, count);
  const data = header.fortran ? rowMajor(stored, type, header.shape) : stored;
  return Tensor.from({ type, dims: header.shape, data });
}

/** Encodes a tensor as a .npy file, version 1. @throws UnsupportedError [npy/type] for bfloat16, which NumPy lacks */
export function encodeNpy(tensor: TensorValue): Uint8Array {
  const entry = [...typeOfDescriptor].find(([, t]) => t === tensor.type);
  if (entry === undefined) throw new UnsupportedError("npy/type", `NumPy has no ${tensor.type}`);
  const order = bytesOf(tensor.type) === 1 ? "|" : "<";
  const shape = tensor.dims.length === 1 ? `(${tensor.dims[0]},)` : `(${tensor.dims.join(", ")})`;
  const dict = `{'descr': '${order}${entry[0]}', 'fortran_order': False, 'shape': ${shape}, }`;
  const fixed = magic.length + 4;
  const end = Math.ceil((fixed + dict.length + 1) / alignment) * alignment;
  const { buffer, byteOffset, byteLength } = tensor.data;
  const out = new Uint8Array(end + byteLength);
  out.set(magic);
  out.set([1, 0, (end - fixed) & 0xff, (end - fixed) >> 8], magic.length);
  out.set(new TextEncoder().encode(`${dict.padEnd(end - fixed - 1)}\n`), fixed);
  out.set(new Uint8Array(buffer, byteOffset, byteLength), end);
  return out;
}

interface Header {
  readonly descriptor: string;
  readonly fortran: boolean;
  readonly shape: readonly number[];
  /** Offset of the first element. */
  readonly end: number;
}

function headerOf(bytes: Uint8Array, what: string): Header {
  if (bytes.length < 12 || !magic.every((b, i) => bytes[i] === b))
    malformed(what, "it does not start as .npy files do");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw new UnsupportedError("npy/version", `${what} has the version ${version}`);
  const start = version === 1 ? 10 : 12;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > longestHeader || start + length > bytes.length) malformed(what, `its header has ${length} bytes`);
  return parseHeader(new TextDecoder().decode(bytes.subarray(start, start + length)), start + length, what);
}

/** The header is a Python dict literal with three known keys, in any order. */
function parseHeader(text: string, end: number, what: string): Header {
  const descriptor = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(([\d,\sL]*)\)/.exec(text)?.[1];
  if (fortran === undefined || shape === undefined) return malformed(what, "its header lacks fortran_order or shape");
  if (descriptor === undefined) throw new UnsupportedError("npy/type", `${what} has elements of a structured type`);
  const dims = shape
    .split(",")
    .map((d) => d.trim().replace(/L$/, ""))
    .filter((d) => d !== "");
  if (!dims.every((d) => /^\d{1,16}$/.test(d))) malformed(what, `its shape is (${shape})`);
  return { descriptor, fortran: fortran === "True", shape: dims.map(Number), end };
}

function elementType(descriptor: string, what: string): { readonly type: ScalarType; readonly swapped: boolean } {
  const type = typeOfDescriptor.get(descriptor.replace(/^[<>|=]/, ""));
  if (type === undefined)
    throw new UnsupportedError("npy/type", `${what} has elements of type ${JSON.stringify(descriptor)}`);
  return { type, swapped: descriptor.startsWith(">") };
}

function countOf(shape: readonly number[], what: string): number {
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count)) malformed(what, `shape [${shape.join(", ")}] has too many elements`);
  return count;
}

function reverseEach(bytes: Uint8Array, width: number): void {
  for (let i = 0; i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
}

function rowMajor(stored: TypedArray, type: ScalarType, shape: readonly number[]): TypedArray {
  const out = new (arrayTypeOf(type))(stored.length);
  const width = bytesOf(type);
  const from = new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  const to = new Uint8Array(out.buffer);
  const index = shape.map(() => 0);
  for (let i = 0; i < stored.length; i++) {
    let linear = 0;
    for (const [axis, extent] of shape.entries()) linear = linear * extent + index[axis]!;
    to.set(from.subarray(i * width, (i + 1) * width), linear * width);
    for (let axis = 0; axis < shape.length && ++index[axis]! === shape[axis]; axis++) index[axis] = 0;
  }
  return out;
}

function malformed(what: string, why: string): never {
  throw new InputError("npy/malformed", `${what} is not a well-formed .npy file: ${why}`);
}
