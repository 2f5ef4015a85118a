/** Buffers at run time: a typed array, the geometry that finds elements in it, and which elements were written. */
import type { ScalarType } from "../expr/dtype.ts";
import { arrayTypeOf, type TypedArray } from "../graph/tensor-value.ts";
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from "../support/half.ts";
import { narrow, type Scalar } from "./scalar.ts";

/** The memory of one buffer. `written` is kept only when reads of undefined elements are to be caught. */
export interface Storage {
  readonly scalar: ScalarType;
  readonly elements: TypedArray;
  readonly written?: Uint8Array;
}

/** Fresh memory of `count` elements whose contents are undefined: NaN for floats, 0x5a… for integers, 1 for bool. */
export function undefinedStorage(scalar: ScalarType, count: number, track: boolean): Storage {
  const elements = new (arrayTypeOf(scalar))(count);
  poison(scalar, elements);
  return { scalar, elements, ...(track ? { written: new Uint8Array(count) } : {}) };
}
/** Makes the contents undefined again. */
export function poisonStorage(storage: Storage): void {
  poison(storage.scalar, storage.elements);
  storage.written?.fill(0);
}
function poison(scalar: ScalarType, elements: TypedArray): void {
  if (elements instanceof Float32Array || elements instanceof Float64Array) elements.fill(Number.NaN);
  else if (scalar === "float16") (elements as Uint16Array).fill(0x7e00);
  else if (scalar === "bfloat16") (elements as Uint16Array).fill(0x7fc0);
  else if (scalar === "bool") (elements as Uint8Array).fill(1);
  else new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength).fill(0x5a);
}

/** Reads element `i` of a typed array that holds `scalar` values. */
export function elementReader(scalar: ScalarType): (elements: TypedArray, i: number) => Scalar {
  switch (scalar) {
    case "int64":
    case "uint64":
      return (elements, i) => narrow((elements as BigInt64Array)[i]!);
    case "float16":
      return (elements, i) => decodeFloat16((elements as Uint16Array)[i]!);
    case "bfloat16":
      return (elements, i) => decodeBfloat16((elements as Uint16Array)[i]!);
    case "bool":
      return (elements, i) => ((elements as Uint8Array)[i]! !== 0 ? 1 : 0);
    default:
      return (elements, i) => (elements as Float64Array)[i]!;
  }
}
/** Writes a canonical value to element `i`. */
export function elementWriter(scalar: ScalarType): (elements: TypedArray, i: number, v: Scalar) => void {
  switch (scalar) {
    case "int64":
    case "uint64":
      return (elements, i, v) => {
        (elements as BigInt64Array)[i] = BigInt(v);
      };
    case "float16":
      return (elements, i, v) => {
        (elements as Uint16Array)[i] = encodeFloat16(v as number);
      };
    case "bfloat16":
      return (elements, i, v) => {
        (elements as Uint16Array)[i] = encodeBfloat16(v as number);
      };
    default:
      return (elements, i, v) => {
        (elements as Float64Array)[i] = v as number;
      };
  }
}
