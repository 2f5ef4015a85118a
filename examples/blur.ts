/**
 * A 3 × 3 box blur of 16-bit pixels in two stages, along x and along y, as in Halide's first example.
 *
 *   npx tsx examples/blur.ts
 *
 * The schedule computes both stages in registers: for 8 rows of one vector of pixels it takes 10 rows of the first stage,
 * so a quarter of it is computed twice, and neither stage touches memory in between:
 *
 *   for y_o parallel, x_o     a column of one vector, 8 rows high
 *     10 × blurX              registers
 *     8 × blurY               straight to the output
 */
import { build, compute, placeholder, type Schedule, schedule } from "tilewright";

/** Width and height of the output in pixels; the input has two rows more and a margin on the right. */
export interface Picture {
  readonly width: number;
  readonly height: number;
}
/** Columns of the input beyond the output's, a vector wide so that rows stay aligned. */
export const margin = 32;

/** The computation. Sums are 16 bits wide and wrap, so pixels have at most 14 bits. */
export function blur({ width, height }: Picture) {
  const input = placeholder("input", [height + 2, width + margin], "uint16");
  const blurX = compute(
    "blurX",
    [height + 2, width],
    (y, x) =>
      input
        .at(y, x)
        .add(input.at(y, x.add(1)))
        .add(input.at(y, x.add(2)))
        .div(3),
    "uint16",
  );
  return compute(
    "blurY",
    [height, width],
    (y, x) =>
      blurX
        .at(y, x)
        .add(blurX.at(y.add(1), x))
        .add(blurX.at(y.add(2), x))
        .div(3),
    "uint16",
  );
}

/** The schedule; `lanes` are 16-bit pixels of a vector. */
export function scheduleBlur(picture: Picture, { rows = 8, lanes = 32 } = {}): Schedule {
  const s = schedule(blur(picture), { name: "blur" });
  const [blurX, blurY] = [s.block("blurX"), s.block("blurY")];
  const [y, x] = [s.loopAt(blurY, 0), s.loopAt(blurY, 1)];
  const [strip, row] = s.split(y, { factor: rows, tail: "shift-inwards" });
  const [column, lane] = s.split(x, { factor: lanes });
  s.reorder(strip, column, row, lane);
  s.computeAt(blurX, column);
  s.setScope(blurX, "blurX", "register");
  for (const block of [blurX, blurY]) {
    const [r, l] = s.loops(block).slice(-2);
    s.vectorize(l!);
    s.unroll(r!);
  }
  s.parallel(strip);
  return s;
}

if (process.argv[1] === import.meta.filename) {
  const picture = { width: 1536, height: 2560 };
  const s = scheduleBlur(picture);
  console.log(s.print());
  const input = Uint16Array.from({ length: 2562 * (1536 + margin) }, (_, i) => (i * 7919) % 16384);
  const blurY = new Uint16Array(2560 * 1536);
  const f = await build(s, { target: "host", threads: 2 });
  f.run({ input, blurY });
  const ns = f.time({ input, blurY }).sort();
  console.log(`${(ns[ns.length >> 1]! / 1e6).toFixed(3)} ms with 2 threads`);
  f.dispose();
}
