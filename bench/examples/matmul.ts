/**
 * The hand-scheduled matrix product beside OpenBLAS, on one thread, in turn, with every result verified first.
 *
 *   nice -n -19 npx tsx bench/examples/matmul.ts [m,n,k …]
 */
import { scheduleMatmul } from "../../examples/matmul.ts";
import { measureMachine, peakGflops } from "../../native/measure.ts";
import { build } from "../../src/index.ts";
import { openBlas } from "./openblas.ts";
import { floats, inTurn, keepResults, noise, spread, timed } from "./support.ts";

const sizes = process.argv.slice(2).length > 0 ? process.argv.slice(2) : ["512", "1000", "1024", "2048", "63,1000,17"];
const blas = openBlas(1);
process.stdout.write(`${blas.config}\n`);
const rows = [];
for (const text of sizes) rows.push(await measure(text));
if (process.argv.length === 2) keepResults("matmul", { peer: blas.config, threads: 1, rows });
process.exit(0);

async function measure(text: string) {
  const [m = 0, n = m, k = m] = text.split(",").map(Number);
  const shape = { m, n, k };
  const random = noise();
  const a = floats(m * k, () => random() - 0.5);
  const b = floats(k * n, () => random() - 0.5);
  const c = floats(m * n);
  const d = floats(m * n);
  const product = await build(scheduleMatmul(shape), { target: "host" });
  const peaks: number[] = [];
  product.run({ A: a, B: b, C: c });
  blas.sgemm(shape, a, b, d);
  const errors = { tilewright: worstError(c), openblas: worstError(d) };
  const repeats = Math.max(3, Math.min(20, Math.round(1e9 / (m * n * k))));
  const samples = inTurn(
    {
      tilewright: (count) => product.time({ A: a, B: b, C: c }, { repeats: count, warmup: 0, maxTimeMs: 1e4 }),
      openblas: timed(() => blas.sgemm(shape, a, b, d)),
      peak: () => [peaks.push(peakGflops(measureMachine({ threads: 1, figureMs: 10 }), 1))],
    },
    { rounds: 15, repeats },
  );
  product.dispose();
  const flops = 2 * m * n * k;
  const ours = spread(samples.tilewright);
  const theirs = spread(samples.openblas);
  const peak = spread(peaks).median;
  const row = {
    shape,
    gflops: flops / ours.median,
    percentOfPeak: (100 * flops) / ours.median / peak,
    openblasGflops: flops / theirs.median,
    ratio: theirs.median / ours.median,
    peakGflops: peak,
    errors,
    ns: { tilewright: ours, openblas: theirs },
  };
  const speed = `${row.gflops.toFixed(1)} GFLOP/s, ${row.percentOfPeak.toFixed(1)} % of the peak of ${peak.toFixed(1)}`;
  const peer = `OpenBLAS ${row.openblasGflops.toFixed(1)}: ratio ${row.ratio.toFixed(3)}`;
  process.stdout.write(`${m} × ${n} × ${k}  ${speed}; ${peer}; error ${errors.tilewright.toExponential(1)}\n`);
  return row;

  /** The largest difference from plain sums in float64; of the larger products in 64 rows, first and last among them. */
  function worstError(result: Float32Array): number {
    const count = m * n * k > 2 ** 30 ? 64 : m;
    let worst = 0;
    for (let r = 0; r < count; r++) {
      const i = Math.round((r * (m - 1)) / Math.max(1, count - 1));
      const sums = new Float64Array(n);
      for (let p = 0; p < k; p++) {
        const x = a[i * k + p]!;
        for (let j = 0; j < n; j++) sums[j]! += x * b[p * n + j]!;
      }
      for (let j = 0; j < n; j++) worst = Math.max(worst, Math.abs(result[i * n + j]! - sums[j]!));
    }
    if (worst > 1e-6 * k) throw new Error(`${text}: differs from the plain sums by ${worst}`);
    return worst;
  }
}
