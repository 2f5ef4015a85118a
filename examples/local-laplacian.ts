/**
 * The local Laplacian filter (Paris, Hasinoff, Kautz 2011) in the fast variant that Halide made known: details of a
 * picture are amplified by building one Laplacian pyramid for each of `curves` remapped pictures, and taking at every
 * pixel of every level the two whose intensity is nearest.
 *
 *   npx tsx examples/local-laplacian.ts
 *
 * Nearly all of the work is at the finest level: eight remapped pictures, halved in both directions. Two things decide
 * about the speed. A remapped pixel costs an exponential and is needed by two rows of the next level, so rows slide: an
 * iteration computes the two rows that its window of four has not seen. And pictures are halved along y first, where a
 * vector of pixels stays one, so the steps across vectors see half of the rows only:
 *
 *   gray                            the picture's luminance, with a border
 *   for strip of rows parallel
 *     for curve
 *       remapped                    two rows to start with
 *       for row of level 1
 *         remapped                  two new rows; four of them in L1
 *         halved along y            one row, in L1
 *         level 1                   one row
 *   levels 2 … 7                    row by row, the pass along y computed where the pass along x needs it
 *   for level 7 … 0, row parallel   the collapse; per row:
 *     doubled along y               the curves of the coarser level (L1), and its result
 *     out                           the two nearest curves are gathered by pixel
 */
import { build, compute, placeholder, type Scalar, type Schedule, schedule } from "tilewright";
import type { BlockRef, LoopRef } from "../passes/schedule/primitive.ts";

/** Extents of the picture (multiples of 2^(levels - 1)), levels of the pyramids, remapped pictures. */
export interface Filter {
  readonly width: number;
  readonly height: number;
  readonly levels?: number;
  readonly curves?: number;
}
type Stage = ReturnType<typeof compute>;
const epsilon = 0.01;
/** Border of the luminance: what the border of level 1 reads beyond the picture. */
const rim = 5;
/** Border of the levels of the pyramids: further out, a picture whose edge pixels repeat is constant. */
const border = 2;

const clamp = (v: Scalar, low: number, high: number): Scalar => v.max(low).min(high);
/** A quarter of a picture's pixels: 1 3 3 1 around each pair. */
const halve = (at: (d: number) => Scalar): Scalar =>
  at(0)
    .add(at(1).add(at(2)).mul(3))
    .add(at(3))
    .mul(1 / 8);
/** Between the pixels of a coarser level: three quarters of the nearer one. `at` takes offsets from pixel i / 2. */
const double = (i: Scalar, at: (place: Scalar) => Scalar): Scalar => {
  const near = i.floordiv(2);
  return at(near.sub(1).add(i.floormod(2).mul(2)))
    .mul(0.25)
    .add(at(near).mul(0.75));
};

/** The computation: input and output are [3, height, width], in 0 … 1. */
export function localLaplacian({ width, height, levels = 8, curves = 8 }: Filter) {
  const alpha = 1 / (curves - 1);
  const rows = (j: number): number => height >> j;
  const columns = (j: number): number => width >> j;
  const input = placeholder("input", [3, height, width]);
  const gray = compute("gray", [height + 2 * rim, width + 2 * rim], (y, x) => {
    const channel = (c: number, weight: number): Scalar =>
      input.at(c, clamp(y.sub(rim), 0, height - 1), clamp(x.sub(rim), 0, width - 1)).mul(weight);
    return channel(0, 0.299).add(channel(1, 0.587)).add(channel(2, 0.114));
  });
  /** A curve that steepens intensities near its own, in steps of 1 / 256 of the distance between two curves. */
  const remap = (v: Scalar, curve: Scalar): Scalar => {
    const level = curve.cast("float32").mul(alpha);
    const step = clamp(v.mul((curves - 1) * 256).cast("int32"), 0, (curves - 1) * 256);
    const t = step
      .sub(curve.cast("int32").mul(256))
      .cast("float32")
      .mul(1 / 256);
    const detail = t.mul(alpha).mul(t.mul(t).mul(-0.5).exp());
    return v.sub(level).add(level).add(detail);
  };

  const remapped = compute("remapped", [height + 2 * rim, curves, width + 2 * rim], (y, k, x) =>
    remap(gray.at(y, x), k),
  );
  const many: Stage[] = [remapped];
  const one: Stage[] = [gray];
  for (let j = 1; j < levels; j++) {
    const [above, aboveOne] = [many[j - 1]!, one[j - 1]!];
    const size = [rows(j) + 2 * border, columns(j) + 2 * border] as const;
    const wide = above.dims[2]!;
    const from = (i: Scalar, d: number, extent: number): Scalar =>
      j === 1 ? i.mul(2).add(d) : clamp(i.mul(2).add(d - 3), 0, extent - 1);
    const tall = compute(`tall${j}`, [size[0], curves, wide], (y, k, x) =>
      halve((d) => above.at(from(y, d, above.dims[0]!), k, x)),
    );
    many.push(
      compute(`level${j}`, [size[0], curves, size[1]], (y, k, x) => halve((d) => tall.at(y, k, from(x, d, wide)))),
    );
    const tallOne = compute(`tallGray${j}`, [size[0], wide], (y, x) =>
      halve((d) => aboveOne.at(from(y, d, aboveOne.dims[0]!), x)),
    );
    one.push(compute(`gray${j}`, [...size], (y, x) => halve((d) => tallOne.at(y, from(x, d, wide)))));
  }

  // The collapse. Below the finest level a result has a border of 1, which the next finer one reads.
  let result: Stage | undefined;
  for (let j = levels - 1; j >= 0; j--) {
    const edge = j === 0 ? 0 : 1;
    const inner = j === 0 ? rim : border;
    const size = [rows(j) + 2 * edge, columns(j) + 2 * edge] as const;
    const [coarse, before, level, luminance] = [many[j + 1], result, many[j]!, one[j]!];
    const spread =
      coarse &&
      compute(`spread${j}`, [size[0], curves, coarse.dims[2]!], (y, k, x) =>
        double(y.sub(edge), (r) => coarse.at(r.add(border), k, x)),
      );
    const spreadOut =
      before &&
      compute(`spreadOut${j}`, [size[0], before.dims[1]!], (y, x) =>
        double(y.sub(edge), (r) => before.at(r.add(1), x)),
      );
    result = compute(`out${j}`, [...size], (y, x) => {
      const [row, column] = [y.add(inner - edge), x.add(inner - edge)];
      const v = luminance.at(row, column);
      const place = v.mul(curves - 1);
      const low = clamp(place.cast("int64"), 0, curves - 2);
      const part = place.sub(low.cast("float32"));
      const detail = (k: Scalar): Scalar => {
        const own = j === 0 ? remap(v, k) : level.at(row, k, column);
        return spread ? own.sub(double(x.sub(edge), (c) => spread.at(y, k, c.add(border)))) : own;
      };
      const mixed = detail(low)
        .mul(part.neg().add(1))
        .add(detail(low.add(1)).mul(part));
      return spreadOut ? mixed.add(double(x.sub(edge), (c) => spreadOut.at(y, c.add(1)))) : mixed;
    });
  }
  const collapsed = result!;
  return compute("output", [3, height, width], (c, y, x) =>
    clamp(
      collapsed
        .at(y, x)
        .mul(input.at(c, y, x).add(epsilon))
        .div(gray.at(y.add(rim), x.add(rim)).add(epsilon)),
      0,
      1,
    ),
  );
}

/** The schedule; strips of the finest level have `strip` rows. */
export function scheduleLocalLaplacian(filter: Filter, { strip = 32, lanes = 16 } = {}): Schedule {
  const { width, levels = 8 } = filter;
  const s = schedule(localLaplacian(filter), { name: "localLaplacian" });
  const block = (name: string): BlockRef => s.block(name);
  const rowOf = (b: BlockRef): LoopRef => s.loopAt(b, 0);
  const last = (b: BlockRef): LoopRef => s.loops(b).at(-1)!;
  const vectorize = (loop: LoopRef): void => {
    const extent = s.extent(loop) ?? 0;
    s.vectorize(extent > lanes ? s.split(loop, { factor: lanes, tail: "shift-inwards" })[1] : loop);
  };
  /** Pixels at the border read clamped places; those between them, a whole number of vectors, read what follows. */
  const vectorizeInside = (b: BlockRef, edge: number, inside: number): void => {
    const [, rest] = s.cutLoop(last(b), edge);
    const [middle] = s.cutLoop(rest!, inside);
    vectorize(middle);
  };
  /** Small levels are not worth the threads. */
  const parallel = (loop: LoopRef, j: number): void => void (j < 5 && s.parallel(loop));

  vectorizeInside(block("gray"), rim, width);
  s.parallel(rowOf(block("gray")));

  // The finest level: rows of the remapped pictures slide through a buffer of four.
  const [level1, remapped] = [block("level1"), block("remapped")];
  const [strips, row] = s.split(rowOf(level1), { factor: strip, tail: "shift-inwards" });
  s.reorder(strips, s.loopAt(level1, 2), row);
  s.computeAt(block("tall1"), row);
  const start = s.slideAt(remapped, row);
  s.parallel(strips);
  for (const b of [remapped, start, block("tall1"), level1]) vectorize(last(b));
  s.storageFold(remapped, "remapped", 0, 4);
  for (const name of ["remapped", "tall1"]) s.setScope(block(name), name, "stack");

  for (let j = 1; j < levels; j++) {
    const [gray, tallGray] = [block(`gray${j}`), block(`tallGray${j}`)];
    s.computeAt(tallGray, rowOf(gray));
    parallel(rowOf(gray), j);
    vectorize(last(tallGray));
    if (j === 1) vectorize(last(gray));
    else vectorizeInside(gray, border, width >> j);
    if (j === 1) continue;
    const [level, tall] = [block(`level${j}`), block(`tall${j}`)];
    s.computeAt(tall, s.loopAt(level, 1));
    parallel(rowOf(level), j);
    vectorize(last(tall));
    vectorizeInside(level, border, width >> j);
  }
  for (let j = levels - 1; j > 0; j--) collapse(block(`out${j}`), j, rowOf(block(`out${j}`)));
  const output = block("output");
  const [c, y, x] = [s.loopAt(output, 0), s.loopAt(output, 1), s.loopAt(output, 2)];
  const [vector, lane] = s.split(x, { factor: lanes });
  s.reorder(y, vector, c, lane);
  s.computeAt(block("out0"), y);
  collapse(block("out0"), 0, y);
  s.vectorize(lane);
  s.unroll(c);
  return s;

  function collapse(out: BlockRef, j: number, at: LoopRef): void {
    if (j < levels - 1)
      for (const name of [`spreadOut${j}`, `spread${j}`]) {
        s.computeAt(block(name), at);
        vectorize(last(block(name)));
      }
    parallel(at, j);
    vectorize(last(out));
  }
}

if (process.argv[1] === import.meta.filename) {
  const filter = { width: 1536, height: 2560 };
  const s = scheduleLocalLaplacian(filter);
  console.log(s.print());
  const input = Float32Array.from({ length: 3 * 1536 * 2560 }, (_, i) => ((i * 7919) % 1000) / 1000);
  const output = new Float32Array(input.length);
  const f = await build(s, { target: "host", threads: 2 });
  f.run({ input, output });
  const ns = f.time({ input, output }, { repeats: 10 }).sort();
  console.log(`${(ns[ns.length >> 1]! / 1e6).toFixed(3)} ms with 2 threads`);
  f.dispose();
}
