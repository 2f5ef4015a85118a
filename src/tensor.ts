/** The public tensor: an element type, a shape and row-major elements; the same calls as onnxruntime-node's Tensor. */
import { type ScalarType, scalarTypes } from "../ir/expr/dtype.ts";
import { arrayTypeOf, elementCount, type TensorValue, type TypedArray } from "../ir/graph/tensor-value.ts";
import { InputError, UnsupportedError } from "../ir/support/errors.ts";

/** The array that holds elements of each type: half types as their 16-bit patterns, bool as bytes 0/1. */
export interface TensorArrays {
  readonly bool: Uint8Array;
  readonly int8: Int8Array;
  readonly int16: Int16Array;
  readonly int32: Int32Array;
  readonly int64: BigInt64Array;
  readonly uint8: Uint8Array;
  readonly uint16: Uint16Array;
  readonly uint32: Uint32Array;
  readonly uint64: BigUint64Array;
  readonly float16: Uint16Array;
  readonly bfloat16: Uint16Array;
  readonly float32: Float32Array;
  readonly float64: Float64Array;
}

/** Plain arrays that a tensor can be made from; numbers and booleans are converted, bigints serve 64-bit types. */
export type PlainElements = readonly number[] | readonly bigint[] | readonly boolean[];

/** A tensor in main memory. Its data is not copied: writing to the array changes the tensor. */
export class Tensor<T extends ScalarType = ScalarType> implements TensorValue {
  readonly type: T;
  readonly dims: readonly number[];
  readonly data: TensorArrays[T];

  /**
   * Makes a tensor of `type`; `dims` is the data's length when absent.
   * @throws InputError [tensor/…] when type, data and dims do not fit
   */
  constructor(type: T, data: TensorArrays[T] | PlainElements, dims?: readonly number[]);
  /** Makes a tensor of the type that the array tells: Float32Array float32, boolean[] bool. */
  constructor(data: TypedArray | Uint8ClampedArray | readonly boolean[], dims?: readonly number[]);
  constructor(
    first: T | TypedArray | Uint8ClampedArray | readonly boolean[],
    second?: TypedArray | PlainElements | readonly number[],
    third?: readonly number[],
  ) {
    const named = typeof first === "string";
    const type = named ? checkedType(first) : typeOfArray(first);
    const elements = named ? second : first;
    if (elements === undefined) throw new InputError("tensor/no-data", `a ${type} tensor was given no data`);
    const data = arrayFor(type, elements as TypedArray | PlainElements);
    const dims = (named ? third : (second as readonly number[] | undefined)) ?? [data.length];
    this.dims = checkedDims(dims, data.length);
    // The checks above tie data to type; the compiler cannot follow the overloads that far.
    this.type = type as T;
    this.data = data as TensorArrays[T];
  }

  /** Wraps a value without copying its elements. */
  static from(value: TensorValue): Tensor {
    return new Tensor(value.type, value.data, value.dims);
  }

  /** Number of elements. */
  get size(): number {
    return this.data.length;
  }

  /** Where the data lies: always in main memory. */
  get location(): "cpu" {
    return "cpu";
  }

  /** The data, as a promise, for programs written for tensors on devices. */
  async getData(): Promise<TensorArrays[T]> {
    return this.data;
  }

  /** The same data under another shape of as many elements. @throws InputError [tensor/size-mismatch] */
  reshape(dims: readonly number[]): Tensor<T> {
    return new Tensor(this.type, this.data, dims);
  }

  /** Does nothing: the data is garbage-collected. Kept for programs that release tensors. */
  dispose(): void {}
}

/** Types of ONNX that Tilewright has no arrays for. */
const unsupportedType = /^(string|u?int[24]|complex(64|128)|float[48]e\w+)$/;

function checkedType(type: string): ScalarType {
  const known = scalarTypes.find((t) => t === type);
  if (known !== undefined) return known;
  if (unsupportedType.test(type))
    throw new UnsupportedError("tensor/type", `tensors of type ${type} are not supported`);
  throw new InputError("tensor/type", `${JSON.stringify(type)} is no tensor type; there are ${scalarTypes.join(", ")}`);
}

function typeOfArray(data: unknown): ScalarType {
  if (Array.isArray(data) && typeof data[0] === "boolean") return "bool";
  if (data instanceof Uint8ClampedArray || data instanceof Uint8Array) return "uint8";
  const type = scalarTypes.find((t) => t !== "bool" && data instanceof arrayTypeOf(t) && !isHalf(t));
  if (type !== undefined) return type;
  throw new InputError("tensor/type", `${describe(data)} does not tell the tensor's type: give the type first`);
}

const isHalf = (type: ScalarType): boolean => type === "float16" || type === "bfloat16";

function arrayFor(type: ScalarType, data: TypedArray | Uint8ClampedArray | PlainElements): TypedArray {
  const wanted = arrayTypeOf(type);
  if (data instanceof wanted) return data;
  if (data instanceof Uint8ClampedArray && wanted === Uint8Array)
    return new Uint8Array(data.buffer, data.byteOffset, data.length);
  if (type === "float16" && ArrayBuffer.isView(data) && data.constructor.name === "Float16Array")
    return new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
  if (!Array.isArray(data))
    throw new InputError("tensor/data", `a ${type} tensor is made from a ${wanted.name}, not from ${describe(data)}`);
  if (isHalf(type))
    throw new InputError("tensor/data", `a ${type} tensor is made from the 16-bit patterns in a Uint16Array`);
  return fromPlain(type, data);
}

function fromPlain(type: ScalarType, data: PlainElements): TypedArray {
  const array = new (arrayTypeOf(type))(data.length);
  for (const [i, x] of data.entries()) {
    if (array instanceof BigInt64Array || array instanceof BigUint64Array) array[i] = bigElement(x, type, i);
    else if (typeof x === "bigint") throw badElement(x, type, i);
    else array[i] = type === "bool" ? Number(Boolean(x)) : numberElement(x, type, i);
  }
  return array;
}

function bigElement(x: unknown, type: ScalarType, i: number): bigint {
  if (typeof x === "bigint") return x;
  if (typeof x === "number" && Number.isInteger(x)) return BigInt(x);
  throw badElement(x, type, i);
}

function numberElement(x: unknown, type: ScalarType, i: number): number {
  if (typeof x !== "number") throw badElement(x, type, i);
  return x;
}

const badElement = (x: unknown, type: ScalarType, i: number): InputError =>
  new InputError("tensor/data", `element ${i} is ${String(x)} (a ${typeof x}), which a ${type} tensor does not hold`);

function checkedDims(dims: readonly number[], length: number): readonly number[] {
  if (!Array.isArray(dims) || !dims.every((d) => Number.isSafeInteger(d) && d >= 0))
    throw new InputError("tensor/shape", `[${String(dims)}] is no shape: extents are whole numbers from 0`);
  const count = elementCount(dims);
  if (count !== length)
    throw new InputError(
      "tensor/size-mismatch",
      `a tensor of shape [${dims.join(", ")}] has ${count} elements, the data has ${length}`,
      { dims: [...dims], elements: length },
    );
  return Object.freeze([...dims]);
}

function describe(data: unknown): string {
  if (Array.isArray(data)) return `an array of ${data.length === 0 ? "nothing" : `${typeof data[0]}s`}`;
  return typeof data === "object" && data !== null ? `a ${data.constructor?.name ?? "object"}` : String(data);
}
