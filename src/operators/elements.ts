/** Elements of constant tensors as numbers, and constant tensors from numbers. */
import { getFloat16, setFloat16 } from "@petamoriken/float16";
import type { ScalarType } from "../../ir/expr/dtype.ts";
import { type TensorValue, tensorValue } from "../../ir/graph/tensor-value.ts";

/** The number that a float16 bit pattern stands for. */
export const fromHalf = (bits: number): number => getFloat16(new DataView(Uint16Array.of(bits).buffer), 0, true);
/** The number that a bfloat16 bit pattern stands for. */
const fromBfloat = (bits: number): number => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;

function toHalf(value: number): number {
  const view = new DataView(new ArrayBuffer(2));
  setFloat16(view, 0, value, true);
  return view.getUint16(0, true);
}
function toBfloat(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Element `i` as a number, or bigint for 64-bit integers; half types are decoded. */
export function elementAt(t: TensorValue, i: number): number | bigint {
  const raw = t.data[i]!;
  if (t.type === "float16") return fromHalf(Number(raw));
  if (t.type === "bfloat16") return fromBfloat(Number(raw));
  return raw;
}
/** All elements as numbers (64-bit integers lose what a number cannot hold). */
export const numbersOf = (t: TensorValue): number[] =>
  Array.from({ length: t.data.length }, (_, i) => Number(elementAt(t, i)));

/** A tensor from numbers; half types are encoded, integers wrapped. */
export function tensorOf(type: ScalarType, dims: readonly number[], values: Iterable<number | bigint>): TensorValue {
  const encode = encoderOf(type);
  const target = tensorValue(type, dims);
  let i = 0;
  for (const v of values) target.data[i++] = encode(v);
  return target;
}
function encoderOf(type: ScalarType): (v: number | bigint) => number | bigint {
  if (type === "int64" || type === "uint64") return BigInt;
  if (type === "float16") return (v) => toHalf(Number(v));
  if (type === "bfloat16") return (v) => toBfloat(Number(v));
  return type === "bool" ? (v) => (v ? 1 : 0) : Number;
}
/** A one-dimensional int64 tensor. */
export const intVector = (values: readonly number[]): TensorValue => tensorOf("int64", [values.length], values);
/** The same elements under another shape. */
export const reshaped = (t: TensorValue, dims: readonly number[]): TensorValue => tensorValue(t.type, dims, t.data);
/** A tensor of equal elements. */
export function filled(like: TensorValue, dims: readonly number[]): TensorValue {
  const t = tensorValue(like.type, dims);
  (t.data as { fill(v: unknown): unknown }).fill(like.data[0]);
  return { ...t, dims: [...dims], data: t.data };
}
