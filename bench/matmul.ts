/**
 * Products of two matrices as networks compile them, beside OpenBLAS, in turn, with every result verified first: squares
 * from 128 to 2048, and odd shapes that follow from a seed.
 *
 *   npm run bench:matmul -- [--threads 1,2] [--odd 40] [--only 63x1000x17,…] [--rounds 9]
 *
 * Both matrices are inputs, so packing them is part of the time, as it is of OpenBLAS's. Its calls go through koffi, whose
 * cost (a call on empty matrices) is taken off.
 */
import { parseArgs } from "node:util";
import { GraphBuilder } from "../ir/graph/build.ts";
import { measureMachine, peakGflops } from "../native/measure.ts";
import { compile, Tensor } from "../src/index.ts";
import { openBlas } from "./examples/openblas.ts";
import { floats, inTurn, keepResults, noise, spread, timed } from "./examples/support.ts";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "1,2" },
    odd: { type: "string", default: "40" },
    only: { type: "string" },
    rounds: { type: "string", default: "9" },
  },
});
interface Shape {
  readonly m: number;
  readonly k: number;
  readonly n: number;
}
const bars = { mean: 1.05, lowest: 0.95 };
const shapes = values.only ? values.only.split(",").map(shapeNamed) : [...squares(), ...oddShapes(Number(values.odd))];

const runs = [];
for (const threads of values.threads.split(",").map(Number)) {
  const blas = openBlas(threads);
  const peak = peakGflops(measureMachine({ threads, figureMs: 20 }), threads);
  process.stdout.write(`${threads} threads, peak ${peak.toFixed(0)} GFLOP/s; ${blas.config}\n`);
  const rows = [];
  for (const shape of shapes) rows.push(await measure(shape, threads, blas, peak));
  const ratios = rows.map((r) => r.ratio);
  const mean = Math.exp(ratios.reduce((sum, r) => sum + Math.log(r), 0) / ratios.length);
  const lowest = Math.min(...ratios);
  const verdict = mean >= bars.mean && lowest >= bars.lowest ? "hold" : "MISSED";
  process.stdout.write(
    `${threads} threads, ${rows.length} shapes: geometric mean ${mean.toFixed(3)}, lowest ${lowest.toFixed(3)}; ` +
      `bars ${bars.mean} and ${bars.lowest}: ${verdict}\n\n`,
  );
  runs.push({ threads, peak, peer: blas.config, mean, lowest, rows });
}
if (!values.only) keepResults("beside OpenBLAS", { bars, runs }, "matmul");
process.exit(0);

function squares(): Shape[] {
  return [128, 192, 256, 384, 512, 768, 1024, 1536, 2048].map((n) => ({ m: n, k: n, n }));
}
/** Extents up to some thousand, small ones as likely as large ones, most of them multiples of nothing. */
function oddShapes(count: number): Shape[] {
  const random = noise(7);
  const extent = (most: number): number => Math.max(1, Math.round(most ** random()));
  const found: Shape[] = [shapeNamed("63x1000x17"), shapeNamed("1x1024x1000"), shapeNamed("1000x1024x1")];
  while (found.length < count) {
    const shape = { m: extent(1500), k: extent(1500), n: extent(1500) };
    const work = shape.m * shape.k * shape.n;
    if (work >= 2 ** 14 && work <= 2 ** 28) found.push(shape);
  }
  return found.slice(0, count);
}
function shapeNamed(text: string): Shape {
  const [m, k, n] = text.split("x").map(Number);
  if (!m || !k || !n) throw new Error(`${text} is not like 63x1000x17 (rows, depth, columns)`);
  return { m, k, n };
}

async function measure({ m, k, n }: Shape, threads: number, blas: ReturnType<typeof openBlas>, peak: number) {
  const random = noise();
  const a = floats(m * k, () => random() - 0.5);
  const b = floats(k * n, () => random() - 0.5);
  const theirs = floats(m * n);
  const product = await compile(graphOf({ m, k, n }), { threads, cache: false });
  const feeds = { A: new Tensor("float32", a, [m, k]), B: new Tensor("float32", b, [k, n]) };
  const ours = product.runSync(feeds).C!.data as Float32Array;
  blas.sgemm({ m, k, n }, a, b, theirs);
  for (const [who, result] of [["ours", ours] as const, ["OpenBLAS's", theirs] as const]) verify(who, result);
  const flops = 2 * m * n * k;
  // A core's neighbours change its speed for many milliseconds at a time: samples of short products are to outlast that.
  const repeats = Math.max(5, Math.min(3000, Math.round((3e6 * peak) / flops)));
  const rounds = Number(values.rounds) * (flops < 1e7 ? 2 : 1);
  const contenders = {
    ours: (count: number) => product.time(feeds, { repeats: count, warmup: 0 }),
    openblas: timed(() => blas.sgemm({ m, k, n }, a, b, theirs)),
    call: timed(() => blas.sgemm({ m: 0, k: 0, n: 0 }, a, b, theirs)),
  };
  const samples = inTurn(contenders, { rounds, repeats, settleMs: threads > 1 ? 30 : 3 });
  product.dispose();
  const [own, peer, call] = [spread(samples.ours), spread(samples.openblas), spread(samples.call)];
  const peerNs = peer.median - call.median;
  const row = {
    shape: `${m}x${k}x${n}`,
    gflops: flops / own.median,
    openblasGflops: flops / peerNs,
    ratio: peerNs / own.median,
    ns: { ours: own, openblas: peer, call: call.median },
  };
  process.stdout.write(
    `${row.shape.padEnd(16)} ${row.gflops.toFixed(1).padStart(6)} GFLOP/s ` +
      `(${((100 * row.gflops) / peak).toFixed(0).padStart(3)} % of peak), OpenBLAS ${row.openblasGflops.toFixed(1).padStart(6)}: ` +
      `${row.ratio.toFixed(3)}\n`,
  );
  return row;

  /** Some rows beside plain sums in float64. */
  function verify(who: string, result: Float32Array): void {
    const rows = Math.min(m, 16);
    for (let r = 0; r < rows; r++) {
      const i = Math.round((r * (m - 1)) / Math.max(1, rows - 1));
      for (let j = 0; j < n; j += Math.max(1, n >> 6)) {
        let sum = 0;
        for (let p = 0; p < k; p++) sum += a[i * k + p]! * b[p * n + j]!;
        const error = Math.abs(result[i * n + j]! - sum);
        if (!(error <= 1e-6 * k + 1e-6)) throw new Error(`${m}x${k}x${n}: ${who} differs from the sums by ${error}`);
      }
    }
  }
}
function graphOf({ m, k, n }: Shape) {
  const builder = new GraphBuilder();
  const a = builder.value("A", { dtype: "float32", dims: [m, k] });
  const b = builder.value("B", { dtype: "float32", dims: [k, n] });
  const [c] = builder.node("MatMul", [a, b], { opset: 17, outputs: ["C"] });
  return builder.finish({ name: "matmul", inputs: [a, b], outputs: [c!] });
}
