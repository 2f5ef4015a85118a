import { bytesOf, type ScalarType } from "../expr/dtype.ts";
import { invariant } from "../support/invariant.ts";

/** The typed arrays that hold elements: half types as their 16-bit patterns, bool as bytes 0/1. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** A tensor's value: row-major elements. */
export interface TensorValue {
  readonly type: ScalarType;
  readonly dims: readonly number[];
  readonly data: TypedArray;
}

/** The array constructor that stores elements of `type`. */
export function arrayTypeOf(type: ScalarType) {
  switch (type) {
    case "int8":
      return Int8Array;
    case "int16":
      return Int16Array;
    case "int32":
      return Int32Array;
    case "int64":
      return BigInt64Array;
    case "uint8":
    case "bool":
      return Uint8Array;
    case "uint16":
    case "float16":
    case "bfloat16":
      return Uint16Array;
    case "uint32":
      return Uint32Array;
    case "uint64":
      return BigUint64Array;
    case "float32":
      return Float32Array;
    case "float64":
      return Float64Array;
  }
}
/** Number of elements of a shape (1 for a scalar). */
export const elementCount = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
/** Bytes of a row-major tensor. */
export const byteCount = (type: ScalarType, dims: readonly number[]): number => elementCount(dims) * bytesOf(type);
/** A tensor value; asserts that the data has as many elements as the shape. */
export function tensorValue(type: ScalarType, dims: readonly number[], data?: TypedArray): TensorValue {
  const values = data ?? new (arrayTypeOf(type))(elementCount(dims));
  invariant(
    values.length === elementCount(dims),
    `a tensor of shape [${dims}] has ${elementCount(dims)} elements, got ${values.length}`,
  );
  return { type, dims, data: values };
}
