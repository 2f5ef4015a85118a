/**
 * How fast schedules are made: a convolution's schedule of 40 and more primitives, and refusing a primitive.
 *
 *   npx tsx bench/schedule-speed.ts
 */
import { performance } from "node:perf_hooks";
import { compute, placeholder, programOf, reduceAxis, Schedule, sum, where } from "../src/index.ts";
import { keepResults, spread } from "./examples/support.ts";

/** A 3 × 3 convolution of 64 channels with padding, in blocks of 16 channels, then bias and relu. */
function convolution() {
  const [blocks, size, lanes] = [4, 56, 16];
  const X = placeholder("X", [blocks, size, size, lanes]);
  const W = placeholder("W", [blocks, blocks, 3, 3, lanes, lanes]);
  const bias = placeholder("bias", [blocks, lanes]);
  const inside = (h: ReturnType<typeof X.at>) => h.ge(1).and(h.lt(size + 1));
  const padded = compute("padded", [blocks, size + 2, size + 2, lanes], (c, h, w, l) =>
    where(inside(h).and(inside(w)), X.at(c, h.sub(1), w.sub(1), l), 0),
  );
  const [ci, kh, kw, li] = [
    reduceAxis("ci", blocks),
    reduceAxis("kh", 3),
    reduceAxis("kw", 3),
    reduceAxis("li", lanes),
  ];
  const conv = compute("conv", [blocks, size, size, lanes], (c, h, w, l) =>
    sum(padded.at(ci, h.add(kh), w.add(kw), li).mul(W.at(c, ci, kh, kw, li, l)), ci, kh, kw, li),
  );
  const biased = compute("biased", [blocks, size, size, lanes], (c, h, w, l) => conv.at(c, h, w, l).add(bias.at(c, l)));
  return programOf(
    compute("Y", [blocks, size, size, lanes], (c, h, w, l) => biased.at(c, h, w, l).max(0)),
    { name: "convolution" },
  );
}

/** A register-blocked schedule of 40 primitives. */
function scheduleConvolution(program: ReturnType<typeof convolution>): Schedule {
  const s = new Schedule(program);
  s.computeInline(s.block("biased"));
  const [Y, conv, padded] = [s.block("Y"), s.block("conv"), s.block("padded")];
  const [c, h, w, l] = s.loops(Y);
  const [co, ci] = s.split(c!, { factor: 2 });
  const [wo, wi] = s.split(w!, { factor: 14 });
  const [ho, hi] = s.split(h!, { factor: 8 });
  s.reorder(ho, co, hi, wo, ci, wi, l!);
  s.computeAt(conv, wo);
  const outer = s.fuse(ho, co);
  s.computeAt(padded, outer);
  s.setScope(conv, "conv", "register");
  const [cc, cw, cl, k, kh, kw, li] = s.loops(conv).slice(-7);
  const [lo, lu] = s.split(li!, { factor: 8 });
  s.reorder(k!, kh!, kw!, lo, lu, cc!, cw!, cl!);
  s.annotate(lu, "schedule_barrier", true);
  const zero = s.decomposeReduction(conv, k!);
  s.unroll(lu);
  for (const block of [conv, zero, Y]) {
    const [a, b, lane] = s.loops(block).slice(-3);
    s.vectorize(lane!);
    s.unroll(b!);
    s.unroll(a!);
  }
  const [pc, ph, pw, pl] = s.loops(padded).slice(-4);
  s.vectorize(pl!);
  const [po, pi] = s.split(pw!, { factor: 2 });
  s.unroll(pi);
  s.reorder(ph!, pc!, po);
  s.annotate(po, "note", "columns");
  s.annotate(pc!, "note", "channels");
  const W = s.cacheRead(conv, "W", "global");
  const [w0, w1, w2, w3, w4, w5] = s.loops(W);
  s.reorder(w0!, w1!, w2!, w3!, w4!, w5!);
  s.vectorize(w5!);
  s.unroll(s.split(w4!, { factor: 4 })[1]);
  s.transformLayout(
    conv,
    "padded",
    [0, 1, 2, 3].map((axis) => ({ axis, divisor: 1 })),
  );
  s.annotate(W, "packed", true);
  s.annotate(s.loops(W)[0]!, "note", "weights");
  const [x, y] = s.loops(W).slice(1, 3);
  s.annotate(x!, "note", "x");
  s.annotate(y!, "note", "y");
  s.parallel(outer);
  return s;
}

const program = convolution();
const steps = scheduleConvolution(program).trace.steps.length;
for (let i = 0; i < 300; i++) scheduleConvolution(program);
const build = spread(Array.from({ length: 100 }, () => elapsed(() => scheduleConvolution(program))));

const s = scheduleConvolution(program);
const [Y, conv] = [s.block("Y"), s.block("conv")];
const loops = s.loops(conv);
const probes: Record<string, () => unknown> = {
  split: () => s.probe("split", { loop: loops[2]!, factor: 0 }),
  reorder: () => s.probe("reorder", { loops: [loops[2]!, loops[0]!] }),
  vectorize: () => s.probe("vectorize", { loop: loops.find((x) => s.extent(x) === 4)! }),
  parallel: () => s.probe("parallel", { loop: loops.find((x) => s.extent(x) === 4)! }),
  fuse: () => s.probe("fuse", { loops: [loops[0]!, loops[2]!] }),
  computeAt: () => s.probe("computeAt", { block: Y, loop: loops[1]! }),
  reverseComputeAt: () => s.probe("reverseComputeAt", { block: Y, loop: loops.at(-1)! }),
  computeInline: () => s.probe("computeInline", { block: conv }),
  decomposeReduction: () => s.probe("decomposeReduction", { block: conv, loop: loops[1]! }),
  cacheWrite: () => s.probe("cacheWrite", { block: Y, buffer: "conv", scope: "register" }),
  rfactor: () => s.probe("rfactor", { loop: loops[0]!, factorAxis: 0 }),
};
const refusals = Object.entries(probes).map(([primitive, probe]) => {
  const refused = probe();
  if (refused === undefined) throw new Error(`${primitive} was to be refused`);
  for (let i = 0; i < 200; i++) probe();
  const times = spread(Array.from({ length: 200 }, () => elapsed(probe)));
  return { primitive, rule: (refused as { rule: string }).rule, us: times.median * 1e3 };
});
process.stdout.write(`${steps} primitives in ${build.median.toFixed(2)} ms (best ${build.best.toFixed(2)})\n`);
for (const r of refusals) process.stdout.write(`${r.primitive} refused by ${r.rule} in ${r.us.toFixed(1)} us\n`);
keepResults("schedule-speed", { steps, buildMs: build, refusals });

function elapsed(run: () => unknown): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}
