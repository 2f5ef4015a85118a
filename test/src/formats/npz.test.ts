import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { describe, expect, it } from "vitest";
import { TilewrightError } from "../../../ir/support/errors.ts";
import { decodeNpz, encodeNpz, readNpz, writeNpz } from "../../../src/formats/npz.ts";
import { readZip, writeZip } from "../../../src/formats/zip.ts";
import { Tensor } from "../../../src/tensor.ts";
import { codeOf } from "../onnx/models.ts";

const tensors: readonly (readonly [string, Tensor])[] = [
  ["x", new Tensor("float32", new Float32Array(1000).fill(0.5), [10, 100])],
  ["a/b é", new Tensor("int64", [1n, -2n])],
  ["__proto__", new Tensor("bool", [true])],
];

/** What `numpy.savez` of NumPy 2.4 writes for x = int8 [1, 2]: a stored entry with ZIP64 sizes. */
const fromNumpy = Buffer.from(
  "504b03042d000000000000002100ce25f8a6ffffffffffffffff05001400782e6e70790100100082000000000000008200000000000000" +
    "934e554d5059010076007b276465736372273a20277c6931272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861" +
    "7065273a2028322c292c207d20202020202020202020202020202020202020202020202020202020202020202020202020202020202020" +
    "20202020202020202020202020202020200a0102504b01022d032d000000000000002100ce25f8a6820000008200000005000000000000" +
    "0000000000800100000000782e6e7079504b0506000000000100010033000000b90000000000",
  "hex",
);

describe("npz", () => {
  it.each([false, true])("round-trips tensors by name (compress: %s)", (compress) => {
    const bytes = encodeNpz(tensors, { compress });
    const again = decodeNpz(bytes);
    expect([...again.keys()]).toEqual(["x", "a/b é", "__proto__"]);
    for (const [name, tensor] of tensors) expect(again.get(name)).toEqual(tensor);
    if (compress) expect(bytes.length).toBeLessThan(1000);
  });

  it("reads and writes files", () => {
    const folder = mkdtempSync(join(tmpdir(), "tilewright-npz-"));
    writeNpz(join(folder, "x.npz"), tensors);
    expect(readNpz(join(folder, "x.npz")).size).toBe(3);
    expect(codeOf(() => readNpz(join(folder, "y.npz")))).toBe("file/unreadable");
    rmSync(folder, { recursive: true });
  });

  it("reads what NumPy writes", () => {
    expect(decodeNpz(fromNumpy).get("x")?.data).toEqual(Int8Array.of(1, 2));
  });

  it("ends mutated archives in tensors or a named error", () => {
    const generator = xoroshiro128plus(5);
    for (let i = 0; i < 1000; i++) {
      const bytes = encodeNpz(tensors, { compress: i % 2 === 0 });
      for (let n = uniformInt(generator, 1, 4); n > 0; n--)
        bytes[uniformInt(generator, 0, bytes.length - 1)] = uniformInt(generator, 0, 255);
      try {
        expect(decodeNpz(bytes).size).toBeGreaterThanOrEqual(0);
      } catch (error) {
        expect(error).toBeInstanceOf(TilewrightError);
      }
    }
  });

  it("refuses archives of other files, and names given twice", () => {
    const one = tensors[1]!;
    expect(codeOf(() => decodeNpz(writeZip([{ name: "readme.txt", bytes: new Uint8Array(1) }])))).toBe("npz/entry");
    expect(codeOf(() => decodeNpz(encodeNpz([one, one])))).toBe("npz/duplicate-name");
  });
});

describe("zip", () => {
  const bytes = writeZip([{ name: "a", bytes: new Uint8Array(100).fill(7) }], { compress: true });
  const damaged = (change: (copy: Uint8Array, view: DataView) => void) => {
    const copy = Uint8Array.from(bytes);
    change(copy, new DataView(copy.buffer));
    return codeOf(() => readZip(copy));
  };
  const central = bytes.findIndex(
    (_, i) => i > 0 && bytes[i] === 0x50 && bytes[i + 2] === 0x01 && bytes[i + 3] === 0x02,
  );

  it("reads an empty archive", () => {
    expect(readZip(writeZip([]))).toEqual([]);
  });
  it("refuses damage", () => {
    expect(codeOf(() => readZip(new Uint8Array(10)))).toBe("zip/malformed");
    expect(codeOf(() => readZip(bytes.subarray(0, bytes.length - 1)))).toBe("zip/malformed");
    expect(damaged((copy) => copy.fill(0, 31, 35))).toBe("zip/malformed");
    expect(damaged((_, view) => view.setUint32(central + 16, 1, true))).toBe("zip/malformed");
    expect(damaged((_, view) => view.setUint32(central + 24, 99, true))).toBe("zip/malformed");
    expect(damaged((_, view) => view.setUint32(central + 20, 1e9, true))).toBe("zip/malformed");
    expect(damaged((_, view) => view.setUint32(central + 42, 1e9, true))).toBe("zip/malformed");
    expect(damaged((_, view) => view.setUint32(bytes.length - 6, 1e9, true))).toBe("zip/malformed");
  });
  it("refuses what it does not know", () => {
    expect(damaged((_, view) => view.setUint16(central + 10, 12, true))).toBe("zip/method");
    expect(damaged((_, view) => view.setUint16(central + 8, 1, true))).toBe("zip/encrypted");
  });
  it("inflates no more than the directory says", () => {
    expect(damaged((_, view) => view.setUint32(central + 24, 10, true))).toBe("zip/malformed");
  });
});
