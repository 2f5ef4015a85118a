/**
 * C = A·B in float32, as fast as a BLAS: packed panels, three levels of blocking, a register tile of 6 × 64.
 *
 *   npx tsx examples/matmul.ts [m n k]
 *
 * The computation pads A and B up to whole tiles and cuts the sum over k into parts, so that a part of a tile of C is a
 * value of its own, P. The schedule then says where each of them is computed:
 *
 *   for jc                        columns of B that are packed at a time           (Bp: depth × columns, in L3)
 *     for part                    depth of the panels
 *       Bp = B                    packed: 64 columns side by side, k after k
 *       for ic                    rows of A that are packed at a time              (Ap: rows × depth, in L2)
 *         Ap = A
 *         for jr, ir              one register tile
 *           P = Ap·Bp             24 vectors of 16 accumulate over the depth
 *           C += P                guarded: here the padding is dropped
 */
import { build, compute, placeholder, reduceAxis, type Schedule, schedule, sum, where } from "tilewright";

/** A is [m, k], B is [k, n], C is [m, n]. */
export interface MatmulShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}
/** 6 rows × 4 vectors of 16 lanes take 24 of the 32 vector registers; 4 hold columns of B, the others rows of A. */
const tile = { rows: 6, columns: 64, lanes: 16 };

/** Extents of the panels: Bp in the last-level cache, Ap in half of the second level, all parts of one length. */
function panels({ m, n, k }: MatmulShape) {
  const depth = Math.ceil(k / Math.ceil(k / 1024));
  const rows = tile.rows * evenly(Math.ceil(m / tile.rows), Math.floor(20480 / depth));
  const columns = tile.columns * evenly(Math.ceil(n / tile.columns), 16);
  return { depth, rows, columns };
}
/** Tiles of a panel, at most `most`, so that the panels of all `tiles` are as full as can be. */
function evenly(tiles: number, most: number): number {
  const candidates = Array.from({ length: Math.min(tiles, most) }, (_, i) => Math.min(tiles, most) - i);
  const excess = (panel: number): number => Math.ceil(tiles / panel) * panel - tiles;
  return candidates.slice(0, Math.ceil(candidates.length / 2)).reduce((a, b) => (excess(b) < excess(a) ? b : a));
}

/** The computation: what C is, without any order. */
export function matmul(shape: MatmulShape) {
  const { m, n, k } = shape;
  const { depth, rows, columns } = panels(shape);
  const parts = Math.ceil(k / depth);
  const up = (extent: number, to: number): number => Math.ceil(extent / to) * to;
  const A = placeholder("A", [m, k]);
  const B = placeholder("B", [k, n]);
  const Ap = compute("Ap", [up(m, rows), parts * depth], (i, p) => where(i.lt(m).and(p.lt(k)), A.at(i, p), 0));
  const Bp = compute("Bp", [parts * depth, up(n, columns)], (p, j) => where(p.lt(k).and(j.lt(n)), B.at(p, j), 0));
  const step = reduceAxis("p", depth);
  const part = reduceAxis("part", parts);
  const P = compute("P", [parts, up(m, rows), up(n, columns)], (o, i, j) => {
    const p = o.mul(depth).add(step);
    return sum(Ap.at(i, p).mul(Bp.at(p, j)), step);
  });
  return compute("C", [m, n], (i, j) => sum(P.at(part, i, j), part));
}

/** The schedule. */
export function scheduleMatmul(shape: MatmulShape): Schedule {
  const { rows, columns } = panels(shape);
  const s = schedule(matmul(shape), { name: "matmul" });
  const [Ap, Bp, P, C] = [s.block("Ap"), s.block("Bp"), s.block("P"), s.block("C")];

  // The order of the tiles of C: panels outside, register tiles inside.
  const [i, j, part] = [s.loopAt(C, 0), s.loopAt(C, 1), s.loopAt(C, 2)];
  const [rowTiles, row] = s.split(i, { factor: tile.rows });
  const [ic, ir] = s.split(rowTiles, { factor: rows / tile.rows });
  const [columnTiles, column] = s.split(j, { factor: tile.columns });
  const [jc, jr] = s.split(columnTiles, { factor: columns / tile.columns });
  const [vector, lane] = s.split(column, { factor: tile.lanes });
  s.reorder(jc, part, ic, jr, ir, row, vector, lane);

  // A tile of P lives in registers; the panels are packed where their loops begin.
  s.computeAt(P, ir);
  s.computeAt(Ap, ic);
  s.computeAt(Bp, part);
  s.setScope(P, "P", "register");
  s.transformLayout(Bp, "Bp", [
    { axis: 1, divisor: tile.columns },
    { axis: 0, divisor: 1 },
    { axis: 1, divisor: 1, modulus: tile.columns },
  ]);

  // Inside the tile: one step of k is 24 multiply-adds of vectors; eight steps are written out, in this order.
  const [r, c, p] = s.loops(P).slice(-3);
  const [v, l] = s.split(c!, { factor: tile.lanes });
  const [steps, step] = s.split(p!, { factor: 8 });
  s.reorder(steps, step, r!, v, l);
  s.unroll(step);
  s.annotate(step, "schedule_barrier", true);
  const zero = s.decomposeReduction(P, steps);
  for (const block of [P, zero, C]) {
    const [x, y, z] = s.loops(block).slice(-3);
    s.vectorize(z!);
    s.unroll(y!);
    s.unroll(x!);
  }

  // Packing moves whole vectors: rows of A as they are, columns of B in strips of 64.
  s.vectorize(s.split(s.loops(Ap).at(-1)!, { factor: tile.lanes })[1]);
  const [depth, wide] = s.loops(Bp).slice(-2);
  const [strip, narrow] = s.split(wide!, { factor: tile.columns });
  const [w, x] = s.split(narrow, { factor: tile.lanes });
  s.reorder(strip, depth!, w, x);
  s.unroll(w);
  s.vectorize(x);
  return s;
}

if (process.argv[1] === import.meta.filename) {
  const [m = 384, n = m, k = m] = process.argv.slice(2).map(Number);
  const s = scheduleMatmul({ m, n, k });
  console.log(s.print());
  const a = Float32Array.from({ length: m * k }, (_, i) => ((i * 7) % 13) / 13);
  const b = Float32Array.from({ length: k * n }, (_, i) => ((i * 5) % 11) / 11);
  const c = new Float32Array(m * n);
  const product = await build(s, { target: "host" });
  product.run({ A: a, B: b, C: c });
  const at = (i: number, j: number) => a.subarray(i * k, i * k + k).reduce((t, x, p) => t + x * b[p * n + j]!, 0);
  const worst = c.reduce((most, x, q) => Math.max(most, Math.abs(x - at(Math.floor(q / n), q % n))), 0);
  const ns = product.time({ A: a, B: b, C: c }).sort();
  console.log(`${((2 * m * n * k) / ns[ns.length >> 1]!).toFixed(1)} GFLOP/s`);
  console.log(`largest difference ${(worst / k).toExponential(1)} of the reduction's length`);
  product.dispose();
}
