/**
 * Time from the start of a process to its first result, with a warm cache of ours, beside ONNX Runtime's session and first
 * run; and the memory that either needed.
 *
 *   npm run bench:start -- [--only mobilenetv2,resnet50] [--threads 1] [--repeats 7] [--json]
 *
 * Every figure comes from a process of its own, the two sides in turn. Outputs are compared first. Memory is VmHWM.
 */
import { fileURLToPath } from "node:url";
import { flags, wholeNumbers } from "./support/arguments.mjs";
import { inChild } from "./support/children.mjs";
import { relativeError } from "./support/feeds.mjs";
import { benchModels } from "./support/models.mjs";
import { environment, machineLine, printTable, verdict, writeResults } from "./support/report.mjs";
import { geometricMean, median } from "./support/statistics.mjs";

const options = flags("npm run bench:start -- [--only names] [--threads n] [--repeats n] [--json]", {
  only: { type: "string", default: "" },
  threads: { type: "string", default: "1" },
  repeats: { type: "string", default: "7" },
});
const [threads] = wholeNumbers("threads", options.threads);
const [repeats] = wholeNumbers("repeats", options.repeats);
const child = fileURLToPath(new URL("start-child.mjs", import.meta.url));
const out = options.json ? process.stderr : process.stdout;
const results = { ...(await environment()), threads, repeats, networks: [] };
out.write(`${machineLine(results)}\n\n`);

for (const { name, path } of await benchModels(options.only.split(",").filter((n) => n !== ""))) {
  process.stderr.write(`${name}\n`);
  const once = (by) => inChild(child, { by, path, threads });
  // The first run of ours fills the cache; the first of the peer brings its library and the model into memory.
  const [ours, theirs] = [await once("ours"), await once("onnxruntime")];
  const error = relativeError(ours.output, theirs.output);
  if (!(error <= 1e-3)) throw new Error(`${name}: outputs differ by ${error}`);
  const sides = { ours: [], onnxruntime: [] };
  for (let i = 0; i < repeats; i++) for (const by of Object.keys(sides)) sides[by].push(await once(by));
  results.networks.push({
    name,
    error,
    ...Object.fromEntries(Object.entries(sides).map(([by, runs]) => [by, summary(runs)])),
  });
}

const rows = results.networks.map(({ name, ours, onnxruntime }) => {
  const ratio = ours.ms / onnxruntime.ms;
  const memory = ours.peakBytes / onnxruntime.peakBytes;
  const stages = Object.values(ours.stages)
    .map((ms) => ms.toFixed(0))
    .join(" + ");
  return [
    name,
    ...[ours.ms, onnxruntime.ms].map((ms) => ms.toFixed(0)),
    ratio.toFixed(2),
    verdict(ratio <= 1),
    stages,
    ...[ours, onnxruntime].map((side) => (side.peakBytes / 2 ** 20).toFixed(0)),
    memory.toFixed(2),
    verdict(memory <= 1),
  ];
});
const heads = [
  "network",
  "ours ms",
  "ORT ms",
  "ratio",
  "≤ 1",
  "node + import + load + run",
  "ours MiB",
  "ORT MiB",
  "ratio",
  "≤ 1",
];
printTable(heads, rows, out);
const mean = geometricMean(results.networks.map((n) => n.ours.ms / n.onnxruntime.ms));
out.write(`\ngeometric mean of the times' ratios: ${mean.toFixed(2)}\n`);
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
if (options.only === "") process.stderr.write(`results: ${writeResults("start", results)}\n`);

/** Medians of all runs: total, what each stage added, memory. */
function summary(runs) {
  const names = Object.keys(runs[0].stages);
  const added = runs.map(({ stages }) => names.map((n, i) => stages[n] - (i > 0 ? stages[names[i - 1]] : 0)));
  return {
    ms: median(runs.map((r) => r.stages.run)),
    stages: Object.fromEntries(names.map((n, i) => [n, median(added.map((a) => a[i]))])),
    peakBytes: median(runs.map((r) => r.peakBytes)),
  };
}
