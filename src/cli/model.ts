/** Models and compiled files that a user names, opened with what the options say. */
import { closeSync, openSync, readSync } from "node:fs";
import { basename } from "node:path";
import { valueOf } from "../../ir/graph/build.ts";
import type { Graph } from "../../ir/graph/graph.ts";
import type { MathPolicy } from "../../ir/loop/program.ts";
import { InputError, TilewrightError, UnavailableError, UsageError } from "../../ir/support/errors.ts";
import type { Target } from "../../ir/target/target.ts";
import { loadOnnx } from "../onnx/load.ts";
import { type ArtifactFacts, isArtifact, readArtifact } from "../runtime/artifact.ts";
import {
  type CompiledNetwork,
  type CompileOptions,
  compile,
  compileCached,
  compileNetwork,
} from "../runtime/compile.ts";
import { Executable, type ExecutableParts } from "../runtime/executable.ts";
import { resolveTarget } from "../runtime/host.ts";
import type { Tensor } from "../tensor.ts";
import { compileProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Options of verbs that compile. */
export interface ModelOptions {
  readonly shape?: Readonly<Record<string, readonly number[]>>;
  readonly threads?: number;
  readonly target?: string;
  readonly math?: MathPolicy;
  readonly cache?: boolean;
  readonly checkBounds?: boolean;
  /** Values of inputs that shapes depend on: those are compiled in and are no inputs of the network. */
  readonly values?: Readonly<Record<string, Tensor>>;
}

/** Options of verbs that compile and run. */
export type NetworkOptions = ModelOptions & { readonly profile?: boolean; readonly schedule?: "default" | "none" };

/** A network ready to run and how it came to be. */
export interface OpenedNetwork {
  readonly net: Executable;
  readonly source: "model" | "artifact";
  readonly facts?: ArtifactFacts;
  /** Milliseconds of compiling or loading. */
  readonly readyMs: number;
}

/** Whether a file is a compiled network. @throws InputError [file/unreadable] */
export function isArtifactFile(path: string): boolean {
  const start = new Uint8Array(8);
  try {
    const file = openSync(path, "r");
    try {
      readSync(file, start, 0, start.length, 0);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new InputError("file/unreadable", `cannot read ${path} (${code})`, { path });
  }
  return isArtifact(start);
}

/** Loads a model whose open dimensions are all given. @throws InputError [model/unbound-dimension] with the flags to add */
export async function loadModel(
  path: string,
  shapes: ModelOptions["shape"] = {},
  onExternalFile?: (path: string) => void,
): Promise<Graph> {
  if (isArtifactFile(path))
    throw new InputError("model/compiled", `${path} is a compiled network; this verb takes the ONNX model`, { path });
  const graph = await loadOnnx(path, { shapes, onExternalFile });
  requireShapes(graph, shapes);
  return graph;
}

/** Opens a model by compiling it, or a compiled file as it is. */
export async function openNetwork(path: string, options: NetworkOptions, terminal: Terminal): Promise<OpenedNetwork> {
  const start = performance.now();
  if (!isArtifactFile(path)) {
    const compiled = await compileModel(path, options, terminal);
    return { ...compiled, readyMs: performance.now() - start };
  }
  const { net, source, facts } = openArtifact(path, options);
  return { net, source, facts, readyMs: performance.now() - start };
}

/** A network with what it was linked from, and for a model, with its graph, plan and kernels too. */
export interface OpenedForProfile {
  readonly net: Executable;
  readonly source: "model" | "artifact";
  readonly parts: ExecutableParts;
  readonly compiled?: CompiledNetwork;
}

/** As `openNetwork`, for profiling. Kernels come from the cache, whole networks do not: those lack the graph. */
export async function openForProfile(
  path: string,
  options: NetworkOptions,
  terminal: Terminal,
): Promise<OpenedForProfile> {
  if (isArtifactFile(path)) {
    const { net, parts } = openArtifact(path, options);
    return { net, source: "artifact", parts };
  }
  const graph = await loadModel(path, options.shape);
  const compiled = await withProgress({ ...options, profile: true }, terminal, (given) => compileNetwork(graph, given));
  return { net: new Executable(compiled.parts), source: "model", parts: compiled.parts, compiled };
}

async function compileModel(
  path: string,
  options: NetworkOptions,
  terminal: Terminal,
): Promise<Omit<OpenedNetwork, "readyMs">> {
  const load = (onExternalFile?: (path: string) => void) => loadModel(path, options.shape, onExternalFile);
  const net = await withProgress(options, terminal, (given) => compileCached(path, given, load));
  return { net, source: "model" };
}

/** Compiles a graph for this machine while stderr shows how far it is. */
export async function compileWithProgress(
  graph: Graph,
  options: NetworkOptions,
  terminal: Terminal,
): Promise<Executable> {
  return withProgress(options, terminal, (given) => compile(graph, given));
}

async function withProgress<T>(
  options: NetworkOptions,
  terminal: Terminal,
  run: (given: CompileOptions) => Promise<T>,
): Promise<T> {
  const { onProgress, end } = compileProgress(terminal);
  try {
    return await run({ ...compileOptions(options), profile: options.profile, onProgress });
  } finally {
    end();
  }
}

/** What the compiler is told of the options. */
export function compileOptions(options: ModelOptions & { readonly schedule?: "default" | "none" }) {
  return {
    target: cpuTarget(options.target),
    threads: options.threads ?? 1,
    shapes: options.shape,
    math: options.math,
    values: options.values,
    schedule: options.schedule,
    ...(options.cache === false ? { cache: false as const } : {}),
    ...(options.checkBounds ? { checks: "bounds" as const } : {}),
  };
}

/** @throws UnavailableError [target/gpu] for targets that there is no code generator for yet */
export function cpuTarget(name = "host"): Target {
  const target = resolveTarget(name);
  if (target.arch === "nvptx64")
    throw new UnavailableError(
      "target/gpu",
      `GPU kernels are not available yet: ${name} cannot be compiled for; choose a CPU target (tilewright targets)`,
      { target: name },
    );
  return target;
}

function openArtifact(path: string, options: NetworkOptions) {
  for (const [flag, value] of Object.entries({ shape: options.shape, target: options.target, math: options.math }))
    if (value !== undefined)
      throw new UsageError("usage/artifact", `--${flag} is for models; ${basename(path)} is compiled already`);
  const { facts, parts } = readArtifact(path);
  const threads = options.threads ?? parts.threads;
  if (threads > 1 && parts.threads === 1)
    throw new UsageError(
      "usage/artifact",
      `${basename(path)} was compiled for 1 thread; compile the model with --threads ${threads}`,
    );
  return { net: linked({ ...parts, threads }, path), source: "artifact" as const, facts, parts };
}

/** Links a file's code. @throws InputError [artifact/damaged] when its parts do not fit each other */
function linked(parts: ExecutableParts, path: string): Executable {
  try {
    return new Executable(parts);
  } catch (error) {
    // The add-on's own errors have codes: an object that is none, an entry that no object has, memory there is not.
    if (!(error instanceof Error && "code" in error) || error instanceof TilewrightError) throw error;
    throw new InputError("artifact/damaged", `${path} does not link: ${error.message}`, { path, cause: error.code });
  }
}

function requireShapes(graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): void {
  const inputs = graph.inputs.map((id) => valueOf(graph, id));
  const known = new Set(
    inputs.flatMap((v) =>
      Object.hasOwn(shapes, v.name) ? (v.type?.dims ?? []).flatMap((d) => (typeof d === "number" ? [] : d.symbol)) : [],
    ),
  );
  const open = inputs.filter(
    (v) => !Object.hasOwn(shapes, v.name) && v.type?.dims.some((d) => typeof d !== "number" && !known.has(d.symbol)),
  );
  if (open.length === 0) return;
  const flags = open.map((v) => {
    const dims = v.type!.dims.map((d, axis) => (typeof d === "number" ? d : usualExtent(axis, v.type!.dims.length)));
    return `--shape ${v.name}=${dims.join(",")}`;
  });
  const declared = open.map(
    (v) => `${v.name}: [${v.type!.dims.map((d) => (typeof d === "number" ? d : d.symbol)).join(", ")}]`,
  );
  throw new InputError(
    "model/unbound-dimension",
    `the model leaves dimensions open (${declared.join("; ")}); say what they are, as with\n  ${flags.join(" ")}`,
    { flags },
  );
}

/** What the example in the message says: one sample, images of 224 × 224, anything else 1. */
const usualExtent = (axis: number, rank: number): number => (rank === 4 && axis >= 2 ? 224 : 1);
