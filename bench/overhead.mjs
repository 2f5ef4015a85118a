/**
 * What a run costs beyond its kernels: time around run() and runSync() from JavaScript, less the native time of the same
 * network, for inputs that lie on 64-byte boundaries (used in place) and for ordinary typed arrays.
 *
 *   npm run bench:overhead -- [--rounds 15] [--json]
 */
import { GraphBuilder } from "../dist/ir/graph/build.js";
import { allocAligned } from "../dist/native/addon.js";
import { compile, Tensor } from "../dist/src/index.js";
import { flags, wholeNumbers } from "./support/arguments.mjs";
import { uniformData } from "./support/feeds.mjs";
import { environment, machineLine, printTable, verdict, writeResults } from "./support/report.mjs";
import { interquartileRange, median } from "./support/statistics.mjs";

const options = flags("npm run bench:overhead -- [--rounds n] [--json]", { rounds: { type: "string", default: "15" } });
const [rounds] = wholeNumbers("rounds", options.rounds);
const barUs = 20;
const opset = 17;

/** Name, operator and input shape; a pooled image has a network's usual large input and small output. */
const networks = [
  { name: "Relu", op: "Relu", dims: [1, 1] },
  { name: "Relu", op: "Relu", dims: [1, 1000] },
  { name: "Relu", op: "Relu", dims: [1, 16384] },
  { name: "pooled image", op: "GlobalAveragePool", dims: [1, 3, 32, 32] },
  { name: "pooled image", op: "GlobalAveragePool", dims: [1, 3, 224, 224] },
];

const results = { ...(await environment()), barUs, rounds, rows: [] };
for (const network of networks) {
  for (const threads of [1, 2]) results.rows.push(...(await measure(network, threads)));
}
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else print();
process.stderr.write(`results: ${writeResults("overhead", results)}\n`);

function graphOf({ op, dims }) {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims });
  const [y] = b.node(op, [x], { opset });
  return b.finish({ name: "trivial", inputs: [x], outputs: [y] });
}

async function measure(network, threads) {
  const executable = await compile(graphOf(network), { threads, cache: false });
  const count = network.dims.reduce((a, b) => a * b, 1);
  const aligned = new Float32Array(allocAligned(count * 4), 0, count);
  const plain = new Float32Array(count);
  const rows = [];
  for (const [placement, values] of Object.entries({ "in place": aligned, copied: plain })) {
    values.set(uniformData(count));
    const feeds = { x: new Tensor("float32", values, network.dims) };
    rows.push({ name: network.name, elements: count, threads, placement, ...(await overhead(executable, feeds)) });
  }
  executable.dispose();
  return rows;
}

async function overhead(executable, feeds) {
  const samples = { sync: [], async: [] };
  for (let round = -2; round < rounds; round++) {
    const native = nativeUs(executable, feeds);
    const sync = await batchUs(() => executable.runSync(feeds));
    const asynchronous = await batchUs(() => executable.run(feeds));
    if (round < 0) continue;
    samples.sync.push(sync - native);
    samples.async.push(asynchronous - native);
  }
  const nativeTime = nativeUs(executable, feeds);
  return {
    nativeUs: nativeTime,
    runSyncUs: median(samples.sync),
    runSyncIqrUs: interquartileRange(samples.sync),
    runUs: median(samples.async),
    runIqrUs: interquartileRange(samples.async),
    samples,
  };
}

function nativeUs(executable, feeds) {
  return median(executable.time(feeds, { warmup: 100, repeats: 500 })) / 1000;
}

/** Microseconds of one call, from the time of 500. */
async function batchUs(call) {
  const calls = 500;
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) await call();
  return Number(process.hrtime.bigint() - start) / calls / 1000;
}

function print() {
  process.stdout.write(`${machineLine(results)}\n\n`);
  const headings = [
    "network",
    "elements",
    "threads",
    "input",
    "native µs",
    "runSync − native µs",
    "±IQR",
    "run − native µs",
    "±IQR",
    "bar",
  ];
  const rows = results.rows.map((r) => {
    const times = [r.nativeUs, r.runSyncUs, r.runSyncIqrUs, r.runUs, r.runIqrUs].map((us) => us.toFixed(1));
    return [r.name, r.elements, r.threads, r.placement, ...times, verdict(r.runUs <= barUs)];
  });
  printTable(headings, rows);
  const inPlace = results.rows.filter((r) => r.placement === "in place").map((r) => r.runUs);
  const copied = results.rows.filter((r) => r.placement === "copied").map((r) => r.runUs);
  const [a, b] = [Math.max(...inPlace), Math.max(...copied)];
  process.stdout.write(
    `\nrun() beyond the kernels, at most: ${a.toFixed(1)} µs in place (bar ${barUs} µs: ${verdict(a <= barUs)}), `,
  );
  process.stdout.write(`${b.toFixed(1)} µs with a copy of the input (${verdict(b <= barUs)})\n`);
}
