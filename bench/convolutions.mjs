/**
 * Every distinct convolution layer of networks beside oneDNN's, in turn, outputs compared first.
 *
 *   npm run bench:convolutions -- [--models resnet50,mobilenetv3] [--threads 1,2] [--rounds 9] [--block 15] [--json]
 *
 * Both sides convolve between layouts of their own choice: their plain input is packed before each run and their output
 * unpacked after it, outside the timing, as weights are. oneDNN is timed with every implementation that its direct, its
 * Winograd and its automatic choice give, and the fastest counts. An activation that oneDNN can fuse belongs to the layer.
 * Layers on a map of one pixel are products with a vector, some of them shorter than oneDNN's call: the bar does not count
 * them.
 */

import { allocAligned, freeAligned } from "../dist/native/addon.js";
import { measureMachine, peakGflops } from "../dist/native/measure.js";
import { compile, Tensor } from "../dist/src/index.js";
import { kernelContext, prepareGraph } from "../dist/src/runtime/compile.js";
import { fusesActivation, oneDnn } from "./onednn/onednn.mjs";
import { flags, wholeNumbers } from "./support/arguments.mjs";
import { settle } from "./support/children.mjs";
import { relativeError, uniformData } from "./support/feeds.mjs";
import { convolutionLayers } from "./support/layers.mjs";
import { benchModels } from "./support/models.mjs";
import { environment, machineLine, printTable, verdict, writeResults } from "./support/report.mjs";
import { geometricMean, interquartileRange, median } from "./support/statistics.mjs";

const usage = "npm run bench:convolutions -- [--models names] [--threads 1,2] [--rounds n] [--block ms] [--json]";
const options = flags(usage, {
  models: { type: "string" },
  threads: { type: "string", default: "1,2" },
  rounds: { type: "string", default: "9" },
  block: { type: "string", default: "15" },
});
const [rounds] = wholeNumbers("rounds", options.rounds);
const [blockMs] = wholeNumbers("block", options.block);
const threadCounts = wholeNumbers("threads", options.threads);
const tolerance = 1e-3;
const bar = 1.15;

const peer = oneDnn();
const where = await environment();
const rates = measureMachine({ threads: Math.max(...threadCounts), figureMs: 20 });
const rows = [];
for (const model of await benchModels((options.models ?? "resnet50,mobilenetv3").split(","))) {
  const layers = await convolutionLayers(model.path, fusesActivation);
  for (const threads of threadCounts)
    for (const layer of layers) {
      process.stderr.write(`${model.name} ${layer.name}, ${label(threads)}\n`);
      rows.push({ model: model.name, ...(await measureLayer(layer, threads)) });
    }
}
const versions = { ...where.versions, onednn: peer.version };
const results = { ...where, versions, tolerance, rounds, blockMs, rates, rows, means: threadCounts.map(meansOf) };
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else print();
const complete = !options.models && options.threads === "1,2";
if (complete) process.stderr.write(`results: ${writeResults("convolutions", results)}\n`);
process.exit(rows.every((row) => row.maxRelativeError <= tolerance) ? 0 : 5);

async function measureLayer(layer, threads) {
  const { name, shape, activation } = layer;
  const dims = [1, shape.channels, ...shape.extents];
  const arrays = {
    source: outsideHeap(uniformData(product(dims))),
    weights: outsideHeap(layer.weights),
    bias: outsideHeap(layer.bias),
    output: outsideHeap(new Float32Array(shape.outputs * product(shape.outputExtents))),
  };
  const network = await compile(layer.graph, { threads, profile: true });
  const feeds = { x: new Tensor("float32", arrays.source, dims) };
  const [ours] = Object.values(network.runSync(feeds));
  const flops = 2 * arrays.output.length * (arrays.weights.length / shape.outputs);
  const row = { layer: name, threads, flops, spatial: product(shape.outputExtents) > 1, algorithm: algorithmOf(layer) };

  const theirs = peer.convolutions(shape, activation, threads, arrays);
  const candidates = theirs.map((convolution) => {
    convolution.run(1);
    return { convolution, error: relativeError(ours.data, arrays.output) };
  });
  row.maxRelativeError = Math.max(...candidates.map((c) => c.error));
  if (row.maxRelativeError <= tolerance) Object.assign(row, await timeInTurn(network, feeds, theirs));
  for (const convolution of theirs) convolution.dispose();
  network.dispose();
  for (const array of Object.values(arrays)) freeAligned(array.buffer);
  if (row.ours) row.ratio = row.onednn.medianNs / row.ours.medianNs;
  return row;
}

/** Median and spread of the rounds of both; a round's figure is the median of about `blockMs` of runs. */
async function timeInTurn(network, feeds, theirs) {
  const steps = network.steps.map((step) => step.name.includes("Conv"));
  const convolved = (count) => network.profile(feeds, count).reduce((sum, ns, i) => (steps[i] ? sum + ns : sum), 0);
  const wholeNs = network.profile(feeds, 5).reduce((sum, ns) => sum + ns, 0);
  const count = Math.max(5, Math.min(1000, Math.round((blockMs * 1e6) / wholeNs)));
  const candidates = theirs.map((convolution) => ({ convolution, ns: median(convolution.run(count)) }));
  const { convolution } = candidates.reduce((best, candidate) => (candidate.ns < best.ns ? candidate : best));
  const sides = { ours: [], onednn: [] };
  for (let round = 0; round < rounds; round++) {
    await settle();
    sides.ours.push(convolved(count));
    await settle();
    convolution.run(2);
    sides.onednn.push(median(convolution.run(count)));
  }
  return { implementation: convolution.implementation, ours: spread(sides.ours), onednn: spread(sides.onednn) };
}

function spread(samples) {
  return { medianNs: median(samples), iqrNs: interquartileRange(samples), rounds: samples };
}

function algorithmOf({ graph }) {
  const { steps } = prepareGraph(graph, kernelContext({}));
  const { op, attributes } = steps.find((group) => /Conv$/.test(group.anchor.op)).anchor;
  if (op === "Conv") return "direct";
  const tile = attributes.get("tile").value;
  return `Winograd ${tile}×${tile}`;
}

/** A copy whose address stays. */
function outsideHeap(values) {
  const copy = new Float32Array(allocAligned(values.byteLength, { populate: true }), 0, values.length);
  copy.set(values);
  return copy;
}

function label(threads) {
  return `${threads} thread${threads > 1 ? "s" : ""}`;
}

function product(dims) {
  return dims.reduce((a, b) => a * b, 1);
}

function meansOf(threads) {
  const measured = rows.filter((row) => row.threads === threads && row.ratio !== undefined);
  const ratios = measured.map((row) => row.ratio);
  const spatial = measured.filter((row) => row.spatial).map((row) => row.ratio);
  return { threads, layers: ratios.length, all: geometricMean(ratios), spatial: geometricMean(spatial) };
}

function print() {
  process.stdout.write(`${machineLine(results)}\n`);
  for (const threads of threadCounts) {
    const peak = peakGflops(rates, threads);
    process.stdout.write(`\n${label(threads)}, measured multiply-add peak ${peak.toFixed(0)} GFLOP/s\n\n`);
    const heads = ["layer", "algorithm", "µs", "±IQR", "GFLOP/s", "% peak"];
    const theirs = ["oneDNN's", "µs", "±IQR", "GFLOP/s", "% peak", "ratio", "rel. error"];
    printTable(
      [...heads, ...theirs],
      rows.filter((row) => row.threads === threads).map((row) => tableRow(row, peak)),
    );
  }
  for (const { threads, layers, all, spatial } of results.means)
    process.stdout.write(
      `\n${label(threads)}: geometric mean of oneDNN's time / ours ${spatial.toFixed(3)} on maps of several pixels, ` +
        `${all.toFixed(3)} on all ${layers} layers; bar ≥ ${bar}: ${verdict(spatial >= bar)}`,
    );
  process.stdout.write("\n");
}

function tableRow(row, peak) {
  const error = row.maxRelativeError.toExponential(1);
  if (!row.ours) return [row.layer, row.algorithm, "", "", "", "", "", "", "", "", "", "WRONG", error];
  const cells = ({ medianNs, iqrNs }) => {
    const gflops = row.flops / medianNs;
    const times = [medianNs, iqrNs].map((ns) => (ns / 1000).toFixed(1));
    return [...times, gflops.toFixed(1), ((100 * gflops) / peak).toFixed(0)];
  };
  const { layer, algorithm, implementation, ratio } = row;
  return [layer, algorithm, ...cells(row.ours), implementation, ...cells(row.onednn), ratio.toFixed(3), error];
}
