/** Real networks through compile(): trained models against their golden outputs, the zoo against ONNX Runtime. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { imageToTensor, readImage, resizeImage } from "../../src/formats/image.ts";
import { loadOnnxTensor } from "../../src/onnx/load.ts";
import { compile } from "../../src/runtime/compile.ts";
import type { Executable, Feeds } from "../../src/runtime/executable.ts";
import { ObjectCache } from "../../src/runtime/object-cache.ts";
import { Tensor } from "../../src/tensor.ts";
import {
  noZooReason,
  peerOutputs,
  randomFeeds,
  relativeError,
  sharedFolder,
  sharedModels,
  toleranceUse,
  zooModel,
} from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "tilewright-e2e-"));
const cache = ObjectCache.open({ folder });
afterAll(() => rmSync(folder, { recursive: true }));

const threadCounts = [1, 2];
const zooNames = [
  "resnet50",
  "resnet18",
  "mobilenetv2",
  "mobilenetv3",
  "efficientnetb0",
  "squeezenet",
  "unet",
  "bertmini",
];

/** Float results of one run, by name; the executable is disposed of. */
async function outputsOf(path: string, threads: number, feedsFor: (net: Executable) => Feeds) {
  const net = await compile(path, { threads, cache });
  try {
    const outputs = net.runSync(feedsFor(net));
    return Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, t.data as Float32Array]));
  } finally {
    net.dispose();
  }
}

const haveModels = existsSync(sharedModels);
const modelNames = haveModels
  ? readdirSync(sharedModels).filter((name) => existsSync(join(sharedModels, name, "model.onnx")))
  : [];

describe.skipIf(!haveModels)(`trained models${haveModels ? "" : " (skipped: ../shared/data/models is absent)"}`, () => {
  test.each(modelNames)("%s gives its golden outputs at 1 and 2 threads", async (name) => {
    const home = join(sharedModels, name);
    const stated = join(home, "data.json");
    const tolerances = existsSync(stated)
      ? (JSON.parse(readFileSync(stated, "utf8")) as { rtol: number; atol: number })
      : { rtol: 1e-3, atol: 1e-4 };
    const values = (kind: string) =>
      readdirSync(join(home, "test_data_set_0"))
        .filter((file) => file.startsWith(kind))
        .sort()
        .map((file) => loadOnnxTensor(join(home, "test_data_set_0", file)).value);
    const [inputs, expected] = [values("input_"), values("output_")];
    expect(expected.length).toBeGreaterThan(0);
    const feedsFor = (net: Executable) =>
      Object.fromEntries(net.inputs.map((port, i) => [port.name, Tensor.from(inputs[i]!)]));
    for (const threads of threadCounts) {
      const outputs = Object.values(await outputsOf(join(home, "model.onnx"), threads, feedsFor));
      expect(outputs.length).toBe(expected.length);
      for (const [i, output] of outputs.entries())
        expect(toleranceUse(output, expected[i]!.data as Float32Array, tolerances)).toBeLessThanOrEqual(1);
    }
  });

  test("cat.bmp is a cat", async () => {
    const images = join(sharedFolder, "data", "images");
    const labels = readFileSync(join(images, "imagenet_labels.txt"), "utf8").trimEnd().split("\n");
    const image = resizeImage(readImage(join(images, "cat.bmp")), 224, 224);
    const pixels = imageToTensor(image, { scale: 1, mean: 128, std: 128 });
    const path = join(sharedModels, "mobilenetv2-coral", "model.onnx");
    const outputs = await outputsOf(path, 1, (net) => ({ [net.inputs[0]!.name]: pixels }));
    const [scores] = Object.values(outputs);
    const top = [...scores!.entries()].sort((a, b) => b[1] - a[1]).slice(0, 5);
    const names = top.map(([i]) => labels[i]);
    expect(names[0]).toMatch(/\bcat\b/);
    expect(names.filter((label) => /\b(cat|lynx)\b/.test(label!)).length).toBeGreaterThanOrEqual(3);
  });
});

const noZoo = noZooReason();
describe.skipIf(noZoo)(`the zoo${noZoo ? ` (skipped: ${noZoo})` : ""}`, () => {
  test.each(zooNames)("%s agrees with ONNX Runtime, and 1 thread with 2", async (name) => {
    const path = zooModel(name);
    const [one, two] = await Promise.all(threadCounts.map((threads) => outputsOf(path, threads, netFeeds)));
    const expected = await peerOutputs(path, feedsUsed);
    expect(Object.keys(one!)).toEqual(Object.keys(expected));
    for (const [output, values] of Object.entries(expected)) {
      expect(relativeError(one![output]!, values)).toBeLessThanOrEqual(1e-3);
      expect(relativeError(two![output]!, values)).toBeLessThanOrEqual(1e-3);
      expect(relativeError(two![output]!, one![output]!)).toBeLessThanOrEqual(1e-6);
    }
  });
  let feedsUsed: Record<string, Tensor> = {};
  const netFeeds = (net: Executable): Feeds => {
    feedsUsed = randomFeeds(net.inputs);
    return feedsUsed;
  };
});
