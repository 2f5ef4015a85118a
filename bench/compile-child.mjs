/** Compiles one network in a fresh process and says how long it took and what memory it needed. */
import { chainGraph } from "./support/chains.mjs";
import { answer, childArgument, childPids, peakResidentBytes } from "./support/children.mjs";

const { path, chain, threads, folder } = childArgument();
const { compile, ObjectCache } = await import("../dist/bundle/index.js");
const importedMs = performance.now();

const model = path ?? chainGraph(chain);
const cache = ObjectCache.open({ folder });
const stages = {};
const start = performance.now();
const onProgress = ({ stage, done, total }) => {
  if (done === total) stages[stage] = performance.now() - start;
};
const network = await compile(model, { threads, cache, onProgress });
// The clock starts with the process.
const readyMs = performance.now();

const workers = childPids().map((pid) => peakResidentBytes(pid));
const { hits, misses } = cache.stats();
answer({
  readyMs,
  importedMs,
  compileMs: readyMs - start,
  stages,
  steps: network.steps.length,
  kernels: new Set(network.steps.map((step) => step.symbol)).size,
  hits,
  misses,
  peakBytes: { main: peakResidentBytes(), workers },
});
