/**
 * Attention of one head, softmax(Q·Kᵀ / √d)·V, fused: no n × n matrix exists at any time.
 *
 *   npx tsx examples/attention.ts [n]
 *
 * A tile of rows goes through all stages before the next one begins. Its scores (rows × n floats) stay in the second-level
 * cache, so the maximum of a row is known before its exponentials are taken, and nothing is rescaled:
 *
 *   Kt = Kᵀ / √d               once, so that 16 keys make a vector
 *   for tile of 6 rows parallel
 *     scores                   like a matrix product: 6 × 64 in registers over the depth of 64
 *     peak, weights, total     vectors along a row, in cache
 *     mixed                    6 × 64 in registers over all keys
 *     out                      mixed / total
 */
import { build, compute, placeholder, reduce, reduceAxis, type Schedule, schedule, sum } from "tilewright";
import type { LoopRef } from "../passes/schedule/primitive.ts";

/** Rows of Q, K and V, and their width. */
export interface AttentionShape {
  readonly n: number;
  readonly d: number;
}

/** The computation: Q, K, V and out are [n, d]. */
export function attention({ n, d }: AttentionShape) {
  const [Q, K, V] = [placeholder("Q", [n, d]), placeholder("K", [n, d]), placeholder("V", [n, d])];
  const [p, k1, k2, k3] = [reduceAxis("p", d), reduceAxis("k1", n), reduceAxis("k2", n), reduceAxis("k3", n)];
  const Kt = compute("Kt", [d, n], (q, j) => K.at(j, q).mul(1 / Math.sqrt(d)));
  const scores = compute("scores", [n, n], (i, j) => sum(Q.at(i, p).mul(Kt.at(p, j)), p));
  const peak = compute("peak", [n], (i) => reduce("max", scores.at(i, k1), k1));
  const weights = compute("weights", [n, n], (i, j) => scores.at(i, j).sub(peak.at(i)).exp());
  const total = compute("total", [n], (i) => sum(weights.at(i, k2), k2));
  const mixed = compute("mixed", [n, d], (i, c) => sum(weights.at(i, k3).mul(V.at(k3, c)), k3));
  return compute("out", [n, d], (i, c) => mixed.at(i, c).div(total.at(i)));
}

/** The schedule; n and d are multiples of 64. */
export function scheduleAttention(shape: AttentionShape, { rows = 6, columns = 64, lanes = 16 } = {}): Schedule {
  const s = schedule(attention(shape), { name: "attention" });
  const [scores, mixed, weights, out] = [s.block("scores"), s.block("mixed"), s.block("weights"), s.block("out")];

  // The products accumulate in registers and are copied out; rows are reduced to 64 partial results first.
  const products = [scores, mixed].map((block) => ({ block, copy: s.cacheWrite(block, block.name, "register") }));
  const reductions = [s.block("peak"), s.block("total")].map((whole) => {
    const [, part] = s.split(s.loops(whole).at(-1)!, { factor: columns });
    return { whole, parts: s.rfactor(part, 1) };
  });

  // All stages of a tile of rows, each just before its consumer.
  const [tile, row] = s.split(s.loopAt(out, 0), { factor: rows, tail: "shift-inwards" });
  const [peak, total] = reductions as [(typeof reductions)[0], (typeof reductions)[0]];
  const [score, mix] = products as [(typeof products)[0], (typeof products)[0]];
  for (const block of [
    mix.copy,
    mix.block,
    total.whole,
    total.parts,
    weights,
    peak.whole,
    peak.parts,
    score.copy,
    score.block,
  ])
    s.computeAt(block, tile);
  s.parallel(tile);

  for (const { block, copy } of products) {
    const [r, c] = s.loops(copy).slice(-2);
    const [strip, inStrip] = s.split(c!, { factor: columns });
    const [v, l] = s.split(inStrip, { factor: lanes });
    s.reorder(strip, r!, v, l);
    s.computeAt(block, strip);
    const [x, y, k] = s.loops(block).slice(-3);
    const [vector, lane] = s.split(y!, { factor: lanes });
    const [steps, step] = s.split(k!, { factor: 4 });
    s.reorder(steps, step, x!, vector, lane);
    s.unroll(step);
    s.annotate(step, "schedule_barrier", true);
    const zero = s.decomposeReduction(block, steps);
    for (const b of [block, zero, copy]) vectorRows(s, s.loops(b).slice(-3));
  }
  for (const { whole, parts } of reductions) {
    const [k, part] = s.loops(parts).slice(-2);
    const [vector, lane] = s.split(part!, { factor: lanes });
    s.reorder(k!, vector, lane);
    const zero = s.decomposeReduction(parts, k!);
    for (const b of [parts, zero]) vectorRows(s, s.loops(b).slice(-2));
    const last = s.loops(whole).at(-1)!;
    s.decomposeReduction(whole, last);
    s.vectorize(last);
  }
  for (const [block, unrolled] of [
    [weights, 4],
    [out, 1],
  ] as const) {
    const [, v, l] = s.split(s.loops(block).at(-1)!, { factors: [null, unrolled, lanes] });
    vectorRows(s, [v!, l!]);
  }
  s.unroll(row);
  s.vectorize(s.split(s.loops(s.block("Kt")).at(-1)!, { factor: lanes })[1]);
  return s;
}
/** Vectorizes the innermost of the loops and writes out the others. */
function vectorRows(s: Schedule, loops: readonly LoopRef[]): void {
  s.vectorize(loops.at(-1)!);
  for (const loop of loops.slice(0, -1).reverse()) s.unroll(loop);
}

if (process.argv[1] === import.meta.filename) {
  const shape = { n: Number(process.argv[2] ?? 512), d: 64 };
  const s = scheduleAttention(shape);
  console.log(s.print());
  const random = (seed: number) => Float32Array.from({ length: shape.n * shape.d }, (_, i) => Math.sin(i * seed));
  const args = { Q: random(1.3), K: random(2.1), V: random(0.7), out: new Float32Array(shape.n * shape.d) };
  const f = await build(s, { target: "host", threads: 2 });
  f.run(args);
  const ns = f.time(args).sort();
  console.log(`${(ns[ns.length >> 1]! / 1e6).toFixed(3)} ms with 2 threads`);
  f.dispose();
}
