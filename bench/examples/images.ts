/**
 * The examples beside Halide, with 1 and 2 threads, in turn, outputs compared first: image pipelines (1536 × 2560 pixels,
 * Halide's own schedules), attention (one head, width 64) and an inverted residual block, for which Halide publishes none.
 *
 *   npm run bench:examples [-- "blur;unsharp;attention"]
 */

import { scheduleAttention } from "../../examples/attention.ts";
import { margin, scheduleBlur } from "../../examples/blur.ts";
import { blockArguments, scheduleInvertedResidual } from "../../examples/inverted-residual.ts";
import { scheduleLocalLaplacian } from "../../examples/local-laplacian.ts";
import { scheduleUnsharp } from "../../examples/unsharp.ts";
import type { Schedule } from "../../passes/schedule/schedule.ts";
import { build } from "../../src/index.ts";
import { type HalidePeer, halide, type Pixels } from "./halide.ts";
import { floats, inTurn, keepResults, noise, shorts, spread, timed, worstDifference } from "./support.ts";

const width = 1536;
const height = 2560;
const random = noise();

interface Pipeline {
  readonly schedule: (threads: number) => Schedule;
  readonly input: Pixels;
  readonly output: readonly number[];
  /** Name of the output parameter. */
  readonly result: string;
  /** Published schedules; the fastest counts. */
  readonly peers: readonly HalidePeer[];
  readonly tolerance: number;
  /** The parameters that the input stands for; one named `input` by default. */
  readonly parameters?: (values: Float32Array) => Record<string, Float32Array>;
  /** Stands beside another row for comparison, and is left out of the mean. */
  readonly variant?: true;
}
const pipelines: Record<string, () => Pipeline> = {
  blur: () => ({
    schedule: () => scheduleBlur({ width, height }),
    input: {
      dims: [height + 2, width + margin],
      values: shorts((height + 2) * (width + margin), () => random() * 16384),
    },
    output: [height, width],
    result: "blurY",
    peers: ["blur_8", "blur_32"],
    tolerance: 0,
  }),
  unsharp: () => ({
    schedule: () => scheduleUnsharp({ width, height }),
    input: { dims: [3, height, width], values: floats(3 * height * width, () => 0.05 + 0.95 * random()) },
    output: [3, height, width],
    result: "output",
    peers: ["unsharp"],
    tolerance: 1e-5,
  }),
  "local-laplacian": () => ({
    schedule: () => scheduleLocalLaplacian({ width, height }),
    input: { dims: [3, height, width], values: floats(3 * height * width, random) },
    output: [3, height, width],
    result: "output",
    peers: ["local_laplacian"],
    // A luminance rounded otherwise may take the next step of a curve.
    tolerance: 1 / 7 / 256,
  }),
  attention: () => attentionOf(512),
  "attention-1024": () => attentionOf(1024),
  "inverted-residual": () => invertedResidualOf(true),
  "inverted-residual, separate kernels": () => ({ ...invertedResidualOf(false), variant: true }),
};
function attentionOf(n: number): Pipeline {
  const length = n * 64;
  return {
    schedule: () => scheduleAttention({ n, d: 64 }),
    input: { dims: [3, n, 64], values: floats(3 * length, () => random() - 0.5) },
    parameters: (values) =>
      Object.fromEntries(["Q", "K", "V"].map((name, i) => [name, values.subarray(i * length, (i + 1) * length)])),
    output: [n, 64],
    result: "out",
    peers: ["attention"],
    tolerance: 1e-5,
  };
}

function invertedResidualOf(fused: boolean): Pipeline {
  const shape = { height: 56, width: 56, channels: 32, wide: 192 };
  const { Y, ...given } = blockArguments(shape);
  const lists = Object.entries(given);
  const all = lists.flatMap(([, list]) => [...list]);
  let at = 0;
  const places = lists.map(([name, list]) => [name, at, (at += list.length)] as const);
  return {
    // A strip for each thread.
    schedule: (threads) => scheduleInvertedResidual(shape, { fused, rows: shape.height / threads }),
    input: { dims: [all.length], values: floats(all.length, (i) => all[i]!) },
    parameters: (values) => Object.fromEntries(places.map(([name, from, to]) => [name, values.subarray(from, to)])),
    output: [shape.height, shape.width, shape.channels],
    result: "Y",
    peers: ["inverted_residual"],
    tolerance: 1e-4,
  };
}

const peer = halide();
const chosen = process.argv[2]?.split(";") ?? Object.keys(pipelines);
const rows: Record<string, Row[]> = Object.fromEntries(chosen.map((name) => [name, []]));
const counted = chosen.filter((name) => !pipelines[name]!().variant);
const mean = (list: readonly number[]): number => Math.exp(list.reduce((t, x) => t + Math.log(x), 0) / list.length);
// Halide's pool grows but does not shrink, so few threads come first.
for (const threads of [1, 2]) {
  for (const name of chosen) rows[name]!.push(await measure(name, pipelines[name]!(), threads));
  const ratios = counted.map((name) => rows[name]!.at(-1)!.ratio);
  process.stdout.write(`geometric mean, ${threads} threads: ${mean(ratios).toFixed(3)}\n`);
}
const geometricMean = mean(counted.flatMap((name) => rows[name]!.map((r) => r.ratio)));
process.stdout.write(`geometric mean of all: ${geometricMean.toFixed(3)}\n`);
for (const name of chosen) keepResults(name, { peer: "Halide 14", rows: rows[name] });
if (process.argv[2] === undefined) keepResults("examples beside Halide", { peer: "Halide 14", geometricMean, counted });
process.exit(0);

interface Row {
  readonly threads: number;
  /** Halide's median by ours. */
  readonly ratio: number;
}
async function measure(name: string, p: Pipeline, threads: number): Promise<Row> {
  const length = p.output.reduce((a, b) => a * b, 1);
  const make = p.input.values instanceof Float32Array ? floats : shorts;
  const ours = make(length);
  const theirs: Pixels = { dims: p.output, values: make(length) };
  const f = await build(p.schedule(threads), { target: "host", threads });
  const values = p.input.values;
  const inputs = p.parameters && values instanceof Float32Array ? p.parameters(values) : { input: values };
  const args = { ...inputs, [p.result]: ours };
  peer.threads(threads);
  f.run(args);
  const differences: Record<string, number> = {};
  for (const which of p.peers) {
    peer.call(which, p.input, theirs);
    differences[which] = worstDifference(ours, theirs.values);
    if (!(differences[which] <= p.tolerance))
      throw new Error(`${name}: differs from ${which} by ${differences[which]}`);
  }
  const samples = inTurn({
    tilewright: (repeats) => f.time(args, { repeats, warmup: 0, maxTimeMs: 1e4 }),
    ...Object.fromEntries(p.peers.map((which) => [which, timed(() => peer.call(which, p.input, theirs))])),
  });
  f.dispose();
  const ns = Object.fromEntries(Object.entries(samples).map(([who, list]) => [who, spread(list)]));
  const best = Math.min(...p.peers.map((which) => ns[which]!.median));
  const ratio = best / ns.tilewright!.median;
  const times = Object.entries(ns).map(([who, t]) => `${who} ${(t.median / 1e6).toFixed(3)} ms`);
  process.stdout.write(`${name}, ${threads} threads: ${times.join(", ")}; ratio ${ratio.toFixed(2)}\n`);
  const row = { threads, ratio, differences, ns };
  return row;
}
