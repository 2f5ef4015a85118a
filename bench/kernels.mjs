/**
 * Every distinct kernel of networks, alone and in one thread: time, rate, share of the measured multiply-add peak and
 * bandwidth, and what its innermost loop is made of.
 *
 *   npm run bench:kernels -- [--models resnet50,bertmini] [--kind conv,depthwise,…] [--top 20] [--json]
 *   npm run bench:kernels -- --conv 64,64,56,3,1,1       input channels, outputs, extent, kernel, stride, groups
 *   npm run bench:kernels -- --matmul 128,256,1024       rows, depth, columns
 *   --assembly FOLDER keeps each kernel's assembly
 *
 * "roof" is the share of the lower of the two limits: multiply-adds at the measured peak, or the bytes touched at the
 * bandwidth of the cache level that holds them. Inputs lie in the caches as far as they fit. Rates count the direct
 * algorithm's operations, so that Winograd's may exceed the peak.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GraphBuilder } from "../dist/ir/graph/build.js";
import * as native from "../dist/native/addon.js";
import { measureMachine, peakGflops } from "../dist/native/measure.js";
import { graphOf, kernelContext } from "../dist/src/runtime/compile.js";
import { lowerGroup, nativeOptions } from "../dist/src/runtime/kernels.js";
import { isView, storageBytes } from "../dist/src/runtime/memory-plan.js";
import { layOut, simplifyGraph } from "../dist/src/runtime/prepare.js";
import { basicBlocks } from "../dist/src/runtime/profile/blocks.js";
import { countOf, hottestLoop } from "../dist/src/runtime/profile/mix.js";
import { groupWork } from "../dist/src/runtime/work.js";
import { flags, wholeNumbers } from "./support/arguments.mjs";
import { benchModels } from "./support/models.mjs";
import { environment, machineLine, printTable, writeResults } from "./support/report.mjs";
import { median } from "./support/statistics.mjs";

const options = flags(
  "npm run bench:kernels -- [--models names] [--kind kinds] [--conv C,O,H,k,s,g] [--matmul M,K,N] [--top n] [--json]",
  {
    models: { type: "string" },
    kind: { type: "string" },
    conv: { type: "string", multiple: true, default: [] },
    matmul: { type: "string", multiple: true, default: [] },
    top: { type: "string" },
    assembly: { type: "string" },
  },
);
const defaultModels = "resnet50,mobilenetv2,mobilenetv3,efficientnetb0,bertmini";
const context = kernelContext({ threads: 1, cache: false });
const rates = measureMachine({ threads: 1, figureMs: 20 });
const peak = peakGflops(rates, 1);
const given = options.conv.length + options.matmul.length > 0;
const rows = [];
const seen = new Set();
for (const [name, model] of await sources()) {
  process.stderr.write(`${name}\n`);
  await measureModel(name, model);
}
const results = { ...(await environment()), rates, rows };
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else print();
if (!given && !options.models && !options.kind) process.stderr.write(`results: ${writeResults("kernels", results)}\n`);
process.exit(0);

async function sources() {
  const convolutions = options.conv.map((spec) => [`conv ${spec}`, convolutionGraph(wholeNumbers("conv", spec))]);
  const products = options.matmul.map((spec) => [`matmul ${spec}`, matmulGraph(wholeNumbers("matmul", spec))]);
  if (given) return [...convolutions, ...products];
  const models = await benchModels((options.models ?? defaultModels).split(","));
  return Promise.all(models.map(async ({ name, path }) => [name, await graphOf(path)]));
}

async function measureModel(name, graph) {
  const fused = layOut(simplifyGraph(graph, { math: context.math }), context.machine);
  const kinds = options.kind?.split(",");
  for (const group of fused.groups) {
    if (isView(fused, group)) continue;
    const kind = kindOf(fused.graph, group);
    const key = `${opsOf(group)} ${shapeOf(fused.graph, group)}`;
    if (seen.has(key) || (kinds && !kinds.includes(kind))) continue;
    seen.add(key);
    rows.push({ model: name, kind, ...(await measureGroup(fused, group)) });
  }
}

async function measureGroup(fused, group) {
  const symbol = `kernel_${rows.length}`;
  const lowered = lowerGroup(fused.graph, group, context, symbol);
  const compileAs = (emit) =>
    context.pool.compile({ irText: lowered.text, options: { ...nativeOptions(context.target), emit } });
  const [object, assemblyBytes] = await Promise.all([compileAs("object"), compileAs("assembly")]);
  const assembly = Buffer.from(assemblyBytes).toString();
  if (options.assembly) {
    mkdirSync(options.assembly, { recursive: true });
    writeFileSync(join(options.assembly, `${symbol}.s`), assembly);
  }
  const us = timeKernel(fused, group, lowered, object);
  const { flops, bytes } = groupWork(fused, group);
  const { level, gigabytesPerSecond } = memoryLevel(bytes);
  const limitUs = Math.max(flops / peak, bytes / gigabytesPerSecond) / 1000;
  return {
    symbol,
    ops: opsOf(group),
    shape: shapeOf(fused.graph, group),
    us,
    gflops: flops / us / 1000,
    peakShare: flops / us / 1000 / peak,
    gigabytesPerSecond: bytes / us / 1000,
    level,
    bandwidthShare: bytes / us / 1000 / gigabytesPerSecond,
    roofShare: limitUs / us,
    loop: loopOf(assembly),
  };
}

/** One iteration of the hottest loop, in numbers; undefined where there is no loop. */
function loopOf(assembly) {
  const mix = hottestLoop(basicBlocks(assembly));
  if (!mix) return undefined;
  const { instructions, multiplyAdds, stackReferences, vectorSpills } = mix;
  const arithmetic = [multiplyAdds, mix.multiplies, mix.adds, mix.divides, mix.vectors];
  const ofWidth = (bits) => arithmetic.reduce((sum, counts) => sum + counts[bits], 0);
  return {
    instructions,
    multiplyAdds: countOf(multiplyAdds),
    vectorInstructions: arithmetic.reduce((sum, counts) => sum + countOf(counts), 0),
    stackReferences,
    vectorSpills,
    bits256: ofWidth(256),
    bits512: ofWidth(512),
  };
}

/** Median microseconds of a call. */
function timeKernel(fused, group, lowered, object) {
  const slots = [...group.inputs, ...group.outputs];
  const buffers = lowered.params.map((slot) => {
    const buffer = native.allocAligned(storageBytes(fused, slots[slot]) + 64);
    if (fused.graph.values.get(slots[slot]).type.dtype === "float32")
      new Float32Array(buffer, 0, Math.floor(buffer.byteLength / 4)).fill(0.5);
    return buffer;
  });
  if (lowered.workspaceBytes > 0) buffers.push(native.allocAligned(lowered.workspaceBytes));
  const jit = native.jitCreate([object]);
  const entry = native.jitLookup(jit, `${lowered.symbol}.packed`);
  const args = BigUint64Array.from(buffers, (buffer) => native.addressOf(buffer));
  const timing = { warmup: 3, repeats: 15, minTimeMs: 15, maxTimeMs: 500 };
  const once = median(native.timeKernel(entry, native.serial, args, timing));
  // Kernels near the clock's resolution are timed in batches.
  const batch = Math.max(1, Math.ceil(20_000 / Math.max(once, 1)));
  const ns = batch === 1 ? once : median(native.timeKernel(entry, native.serial, args, { ...timing, batch }));
  native.jitDispose(jit);
  for (const buffer of buffers) native.freeAligned(buffer);
  return ns / 1000;
}

/** The closest level of the memory hierarchy that holds so many bytes, with one thread. */
function memoryLevel(bytes) {
  const serial = rates.reads.filter((read) => read.threads === 1);
  // Footprints are measured at half of a cache's size.
  return serial.find((read) => read.level !== "memory" && bytes <= 2 * read.footprintBytes) ?? serial.at(-1);
}

function kindOf(graph, group) {
  const { op, inputs } = group.anchor;
  if (op === "Conv") {
    const [, perGroup, ...kernel] = graph.values.get(inputs[1]).type.dims;
    if (perGroup === 1) return "depthwise";
    return kernel.every((k) => k === 1) ? "pointwise" : "conv";
  }
  if (op.startsWith("Winograd")) return "winograd";
  if (op === "MatMul" || op === "Gemm") return "matmul";
  if (op === "Softmax" || op === "Transpose" || op === "Concat" || op === "Resize") return op.toLowerCase();
  if (/Normalization$/.test(op)) return "norm";
  if (/Pool$/.test(op)) return "pool";
  return "elementwise";
}

function opsOf(group) {
  return group.nodes.map((node) => node.op).join("+");
}

/** Shapes of the anchor's inputs and output, in elements. */
function shapeOf(graph, group) {
  const { inputs, outputs } = group.anchor;
  const dims = (v) => graph.values.get(v).type.dims.join("×") || "1";
  return `${inputs
    .slice(0, 2)
    .filter((v) => v !== undefined)
    .map(dims)
    .join(" ")} → ${dims(outputs[0])}`;
}

function convolutionGraph([channels, outputs, extent, kernel = 3, stride = 1, groups = 1]) {
  const b = new GraphBuilder();
  const constant = (name, dims) => {
    const data = new Float32Array(dims.reduce((x, y) => x * y, 1)).fill(0.01);
    return b.constant(name, { type: "float32", dims, data });
  };
  const x = b.value("x", { dtype: "float32", dims: [1, channels, extent, extent] });
  // A pointwise convolution before it gives the measured one its blocked input.
  const [before] = b.node("Conv", [x, constant("w0", [channels, channels, 1, 1])], { opset: 17 });
  const pad = (kernel - 1) >> 1;
  const attributes = { pads: [pad, pad, pad, pad], strides: [stride, stride], group: groups };
  const weight = constant("w", [outputs, channels / groups, kernel, kernel]);
  const [y] = b.node("Conv", [before, weight, constant("b", [outputs])], { attributes, opset: 17 });
  const [z] = b.node("Relu", [y], { opset: 17 });
  return b.finish({ name: "conv", inputs: [x], outputs: [z] });
}

function matmulGraph([rowCount, depth, columns]) {
  const b = new GraphBuilder();
  const x = b.value("x", { dtype: "float32", dims: [rowCount, depth] });
  const data = new Float32Array(depth * columns).fill(0.01);
  const [y] = b.node("MatMul", [x, b.constant("w", { type: "float32", dims: [depth, columns], data })], { opset: 17 });
  return b.finish({ name: "matmul", inputs: [x], outputs: [y] });
}

function print() {
  process.stdout.write(`${machineLine(results)}\npeak ${peak.toFixed(0)} GFLOP/s; read bandwidth in GB/s: `);
  const reads = rates.reads.filter((read) => read.threads === 1);
  process.stdout.write(`${reads.map((r) => `${r.level} ${r.gigabytesPerSecond.toFixed(0)}`).join(", ")}\n\n`);
  const shown = options.top
    ? [...rows].sort((a, b) => b.us - a.us).slice(0, wholeNumbers("top", options.top)[0])
    : rows;
  const headings = [
    "model",
    "kind",
    "shape",
    "ops",
    "µs",
    "GFLOP/s",
    "% peak",
    "GB/s",
    "level",
    "% bw",
    "% roof",
    "loop",
    "fma",
    "stack",
    "spills",
    "256",
  ];
  printTable(headings, shown.map(tableRow));
  const spilling = rows.filter((r) => r.loop?.multiplyAdds > 0 && r.loop.vectorSpills > 0);
  const split = rows.filter((r) => r.loop?.multiplyAdds > 0 && r.loop.bits256 > 0);
  process.stdout.write(`\n${rows.length} kernels; multiply-add loops that spill vectors: ${spilling.length}, `);
  process.stdout.write(`with 256-bit instructions: ${split.length}\n`);
  for (const kind of new Set(rows.map((r) => r.kind))) {
    const shares = rows.filter((r) => r.kind === kind).map((r) => 100 * r.roofShare);
    process.stdout.write(
      `${kind}: ${shares.length} kernels, median ${median(shares).toFixed(0)} % of the roof, lowest ${Math.min(...shares).toFixed(0)} %\n`,
    );
  }
}

function tableRow(r) {
  const percent = (share) => (100 * share).toFixed(0);
  const rate = [r.us.toFixed(1), r.gflops.toFixed(1), percent(r.peakShare), r.gigabytesPerSecond.toFixed(1)];
  const { instructions, multiplyAdds, stackReferences, vectorSpills, bits256 } = r.loop ?? {};
  const loop = [instructions, multiplyAdds, stackReferences, vectorSpills, bits256].map((n) => n ?? "");
  const ops = r.ops.length > 40 ? `${r.ops.slice(0, 39)}…` : r.ops;
  return [r.model, r.kind, r.shape, ops, ...rate, r.level, percent(r.bandwidthShare), percent(r.roofShare), ...loop];
}
