import { describe, expect, it } from "vitest";
import { loadOnnxSync } from "../../../src/onnx/load.ts";
import { codeOf, constantGraph, info, modelBytes, node, type TensorInit } from "./models.ts";

const decoded = (tensor: TensorInit) => {
  const graph = loadOnnxSync(modelBytes(constantGraph(tensor)));
  return [...graph.values.values()].find((v) => v.name === "w")!.constant!;
};
const code = (tensor: TensorInit) => codeOf(() => decoded(tensor));
const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Element type code, the same elements in the typed field, and as an array. */
const encodings: readonly (readonly [string, TensorInit, ArrayBufferView])[] = [
  ["float32", { dataType: 1, floatData: [1.5, -2] }, Float32Array.of(1.5, -2)],
  ["uint8", { dataType: 2, int32Data: [0, 255] }, Uint8Array.of(0, 255)],
  ["int8", { dataType: 3, int32Data: [-128, 127] }, Int8Array.of(-128, 127)],
  ["uint16", { dataType: 4, int32Data: [0, 65535] }, Uint16Array.of(0, 65535)],
  ["int16", { dataType: 5, int32Data: [-32768, 9] }, Int16Array.of(-32768, 9)],
  ["int32", { dataType: 6, int32Data: [-(2 ** 31), 7] }, Int32Array.of(-(2 ** 31), 7)],
  ["int64", { dataType: 7, int64Data: [-(2n ** 63n), 7n] }, BigInt64Array.of(-(2n ** 63n), 7n)],
  ["bool", { dataType: 9, int32Data: [1, 0] }, Uint8Array.of(1, 0)],
  ["float16", { dataType: 10, int32Data: [0x3c00, 0xc000] }, Uint16Array.of(0x3c00, 0xc000)],
  ["float64", { dataType: 11, doubleData: [0.1, 1e300] }, Float64Array.of(0.1, 1e300)],
  ["uint32", { dataType: 12, uint64Data: [1n, 4294967295n] }, Uint32Array.of(1, 4294967295)],
  ["uint64", { dataType: 13, uint64Data: [1n, 2n ** 64n - 1n] }, BigUint64Array.of(1n, 2n ** 64n - 1n)],
  ["bfloat16", { dataType: 16, int32Data: [0x3f80, 0xc000] }, Uint16Array.of(0x3f80, 0xc000)],
];

describe("tensor encodings", () => {
  it.each(encodings)("decodes %s from its typed field", (type, tensor, data) => {
    expect(decoded({ ...tensor, dims: [2n] })).toEqual({ type, dims: [2], data });
  });

  it.each(encodings)("decodes %s from raw bytes, aligned or not", (type, tensor, data) => {
    const dataType = tensor.dataType!;
    for (const name of ["w", "w".repeat(2), "w".repeat(3)]) {
      const graph = { ...constantGraph({ dataType, dims: [1n, 2n], rawData: bytesOf(data) }), docString: name };
      const bytes = modelBytes(graph);
      const shifted = new Uint8Array(bytes.length + 1).subarray(1);
      shifted.set(bytes);
      const value = [...loadOnnxSync(shifted).values.values()].find((v) => v.name === "w")!.constant!;
      expect(value).toEqual({ type, dims: [1, 2], data });
      expect(value.data.byteOffset % value.data.BYTES_PER_ELEMENT).toBe(0);
      expect(value.data.buffer).not.toBe(bytes.buffer);
    }
  });

  it("makes bools 0 or 1 whatever the file says", () => {
    expect(decoded({ dataType: 9, dims: [3n], rawData: Uint8Array.of(0, 2, 255) }).data).toEqual(
      Uint8Array.of(0, 1, 1),
    );
    expect(decoded({ dataType: 9, dims: [2n], int32Data: [-1, 0] }).data).toEqual(Uint8Array.of(1, 0));
  });

  it("reads scalars and empty tensors", () => {
    expect(decoded({ dataType: 1, floatData: [3] })).toEqual({ type: "float32", dims: [], data: Float32Array.of(3) });
    expect(decoded({ dataType: 1, dims: [0n, 3n] }).data.length).toBe(0);
  });

  it("refuses lengths that do not fit the shape", () => {
    expect(code({ dataType: 1, dims: [2n], rawData: new Uint8Array(7) })).toBe("onnx/length-mismatch");
    expect(code({ dataType: 1, dims: [2n], rawData: new Uint8Array(12) })).toBe("onnx/length-mismatch");
    expect(code({ dataType: 1, dims: [2n], floatData: [1] })).toBe("onnx/length-mismatch");
    expect(code({ dataType: 1, dims: [2n], int32Data: [1, 2] })).toBe("onnx/length-mismatch");
    expect(code({ dataType: 1, dims: [2n] })).toBe("onnx/length-mismatch");
  });

  it("refuses types that ONNX does not define, and segments", () => {
    expect(code({ dataType: 0, dims: [1n], floatData: [1] })).toBe("onnx/bad-type");
    expect(code({ dataType: 99, dims: [1n], floatData: [1] })).toBe("onnx/bad-type");
    expect(code({ dataType: -1, dims: [1n], floatData: [1] })).toBe("onnx/bad-type");
    expect(code({ dataType: 1, dims: [1n], floatData: [1], segment: { begin: 0n, end: 1n } })).toBe("onnx/segment");
  });

  it.each([8, 14, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26])("refuses element type %i as unsupported", (dataType) => {
    expect(code({ dataType, dims: [1n], rawData: Uint8Array.of(0) })).toBe("onnx/unsupported");
  });
});

describe("sparse initializers", () => {
  const sparse = (dims: bigint[], values: TensorInit, indices: TensorInit) => {
    const sparseInitializer = [{ dims, values: { name: "w", ...values }, indices }];
    const graph = { name: "g", node: [node("Identity", ["w"], ["y"])], sparseInitializer, output: [info("y", [])] };
    return [...loadOnnxSync(modelBytes(graph)).values.values()].find((v) => v.name === "w")!.constant!;
  };
  const two = { dataType: 1, dims: [2n], floatData: [5, 6] };
  const ints = (dims: bigint[], int64Data: bigint[]) => ({ dataType: 7, dims, int64Data });

  it("become dense, from linear and from coordinate indices", () => {
    const data = Float32Array.of(0, 5, 0, 0, 0, 6);
    expect(sparse([2n, 3n], two, ints([2n], [1n, 5n]))).toEqual({ type: "float32", dims: [2, 3], data });
    expect(sparse([2n, 3n], two, ints([2n, 2n], [0n, 1n, 1n, 2n])).data).toEqual(data);
  });

  it("are refused where an index leads outside or the counts differ", () => {
    expect(codeOf(() => sparse([2n, 3n], two, ints([2n], [1n, 6n])))).toBe("onnx/bad-index");
    expect(codeOf(() => sparse([2n, 3n], two, ints([2n, 2n], [0n, 3n, 1n, 0n])))).toBe("onnx/bad-index");
    expect(codeOf(() => sparse([2n, 3n], two, ints([2n], [-1n, 0n])))).toBe("onnx/bad-index");
    expect(codeOf(() => sparse([2n, 3n], two, ints([3n], [0n, 1n, 2n])))).toBe("onnx/length-mismatch");
    expect(codeOf(() => sparse([2n, 3n], two, { dataType: 6, dims: [2n], int32Data: [0, 1] }))).toBe("onnx/bad-type");
  });

  it("are refused where the dense tensor is far larger than the file", () => {
    expect(codeOf(() => sparse([2n ** 29n], two, ints([2n], [1n, 5n])))).toBe("onnx/too-large");
  });
});
