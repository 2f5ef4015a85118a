/**
 * Each network of a set beside onnxruntime-node, in turn in one process, outputs compared first: the zoo, or with
 * `--set unseen` networks that no recipe was tuned on.
 *
 *   npm run bench -- [--only resnet50,unet] [--threads 1,2] [--rounds 9] [--processes 3] [--block 60] [--json]
 *   npm run bench:unseen -- [the same flags]
 *   npm run bench:avx2 -- [the same flags]
 *
 * A round is a block of runs of ours, then one of ONNX Runtime's; its figure is the block's median. Both sides are timed
 * from JavaScript around one run, feeding the input and reading the output included. With more than one thread a pair is
 * measured in several processes, because ONNX Runtime's time differs from process to process there; both sides get
 * their best process. The share of peak is of the multiply-add rate that was measured in the same rounds, with the median
 * taken alike; the highest rate of a first measurement is printed above. Where a network of the zoo misses the share that is
 * wanted of it, the limits of its kernels are printed with their counts. With `--target x86-64-v3` ours is compiled for a
 * smaller processor than ONNX Runtime uses: its times are stretched by the measured peak of this one over that of the
 * smaller vectors.
 */
import { fileURLToPath } from "node:url";
import { measureMachine, peakGflops } from "../dist/native/measure.js";
import { resolveTarget } from "../dist/src/runtime/host.js";
import { flags, wholeNumbers } from "./support/arguments.mjs";
import { inChild } from "./support/children.mjs";
import { describeLimits, limitsOf } from "./support/limits.mjs";
import { benchModels, zooAvailable } from "./support/models.mjs";
import { environment, machineLine, printTable, verdict, writeResults } from "./support/report.mjs";
import { geometricMean, interquartileRange, median } from "./support/statistics.mjs";
import { unseenModels } from "./unseen/models.mjs";

const options = flags(
  "npm run bench -- [--set zoo|unseen] [--target name] [--only names] [--threads 1,2] [--rounds n] [--processes n] " +
    "[--block ms] [--json]",
  {
    set: { type: "string", default: "zoo" },
    target: { type: "string", default: "host" },
    only: { type: "string" },
    threads: { type: "string", default: "1,2" },
    rounds: { type: "string", default: "9" },
    processes: { type: "string", default: "3" },
    block: { type: "string", default: "60" },
  },
);
const [rounds] = wholeNumbers("rounds", options.rounds);
const [processes] = wholeNumbers("processes", options.processes);
const [blockMs] = wholeNumbers("block", options.block);
const threadCounts = wholeNumbers("threads", options.threads);
const tolerance = 1e-3;
/** For each set its networks, whether they are all there, and bars by threads: the mean of ratios and the lowest. */
const sets = {
  zoo: {
    models: benchModels,
    whole: zooAvailable(),
    bars: { 1: { mean: 1.5, lowest: 1.15 }, 2: { mean: 1.45, lowest: 1.1 } },
    peakBars: {
      resnet18: 1.85,
      resnet50: 1.25,
      unet: 2,
      mobilenetv2: 0.9,
      mobilenetv3: 0.85,
      efficientnetb0: 0.8,
      bertmini: 0.92,
    },
  },
  unseen: { models: unseenModels, whole: true, bars: { 1: { mean: 1.25, lowest: 1 }, 2: { mean: 1.25, lowest: 1 } } },
};
const set = sets[options.set];
if (set === undefined) fail(`--set takes ${Object.keys(sets).join(" or ")}, got ${options.set}`);
const child = fileURLToPath(new URL("zoo-child.mjs", import.meta.url));

const where = await environment();
const models = await set.models(options.only?.split(","));
const rates = measureMachine({ threads: Math.max(...threadCounts), figureMs: 20 });
const { vectorBits } = resolveTarget(options.target);
const rows = [];
for (const model of models) {
  for (const threads of threadCounts) {
    process.stderr.write(`measuring ${model.name}, ${threads} thread${threads > 1 ? "s" : ""}\n`);
    rows.push(await measurePair(model, threads));
  }
}
const peaks = options.target === "host" ? rows.flatMap(besidePeakBar) : [];
const results = {
  ...where,
  target: options.target,
  tolerance,
  rounds,
  blockMs,
  rates,
  rows,
  peaks,
  means: means(rows),
};
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else print(results);
const complete = !options.only && options.threads === "1,2" && set.whole;
const file = options.target === "host" ? options.set : `${options.set}-${options.target}`;
if (complete) process.stderr.write(`results: ${writeResults(file, results)}\n`);
process.exit(rows.every((row) => row.maxRelativeError <= tolerance) ? 0 : 5);

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(2);
}

async function measurePair(model, threads) {
  const runs = [];
  const count = threads > 1 ? processes : 1;
  for (let i = 0; i < count; i++) {
    const { path } = model;
    const run = await inChild(child, { path, target: options.target, threads, rounds, blockMs, tolerance, vectorBits });
    runs.push(run);
    if (!(run.maxRelativeError <= tolerance)) break;
  }
  const maxRelativeError = Math.max(...runs.map((run) => run.maxRelativeError));
  const { flops } = runs[0];
  const row = { name: model.name, threads, flops, maxRelativeError, processes: runs };
  if (!(maxRelativeError <= tolerance)) return row;
  const ours = bestProcess(runs.map((run) => run.oursMs));
  const theirs = bestProcess(runs.map((run) => run.onnxruntimeMs));
  const peak = median(runs.flatMap((run) => run.peakGflops.map(median)));
  return {
    ...row,
    ours,
    onnxruntime: theirs,
    nativeMs: Math.min(...runs.map((run) => run.nativeMs)),
    ratio: ((theirs.medianMs / ours.medianMs) * peakGflops(rates, threads)) / targetPeak(threads),
    peakGflops: peak,
    peakShare: flops / (ours.medianMs * 1e6) / peak,
  };
}

/** Whether a network reaches the share of the peak that is wanted of it on one thread; where not, what bounds its kernels. */
function besidePeakBar({ name, threads, peakShare }) {
  const bar = set.peakBars?.[name];
  if (bar === undefined || threads !== 1 || peakShare === undefined) return [];
  if (peakShare >= bar) return [{ name, bar, peakShare }];
  const { path } = models.find((model) => model.name === name);
  return [{ name, bar, peakShare, limits: limitsOf(path, options.target) }];
}

/** The highest measured rate of multiply-adds with vectors of the target, in GFLOP/s. */
function targetPeak(threads) {
  return peakGflops({ fma: rates.fma.filter((peak) => peak.bits <= vectorBits) }, threads);
}

/** Median and spread of the rounds of the process with the lowest median. */
function bestProcess(perProcess) {
  const figures = perProcess.map((samples) => {
    const perRound = samples.map(median);
    return { medianMs: median(perRound), iqrMs: interquartileRange(perRound) };
  });
  return figures.reduce((best, figure) => (figure.medianMs < best.medianMs ? figure : best));
}

function means(all) {
  return threadCounts.map((threads) => {
    const ratios = all.filter((row) => row.threads === threads && row.ratio !== undefined).map((row) => row.ratio);
    const faster = ratios.filter((ratio) => ratio >= 1).length;
    const figures = { geometricMean: geometricMean(ratios), lowest: Math.min(...ratios) };
    return { threads, networks: ratios.length, faster, ...figures };
  });
}

function print(all) {
  process.stdout.write(`${machineLine(all)}\n`);
  for (const threads of threadCounts)
    process.stdout.write(
      `highest multiply-add rate, ${threads} threads: ${peakGflops(rates, threads).toFixed(0)} GFLOP/s; ` +
        `with vectors of ${vectorBits} bits: ${targetPeak(threads).toFixed(0)}\n`,
    );
  process.stdout.write("\n");
  const headings = [
    "network",
    "threads",
    "ours ms",
    "±IQR",
    "ORT ms",
    "±IQR",
    "ORT/ours",
    "GFLOP/s",
    "peak",
    "% peak",
    "native ms",
    "rel. error",
  ];
  printTable(headings, all.rows.map(tableRow));
  for (const mean of all.means) {
    const { threads, networks, faster, geometricMean: ratio, lowest } = mean;
    const bars = set.bars[threads];
    const holds = bars && verdict(ratio >= bars.mean && lowest >= bars.lowest);
    const bar = bars ? `; bar ≥ ${bars.mean}, none < ${bars.lowest}: ${holds}` : "";
    const figures = `geometric mean of ORT's time / ours ${ratio.toFixed(3)}, lowest ${lowest.toFixed(3)}`;
    process.stdout.write(`\n${threads} threads, ${faster} of ${networks} networks not slower: ${figures}${bar}`);
  }
  process.stdout.write("\n");
  for (const { name, bar, peakShare, limits } of all.peaks) {
    const percent = (share) => `${(100 * share).toFixed(1)} %`;
    process.stdout.write(
      `\n${name}, 1 thread: ${percent(peakShare)} of peak; bar ≥ ${percent(bar)}: ${verdict(!limits)}`,
    );
    if (limits) process.stdout.write(`\n  kernels' time by what bounds them: ${describeLimits(limits)}`);
  }
  if (all.peaks.length > 0) process.stdout.write("\n");
}

function tableRow(row) {
  const error = row.maxRelativeError.toExponential(1);
  if (row.ratio === undefined) return [row.name, row.threads, "", "", "", "", "WRONG", "", "", "", error];
  const { ours, onnxruntime, ratio, nativeMs, peakShare, flops } = row;
  const gflops = flops / (ours.medianMs * 1e6);
  const sides = [ours, onnxruntime].flatMap((side) => [side.medianMs.toFixed(2), side.iqrMs.toFixed(2)]);
  return [
    row.name,
    row.threads,
    ...sides,
    ratio.toFixed(3),
    gflops.toFixed(0),
    row.peakGflops.toFixed(0),
    (100 * peakShare).toFixed(1),
    nativeMs.toFixed(2),
    error,
  ];
}
