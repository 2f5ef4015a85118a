/**
 * A matrix product, written once and scheduled by hand: tiles of 6 × 64 accumulate in registers, vectorized and
 * unrolled, one strip of rows a task. Prints the loop nest and the speed before and after.
 *
 *   npx tsx examples/matmul-schedule.ts
 */
import { build, compute, placeholder, reduceAxis, type Schedule, schedule, sum } from "tilewright";

const n = 384;
const A = placeholder("A", [n, n]);
const B = placeholder("B", [n, n]);
const k = reduceAxis("k", n);
const C = compute("C", [n, n], (i, j) => sum(A.at(i, k).mul(B.at(k, j)), k));

const plain = schedule(C);
const tiled = registerTiles(schedule(C), { rows: 6, columns: 64, lanes: 16 });
console.log(tiled.print());

const a = Float32Array.from({ length: n * n }, (_, i) => ((i * 7) % 13) / 13);
const b = Float32Array.from({ length: n * n }, (_, i) => ((i * 5) % 11) / 11);
const [slow, slowC] = await measure(plain);
const [fast, fastC] = await measure(tiled);
const worst = fastC.reduce((most, value, i) => Math.max(most, Math.abs(value - slowC[i]!) / n), 0);
console.log(`plain loops ${slow.toFixed(1)} GFLOP/s, scheduled ${fast.toFixed(1)} GFLOP/s`);
console.log(`largest difference ${worst.toExponential(1)} of the reduction's length`);

/** Accumulates tiles of the result in registers; every step is checked, and none may change a value. */
function registerTiles(s: Schedule, tile: { rows: number; columns: number; lanes: number }): Schedule {
  const product = s.block("C");
  // The product goes to registers, and a second block writes the finished tile out.
  const copy = s.cacheWrite(product, "C", "register");
  const [rowTile, row] = s.split(s.loopAt(copy, 0), { factor: tile.rows });
  const [columnTile, column] = s.split(s.loopAt(copy, 2), { factor: tile.columns });
  s.reorder(rowTile, columnTile, row, column);
  s.computeAt(product, columnTile);
  const [i, j, depth] = [s.loopAt(product, 2), s.loopAt(product, 3), s.loopAt(product, 4)];
  s.reorder(depth, i, j);
  // Zeroing the tile becomes a block of its own before the loop over the depth.
  s.decomposeReduction(product, depth);
  for (const block of s.blocks()) {
    const [r, c] = s.loops(block).slice(-2);
    const [vector, lane] = s.split(c!, { factor: tile.lanes });
    s.vectorize(lane);
    s.unroll(vector);
    s.unroll(r!);
  }
  s.parallel(rowTile);
  return s;
}

/** GFLOP/s of the median run, and the product. */
async function measure(s: Schedule): Promise<[number, Float32Array]> {
  const c = new Float32Array(n * n);
  const matmul = await build(s, { target: "host", threads: 2 });
  try {
    matmul.run({ A: a, B: b, C: c });
    const ns = matmul.time({ A: a, B: b, C: c }).sort();
    return [(2 * n ** 3) / ns[ns.length >> 1]!, c];
  } finally {
    matmul.dispose();
  }
}
