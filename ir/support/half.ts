/** Rounding to, and bit patterns of, the 16-bit float types. Values are JS numbers throughout. */

const word = new DataView(new ArrayBuffer(8));

/** Rounds half-to-even to a binary format with `fraction` stored bits and least normal exponent `minExponent`. */
function quantize(x: number, fraction: number, minExponent: number, overflow: number): number {
  if (x === 0 || Number.isNaN(x)) return x;
  if (Math.abs(x) >= overflow) return x < 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  word.setFloat64(0, x);
  const exponent = Math.max(((word.getUint32(0) >>> 20) & 0x7ff) - 1023, minExponent);
  const magic = 1.5 * 2 ** (52 + exponent - fraction);
  const magnitude = Math.abs(x);
  const rounded = magnitude + magic - magic;
  const result = rounded >= overflow ? Number.POSITIVE_INFINITY : rounded;
  return x < 0 ? -result : result;
}

/** The float16 nearest to `x`, ties to even, as a number. */
export const roundFloat16 = (x: number): number => quantize(x, 10, -14, 65536);
/** The bfloat16 nearest to `x`, ties to even, as a number. */
export const roundBfloat16 = (x: number): number => quantize(x, 7, -126, 2 ** 128);

/** The 16-bit pattern of the float16 nearest to `x`. */
export function encodeFloat16(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const value = roundFloat16(x);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24);
  word.setFloat64(0, magnitude);
  const high = word.getUint32(0);
  return sign | (((high >>> 20) - 1023 + 15) << 10) | ((high >>> 10) & 0x3ff);
}
/** The value of a float16 bit pattern. */
export function decodeFloat16(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
/** The 16-bit pattern of the bfloat16 nearest to `x`. */
export function encodeBfloat16(x: number): number {
  if (Number.isNaN(x)) return 0x7fc0;
  word.setFloat32(0, roundBfloat16(x));
  return word.getUint16(0);
}
/** The value of a bfloat16 bit pattern. */
export function decodeBfloat16(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}
