/**
 * Classifies a photograph with an ONNX model: reads the picture, resizes and normalizes it, compiles the network for this
 * machine (at once when it is in the cache), runs it, prints the best classes and the latency.
 *
 *   npx tsx examples/classify.ts model.onnx photo.jpg [labels.txt]
 *
 * Without arguments it builds a small MobileNetV2 with random weights, and a picture.
 */
import { readFileSync } from "node:fs";
import {
  buildMobileNetV2,
  centerCrop,
  compile,
  type Image,
  imageToTensor,
  readImage,
  resizeShorterSide,
  writeOnnx,
} from "tilewright";

const [modelPath, imagePath, labelsPath] = process.argv.slice(2);
const model = modelPath ?? writeOnnx(buildMobileNetV2({ resolution: 64, width: 0.5 }));
const picture = imagePath === undefined ? gradient(80, 60) : readImage(imagePath);
const labels = labelsPath === undefined ? [] : readFileSync(labelsPath, "utf8").trimEnd().split("\n");

const network = await compile(model, { threads: 2 });
const [input] = network.inputs;
const [output] = network.outputs;
const [, , height, width] = input!.dims;
if (height === undefined || height !== width)
  throw new Error(`this example feeds square NCHW inputs, not [${input!.dims}]`);

const square = centerCrop(resizeShorterSide(picture, height), height, height);
const feeds = {
  [input!.name]: imageToTensor(square, { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }),
};
const scores = (await network.run(feeds))[output!.name]!.data as Float32Array;
for (const { score, i } of [...scores]
  .map((score, i) => ({ score, i }))
  .sort((a, b) => b.score - a.score)
  .slice(0, 5))
  console.log(`${score.toFixed(3).padStart(8)}  ${labels[i] ?? `class ${i}`}`);

const times = network.time(feeds).sort();
console.log(`${(times[times.length >> 1]! / 1e6).toFixed(3)} ms a picture, ${network.steps.length} kernels`);
network.dispose();

/** A picture with something in it. */
function gradient(columns: number, rows: number): Image {
  const data = new Uint8Array(columns * rows * 3);
  for (let p = 0; p < columns * rows; p++) data.set([(p % columns) * 3, Math.floor(p / columns) * 4, 128], p * 3);
  return { width: columns, height: rows, data };
}
