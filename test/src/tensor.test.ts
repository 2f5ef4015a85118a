import { describe, expect, it } from "vitest";
import { scalarTypes } from "../../ir/expr/dtype.ts";
import { arrayTypeOf } from "../../ir/graph/tensor-value.ts";
import { Tensor } from "../../src/tensor.ts";
import { codeOf } from "./onnx/models.ts";

describe("Tensor", () => {
  it.each(scalarTypes)("holds %s without copying", (type) => {
    const data = new (arrayTypeOf(type))(6);
    const tensor = new Tensor(type, data, [2, 3]);
    expect([tensor.type, tensor.dims, tensor.size, tensor.location]).toEqual([type, [2, 3], 6, "cpu"]);
    expect(tensor.data).toBe(data);
  });

  it("tells the type from the array", () => {
    expect(new Tensor(Float32Array.of(1, 2), [1, 2])).toMatchObject({ type: "float32", dims: [1, 2] });
    expect(new Tensor(Uint8Array.of(1)).type).toBe("uint8");
    expect(new Tensor(new Uint8ClampedArray(2)).type).toBe("uint8");
    expect(new Tensor(Uint16Array.of(1)).type).toBe("uint16");
    expect(new Tensor(BigInt64Array.of(1n)).type).toBe("int64");
    expect(new Tensor(Float64Array.of(1)).type).toBe("float64");
    expect(new Tensor([true, false])).toMatchObject({ type: "bool", data: Uint8Array.of(1, 0) });
  });

  it("converts plain arrays", () => {
    expect(new Tensor("float32", [1, 2.5]).data).toEqual(Float32Array.of(1, 2.5));
    expect(new Tensor("int64", [1, -2]).data).toEqual(BigInt64Array.of(1n, -2n));
    expect(new Tensor("uint64", [2n ** 63n], []).data).toEqual(BigUint64Array.of(2n ** 63n));
    expect(new Tensor("bool", [true, false, true]).data).toEqual(Uint8Array.of(1, 0, 1));
  });

  it("gives the length as the shape when none is said, and reshapes", async () => {
    const tensor = new Tensor("int32", Int32Array.of(1, 2, 3, 4));
    expect(tensor.dims).toEqual([4]);
    expect(tensor.reshape([2, 2]).dims).toEqual([2, 2]);
    expect(tensor.reshape([2, 2]).data).toBe(tensor.data);
    expect(await tensor.getData()).toBe(tensor.data);
    expect(codeOf(() => tensor.reshape([3]))).toBe("tensor/size-mismatch");
    expect(Tensor.from(tensor)).toEqual(tensor);
  });

  it("does not follow later changes of the given shape", () => {
    const dims = [2, 2];
    const tensor = new Tensor("int8", new Int8Array(4), dims);
    dims[0] = 7;
    expect(tensor.dims).toEqual([2, 2]);
  });

  it("refuses what does not fit, and says why", () => {
    const make =
      (...args: unknown[]) =>
      () =>
        Reflect.construct(Tensor, args) as unknown;
    expect(codeOf(make("float32", new Float32Array(3), [2, 2]))).toBe("tensor/size-mismatch");
    expect(make("float32", new Float32Array(3), [2, 2])).toThrow(/shape \[2, 2\] has 4 elements, the data has 3/);
    expect(codeOf(make("float32", new Float64Array(1), [1]))).toBe("tensor/data");
    expect(make("float32", new Float64Array(1))).toThrow(/made from a Float32Array, not from a Float64Array/);
    expect(codeOf(make("float32", new Float32Array(1), [-1]))).toBe("tensor/shape");
    expect(codeOf(make("float32", new Float32Array(1), [1.5]))).toBe("tensor/shape");
    expect(codeOf(make("float32", new Float32Array(1), "1"))).toBe("tensor/shape");
    expect(codeOf(make("float32"))).toBe("tensor/no-data");
    expect(codeOf(make("float32", ["1"]))).toBe("tensor/data");
    expect(codeOf(make("int32", [1n]))).toBe("tensor/data");
    expect(codeOf(make("int64", [1.5]))).toBe("tensor/data");
    expect(codeOf(make("float16", [1]))).toBe("tensor/data");
    expect(codeOf(make("floaty", [1]))).toBe("tensor/type");
    expect(codeOf(make("string", ["a"]))).toBe("tensor/type");
    expect(codeOf(make([1, 2]))).toBe("tensor/type");
    expect(codeOf(make(new Map()))).toBe("tensor/type");
  });
});
