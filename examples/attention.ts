/**
 * Attention of one head, softmax(Q·Kᵀ / √d)·V, fused over tiles of keys with the online softmax of FlashAttention (Dao et
 * al. 2022): no n × n matrix exists at any time, nor a row of one.
 *
 *   npx tsx examples/attention.ts [n]
 *
 * The computation carries a state from tile to tile: the largest score so far, the sum of the weights so far and the
 * mixture so far, both relative to that score. They are scans along the tiles. A strip of rows goes through all tiles of
 * keys; what a tile needs stays in the first-level cache, and of each state the last two values are kept:
 *
 *   Kt = Kᵀ                     once, so that 16 keys make a vector; squares of 16 × 16 turn around in registers
 *   for strip of 6 rows parallel
 *     scaled = Q / √d
 *     for tile of keys
 *       scores                  like a matrix product: 6 × 64 in registers over the depth of 64
 *       peak                    scan: the largest score; vectors along a row, in cache
 *       weights                 exp(scores - peak)
 *       total                   scan: the sum of weights, rescaled
 *       added                   6 × 64 in registers over the tile's keys
 *       mixed                   scan: the mixture, rescaled
 *     out                       mixed after the last tile
 */
import {
  build,
  compute,
  placeholder,
  reduce,
  reduceAxis,
  type Scalar,
  type Schedule,
  scan,
  schedule,
  sum,
  where,
} from "tilewright";
import { transposeTile } from "../passes/schedule/library/transpose-tile.ts";
import type { LoopRef } from "../passes/schedule/primitive.ts";

/** Rows of Q, K and V, and their width. */
export interface AttentionShape {
  readonly n: number;
  readonly d: number;
}

/** The computation as it is usually written: Q, K, V and out are [n, d]. */
export function attention({ n, d }: AttentionShape) {
  const [Q, K, V] = [placeholder("Q", [n, d]), placeholder("K", [n, d]), placeholder("V", [n, d])];
  const [p, k1, k2, k3] = [reduceAxis("p", d), reduceAxis("k1", n), reduceAxis("k2", n), reduceAxis("k3", n)];
  const scores = compute("scores", [n, n], (i, j) => sum(Q.at(i, p).mul(K.at(j, p)), p));
  const scaled = compute("scaled", [n, n], (i, j) => scores.at(i, j).mul(1 / Math.sqrt(d)));
  const peak = compute("peak", [n], (i) => reduce("max", scaled.at(i, k1), k1));
  const weights = compute("weights", [n, n], (i, j) => scaled.at(i, j).sub(peak.at(i)).exp());
  const total = compute("total", [n], (i) => sum(weights.at(i, k2), k2));
  const mixed = compute("mixed", [n, d], (i, c) => sum(weights.at(i, k3).mul(V.at(k3, c)), k3));
  return compute("out", [n, d], (i, c) => mixed.at(i, c).div(total.at(i)));
}

/** The same over tiles of `keys` keys, which divide n. */
export function onlineAttention({ n, d }: AttentionShape, keys: number) {
  const tiles = n / keys;
  const [Q, K, V] = [placeholder("Q", [n, d]), placeholder("K", [n, d]), placeholder("V", [n, d])];
  const [p, k1, k2, k3] = [reduceAxis("p", d), reduceAxis("k1", keys), reduceAxis("k2", keys), reduceAxis("k3", keys)];
  const key = (t: Scalar, k: Scalar): Scalar => t.mul(keys).add(k);
  const later = (t: Scalar, value: Scalar, first: Scalar | number): Scalar => where(t.gt(0), value, first);

  const Kt = compute("Kt", [d, n], (q, j) => K.at(j, q));
  const scaled = compute("scaled", [n, d], (i, q) => Q.at(i, q).mul(1 / Math.sqrt(d)));
  const scores = compute("scores", [n, tiles, keys], (i, t, k) => sum(scaled.at(i, p).mul(Kt.at(p, key(t, k))), p));
  const highest = compute("highest", [n, tiles], (i, t) => reduce("max", scores.at(i, t, k1), k1));
  const peak = scan("peak", [n, tiles], 1, (self, i, t) =>
    highest.at(i, t).max(later(t, self.at(i, t.sub(1)), highest.at(i, t))),
  );
  const weights = compute("weights", [n, tiles, keys], (i, t, k) => scores.at(i, t, k).sub(peak.at(i, t)).exp());
  const sums = compute("sums", [n, tiles], (i, t) => sum(weights.at(i, t, k2), k2));
  // What the weights so far shrink by when the peak grows.
  const shrink = compute("shrink", [n, tiles], (i, t) => later(t, peak.at(i, t.sub(1)).sub(peak.at(i, t)).exp(), 0));
  const total = scan("total", [n, tiles], 1, (self, i, t) =>
    sums.at(i, t).add(later(t, self.at(i, t.sub(1)).mul(shrink.at(i, t)), 0)),
  );
  const kept = compute("kept", [n, tiles], (i, t) =>
    later(t, total.at(i, t.sub(1)).mul(shrink.at(i, t)).div(total.at(i, t)), 0),
  );
  const added = compute("added", [n, tiles, d], (i, t, c) => sum(weights.at(i, t, k3).mul(V.at(key(t, k3), c)), k3));
  const mixed = scan("mixed", [n, tiles, d], 1, (self, i, t, c) =>
    added
      .at(i, t, c)
      .div(total.at(i, t))
      .add(later(t, self.at(i, t.sub(1), c).mul(kept.at(i, t)), 0)),
  );
  return compute("out", [n, d], (i, c) => mixed.at(i, tiles - 1, c));
}

/** The schedule; n holds several tiles of `keys` keys, and these, like d, several times 64. */
export function scheduleAttention(
  shape: AttentionShape,
  { rows = 6, keys = 256, columns = 64, lanes = 16 } = {},
): Schedule {
  const s = schedule(onlineAttention(shape, keys), { name: "attention" });
  const [scores, added, mixed, out] = [s.block("scores"), s.block("added"), s.block("mixed"), s.block("out")];

  // The products accumulate in registers: scores are copied out, what is added goes into the mixture at once. Rows are
  // reduced to 64 partial results first.
  const copied = s.cacheWrite(scores, "scores", "register");
  const reductions = [s.block("highest"), s.block("sums")].map((whole) => {
    const [, part] = s.split(s.loops(whole).at(-1)!, { factor: columns });
    return { whole, parts: s.rfactor(part, 2) };
  });
  const [highest, sums] = reductions as [(typeof reductions)[0], (typeof reductions)[0]];

  // A strip of rows runs the last scan over all tiles, and a tile all stages before it, each just before its consumer.
  // A scan at the loop over tiles runs one instance of each row there: the next.
  const [strip, row] = s.split(s.loopAt(out, 0), { factor: rows, tail: "shift-inwards" });
  s.computeAt(mixed, strip);
  const [inStrip, tile] = s.loops(mixed).slice(1);
  s.reorder(tile!, inStrip!);
  for (const block of [
    added,
    s.block("kept"),
    s.block("total"),
    s.block("shrink"),
    sums.whole,
    sums.parts,
    s.block("weights"),
    s.block("peak"),
    highest.whole,
    highest.parts,
    copied,
    scores,
  ])
    s.computeAt(block, tile!);
  s.computeAt(s.block("scaled"), strip);
  s.vectorize(s.split(s.loops(s.block("scaled")).at(-1)!, { factor: lanes })[1]);
  s.parallel(strip);

  for (const [block, user] of [
    [scores, copied],
    [added, mixed],
  ] as const) {
    const [r, c] = s.loops(user).slice(-2);
    const [panel, inPanel] = s.split(c!, { factor: columns });
    const [v, l] = s.split(inPanel, { factor: lanes });
    s.reorder(panel, r!, v, l);
    s.computeAt(block, panel);
    if (block === added) s.setScope(block, "added", "register");
    const [x, y, k] = s.loops(block).slice(-3);
    const [vector, lane] = s.split(y!, { factor: lanes });
    const [steps, step] = s.split(k!, { factor: 4 });
    s.reorder(steps, step, x!, vector, lane);
    s.unroll(step);
    s.annotate(step, "schedule_barrier", true);
    const zero = s.decomposeReduction(block, steps);
    for (const b of [block, zero, user]) vectorRows(s, s.loops(b).slice(-3));
  }
  for (const { whole, parts } of reductions) {
    s.computeAt(parts, s.loops(whole).at(-2)!);
    s.setScope(parts, parts.name, "register");
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
    [s.block("weights"), 4],
    [out, 4],
  ] as const) {
    const [, v, l] = s.split(s.loops(block).at(-1)!, { factors: [null, unrolled, lanes] });
    vectorRows(s, [v!, l!]);
  }
  s.vectorize(s.loops(s.block("shrink")).at(-1)!);
  s.unroll(row);

  // Squares of K turn around in registers.
  const Kt = s.block("Kt");
  const [qLoop, jLoop] = [s.loopAt(Kt, 0), s.loopAt(Kt, 1)];
  const [q, j] = [s.split(qLoop, { factor: lanes }), s.split(jLoop, { factor: lanes })];
  s.reorder(q[0], j[0], q[1], j[1]);
  s.tensorize(q[1], transposeTile(lanes, "float32"));
  // Of each state a strip keeps the last two tiles. With two tiles there is nothing to fold.
  if (shape.n > 2 * keys)
    for (const name of ["peak", "total", "mixed"]) {
      s.hoistStorage(s.block(name), name, strip);
      s.storageFold(s.block(name), name, 1, 2);
    }
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
