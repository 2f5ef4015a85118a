/**
 * An inverted residual block (MobileNetV2) in one kernel: 1 × 1 expansion, 3 × 3 depthwise, 1 × 1 projection and the sum
 * with the input, computed strip by strip so that the wide tensors between them stay in the caches.
 *
 *   npx tsx examples/inverted-residual.ts
 *
 * Tensors are [y, x, channel]; channels make the vectors. Strips overlap by two rows of the expansion, which are computed
 * twice, so a strip is what a thread gets; in return there is one pass over memory and one barrier. The columns of zeros
 * at the sides are filled apart, so that tiles of the expansion hold pixels of the picture only:
 *
 *   for strip of rows parallel
 *     sides                     zeros
 *     expanded                  rows + 2 rows; 14 pixels × 32 channels accumulate in registers
 *     for row
 *       depthwise               one row, in L1 and L2; 7 pixels of a vector of channels in registers
 *       project + input         14 pixels × 32 channels in registers
 */
import { build, compute, placeholder, reduceAxis, type Scalar, type Schedule, schedule, sum, where } from "tilewright";
import type { BlockRef, LoopRef } from "../passes/schedule/primitive.ts";

/** Extents of the picture, and channels outside and inside of the block. */
export interface BlockShape {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly wide: number;
}

/** The computation; batch normalization is folded into weights and biases, activations are cut at 0 and 6. */
export function invertedResidual({ height, width, channels, wide }: BlockShape) {
  const X = placeholder("X", [height, width, channels]);
  const [We, be] = [placeholder("We", [channels, wide]), placeholder("be", [wide])];
  const [Wd, bd] = [placeholder("Wd", [3, 3, wide]), placeholder("bd", [wide])];
  const [Wp, bp] = [placeholder("Wp", [wide, channels]), placeholder("bp", [channels])];
  const [c, ky, kx, e] = [reduceAxis("c", channels), reduceAxis("ky", 3), reduceAxis("kx", 3), reduceAxis("e", wide)];
  const relu6 = (v: Scalar): Scalar => v.max(0).min(6);
  const expand = compute("expand", [height + 2, width, wide], (y, x, o) =>
    sum(
      X.at(
        y
          .sub(1)
          .max(0)
          .min(height - 1),
        x,
        c,
      ).mul(We.at(c, o)),
      c,
    ),
  );
  // Columns first: what is left between them has a condition on rows alone.
  const expanded = compute("expanded", [height + 2, width + 2, wide], (y, x, o) => {
    const value = relu6(expand.at(y, x.sub(1), o).add(be.at(o)));
    return where(x.ge(1).and(x.le(width)), where(y.ge(1).and(y.le(height)), value, 0), 0);
  });
  const filter = compute("filter", [height, width, wide], (y, x, o) =>
    sum(expanded.at(y.add(ky), x.add(kx), o).mul(Wd.at(ky, kx, o)), ky, kx),
  );
  const depthwise = compute("depthwise", [height, width, wide], (y, x, o) => relu6(filter.at(y, x, o).add(bd.at(o))));
  const project = compute("project", [height, width, channels], (y, x, o) =>
    sum(depthwise.at(y, x, e).mul(Wp.at(e, o)), e),
  );
  return compute("Y", [height, width, channels], (y, x, o) =>
    project
      .at(y, x, o)
      .add(bp.at(o))
      .add(X.at(y, x, o)),
  );
}

/** The schedule, in strips of `rows` rows; with `fused: false` the three parts run one after the other over the whole picture. */
export function scheduleInvertedResidual(shape: BlockShape, { rows = 28, lanes = 16, fused = true } = {}): Schedule {
  const s = schedule(invertedResidual(shape), { name: "invertedResidual" });
  const [expand, expanded] = [s.block("expand"), s.block("expanded")];
  const [filter, depthwise, project, Y] = [s.block("filter"), s.block("depthwise"), s.block("project"), s.block("Y")];
  s.decomposePadding(expanded);
  const sides = [s.block("expanded_fill"), s.block("expanded_fill_1")];
  const [y, x, channel] = [s.loopAt(Y, 0), s.loopAt(Y, 1), s.loopAt(Y, 2)];
  const [strip, row] = s.split(y, { factor: rows, tail: "shift-inwards" });
  // From the last stage to the first: a register tile of its own, then the place where its producer is computed.
  tile(Y, project, x, channel, { pixels: 14, channels: 2 * lanes, unroll: 4 });
  if (fused) s.computeAt(depthwise, row);
  else s.parallel(s.loopAt(depthwise, 0));
  const [dx, dc] = s.loops(depthwise).slice(-2);
  tile(depthwise, filter, dx!, dc!, { pixels: 7, channels: lanes, unroll: 3 });
  for (const block of [expanded, ...sides])
    if (fused) s.computeAt(block, strip);
    else s.parallel(s.loopAt(block, 0));
  const [ex, ec] = s.loops(expanded).slice(-2);
  tile(expanded, expand, ex!, ec!, { pixels: 14, channels: 2 * lanes, unroll: 4, byPixel: true });
  s.parallel(strip);
  for (const block of sides) s.vectorize(s.split(s.loops(block).at(-1)!, { factor: lanes })[1]);
  return s;

  /** Cuts a stage into tiles, each of which sums up its reduction first. */
  function tile(
    stage: BlockRef,
    reduction: BlockRef,
    pixel: LoopRef,
    channel: LoopRef,
    size: { pixels: number; channels: number; unroll: number; byPixel?: boolean },
  ): void {
    const [pixels, p] = s.split(pixel, { factor: size.pixels, tail: "shift-inwards" });
    const [channels, c] = s.split(channel, { factor: size.channels });
    const [vector, lane] = s.split(c, { factor: lanes });
    const outer = size.byPixel ? [pixels, channels] : [channels, pixels];
    s.reorder(...outer, p, vector, lane);
    s.computeAt(reduction, outer[1]!);
    s.setScope(reduction, reduction.name, "register");
    const own = s.loops(reduction);
    const first = own.findIndex((l) => l.id === outer[1]!.id) + 1;
    const [q, w, ...axes] = own.slice(first);
    const [v, l] = s.split(w!, { factor: lanes });
    const [steps, step] = s.split(axes.at(-1)!, { factor: size.unroll });
    s.reorder(...axes.slice(0, -1), steps, step, q!, v, l);
    s.unroll(step);
    // Steps of a long sum stay apart, or registers would not do; the taps of the filter share what they load.
    if (axes.length === 1) s.annotate(step, "schedule_barrier", true);
    const zero = s.decomposeReduction(reduction, axes.length > 1 ? axes[0]! : steps);
    for (const axis of axes.slice(0, -1)) s.unroll(axis);
    for (const block of [reduction, zero, stage]) {
      const [a, b, z] = s.loops(block).slice(-3);
      s.vectorize(z!);
      s.unroll(b!);
      s.unroll(a!);
    }
  }
}

if (process.argv[1] === import.meta.filename) {
  const shape = { height: 56, width: 56, channels: 32, wide: 192 };
  const s = scheduleInvertedResidual(shape);
  console.log(s.print());
  const args = blockArguments(shape);
  for (const [name, schedule] of [
    ["fused", s],
    ["separate", scheduleInvertedResidual(shape, { fused: false })],
  ] as const) {
    const f = await build(schedule, { target: "host", threads: 2 });
    f.run(args);
    const ns = f.time(args).sort();
    console.log(`${name}: ${(ns[ns.length >> 1]! / 1e6).toFixed(3)} ms with 2 threads`);
    f.dispose();
  }
}

/** Some input, weights and an output. */
export function blockArguments({ height, width, channels, wide }: BlockShape) {
  const values = (length: number, scale: number) =>
    Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7 + length) * scale);
  return {
    X: values(height * width * channels, 1),
    We: values(channels * wide, 0.5),
    be: values(wide, 0.5),
    Wd: values(9 * wide, 0.5),
    bd: values(wide, 0.5),
    Wp: values(wide * channels, 0.2),
    bp: values(channels, 0.5),
    Y: new Float32Array(height * width * channels),
  };
}
