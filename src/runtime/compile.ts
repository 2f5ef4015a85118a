/** The main job: a graph or ONNX model to an Executable for this machine. */
import { type EntryArgument, type EntryStep, emitEntry } from "../../codegen/llvm/entry.ts";
import { valueOf } from "../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group } from "../../ir/graph/graph.ts";
import type { TensorValue } from "../../ir/graph/tensor-value.ts";
import type { MathPolicy } from "../../ir/loop/program.ts";
import { UsageError } from "../../ir/support/errors.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import type { Target } from "../../ir/target/target.ts";
import { allocAligned, llvmVersion } from "../../native/addon.ts";
import type { OnnxLimits } from "../onnx/limits.ts";
import { type LoadOptions, loadOnnx } from "../onnx/load.ts";
import { boundsRecordIr, type Checks, checksOf } from "./bounds.ts";
import { packConstant } from "./constants.ts";
import { Executable, type ExecutableParts, type Port, type StepReport } from "./executable.ts";
import { assertRunnable, machineOf, resolveTarget, sharedPool } from "./host.ts";
import { environmentInstruments } from "./instruments.ts";
import { compileKernels, type Kernel, type KernelContext, nativeOptions } from "./kernels.ts";
import { isView, type MemoryPlan, planMemory } from "./memory-plan.ts";
import { networkSlot } from "./network-cache.ts";
import { ObjectCache, objectKey } from "./object-cache.ts";
import { type ChangePipeline, layOut, simplifyGraph } from "./prepare.ts";
import { groupWork } from "./work.ts";

/** How a network is compiled. */
export interface CompileOptions {
  /** `host` (default) or a target string; only targets this machine can run give an Executable. */
  readonly target?: string | Target;
  /** Threads of `run`; default 1. */
  readonly threads?: number;
  /** Shapes of inputs with open dimensions. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** Values of inputs that shapes depend on (a Reshape's shape, a Slice's starts); these become constants. */
  readonly values?: Readonly<Record<string, TensorValue>>;
  readonly math?: MathPolicy;
  /** `none`: unscheduled loops, to verify against. */
  readonly schedule?: "default" | "none";
  /** `bounds`: every access checks its bounds, and a run throws a BoundsError that names the first one outside. */
  readonly checks?: Checks;
  /** Passes of one's own: what stands instead of the usual pipelines of the graph, and of each kernel's program. */
  readonly passes?: {
    readonly graph?: ChangePipeline<"graph", "graph">;
    readonly kernels?: ChangePipeline<"loops", "tasks">;
  };
  /** Default: the disk cache of the user; `false` for none. */
  readonly cache?: ObjectCache | false;
  /** Also makes an entry that times every kernel. */
  readonly profile?: boolean;
  readonly onProgress?: (p: CompileProgress) => void;
  readonly limits?: Partial<OnnxLimits>;
}
/** Where a compilation stands. */
export interface CompileProgress {
  readonly stage: "graph" | "kernels" | "link";
  readonly done: number;
  readonly total: number;
}

/** A compiled network before it is linked. */
export interface CompiledNetwork {
  readonly context: KernelContext;
  readonly fused: FusedGraph;
  readonly steps: readonly Group[];
  readonly kernels: readonly Kernel[];
  readonly plan: MemoryPlan;
  readonly parts: ExecutableParts;
}

/**
 * Compiles a model (path, bytes or graph) to native code. A path or bytes compiled before, with the same options and by
 * the same compiler, come from the disk cache whole.
 * @throws UnavailableError for a target this machine cannot run
 */
export async function compile(model: string | Uint8Array | Graph, options: CompileOptions = {}): Promise<Executable> {
  return compileCached(model, options, (onExternalFile) => graphOf(model, { ...options, onExternalFile }));
}

/** As `compile`; `load` gives the model's graph and is called only when the disk does not have the network. */
export async function compileCached(
  model: string | Uint8Array | Graph,
  options: CompileOptions,
  load: (onExternalFile?: (path: string) => void) => Promise<Graph>,
): Promise<Executable> {
  const context = kernelContext(options);
  assertRunnable(context.target);
  const slot = options.passes ? undefined : networkSlot(model, options, context);
  let parts = slot?.find();
  if (parts === undefined) {
    ({ parts } = await compileLoaded(await load(slot?.onExternalFile), context, options));
    slot?.keep(parts);
  } else {
    const kernels = new Set(parts.steps.map((step) => step.symbol)).size;
    options.onProgress?.({ stage: "graph", done: 1, total: 1 });
    options.onProgress?.({ stage: "kernels", done: kernels, total: kernels });
  }
  const executable = new Executable(parts);
  options.onProgress?.({ stage: "link", done: 1, total: 1 });
  return executable;
}

/** Compiles a model for any CPU target, up to what linking needs. */
export async function compileNetwork(
  model: string | Uint8Array | Graph,
  options: CompileOptions = {},
): Promise<CompiledNetwork> {
  return compileLoaded(await graphOf(model, options), kernelContext(options), options);
}

async function compileLoaded(graph: Graph, context: KernelContext, options: CompileOptions): Promise<CompiledNetwork> {
  const compiled = await compileGraph(graph, context, options);
  options.onProgress?.({ stage: "link", done: 0, total: 1 });
  const parts = await linkParts({ ...compiled, context }, options.profile ?? false);
  return { context, ...compiled, parts };
}

/** Entry points, packed constants and reports around kernels that are compiled. `symbol` names the entry function. */
export async function linkParts(
  c: Omit<CompiledNetwork, "parts">,
  profile: boolean,
  symbol = "tw_main",
): Promise<ExecutableParts> {
  const { fused, steps, kernels, plan, context } = c;
  const entries = await compileEntries(c, profile, symbol);
  const checked = isChecked(kernels);
  const record = checked ? [await compileEntry(boundsRecordIr(), context)] : [];
  return {
    objects: [...new Map(kernels.map((k) => [k.symbol, k.object])).values(), ...entries, ...record],
    ...(checked ? { checks: kernels.map((k) => k.checks) } : {}),
    entry: symbol,
    ...(profile ? { profileEntry: "tw_profile" } : {}),
    inputs: fused.graph.inputs.map((v) => portOf(fused.graph, v)),
    outputs: fused.graph.outputs.map((v) => portOf(fused.graph, v)),
    arenaBytes: plan.arenaBytes,
    constants: packConstants(fused.graph, plan),
    steps: steps.map((g, i) => stepReport(fused, g, kernels[i]!)),
    threads: context.threads,
  };
}

/** Whether any access of the kernels checks its bounds. */
const isChecked = (kernels: readonly Kernel[]): boolean => kernels.some((k) => k.checks.length > 0);

/** The graph of a model given in any form. */
export async function graphOf(
  model: string | Uint8Array | Graph,
  options: Pick<LoadOptions, "shapes" | "limits" | "onExternalFile"> = {},
): Promise<Graph> {
  const { shapes, limits, onExternalFile } = options;
  if (typeof model === "string" || model instanceof Uint8Array)
    return loadOnnx(model, { shapes, limits, onExternalFile });
  return model;
}

/** Resolves options to what kernels are compiled with. */
export function kernelContext(options: CompileOptions): KernelContext {
  const threads = options.threads ?? 1;
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new UsageError("usage/threads", `threads must be a whole number from 1 to 1024, got ${threads}`);
  const target = resolveTarget(options.target ?? "host");
  const instruments = environmentInstruments();
  // A kernel from the cache runs no pass that could be watched.
  const cached = options.cache !== false && instruments.length === 0 && options.passes?.kernels === undefined;
  return {
    target,
    machine: machineOf(target),
    threads,
    math: options.math ?? "default",
    schedule: options.schedule ?? "default",
    checks: checksOf(options.checks),
    ...(options.passes?.kernels ? { passes: options.passes.kernels } : {}),
    cache: cached ? options.cache || ObjectCache.open() : undefined,
    pool: sharedPool(),
    compilerVersion: llvmVersion(),
    instruments,
  };
}

/** The graph half: rewritten, fused and laid out for the context's target; `steps` are the groups that become kernels. */
export function prepareGraph(graph: Graph, context: KernelContext, options: CompileOptions = {}) {
  const simplified = simplifyGraph(graph, {
    math: context.math,
    ...(context.instruments ? { instruments: context.instruments } : {}),
    ...(options.passes?.graph ? { passes: options.passes.graph } : {}),
    ...(options.shapes ? { shapes: options.shapes } : {}),
    ...(options.values ? { values: options.values } : {}),
  });
  const fused = withOwnOutputs(layOut(simplified, context.machine, context.math, context.threads));
  return { fused, steps: fused.groups.filter((g) => !isView(fused, g)) };
}

/** All of compiling but linking: graph passes, kernels, memory plan. */
export async function compileGraph(graph: Graph, context: KernelContext, options: CompileOptions) {
  options.onProgress?.({ stage: "graph", done: 0, total: 1 });
  const { fused, steps } = prepareGraph(graph, context, options);
  options.onProgress?.({ stage: "graph", done: 1, total: 1 });
  const kernels = await compileKernels(fused, steps, context, (done, total) =>
    options.onProgress?.({ stage: "kernels", done, total }),
  );
  const plan = planMemory(
    fused,
    steps.map((group, i) => ({ group, workspaceBytes: kernels[i]!.workspaceBytes })),
  );
  return { fused, steps, kernels, plan };
}

/** Graph outputs that are inputs, constants or repeated get a copying group, so that every output has its own memory. */
function withOwnOutputs(fused: FusedGraph): FusedGraph {
  const { graph } = fused;
  const made = new Set(fused.groups.flatMap((g) => g.outputs));
  const seen = new Set<ValueId>();
  let nextId = graph.nextId;
  const values = new Map(graph.values);
  const groups: Group[] = [...fused.groups];
  const outputs = graph.outputs.map((o) => {
    if (made.has(o) && !seen.has(o)) {
      seen.add(o);
      return o;
    }
    const { constant: _, layout: __, ...v } = valueOf(graph, o);
    const id = nextId++ as ValueId;
    values.set(id, { ...v, id });
    const node = {
      id: nextId++ as never,
      name: "copy",
      op: "Identity",
      domain: "",
      opset: 22,
      inputs: [o],
      outputs: [id],
      attributes: new Map(),
    };
    groups.push({ nodes: [node], anchor: node, inputs: [o], outputs: [id] });
    return id;
  });
  return { graph: { ...graph, values, outputs, nodes: groups.flatMap((g) => g.nodes), nextId }, groups };
}

/** Object code of the entries that call the kernels in order. */
async function compileEntries(
  c: Omit<CompiledNetwork, "parts">,
  profile: boolean,
  symbol: string,
): Promise<Uint8Array[]> {
  const { fused, steps, kernels, plan, context } = c;
  const calls = steps.map((g, i) => entryStep(g, kernels[i]!, plan, i));
  const profileIndex = fused.graph.inputs.length + fused.graph.outputs.length;
  const checked = isChecked(kernels);
  const texts = [
    emitEntry(calls, { symbol, checked }),
    ...(profile ? [emitEntry(calls, { symbol: "tw_profile", profileIndex, checked })] : []),
  ];
  return Promise.all(texts.map((irText) => compileEntry(irText, context)));
}
/** Object code of glue between kernels, where there is nothing to optimise. */
export async function compileEntry(irText: string, c: KernelContext): Promise<Uint8Array> {
  const options = { ...nativeOptions(c.target), passes: "", optLevel: 1 as const };
  const key = objectKey({
    irText,
    target: c.target.triple,
    options: JSON.stringify(options),
    compilerVersion: c.compilerVersion,
  });
  const cached = c.cache?.get(key);
  if (cached) return cached;
  const object = await c.pool.compile({ irText, options });
  c.cache?.put(key, object);
  return object;
}
/** A kernel call with the places of its arguments, workspace last. */
function entryStep(g: Group, k: Kernel, plan: MemoryPlan, step: number): EntryStep {
  const slots = [...g.inputs, ...g.outputs];
  const args = k.params.map((p): EntryArgument => {
    const location = plan.locations.get(slots[p]!);
    invariant(location, `no place for parameter ${p} of ${k.symbol}`);
    return location;
  });
  const scratch: EntryArgument[] = k.workspaceBytes > 0 ? [{ base: "arena", offset: plan.workspaces[step]! }] : [];
  return { symbol: k.symbol, args: [...args, ...scratch] };
}

function packConstants(graph: Graph, plan: MemoryPlan): ArrayBuffer {
  const memory = allocAligned(Math.max(64, plan.constantBytes + 64));
  for (const c of plan.constants) {
    const v = valueOf(graph, c.value);
    packConstant(v.constant!, v.layout, new Uint8Array(memory, c.offset, c.bytes));
  }
  return memory;
}
function portOf(graph: Graph, id: ValueId): Port {
  const v = valueOf(graph, id);
  invariant(v.type, `value ${v.name} has no type`);
  return { name: v.name, type: v.type.dtype, dims: v.type.dims as readonly number[] };
}
function stepReport(fused: FusedGraph, g: Group, k: Kernel): StepReport {
  const refused = k.refusals.length > 0 ? { refusals: k.refusals } : {};
  return { name: g.nodes.map((n) => n.op).join("+"), symbol: k.symbol, ...groupWork(fused, g), ...refused };
}
