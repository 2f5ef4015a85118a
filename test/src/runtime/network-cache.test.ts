/** Whole networks on the disk: found again, and never when anything that they were made from has changed. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type CompileOptions, compile } from "../../../src/runtime/compile.ts";
import { ObjectCache } from "../../../src/runtime/object-cache.ts";
import { Tensor } from "../../../src/tensor.ts";
import { info, modelBytes, node, type TensorInit } from "../onnx/models.ts";

/** y = x · w for two elements. */
const model = (w: Partial<TensorInit>) =>
  modelBytes({
    name: "g",
    node: [node("Mul", ["x", "w"], ["y"])],
    input: [info("x", [2])],
    output: [info("y", [2])],
    initializer: [{ name: "w", dataType: 1, dims: [2n], ...w } as TensorInit],
  });
const scaleModel = (factor: number) => model({ floatData: [factor, factor] });
const externalModel = (location: string) =>
  model({ dataLocation: 1, externalData: [{ key: "location", value: location }] } as Partial<TensorInit>);

let folder: string;
let path: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tilewright-networks-"));
  path = join(folder, "model.onnx");
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path, scaleModel(3));
  await settle();
});

/** Files that have just been written are not trusted to tell of a further change by their times. */
const settle = () => sleep(150);
const networks = () => readdirSync(join(folder, "objects")).filter((name) => name.endsWith(".tw"));

async function outputOf(
  model: string | Uint8Array,
  options: CompileOptions = {},
  cache = ObjectCache.open({ folder }),
) {
  const net = await compile(model, { ...options, cache });
  const { y } = net.runSync({ x: new Tensor("float32", Float32Array.of(1, 2), [2]) });
  net.dispose();
  return { y: [...(y!.data as Float32Array)], ...cache.stats() };
}

describe("a model that was compiled before", () => {
  test("comes from the disk in one read", async () => {
    expect(await outputOf(path)).toMatchObject({ y: [3, 6] });
    expect(networks()).toHaveLength(1);
    expect(await outputOf(path)).toMatchObject({ y: [3, 6], hits: 1, misses: 0, writes: 0 });
  });
  test("is known as bytes by its content", async () => {
    expect(await outputOf(scaleModel(3))).toMatchObject({ y: [3, 6] });
    expect(await outputOf(scaleModel(3))).toMatchObject({ y: [3, 6], hits: 1, misses: 0 });
    expect((await outputOf(scaleModel(4))).y).toEqual([4, 8]);
  });
  test("is another one with other options", async () => {
    for (const options of [{}, { threads: 2 }, { threads: 3 }, { math: "strict" }, { schedule: "none" }] as const)
      await outputOf(path, options);
    expect(networks()).toHaveLength(5);
  });
  test("reports its progress to the end", async () => {
    await outputOf(path);
    const stages: string[] = [];
    await outputOf(path, { onProgress: ({ stage, done, total }) => stages.push(`${stage} ${done}/${total}`) });
    expect(stages.at(-1)).toBe("link 1/1");
  });
});

describe("a change is seen", () => {
  test("of a model file of the same size and time", async () => {
    await outputOf(path);
    const { atime, mtime } = statSync(path);
    writeFileSync(path, scaleModel(5));
    utimesSync(path, atime, mtime);
    await settle();
    expect((await outputOf(path)).y).toEqual([5, 10]);
  });
  test("of a file that was written just now, which is not kept", async () => {
    writeFileSync(path, scaleModel(6));
    expect((await outputOf(path)).y).toEqual([6, 12]);
    expect(networks()).toHaveLength(0);
  });
  test("of external data", async () => {
    const data = join(folder, "weights.bin");
    writeFileSync(path, externalModel("weights.bin"));
    writeFileSync(data, new Uint8Array(Float32Array.of(7, 7).buffer));
    await settle();
    expect((await outputOf(path)).y).toEqual([7, 14]);
    expect(await outputOf(path)).toMatchObject({ y: [7, 14], hits: 1 });
    writeFileSync(data, new Uint8Array(Float32Array.of(8, 8).buffer));
    await settle();
    expect((await outputOf(path)).y).toEqual([8, 16]);
    rmSync(data);
    await expect(outputOf(path)).rejects.toThrow(/external data/);
  });
});

test("a damaged file is deleted and made again", async () => {
  await outputOf(path);
  const file = join(folder, "objects", networks()[0]!);
  const good = readFileSync(file);
  const damages = [good.subarray(0, 30), good.subarray(0, good.length - 8), Buffer.from(good).fill(1, 30, 40)];
  for (const bytes of damages) {
    writeFileSync(file, bytes);
    expect(await outputOf(path)).toMatchObject({ y: [3, 6], damaged: 1, writes: 1 });
    expect(readFileSync(file)).toEqual(good);
  }
});

test("graphs and a cache that is off keep no network", async () => {
  const net = await compile(path, { cache: false });
  net.dispose();
  expect(readdirSync(folder)).toEqual(["model.onnx"]);
});
