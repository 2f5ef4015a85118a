import { invariant } from "../support/invariant.ts";

/** Names of scalar element types, as ONNX and NumPy spell them. */
export const scalarTypes = [
  "bool",
  "int8",
  "int16",
  "int32",
  "int64",
  "uint8",
  "uint16",
  "uint32",
  "uint64",
  "float16",
  "bfloat16",
  "float32",
  "float64",
] as const;

/** The name of an element type, as in ONNX and NumPy. */
export type ScalarType = (typeof scalarTypes)[number];

/** A scalar (lanes 1) or vector type. Interned: equal types are the same object. */
export interface DType {
  readonly scalar: ScalarType;
  readonly lanes: number;
}

const interned = new Map<string, DType>();

/** Gives the interned type of `lanes` elements of `scalar`. */
export function dtype(scalar: ScalarType, lanes = 1): DType {
  invariant(Number.isInteger(lanes) && lanes >= 1, `lanes must be a positive integer, got ${lanes}`);
  const key = `${scalar}x${lanes}`;
  let type = interned.get(key);
  if (type === undefined) {
    type = Object.freeze({ scalar, lanes });
    interned.set(key, type);
  }
  return type;
}

export const boolType = dtype("bool");
/** The type of every index expression. */
export const indexType = dtype("int64");
export const float32 = dtype("float32");

const bits: Record<ScalarType, number> = {
  bool: 8,
  int8: 8,
  int16: 16,
  int32: 32,
  int64: 64,
  uint8: 8,
  uint16: 16,
  uint32: 32,
  uint64: 64,
  float16: 16,
  bfloat16: 16,
  float32: 32,
  float64: 64,
};

/** Storage bits of one element (a bool occupies a byte in memory). */
export const bitsOf = (scalar: ScalarType): number => bits[scalar];
/** Storage bytes of one element. */
export const bytesOf = (scalar: ScalarType): number => bits[scalar] / 8;
export const isFloat = (scalar: ScalarType): boolean => scalar.startsWith("float") || scalar === "bfloat16";
export const isSigned = (scalar: ScalarType): boolean => scalar.startsWith("int");
export const isUnsigned = (scalar: ScalarType): boolean => scalar.startsWith("uint");
export const isInteger = (scalar: ScalarType): boolean => isSigned(scalar) || isUnsigned(scalar);
/** The same element type with another number of lanes. */
export const withLanes = (type: DType, lanes: number): DType => dtype(type.scalar, lanes);
/** The element type of a vector type. */
export const elementOf = (type: DType): DType => dtype(type.scalar);
