import { f16round, getFloat16, setFloat16 } from "@petamoriken/float16";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeBfloat16,
  decodeFloat16,
  encodeBfloat16,
  encodeFloat16,
  roundBfloat16,
  roundFloat16,
} from "../../../ir/support/half.ts";

const view = new DataView(new ArrayBuffer(4));

test("every float16 pattern decodes as the library says, and encodes back", () => {
  for (let bits = 0; bits < 65536; bits++) {
    view.setUint16(0, bits);
    const wanted = getFloat16(view, 0);
    const value = decodeFloat16(bits);
    if (!Object.is(value, wanted)) expect.fail(`pattern ${bits}: ${value}, not ${wanted}`);
    if (!Number.isNaN(value) && encodeFloat16(value) !== bits) expect.fail(`${value} encodes to another pattern`);
  }
  expect(encodeFloat16(Number.NaN)).toBe(0x7e00);
});
test("doubles round to float16 as the library does", () => {
  const doubles = fc.oneof(fc.double(), fc.double({ min: -70000, max: 70000 }), fc.double({ min: -1e-4, max: 1e-4 }));
  fc.assert(
    fc.property(doubles, (x) => {
      expect(roundFloat16(x)).toBe(f16round(x));
      setFloat16(view, 0, x);
      if (!Number.isNaN(x)) expect(encodeFloat16(x)).toBe(view.getUint16(0));
    }),
    { numRuns: 5000 },
  );
});
test("bfloat16 is the upper half of float32, rounded half-to-even", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = decodeBfloat16(bits);
    if (!Number.isNaN(value) && encodeBfloat16(value) !== bits) expect.fail(`pattern ${bits} does not come back`);
  }
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (x) => {
      view.setFloat32(0, x);
      const bits = view.getUint32(0);
      const rounded = bits + 0x7fff + ((bits >>> 16) & 1);
      expect(encodeBfloat16(x)).toBe((rounded >>> 16) & 0xffff);
      expect(roundBfloat16(x)).toBe(decodeBfloat16(encodeBfloat16(x)));
    }),
    { numRuns: 5000 },
  );
});
