import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ScalarType, scalarTypes } from "../../../ir/expr/dtype.ts";
import { arrayTypeOf, type TensorValue } from "../../../ir/graph/tensor-value.ts";
import { decodeNpy, encodeNpy, readNpy, writeNpy } from "../../../src/formats/npy.ts";
import { codeOf } from "../onnx/models.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

/** A .npy file with the header as it stands. */
function npy(header: string, body: Uint8Array, version = 1): Uint8Array {
  const text = ascii(`${header}\n`);
  const size = version === 1 ? [text.length & 255, text.length >> 8] : [text.length & 255, text.length >> 8, 0, 0];
  return Uint8Array.from([0x93, ...ascii("NUMPY"), version, 0, ...size, ...text, ...body]);
}
const plain = ({ type, dims, data }: TensorValue) => ({ type, dims, data });

describe("npy", () => {
  it.each(scalarTypes.filter((t) => t !== "bfloat16"))("round-trips %s", (type: ScalarType) => {
    const data = new (arrayTypeOf(type))(6);
    for (let i = 0; i < 6; i++)
      if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(i);
      else data[i] = i % 2;
    for (const dims of [[6], [2, 3], [1, 6, 1]]) {
      const bytes = encodeNpy({ type, dims, data });
      expect(plain(decodeNpy(bytes))).toEqual({ type, dims, data });
      expect((bytes.length - data.byteLength) % 64).toBe(0);
    }
  });

  it("writes the bytes that NumPy writes", () => {
    const bytes = encodeNpy({ type: "float32", dims: [2], data: Float32Array.of(1, 2) });
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".padEnd(117);
    expect(bytes).toEqual(npy(header, new Uint8Array(Float32Array.of(1, 2).buffer)));
  });

  it("round-trips scalars and empty tensors", () => {
    expect(decodeNpy(encodeNpy({ type: "float64", dims: [], data: Float64Array.of(7) })).data[0]).toBe(7);
    expect(decodeNpy(encodeNpy({ type: "int8", dims: [0, 3], data: new Int8Array(0) })).dims).toEqual([0, 3]);
  });

  it("reads Fortran order, the other byte order, and the other versions", () => {
    const body = Uint8Array.of(1, 4, 2, 5, 3, 6);
    const fortran = decodeNpy(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", body));
    expect(fortran.data).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6));
    const big = decodeNpy(npy("{'shape': (1,), 'fortran_order': False, 'descr': '>i4'}", Uint8Array.of(0, 0, 1, 2), 2));
    expect(big.data).toEqual(Int32Array.of(258));
    expect(
      decodeNpy(npy("{'descr': '=u1', 'fortran_order': False, 'shape': (1L,)}", Uint8Array.of(9), 3)).data[0],
    ).toBe(9);
  });

  it("refuses damaged and foreign files", () => {
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
    const code = (bytes: Uint8Array) => codeOf(() => decodeNpy(bytes));
    expect(code(new Uint8Array(3))).toBe("npy/malformed");
    expect(code(npy(header, new Uint8Array(7)))).toBe("npy/malformed");
    expect(code(npy(header, new Uint8Array(9)))).toBe("npy/malformed");
    expect(code(npy(header.replace("(2,)", "(-2,)"), new Uint8Array(8)))).toBe("npy/malformed");
    expect(code(npy(header.replace("(2,)", "(9007199254740991, 9)"), new Uint8Array(8)))).toBe("npy/malformed");
    expect(code(npy(header.replace("(2,)", "2"), new Uint8Array(8)))).toBe("npy/malformed");
    expect(code(npy(header.replace("<f4", "<U4"), new Uint8Array(8)))).toBe("npy/type");
    expect(code(npy(header.replace("'<f4'", "[('a', '<f4')]"), new Uint8Array(8)))).toBe("npy/type");
    expect(code(npy(header, new Uint8Array(8), 9))).toBe("npy/version");
    expect(codeOf(() => encodeNpy({ type: "bfloat16", dims: [1], data: new Uint16Array(1) }))).toBe("npy/type");
    expect(codeOf(() => readNpy("/nonexistent/x.npy"))).toBe("file/unreadable");
    expect(codeOf(() => writeNpy("/nonexistent/x.npy", { type: "int8", dims: [0], data: new Int8Array(0) }))).toBe(
      "file/unwritable",
    );
  });

  it("leaves no temporary file", () => {
    const folder = mkdtempSync(join(tmpdir(), "tilewright-npy-"));
    writeNpy(join(folder, "x.npy"), { type: "int8", dims: [1], data: Int8Array.of(3) });
    expect(readNpy(join(folder, "x.npy")).data).toEqual(Int8Array.of(3));
    expect(readdirSync(folder)).toEqual(["x.npy"]);
    rmSync(folder, { recursive: true });
  });
});
