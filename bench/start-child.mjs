/** From the start of a process to the first result of one network, by us or by ONNX Runtime. */
import { answer, childArgument, peakResidentBytes } from "./support/children.mjs";
import { feedData } from "./support/feeds.mjs";

const { by, path, threads } = childArgument();
const stages = { node: performance.now() };
const stamp = (stage) => {
  stages[stage] = performance.now();
};
const run = by === "ours" ? runOurs : runPeer;
const [first] = Object.values(await run());
stamp("run");
answer({ stages, peakBytes: peakResidentBytes(), output: first.data.slice() });

async function runOurs() {
  const { compile, Tensor } = await import("../dist/bundle/index.js");
  stamp("import");
  const network = await compile(path, { threads });
  stamp("load");
  return network.run(feedsOf(network.inputs, Tensor));
}

async function runPeer() {
  const { InferenceSession, Tensor } = (await import("onnxruntime-node")).default;
  stamp("import");
  const session = await InferenceSession.create(path, { intraOpNumThreads: threads });
  stamp("load");
  const ports = session.inputMetadata.map(({ name, type, shape }) => ({ name, type, dims: shape }));
  return session.run(feedsOf(ports, Tensor));
}

function feedsOf(ports, Tensor) {
  return Object.fromEntries(feedData(ports).map((i) => [i.name, new Tensor("float32", i.values, i.dims)]));
}
