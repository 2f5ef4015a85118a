/**
 * Whether resident memory grows over many runs of one network, and over many rounds of compiling and disposing.
 *
 *   npm run soak:memory -- [--runs 10000] [--rounds 200] [--json]
 *
 * Samples are taken after a garbage collection. The first fifth warms up; a line is fitted to the rest. Growth is the
 * line's slope; it holds below the bar, or when twice its standard error reaches down to zero.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildMobileNetV2, compile, ObjectCache, Tensor } from "../dist/src/index.js";
import { flags, wholeNumbers } from "./support/arguments.mjs";
import { uniformData } from "./support/feeds.mjs";
import { environment, machineLine, printTable, verdict, writeResults } from "./support/report.mjs";
import { linearFit } from "./support/statistics.mjs";

const options = flags("npm run soak:memory -- [--runs n] [--rounds n] [--json]", {
  runs: { type: "string", default: "10000" },
  rounds: { type: "string", default: "200" },
});
const [runs] = wholeNumbers("runs", options.runs);
const [rounds] = wholeNumbers("rounds", options.rounds);
if (typeof globalThis.gc !== "function") throw new Error("run node with --expose-gc");
const bars = { bytesPerRun: 1024, bytesPerRound: 64 * 1024 };
const warmupShare = 0.2;
const network = { width: 0.5, resolution: 96 };
const graph = buildMobileNetV2(network);
const dims = [1, 3, network.resolution, network.resolution];
const feeds = { x: new Tensor("float32", uniformData(3 * network.resolution ** 2), dims) };

const folder = mkdtempSync(join(tmpdir(), "tilewright-soak-"));
const cache = ObjectCache.open({ folder });
const results = { ...(await environment()), bars, network: { name: "mobilenetv2", ...network } };
try {
  const series = [];
  for (const threads of [1, 2]) series.push(await soakRuns(threads));
  series.push(await soakRounds("from the cache", rounds, cache));
  series.push(await soakRounds("without a cache", Math.ceil(rounds / 5), false));
  results.series = series;
} finally {
  rmSync(folder, { recursive: true });
}
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else print();
if (runs >= 10_000 && rounds >= 200) process.stderr.write(`results: ${writeResults("memory", results)}\n`);
process.exit(results.series.every(holds) ? 0 : 1);

function holds({ bytesPerStep, errorBytes, bar }) {
  return bytesPerStep < bar || bytesPerStep < errorBytes;
}

async function soakRuns(threads) {
  const executable = await compile(graph, { threads, cache });
  const series = await sampled(`runs, ${threads} threads`, runs, bars.bytesPerRun, () => executable.run(feeds));
  executable.dispose();
  return series;
}

function soakRounds(name, count, chosen) {
  return sampled(`compile, run, dispose ${name}`, count, bars.bytesPerRound, async () => {
    const executable = await compile(graph, { threads: 2, cache: chosen });
    await executable.run(feeds);
    executable.dispose();
  });
}

/** Does a step `count` times; resident memory after every fiftieth of them. */
async function sampled(name, count, bar, step) {
  process.stderr.write(`${name}: ${count} times\n`);
  const every = Math.max(1, Math.floor(count / 50));
  const samples = [];
  for (let i = 1; i <= count; i++) {
    await step();
    if (i % every === 0) samples.push({ step: i, rssBytes: await residentBytes() });
  }
  const steady = samples.filter((sample) => sample.step > warmupShare * count);
  const fit = linearFit(
    steady.map((s) => s.step),
    steady.map((s) => s.rssBytes),
  );
  return { name, count, bar, bytesPerStep: fit.slope, errorBytes: 2 * fit.slopeError, samples };
}

/** Twice, with a turn of the event loop: finalizers of native memory run in between. */
async function residentBytes() {
  for (let i = 0; i < 2; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage.rss();
}

function print() {
  process.stdout.write(`${machineLine(results)}\n\n`);
  const rows = results.series.map((s) => {
    const at = (share) => (s.samples[Math.floor((s.samples.length - 1) * share)].rssBytes / 2 ** 20).toFixed(1);
    return [
      s.name,
      s.count,
      at(0),
      at(warmupShare),
      at(1),
      s.bytesPerStep.toFixed(0),
      s.errorBytes.toFixed(0),
      s.bar,
      verdict(holds(s)),
    ];
  });
  printTable(["", "steps", "first MiB", "warm MiB", "last MiB", "growth B/step", "±2σ", "bar", ""], rows);
}
