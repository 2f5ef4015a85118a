/**
 * How long compiling takes, cold and from the cache, how it grows with the network, and how much memory it needs.
 *
 *   npm run bench:compile -- [--threads 2] [--repeats 3] [--sizes 10,30,100,300,1000] [--skip chains,memory] [--json]
 *
 * Every figure comes from a process of its own with a cache folder of its own. "ready" counts from the start of the
 * process, "compile" is compile() alone. Memory is the sum of the highest resident sizes (VmHWM) of the process and of
 * its compile workers, which need not be at the same time.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { flags, wholeNumbers } from "./support/arguments.mjs";
import { inChild } from "./support/children.mjs";
import { benchModels, zooAvailable } from "./support/models.mjs";
import { environment, machineLine, printTable, verdict, writeResults } from "./support/report.mjs";
import { linearFit, median } from "./support/statistics.mjs";

const options = flags("npm run bench:compile -- [--threads n] [--repeats n] [--sizes list] [--skip parts] [--json]", {
  threads: { type: "string", default: "2" },
  repeats: { type: "string", default: "3" },
  sizes: { type: "string", default: "10,30,100,300,1000" },
  skip: { type: "string", default: "" },
});
const [threads] = wholeNumbers("threads", options.threads);
const [repeats] = wholeNumbers("repeats", options.repeats);
const sizes = wholeNumbers("sizes", options.sizes);
const skipped = new Set(options.skip.split(","));
const child = fileURLToPath(new URL("compile-child.mjs", import.meta.url));
const bars = { coldMs: 10_000, cachedMs: 300, peakBytes: 1.5e9, linearR2: 0.98, exponent: 1.15 };
const out = options.json ? process.stderr : process.stdout;

const results = { ...(await environment()), threads, bars };
out.write(`${machineLine(results)}\n\n`);
results.latency = await latency();
if (!skipped.has("memory")) results.memory = await memory();
if (!skipped.has("chains")) results.chains = [await growth(true), await growth(false)];
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
if (skipped.size === 1 && skipped.has("")) process.stderr.write(`results: ${writeResults("compile", results)}\n`);

/** Compiles once in a fresh process, in a fresh cache if none is given. */
async function once(what, folder) {
  const own = folder ?? freshFolder();
  try {
    return await inChild(child, { ...what, threads, folder: own });
  } finally {
    if (folder === undefined) rmSync(own, { recursive: true });
  }
}

function freshFolder() {
  return mkdtempSync(join(tmpdir(), "tilewright-bench-"));
}

async function latency() {
  const [model] = await benchModels(zooAvailable() ? ["mobilenetv2"] : []);
  const cold = [];
  const cached = [];
  for (let i = 0; i < repeats; i++) {
    const folder = freshFolder();
    cold.push(await once({ path: model.path }, folder));
    for (let k = 0; k < 3; k++) cached.push(await once({ path: model.path }, folder));
    rmSync(folder, { recursive: true });
  }
  const rows = [latencyRow("cold", cold, bars.coldMs), latencyRow("from cache", cached, bars.cachedMs)];
  const first = cold[0];
  out.write(`${model.name}: ${first.steps} steps, ${first.kernels} distinct kernels\n`);
  printTable(
    ["", "ready ms", "compile ms", "graph ms", "kernels ms", "link ms", "bar ms", "compile()", "ready"],
    rows,
    out,
  );
  return { model: model.name, cold, cached };
}

function latencyRow(name, runs, bar) {
  const of = (pick) => median(runs.map(pick));
  const [ready, compile] = [of((r) => r.readyMs), of((r) => r.compileMs)];
  const graph = of((r) => r.stages.graph);
  const kernels = of((r) => r.stages.kernels - r.stages.graph);
  const link = of((r) => r.compileMs - r.stages.kernels);
  return [
    name,
    ...[ready, compile, graph, kernels, link, bar].map((ms) => ms.toFixed(0)),
    verdict(compile <= bar),
    verdict(ready <= bar),
  ];
}

async function memory() {
  const [model] = await benchModels(zooAvailable() ? ["resnet50"] : []);
  const run = await once({ path: model.path });
  const { main, workers } = run.peakBytes;
  const total = workers.reduce((a, b) => a + b, main);
  const parts = [main, ...workers].map(mebibytes).join(" + ");
  out.write(
    `\n${model.name}: peak ${mebibytes(total)} MiB (${parts}), compiled in ${(run.compileMs / 1000).toFixed(1)} s; `,
  );
  out.write(`bar ${mebibytes(bars.peakBytes)} MiB: ${verdict(total <= bars.peakBytes)}\n`);
  return { model: model.name, totalBytes: total, ...run };
}

async function growth(distinct) {
  const runs = [];
  for (const operators of sizes) {
    process.stderr.write(`compiling a chain of ${operators} operators, ${distinct ? "distinct" : "repeated"} shapes\n`);
    runs.push({ operators, ...(await once({ chain: { operators, distinct } })) });
  }
  const fit = linearFit(
    runs.map((r) => r.operators),
    runs.map((r) => r.compileMs),
  );
  const exponent = linearFit(
    runs.map((r) => Math.log(r.operators)),
    runs.map((r) => Math.log(r.compileMs)),
  ).slope;
  out.write(`\nchains with ${distinct ? "distinct" : "repeated"} shapes, cold\n`);
  const rows = runs.map((r) => {
    const perOperator = r.compileMs / r.operators;
    const predicted = fit.intercept + fit.slope * r.operators;
    return [
      r.operators,
      r.kernels,
      r.compileMs.toFixed(0),
      perOperator.toFixed(1),
      predicted.toFixed(0),
      r.stages.graph.toFixed(0),
    ];
  });
  printTable(["operators", "kernels", "compile ms", "ms/operator", "fit ms", "graph ms"], rows, out);
  // Time per operator of equal chains falls; what matters is that neither kind grows faster than its length.
  const holds = exponent <= bars.exponent && (!distinct || fit.r2 >= bars.linearR2);
  out.write(`fit: ${fit.slope.toFixed(1)} ms an operator + ${fit.intercept.toFixed(0)} ms, R² ${fit.r2.toFixed(4)}, `);
  out.write(`log-log exponent ${exponent.toFixed(2)}; grows at most linearly: ${verdict(holds)}\n`);
  return { distinct, fit, exponent, runs };
}

function mebibytes(bytes) {
  return (bytes / 2 ** 20).toFixed(0);
}
