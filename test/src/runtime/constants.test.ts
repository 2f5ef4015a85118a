import { expect, test } from "vitest";
import { type Layout, physicalShape } from "../../../ir/graph/layout.ts";
import { elementCount, type TensorValue } from "../../../ir/graph/tensor-value.ts";
import { packConstant, packedBytes } from "../../../src/runtime/constants.ts";

/** Places every element by the definition of a layout, one index at a time. */
function packedByDefinition(value: TensorValue, layout: Layout): number[] {
  const shape = physicalShape(layout, value.dims);
  const out = new Array<number>(elementCount(shape)).fill(0);
  const source = value.data as Float32Array;
  for (let flat = 0; flat < source.length; flat++) {
    const index = value.dims.map(
      (extent, axis) => Math.floor(flat / elementCount(value.dims.slice(axis + 1))) % extent,
    );
    let place = 0;
    layout.dims.forEach((d, k) => {
      const outer = Math.floor(index[d.axis]! / d.divisor);
      place = place * shape[k]! + (d.modulus === undefined ? outer : outer % d.modulus);
    });
    out[place] = source[flat]!;
  }
  return out;
}

/** [o/lanes, i, kh, kw, lanes of o]. */
const blockedWeights = (lanes: number): Layout => ({
  name: `O${lanes}o`,
  rank: 4,
  dims: [
    { axis: 0, divisor: lanes },
    { axis: 1, divisor: 1 },
    { axis: 2, divisor: 1 },
    { axis: 3, divisor: 1 },
    { axis: 0, divisor: 1, modulus: lanes },
  ],
});

test.each([
  [[32, 5, 3, 3], 16],
  [[20, 7, 1, 1], 16],
  [[3, 1, 1, 1], 8],
  [[17, 1100, 3, 3], 8],
  [[33, 9000, 1, 1], 16],
] as const)("weights %j in blocks of %i lie where the layout says, zeros where it pads", (dims, lanes) => {
  const data = Float32Array.from({ length: elementCount(dims) }, (_, i) => i + 1);
  const value: TensorValue = { type: "float32", dims, data };
  const layout = blockedWeights(lanes);
  const bytes = new Uint8Array(packedBytes(value, layout));
  packConstant(value, layout, bytes);
  const packed = [...new Float32Array(bytes.buffer)];
  const expected = packedByDefinition(value, layout);
  expect(packed.length).toBe(expected.length);
  expect(packed.findIndex((x, i) => x !== expected[i])).toBe(-1);
});

test("scalars and 64-bit integers are laid out as they are", () => {
  const scalar: TensorValue = { type: "float32", dims: [], data: Float32Array.of(3) };
  const one = new Uint8Array(4);
  packConstant(scalar, undefined, one);
  expect(new Float32Array(one.buffer)[0]).toBe(3);
  const longs: TensorValue = { type: "int64", dims: [3], data: BigInt64Array.of(1n, -2n, 3n) };
  const bytes = new Uint8Array(packedBytes(longs, undefined));
  packConstant(longs, undefined, bytes);
  expect([...new BigInt64Array(bytes.buffer)]).toEqual([1n, -2n, 3n]);
});
