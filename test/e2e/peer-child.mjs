/** Runs one model with ONNX Runtime in a process of its own: its threads and memory stay apart from ours. */
import { createRequire } from "node:module";

process.once("message", async ({ manifest, path, feeds }) => {
  const peer = createRequire(manifest)("onnxruntime-node");
  const session = await peer.InferenceSession.create(path, { intraOpNumThreads: 1 });
  const tensors = feeds.map(([name, data, dims]) => [name, new peer.Tensor("float32", data, dims)]);
  const outputs = await session.run(Object.fromEntries(tensors));
  process.send(
    Object.entries(outputs).map(([name, t]) => [name, t.data.slice()]),
    () => process.disconnect(),
  );
});
