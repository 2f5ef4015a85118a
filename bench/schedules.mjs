/**
 * How fast schedules are made: a convolution's schedule of 40 and more primitives, and refusing a primitive.
 *
 *   npm run bench:schedules -- [--rounds 500] [--json]
 */
import { compute, placeholder, programOf, reduceAxis, Schedule, sum, where } from "../dist/src/index.js";
import { flags, wholeNumbers } from "./support/arguments.mjs";
import { environment, machineLine, printTable, verdict, writeResults } from "./support/report.mjs";
import { interquartileRange, median } from "./support/statistics.mjs";

const options = flags("npm run bench:schedules -- [--rounds n] [--json]", {
  rounds: { type: "string", default: "500" },
});
const [rounds] = wholeNumbers("rounds", options.rounds);
const bars = { buildMs: 5, refusalUs: 100 };

const program = convolution();
const steps = scheduleConvolution(program).trace.steps.length;
const results = { ...(await environment()), bars, rounds, steps, build: measured(() => scheduleConvolution(program)) };
results.refusals = refusals(scheduleConvolution(program));
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else print();
process.stderr.write(`results: ${writeResults("schedules", results)}\n`);

/** A 3 × 3 convolution of 64 channels with padding, in blocks of 16 channels, then bias and relu. */
function convolution() {
  const [blocks, size, lanes] = [4, 56, 16];
  const X = placeholder("X", [blocks, size, size, lanes]);
  const W = placeholder("W", [blocks, blocks, 3, 3, lanes, lanes]);
  const bias = placeholder("bias", [blocks, lanes]);
  const inside = (h) => h.ge(1).and(h.lt(size + 1));
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
function scheduleConvolution(program) {
  const s = new Schedule(program);
  s.computeInline(s.block("biased"));
  const [Y, conv, padded] = [s.block("Y"), s.block("conv"), s.block("padded")];
  const [c, h, w, l] = s.loops(Y);
  const [co, ci] = s.split(c, { factor: 2 });
  const [wo, wi] = s.split(w, { factor: 14 });
  const [ho, hi] = s.split(h, { factor: 8 });
  s.reorder(ho, co, hi, wo, ci, wi, l);
  s.computeAt(conv, wo);
  const outer = s.fuse(ho, co);
  s.computeAt(padded, outer);
  s.setScope(conv, "conv", "register");
  const [cc, cw, cl, k, kh, kw, li] = s.loops(conv).slice(-7);
  const [lo, lu] = s.split(li, { factor: 8 });
  s.reorder(k, kh, kw, lo, lu, cc, cw, cl);
  s.annotate(lu, "schedule_barrier", true);
  const zero = s.decomposeReduction(conv, k);
  s.unroll(lu);
  for (const block of [conv, zero, Y]) {
    const [a, b, lane] = s.loops(block).slice(-3);
    s.vectorize(lane);
    s.unroll(b);
    s.unroll(a);
  }
  const [pc, ph, pw, pl] = s.loops(padded).slice(-4);
  s.vectorize(pl);
  const [po, pi] = s.split(pw, { factor: 2 });
  s.unroll(pi);
  s.reorder(ph, pc, po);
  s.annotate(po, "note", "columns");
  s.annotate(pc, "note", "channels");
  const W = s.cacheRead(conv, "W", "global");
  const [w0, w1, w2, w3, w4, w5] = s.loops(W);
  s.reorder(w0, w1, w2, w3, w4, w5);
  s.vectorize(w5);
  s.unroll(s.split(w4, { factor: 4 })[1]);
  s.transformLayout(
    conv,
    "padded",
    [0, 1, 2, 3].map((axis) => ({ axis, divisor: 1 })),
  );
  s.annotate(W, "packed", true);
  s.annotate(s.loops(W)[0], "note", "weights");
  const [x, y] = s.loops(W).slice(1, 3);
  s.annotate(x, "note", "x");
  s.annotate(y, "note", "y");
  s.parallel(outer);
  return s;
}

/** How long it takes to refuse what may not be done; which rule does. */
function refusals(s) {
  const [Y, conv] = [s.block("Y"), s.block("conv")];
  const loops = s.loops(conv);
  const lanes = loops.find((x) => s.extent(x) === 4);
  const refused = {
    split: { loop: loops[2], factor: 0 },
    reorder: { loops: [loops[2], loops[0]] },
    vectorize: { loop: lanes },
    parallel: { loop: lanes },
    fuse: { loops: [loops[0], loops[2]] },
    computeAt: { block: Y, loop: loops[1] },
    reverseComputeAt: { block: Y, loop: loops.at(-1) },
    computeInline: { block: conv },
    decomposeReduction: { block: conv, loop: loops[1] },
    cacheWrite: { block: Y, buffer: "conv", scope: "register" },
    rfactor: { loop: loops[0], factorAxis: 0 },
  };
  return Object.entries(refused).map(([primitive, args]) => {
    const violation = s.probe(primitive, args);
    if (!violation) throw new Error(`${primitive} was to be refused`);
    // Another schedule of the same program: a schedule remembers its last answer.
    const forget = () => s.probe("unroll", { loop: loops[0] });
    return { primitive, rule: violation.rule, ...measured(() => s.probe(primitive, args), forget) };
  });
}

/** Milliseconds of a call, after as many calls to warm up; `before` is not counted. */
function measured(call, before = () => undefined) {
  const samples = [];
  for (let round = -rounds; round < rounds; round++) {
    before();
    const start = performance.now();
    call();
    if (round >= 0) samples.push(performance.now() - start);
  }
  return { ms: median(samples), iqrMs: interquartileRange(samples), bestMs: Math.min(...samples) };
}

function print() {
  const { build } = results;
  process.stdout.write(`${machineLine(results)}\n\n`);
  const rows = results.refusals.map((r) => {
    const [us, iqr] = [r.ms * 1e3, r.iqrMs * 1e3];
    return [r.primitive, r.rule, us.toFixed(1), iqr.toFixed(1), verdict(us <= bars.refusalUs)];
  });
  printTable(["refused", "by", "µs", "±IQR", "bar"], rows);
  process.stdout.write(
    `\n${steps} primitives in ${build.ms.toFixed(2)} ms (±IQR ${build.iqrMs.toFixed(2)}, best ${build.bestMs.toFixed(2)}; ` +
      `bar ${bars.buildMs} ms: ${verdict(build.ms <= bars.buildMs)})\n`,
  );
}
