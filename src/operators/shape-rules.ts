/** Shape rules that many rows share. Axes and shapes are checked here; a bad one is an InputError naming the node. */
import { type ScalarType, scalarTypes } from "../../ir/expr/dtype.ts";
import type { NodeContext, StaticType } from "./row.ts";

/** ONNX's numbering of element types. */
const onnxTypes: ReadonlyMap<number, ScalarType> = new Map([
  [1, "float32"],
  [2, "uint8"],
  [3, "int8"],
  [4, "uint16"],
  [5, "int16"],
  [6, "int32"],
  [7, "int64"],
  [9, "bool"],
  [10, "float16"],
  [11, "float64"],
  [12, "uint32"],
  [13, "uint64"],
  [16, "bfloat16"],
]);
/** The element type an ONNX `TensorProto.DataType` number names. */
export function scalarOfOnnx(c: NodeContext, number: number): ScalarType {
  return onnxTypes.get(number) ?? c.unsupported(`element type number ${number}`);
}

export const floats: readonly ScalarType[] = ["float16", "bfloat16", "float32", "float64"];
export const integers: readonly ScalarType[] = scalarTypes.filter((t) => t.includes("int"));
export const unsignedIntegers: readonly ScalarType[] = integers.filter((t) => t.startsWith("u"));
export const numbers: readonly ScalarType[] = [...integers, ...floats];
export const signedNumbers: readonly ScalarType[] = numbers.filter((t) => !t.startsWith("u"));
export const anyType: readonly ScalarType[] = scalarTypes;

/** Refuses input `i` when its element type is not among `allowed`. */
export function checkType(c: NodeContext, i: number, allowed: readonly ScalarType[]): StaticType {
  const t = c.require(i);
  if (!allowed.includes(t.dtype)) c.unsupported(`element type ${t.dtype} of input ${i}`);
  return t;
}

/** NumPy broadcasting of several shapes. */
export function broadcastDims(c: NodeContext, shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, axis) =>
    shapes.reduce((extent, s) => {
      const n = s[s.length - rank + axis] ?? 1;
      if (n !== extent && n !== 1 && extent !== 1)
        c.invalid(`shapes ${shapes.map((d) => `[${d}]`).join(" and ")} do not broadcast`);
      return n === 1 ? extent : n;
    }, 1),
  );
}
/** A negative axis counts from the end; out of range is an InputError. */
export function normalizeAxis(c: NodeContext, axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(a) || a < 0 || a >= Math.max(rank, 1))
    c.invalid(`axis ${axis} is out of range for rank ${rank}`);
  return a;
}
/** Sorted distinct axes. */
export function normalizeAxes(c: NodeContext, axes: readonly number[], rank: number): number[] {
  const set = new Set(axes.map((a) => normalizeAxis(c, a, rank)));
  if (set.size !== axes.length) c.invalid(`axes [${axes}] repeat an axis`);
  return [...set].sort((a, b) => a - b);
}
/** Product of extents. */
export const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
/** Axes 0..n. */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
/** Whether output `i` of the node is asked for. */
export const wants = (c: NodeContext, i: number): boolean => c.node.outputs[i] !== undefined;
