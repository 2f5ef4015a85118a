/** Numbers of the ONNX enumerations: element types and attribute types. */
import type { ScalarType } from "../../ir/expr/dtype.ts";

/** Element types by `TensorProto.DataType`. */
const scalarByCode: readonly (ScalarType | undefined)[] = [
  undefined,
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  undefined,
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  undefined,
  undefined,
  "bfloat16",
];

/** Names of the element types that Tilewright has none for. */
const otherElementNames: ReadonlyMap<number, string> = new Map([
  [8, "string"],
  [14, "complex64"],
  [15, "complex128"],
  [17, "float8e4m3fn"],
  [18, "float8e4m3fnuz"],
  [19, "float8e5m2"],
  [20, "float8e5m2fnuz"],
  [21, "uint4"],
  [22, "int4"],
  [23, "float4e2m1"],
  [24, "float8e8m0"],
  [25, "uint2"],
  [26, "int2"],
]);

/** The element type of a `TensorProto.DataType`; undefined where Tilewright has none. */
export const scalarOfCode = (code: number): ScalarType | undefined => scalarByCode[code];

/** The name of a `TensorProto.DataType`, undefined for a number that ONNX does not define. */
export const elementNameOf = (code: number): string | undefined => scalarByCode[code] ?? otherElementNames.get(code);

/** The `TensorProto.DataType` of an element type. */
export const codeOfScalar = (type: ScalarType): number => scalarByCode.indexOf(type);

/** `AttributeProto.AttributeType`. */
export const attributeCode = {
  undefined: 0,
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
  sparseTensors: 12,
  typeProto: 13,
  typeProtos: 14,
} as const;

/** `TensorProto.DataLocation.EXTERNAL`. */
export const externalLocation = 1;
