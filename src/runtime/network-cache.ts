/**
 * Whole compiled networks on the disk, so that a second process neither reads the model nor compiles. A model file is
 * known by its identity (device, inode, size, times), a model given as bytes by its SHA-256.
 */
import { createHash } from "node:crypto";
import { type BigIntStats, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Graph } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import { encodeArtifact, type FileIdentity, readArtifact } from "./artifact.ts";
import type { ExecutableParts } from "./executable.ts";
import { contextKey, type KernelContext } from "./kernels.ts";

/** A file changed so shortly ago may change again without its times telling. */
const settledMs = 100;

/** Where one model, compiled with certain options, lies on the disk. */
export interface NetworkSlot {
  /** What an earlier compilation kept; absent when there is none, or when a file it was made from has changed. */
  find(): ExecutableParts | undefined;
  /** Called with every file beside the model that is read. */
  readonly onExternalFile: (path: string) => void;
  /** Keeps what was compiled, unless a file changed meanwhile. */
  keep(parts: ExecutableParts): void;
}

/** What decides, beside the context, what a model is compiled to. @see CompileOptions */
interface NetworkOptions {
  readonly profile?: boolean;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly values?: Readonly<Record<string, TensorValue>>;
  readonly limits?: object;
}
/** Absent without a cache, for graphs, and for files whose state is not sure. */
export function networkSlot(
  model: string | Uint8Array | Graph,
  options: NetworkOptions,
  context: KernelContext,
): NetworkSlot | undefined {
  const { cache } = context;
  const source = cache?.enabled ? sourceOf(model) : undefined;
  if (cache === undefined || source === undefined) return undefined;
  const key = createHash("sha256")
    .update(
      JSON.stringify([
        source.key,
        contextKey(context),
        context.threads,
        options.profile ?? false,
        options.shapes,
        options.limits,
      ]),
    )
    .update(valuesKey(options.values))
    .digest("hex");
  const before = new Map<string, FileIdentity>();
  return {
    find() {
      return cache.getNetwork(key, (path) => {
        const { facts, parts } = readArtifact(path);
        return (facts.sources ?? []).every(isUnchanged) ? parts : undefined;
      });
    },
    onExternalFile(path) {
      const identity = identityOf(path);
      if (identity !== undefined) before.set(path, identity);
    },
    keep(parts) {
      const sources = [...before.values()];
      if (![...source.files, ...sources].every((file) => isSettled(file) && isUnchanged(file))) return;
      const { target, compilerVersion } = context;
      cache.putNetwork(key, encodeArtifact(parts, { name: "network", target, compiler: compilerVersion, sources }));
    },
  };
}

function sourceOf(model: string | Uint8Array | Graph) {
  if (model instanceof Uint8Array) return { key: createHash("sha256").update(model).digest("hex"), files: [] };
  const identity = typeof model === "string" ? identityOf(model) : undefined;
  return identity && { key: JSON.stringify(identity), files: [identity] };
}

/** Absent for what is no file; whoever reads it then tells why. */
function identityOf(path: string): FileIdentity | undefined {
  let facts: BigIntStats | undefined;
  try {
    facts = statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
  if (!facts.isFile()) return undefined;
  return {
    path: resolve(path),
    device: `${facts.dev}`,
    inode: `${facts.ino}`,
    bytes: `${facts.size}`,
    modifiedNs: `${facts.mtimeNs}`,
    changedNs: `${facts.ctimeNs}`,
  };
}

function isUnchanged(file: FileIdentity): boolean {
  return JSON.stringify(identityOf(file.path)) === JSON.stringify(file);
}

function isSettled({ modifiedNs, changedNs }: FileIdentity): boolean {
  const latestMs = Math.max(Number(modifiedNs), Number(changedNs)) / 1e6;
  return Date.now() - latestMs > settledMs;
}

function valuesKey(values: Readonly<Record<string, TensorValue>> = {}): string {
  const hash = createHash("sha256");
  for (const [name, { type, dims, data }] of Object.entries(values)) {
    hash.update(JSON.stringify([name, type, dims]));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
}
