import { describe, expect, it } from "vitest";
import { GraphBuilder } from "../../ir/graph/build.ts";
import { tensorValue } from "../../ir/graph/tensor-value.ts";
import { writeOnnx } from "../../src/onnx/write.ts";
import ort, { InferenceSession, Tensor } from "../../src/onnxruntime.ts";

/** y = relu(x · w), z = reshape(y, shape) with the shape as an input. */
function model(open: boolean): Uint8Array {
  const b = new GraphBuilder();
  const rows = open ? { symbol: "batch" } : 2;
  const x = b.value("x", { dtype: "float32", dims: [rows, 3] });
  const w = b.constant("w", tensorValue("float32", [3, 2], Float32Array.of(1, -1, 2, -2, 3, -3)));
  const [m] = b.node("MatMul", [x, w]);
  const [y] = b.node("Relu", [m], { outputs: ["y"] });
  b.update(y!, { type: { dtype: "float32", dims: [rows, 2] } });
  return writeOnnx(b.finish({ name: "m", inputs: [x], outputs: [y!] }));
}
function reshaping(): Uint8Array {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [2, 3] });
  const shape = b.value("shape", { dtype: "int64", dims: [2] });
  const [y] = b.node("Reshape", [x, shape], { outputs: ["y"] });
  b.update(y!, { type: { dtype: "float32", dims: [{ symbol: "a" }, { symbol: "b" }] } });
  return writeOnnx(b.finish({ name: "m", inputs: [x, shape], outputs: [y!] }));
}
const ones = (rows: number) => new Tensor("float32", new Float32Array(rows * 3).fill(1), [rows, 3]);

describe("an onnxruntime-node program with its import changed", () => {
  it("creates, runs and releases a session", async () => {
    const session = await InferenceSession.create(model(false), { intraOpNumThreads: 1 });
    expect(session.inputNames).toEqual(["x"]);
    expect(session.outputNames).toEqual(["y"]);
    expect(session.inputMetadata[0]).toMatchObject({ name: "x", type: "float32", shape: [2, 3] });
    const { y } = await session.run({ x: ones(2) });
    expect(y!.dims).toEqual([2, 2]);
    expect([...(y!.data as Float32Array)]).toEqual([6, 0, 6, 0]);
    await session.release();
    await expect(session.run({ x: ones(2) })).rejects.toMatchObject({ code: "session/released" });
  });
  it("has the default export's names", () => {
    expect(ort.InferenceSession).toBe(InferenceSession);
    expect(ort.Tensor).toBe(Tensor);
  });
  it("compiles open dimensions at the first run with each shape", async () => {
    const session = await InferenceSession.create(model(true));
    expect(session.inputMetadata[0]!.shape).toEqual(["batch", 3]);
    for (const rows of [1, 3, 1]) expect((await session.run({ x: ones(rows) })).y!.dims).toEqual([rows, 2]);
    await session.release();
  });
  it("takes shapes from input values, and new ones later", async () => {
    const session = await InferenceSession.create(reshaping());
    const shape = (...d: bigint[]) => new Tensor("int64", BigInt64Array.from(d), [2]);
    for (const d of [
      [3n, 2n],
      [6n, 1n],
      [3n, 2n],
      [1n, -1n],
    ] as const) {
      const { y } = await session.run({ x: ones(2), shape: shape(...d) });
      expect(y!.dims).toEqual(d[1] === -1n ? [1, 6] : d.map(Number));
    }
    await session.release();
  });
  it("names a missing input and an unknown output", async () => {
    const session = await InferenceSession.create(model(false));
    await expect(session.run({})).rejects.toMatchObject({ code: "run/missing-input" });
    await expect(session.run({ x: ones(2) }, ["nope"])).rejects.toMatchObject({ code: "run/unknown-output" });
    await expect(session.run({ x: ones(3) })).rejects.toThrow("2");
    await session.release();
  });
});
