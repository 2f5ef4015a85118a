/** What the end-to-end tests share: data beside the checkout, the peer, feeds, comparisons. */
import { fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../native/addon.ts";
import type { Port } from "../../src/runtime/executable.ts";
import { Tensor } from "../../src/tensor.ts";

const root = packageRoot();
/** Models and data that the project's members share; absent from a plain clone. */
export const sharedFolder = join(root, "..", "shared");
export const sharedModels = join(sharedFolder, "data", "models");
const zooScript = join(sharedFolder, "zoo", "zoo.mjs");
const peerManifest = join(root, "bench", "package.json");

/** Why the zoo cannot be compared with ONNX Runtime here; undefined when it can. */
export function noZooReason(): string | undefined {
  if (!existsSync(zooScript)) return "../shared/zoo is absent";
  if (!existsSync(join(root, "bench", "node_modules", "onnxruntime-node")))
    return "onnxruntime-node is not installed (npm ci --ignore-scripts in bench/)";
  return undefined;
}

/** Writes networks of the zoo to `build/zoo`, where they are not there yet. Gives a network's path. */
export function zooModel(name: string): string {
  const folder = join(root, "build", "zoo");
  const path = join(folder, `${name}.onnx`);
  if (existsSync(path)) return path;
  const partial = join(folder, `partial-${process.pid}`);
  mkdirSync(partial, { recursive: true });
  const { status, stderr } = spawnSync(process.execPath, [zooScript, partial, name], {
    env: { ...process.env, ZOO_MODULES: root },
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`the zoo's script failed: ${stderr}`);
  renameSync(join(partial, `${name}.onnx`), path);
  return path;
}

/** Outputs of ONNX Runtime for float32 feeds. @throws when it has not answered within a minute */
export async function peerOutputs(path: string, feeds: Record<string, Tensor>): Promise<Record<string, Float32Array>> {
  const child = fork(join(root, "test", "e2e", "peer-child.mjs"), { serialization: "advanced", execArgv: [] });
  try {
    child.send({
      manifest: peerManifest,
      path,
      feeds: Object.entries(feeds).map(([name, t]) => [name, t.data, t.dims]),
    });
    const [outputs] = (await once(child, "message", { signal: AbortSignal.timeout(60_000) })) as [
      [string, Float32Array][],
    ];
    return Object.fromEntries(outputs);
  } finally {
    child.kill("SIGKILL");
  }
}

/** A float32 tensor a port, uniform in [-1, 1). */
export function randomFeeds(ports: readonly Port[]): Record<string, Tensor> {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x40000000 - 1;
  };
  const tensors = ports.map((port) => {
    const count = port.dims.reduce((a, b) => a * b, 1);
    return [port.name, new Tensor("float32", Float32Array.from({ length: count }, next), port.dims)] as const;
  });
  return Object.fromEntries(tensors);
}

/** Largest difference relative to the largest expected magnitude; Infinity for a NaN or a wrong length. */
export function relativeError(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let error = 0;
  for (const [i, e] of expected.entries()) {
    const difference = Math.abs(actual[i]! - e);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, Math.abs(e));
    error = Math.max(error, difference);
  }
  return largest > 0 ? error / largest : error;
}

/** Of all elements, by how much the worst exceeds `atol + rtol |expected|`; at most 1 within tolerance. */
export function toleranceUse(
  actual: Float32Array,
  expected: Float32Array,
  { rtol, atol }: { rtol: number; atol: number },
): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (const [i, e] of expected.entries()) {
    const use = Math.abs(actual[i]! - e) / (atol + rtol * Math.abs(e));
    if (Number.isNaN(use)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, use);
  }
  return worst;
}
