/** Decodes the elements of `TensorProto`s: every encoding of ONNX, each length checked before anything is allocated. */
import { bytesOf, type ScalarType } from "../../ir/expr/dtype.ts";
import { arrayTypeOf, elementCount, type TensorValue, type TypedArray } from "../../ir/graph/tensor-value.ts";
import { InputError } from "../../ir/support/errors.ts";
import { elementNameOf, externalLocation, scalarOfCode } from "./codes.ts";
import type { ExternalData } from "./external-data.ts";
import { type ByteBudget, checkLimit, type OnnxLimits } from "./limits.ts";
import type { SparseTensorProto, TensorProto } from "./onnx_pb.ts";

/** What decoding tensors needs: limits, the bytes taken so far, and the folder of external data. */
export interface TensorSource {
  readonly limits: OnnxLimits;
  readonly budget: ByteBudget;
  readonly external: ExternalData;
}

/** Most axes of a tensor, as in NumPy. */
const mostAxes = 64;

/** Checks the extents of a static shape and their product. @throws InputError [onnx/bad-dimension], [onnx/too-large] */
export function checkedDims(dims: readonly bigint[], what: string, limits: OnnxLimits): number[] {
  if (dims.length > mostAxes)
    throw new InputError("onnx/bad-dimension", `${what} has ${dims.length} axes, the most is ${mostAxes}`);
  let product = 1;
  for (const d of dims) {
    if (d < 0n || d > BigInt(Number.MAX_SAFE_INTEGER))
      throw new InputError("onnx/bad-dimension", `${what} has the extent ${d}`, { dims: dims.map(String) });
    product *= Math.max(Number(d), 1);
    checkLimit(limits, "elements", product, `elements of ${what}, shape [${dims.join(", ")}]`);
  }
  return dims.map(Number);
}

/**
 * Says why Tilewright has no element type for a tensor, undefined where it has one.
 * @throws InputError [onnx/bad-type] for a number that ONNX does not define
 */
export function unsupportedElements(code: number, what: string): string | undefined {
  const name = elementNameOf(code);
  if (name === undefined) throw new InputError("onnx/bad-type", `${what} has the unknown element type ${code}`);
  return scalarOfCode(code) === undefined ? `${what} has elements of type ${name}` : undefined;
}

/**
 * Decodes a tensor whose element type is supported.
 * @throws InputError [onnx/bad-dimension], [onnx/bad-type], [onnx/length-mismatch], [onnx/too-large], [onnx/external-data]
 */
export function decodeTensor(proto: TensorProto, what: string, source: TensorSource): TensorValue {
  const type = scalarOfCode(proto.dataType);
  if (type === undefined) throw new InputError("onnx/bad-type", `${what} has the element type ${proto.dataType}`);
  if (proto.segment) throw new InputError("onnx/segment", `${what} is a segment of a tensor, which no reader joins`);
  const dims = checkedDims(proto.dims, what, source.limits);
  const bytes = elementCount(dims) * bytesOf(type);
  source.budget.take(bytes, what);
  const data =
    proto.dataLocation === externalLocation
      ? elementsOfBytes(type, source.external.read(proto.externalData, bytes, what), elementCount(dims))
      : inlineElements(proto, type, elementCount(dims), what);
  return { type, dims, data };
}

/** Decodes a sparse tensor to a dense one. @throws as decodeTensor, and InputError [onnx/bad-index] */
export function decodeSparseTensor(proto: SparseTensorProto, what: string, source: TensorSource): TensorValue {
  if (!proto.values || !proto.indices)
    throw new InputError("onnx/malformed", `${what} lacks its values or its indices`);
  const dims = checkedDims(proto.dims, what, source.limits);
  const values = decodeTensor(proto.values, `the values of ${what}`, source);
  const indices = decodeTensor(proto.indices, `the indices of ${what}`, source);
  if (!(indices.data instanceof BigInt64Array))
    throw new InputError("onnx/bad-type", `the indices of ${what} are ${indices.type} instead of int64`);
  const count = values.data.length;
  const perIndex = indices.dims.length === 2 ? dims.length : 1;
  if (values.dims.length !== 1 || indices.dims[0] !== count || indices.data.length !== count * perIndex)
    throw new InputError("onnx/length-mismatch", `${what} has ${count} values at indices of [${indices.dims}]`);
  const bytes = elementCount(dims) * bytesOf(values.type);
  checkLimit(source.limits, "sparseBytes", bytes, `bytes of ${what}`);
  source.budget.take(bytes, what);
  const data = new (arrayTypeOf(values.type))(elementCount(dims));
  const extents = perIndex === 1 ? [elementCount(dims)] : dims;
  for (let i = 0; i < count; i++) {
    const at = linearIndex(indices.data.subarray(i * perIndex, (i + 1) * perIndex), extents, what);
    setElement(data, at, values.data[i]!);
  }
  return { type: values.type, dims, data };
}

function linearIndex(index: BigInt64Array, extents: readonly number[], what: string): number {
  let linear = 0;
  for (const [axis, extent] of extents.entries()) {
    const i = Number(index[axis]);
    if (!(i >= 0 && i < extent)) throw new InputError("onnx/bad-index", `${what} has a value at index ${index}`);
    linear = linear * extent + i;
  }
  return linear;
}

function inlineElements(proto: TensorProto, type: ScalarType, count: number, what: string): TypedArray {
  const raw = proto.rawData;
  if (raw.length > 0) {
    checkCount(raw.length, count * bytesOf(type), `bytes of raw data in ${what}`);
    return elementsOfBytes(type, raw, count);
  }
  const list = typedList(proto, type);
  checkCount(list.length, count, `elements in ${what}`);
  // Typed arrays wrap modulo 2^bits, which is how half and narrow types lie in 32-bit fields.
  const data = new (arrayTypeOf(type))(count);
  for (let i = 0; i < count; i++) setElement(data, i, type === "bool" && list[i] !== 0 ? 1 : list[i]!);
  return data;
}

/** Stores one element; the element kind (number or bigint) follows the array. */
function setElement(array: TypedArray, i: number, value: number | bigint): void {
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) array[i] = BigInt(value);
  else array[i] = Number(value);
}

function typedList(proto: TensorProto, type: ScalarType): readonly (number | bigint)[] {
  switch (type) {
    case "float32":
      return proto.floatData;
    case "float64":
      return proto.doubleData;
    case "int64":
      return proto.int64Data;
    case "uint32":
    case "uint64":
      return proto.uint64Data;
    default:
      return proto.int32Data;
  }
}

function checkCount(have: number, need: number, what: string): void {
  if (have === need) return;
  throw new InputError("onnx/length-mismatch", `${what}: ${have}, its shape asks for ${need}`, { have, need });
}

/** Elements from little-endian bytes; parts of a file are copied: they may lie unaligned, and would keep the file alive. */
function elementsOfBytes(type: ScalarType, bytes: Uint8Array, count: number): TypedArray {
  const copy = new Uint8Array(bytes);
  if (type === "bool") return copy.map((x) => (x === 0 ? 0 : 1));
  return new (arrayTypeOf(type))(copy.buffer, 0, count);
}
