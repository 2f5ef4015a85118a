/**
 * Unsharp mask of a planar float image: luminance, a 7 × 7 Gaussian in two passes, and the image scaled by the ratio of
 * the sharpened luminance to the plain one.
 *
 *   npx tsx examples/unsharp.ts
 *
 * Strips of rows run in parallel. A strip's luminance (with 3 rows above and below) stays in the second-level cache; of
 * the vertical pass only one row exists at a time, and the ratio of a vector of pixels lives in a register for the three
 * channels that it scales:
 *
 *   for strip parallel
 *     gray                rows + 6 rows, in L2
 *     for row
 *       blurY             one row, in L1
 *       for vector
 *         ratio           a register
 *         output          3 channels, past the caches
 *
 * Pixels beyond the border repeat its pixels. Only the first and last columns ever do: their loop is cut off, and what
 * remains has neither clamps nor gathers.
 */
import { build, compute, placeholder, type Scalar, type Schedule, schedule } from "tilewright";

export interface Picture {
  readonly width: number;
  readonly height: number;
}
const reach = 3;
/** Columns of the padded stages before the first pixel, so that pixel 0 starts a vector. */
const pad = 16;
const sigma = 1.5;
const weights = [0, 1, 2, 3].map((d) => Math.exp(-(d * d) / (2 * sigma * sigma)) / (Math.sqrt(2 * Math.PI) * sigma));

/** Σ weights[|d|] · at(d) for d = -3 … 3. */
const gaussian = (at: (d: number) => Scalar): Scalar =>
  weights.slice(1).reduce(
    (sum, w, i) =>
      sum.add(
        at(-i - 1)
          .add(at(i + 1))
          .mul(w),
      ),
    at(0).mul(weights[0]!),
  );

/** The computation: input and output are [3, height, width]. */
export function unsharp({ width, height }: Picture) {
  const input = placeholder("input", [3, height, width]);
  const gray = compute("gray", [height + 2 * reach, width + 2 * pad], (y, x) => {
    const [row, column] = [
      y
        .sub(reach)
        .max(0)
        .min(height - 1),
      x
        .sub(pad)
        .max(0)
        .min(width - 1),
    ];
    const channel = (c: number, weight: number) => input.at(c, row, column).mul(weight);
    return channel(0, 0.299).add(channel(1, 0.587)).add(channel(2, 0.114));
  });
  const blurY = compute("blurY", [height, width + 2 * pad], (y, x) => gaussian((d) => gray.at(y.add(reach + d), x)));
  const ratio = compute("ratio", [height, width], (y, x) => {
    const plain = gray.at(y.add(reach), x.add(pad));
    return plain
      .mul(2)
      .sub(gaussian((d) => blurY.at(y, x.add(pad + d))))
      .div(plain);
  });
  return compute("output", [3, height, width], (c, y, x) => ratio.at(y, x).mul(input.at(c, y, x)));
}

/** The schedule. */
export function scheduleUnsharp(picture: Picture, { rows = 32, lanes = 16 } = {}): Schedule {
  const s = schedule(unsharp(picture), { name: "unsharp" });
  const [gray, blurY, ratio, output] = [s.block("gray"), s.block("blurY"), s.block("ratio"), s.block("output")];
  const [c, y, x] = [s.loopAt(output, 0), s.loopAt(output, 1), s.loopAt(output, 2)];
  const [strip, row] = s.split(y, { factor: rows, tail: "shift-inwards" });
  const [vector, lane] = s.split(x, { factor: lanes });
  s.reorder(strip, row, vector, c, lane);
  s.computeAt(ratio, vector);
  s.computeAt(blurY, row);
  s.computeAt(gray, strip);
  s.setScope(ratio, "ratio", "register");
  s.setScope(blurY, "blurY", "stack");
  s.setScope(gray, "gray", "stack");
  s.vectorize(lane);
  s.unroll(c);
  s.nontemporal(output);
  s.vectorize(s.loops(ratio).at(-1)!);
  for (const block of [gray, blurY]) {
    // 3 columns, the picture's, 3 columns; those in the middle start at a multiple of a vector.
    const [, inner] = s.cutLoop(s.loops(block).at(-1)!, reach);
    const [middle] = s.cutLoop(inner!, picture.width);
    s.vectorize(s.split(middle!, { factor: lanes })[1]);
  }
  s.parallel(strip);
  return s;
}

if (process.argv[1] === import.meta.filename) {
  const picture = { width: 1536, height: 2560 };
  const s = scheduleUnsharp(picture);
  console.log(s.print());
  const input = Float32Array.from({ length: 3 * 1536 * 2560 }, (_, i) => ((i * 7919) % 1000) / 1000 + 0.01);
  const output = new Float32Array(input.length);
  const f = await build(s, { target: "host", threads: 2 });
  f.run({ input, output });
  const ns = f.time({ input, output }).sort();
  console.log(`${(ns[ns.length >> 1]! / 1e6).toFixed(3)} ms with 2 threads`);
  f.dispose();
}
