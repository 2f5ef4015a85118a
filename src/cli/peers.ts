/** onnxruntime-node, where the user's project or our benchmarks have it. Never a dependency. */
import { createRequire } from "node:module";
import { join } from "node:path";
import type { ScalarType } from "../../ir/expr/dtype.ts";
import type { TypedArray } from "../../ir/graph/tensor-value.ts";
import { UnavailableError } from "../../ir/support/errors.ts";
import { packageRoot } from "../../native/addon.ts";
import { Tensor } from "../tensor.ts";

const peer = "onnxruntime-node";

/** What we use of onnxruntime-node. */
interface PeerTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: TypedArray;
}
type PeerFeeds = Readonly<Record<string, PeerTensor>>;
interface PeerSession {
  run(feeds: PeerFeeds): Promise<PeerFeeds>;
  release(): Promise<void>;
}
interface PeerModule {
  readonly InferenceSession: { create(model: string, options: object): Promise<PeerSession> };
  readonly Tensor: new (type: string, data: TypedArray, dims: readonly number[]) => PeerTensor;
}

/** Folders whose `node_modules` are searched, in order. */
export const peerFolders = (): readonly string[] => [process.cwd(), join(packageRoot(), "bench"), packageRoot()];

/** Where onnxruntime-node is and its version; absent without it. */
export function findPeer(folders = peerFolders()): { readonly path: string; readonly version: string } | undefined {
  for (const folder of folders) {
    const require = createRequire(join(folder, "package.json"));
    try {
      const path = require.resolve(peer);
      const manifest = require(`${peer}/package.json`) as { readonly version?: string };
      return { path, version: manifest.version ?? "unknown" };
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  }
  return undefined;
}

/** How to get it. */
export const peerInstallLine = `npm install --no-save --ignore-scripts ${peer}`;

/** A session of ONNX Runtime behind our tensors. */
export interface PeerNetwork {
  readonly version: string;
  /** Feeds as the peer takes them, made once so that runs do not pay for it. */
  readonly prepare: (feeds: Readonly<Record<string, Tensor>>) => () => Promise<Readonly<Record<string, Tensor>>>;
  readonly release: () => Promise<void>;
}

/** Opens a model with ONNX Runtime on the CPU. @throws UnavailableError [peer/onnxruntime] with the line that installs it */
export async function openPeer(model: string, threads: number, folders = peerFolders()): Promise<PeerNetwork> {
  const found = findPeer(folders);
  if (found === undefined)
    throw new UnavailableError("peer/onnxruntime", `${peer} is not installed here; get it with: ${peerInstallLine}`, {
      folders,
    });
  const ort = createRequire(found.path)(found.path) as PeerModule;
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  }).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new UnavailableError("peer/refused", `ONNX Runtime does not take ${model}: ${why}`, { model });
  });
  return {
    version: found.version,
    prepare: (feeds) => {
      const theirs = Object.fromEntries(
        Object.entries(feeds).map(([name, t]) => [name, new ort.Tensor(t.type, t.data, t.dims)]),
      );
      return async () => {
        const results = await session.run(theirs);
        return Object.fromEntries(
          Object.entries(results).map(([name, { type, dims, data }]) => [
            name,
            Tensor.from({ type: type as ScalarType, dims, data }),
          ]),
        );
      };
    },
    release: () => session.release(),
  };
}
