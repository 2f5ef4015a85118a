/**
 * Measures one network at one number of threads: ours, ONNX Runtime and the peak of multiply-adds in turn, outputs
 * compared first.
 */
import { createRequire } from "node:module";
import { fmaPeakProbe } from "../dist/native/measure.js";
import { compile, Tensor } from "../dist/src/index.js";
import { answer, childArgument, settle } from "./support/children.mjs";
import { feedData, relativeError } from "./support/feeds.mjs";
import { median } from "./support/statistics.mjs";

const { path, target, threads, rounds, blockMs, tolerance, vectorBits } = childArgument();
const peer = createRequire(import.meta.url)("onnxruntime-node");

const start = performance.now();
const network = await compile(path, { target, threads });
const compileMs = performance.now() - start;
const session = await peer.InferenceSession.create(path, { intraOpNumThreads: threads });

const inputs = feedData(network.inputs);
const feeds = Object.fromEntries(inputs.map((i) => [i.name, new Tensor("float32", i.values, i.dims)]));
const peerFeeds = Object.fromEntries(inputs.map((i) => [i.name, new peer.Tensor("float32", i.values, i.dims)]));

const ours = network.runSync(feeds);
const theirs = await session.run(peerFeeds);
const errors = Object.entries(theirs).map(([name, tensor]) => relativeError(ours[name].data, tensor.data));
const maxRelativeError = Math.max(...errors);
const flops = network.steps.reduce((total, step) => total + step.flops, 0);

if (maxRelativeError <= tolerance) await measure();
else answer({ compileMs, flops, maxRelativeError });

async function measure() {
  const sides = {
    ours: { run: () => network.runSync(feeds), rounds: [] },
    onnxruntime: { run: () => session.run(peerFeeds), rounds: [] },
  };
  const probe = fmaPeakProbe({ bits: vectorBits, threads });
  const peakGflops = [];
  for (let round = 0; round < rounds; round++) {
    await settle();
    peakGflops.push(probe.measure(blockMs));
    for (const side of Object.values(sides)) {
      await settle();
      side.rounds.push(await block(side.run));
    }
  }
  probe.dispose();
  await settle();
  const nativeMs = median(network.time(feeds, { warmup: 2, repeats: 3, minTimeMs: blockMs })) / 1e6;
  answer({
    compileMs,
    flops,
    maxRelativeError,
    nativeMs,
    peakGflops,
    oursMs: sides.ours.rounds,
    onnxruntimeMs: sides.onnxruntime.rounds,
  });
}

/** Milliseconds of single runs: two to warm up, then at least three, until they sum to `blockMs`. */
async function block(run) {
  const samples = [];
  let total = 0;
  for (let i = -2; i < 3 || total < blockMs; i++) {
    const before = performance.now();
    await run();
    const ms = performance.now() - before;
    if (i < 0) continue;
    samples.push(ms);
    total += ms;
  }
  return samples;
}
