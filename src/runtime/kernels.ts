/**
 * Turns fused groups into object code: tensor expressions, default schedule, lowering, LLVM IR on this thread; machine
 * code in child processes. Equal groups are compiled once, and found again on the disk in later processes.
 */
import { defaultPassPipeline, emitLlvm } from "../../codegen/llvm/index.ts";
import type { FusedGraph, Graph, Group } from "../../ir/graph/graph.ts";
import type { CheckSite } from "../../ir/loop/check-site.ts";
import type { MathPolicy, Program } from "../../ir/loop/program.ts";
import { InternalError } from "../../ir/support/errors.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { hasFeature } from "../../ir/target/parse.ts";
import type { Target } from "../../ir/target/target.ts";
import type { CompileOptions as NativeCompileOptions } from "../../native/addon.ts";
import type { CompilePool } from "../../native/compile-pool.ts";
import type { Instrument } from "../../passes/core/instrument.ts";
import { loweringPipeline, withBoundsChecks } from "../../passes/lower/index.ts";
import { defaultSchedule } from "../../passes/schedule/library/index.ts";
import type { Machine } from "../../passes/schedule/library/plan.ts";
import type { Refusal } from "../../passes/schedule/library/recipe.ts";
import type { Schedule } from "../../passes/schedule/schedule.ts";
import { buildGroupProgram } from "../operators/build-program.ts";
import type { Checks } from "./bounds.ts";
import { codeVersion } from "./code-version.ts";
import { groupKey } from "./group-key.ts";
import type { ObjectCache } from "./object-cache.ts";
import type { ChangePipeline } from "./prepare.ts";

export interface KernelContext {
  readonly target: Target;
  readonly machine: Machine;
  readonly threads: number;
  readonly math: MathPolicy;
  /** `none`: the unscheduled lowering, slow and obvious, that results are verified against. */
  readonly schedule: "default" | "none";
  /** What kernels check while they run; nothing when absent. */
  readonly checks?: Checks;
  /** Changes the usual passes from schedule to code; kernels made so are not cached. */
  readonly passes?: ChangePipeline<"loops", "tasks">;
  readonly cache: ObjectCache | undefined;
  readonly pool: CompilePool;
  readonly compilerVersion: string;
  /** Observers of the passes; none when absent. */
  readonly instruments?: readonly Instrument[];
}

/** Object code of one group; `params[i]` is the position of parameter i among the group's inputs, then outputs. */
export interface Kernel {
  readonly symbol: string;
  readonly object: Uint8Array;
  readonly params: readonly number[];
  readonly workspaceBytes: number;
  /** The accesses that check their bounds. */
  readonly checks: readonly CheckSite[];
  /** The recipes that could not schedule it before one did. */
  readonly refusals: readonly Refusal[];
}

/** Everything that decides a group's code besides the group. */
export function contextKey(c: KernelContext): string {
  const { target, threads, math, schedule, compilerVersion } = c;
  const parts = [
    codeVersion(),
    compilerVersion,
    target.triple,
    target.cpu,
    target.features.join(),
    threads,
    math,
    schedule,
    c.checks ?? "none",
  ];
  return JSON.stringify([...parts, c.machine, defaultPassPipeline]);
}

/** How the native compiler is to be called for this target. */
export function nativeOptions(target: Target): NativeCompileOptions {
  return {
    triple: target.triple,
    cpu: target.cpu,
    features: target.features.join(","),
    passes: defaultPassPipeline,
    optLevel: 2,
    emit: "object",
  };
}

/** The processor facts that code generation reads. */
export const codegenTarget = (t: Target) => ({
  cpu: t.cpu,
  features: t.features.join(","),
  vectorBits: t.vectorBits,
  avx2: t.arch === "x86_64" && hasFeature(t, "avx2"),
  avx512: t.arch === "x86_64" && hasFeature(t, "avx512f") && hasFeature(t, "avx512vl"),
});

/** Gives one kernel a step, in order; distinct ones compile at once. `onKernel` hears of each finished one. */
export async function compileKernels(
  fused: FusedGraph,
  groups: readonly Group[],
  context: KernelContext,
  onKernel: (done: number, total: number) => void = () => {},
): Promise<Kernel[]> {
  const base = contextKey(context);
  const pending = new Map<string, Promise<Kernel>>();
  const keys = groups.map((g) => groupKey(fused.graph, g, base));
  const total = new Set(keys).size;
  let done = 0;
  for (const [i, key] of keys.entries()) {
    if (pending.has(key)) continue;
    const kernel = compileKernel(fused.graph, groups[i]!, key, context).then((k) => {
      onKernel(++done, total);
      return k;
    });
    kernel.catch(() => {});
    pending.set(key, kernel);
    // Lowering is synchronous: let finished compilations report in between.
    if (i % 4 === 3) await new Promise((resolve) => setImmediate(resolve));
  }
  return Promise.all(keys.map((k) => pending.get(k)!));
}

const symbolOf = (key: string): string => `k_${key.slice(0, 20)}`;
/** The name of a group's kernel: equal groups have equal ones. */
export const kernelSymbol = (graph: Graph, group: Group, context: KernelContext): string =>
  symbolOf(groupKey(graph, group, contextKey(context)));

async function compileKernel(graph: Graph, group: Group, key: string, context: KernelContext): Promise<Kernel> {
  const cached = context.cache?.get(key);
  const known = cached && decodeKernel(cached);
  if (known) return known;
  const lowered = lowerGroup(graph, group, context, symbolOf(key));
  const object = await context.pool.compile({ irText: lowered.text, options: nativeOptions(context.target) });
  const kernel: Kernel = {
    symbol: lowered.symbol,
    object,
    params: lowered.params,
    workspaceBytes: lowered.workspaceBytes,
    checks: lowered.checks,
    refusals: lowered.refusals,
  };
  context.cache?.put(key, encodeKernel(kernel));
  return kernel;
}

/** While debugging, a recipe that breaks is an error; otherwise the next simpler recipe gives the same values. */
function failOnRecipeBug({ recipe, reason }: Refusal): void {
  if (reason.startsWith("bug:")) throw new InternalError("runtime/recipe", `recipe ${recipe} broke: ${reason}`);
}

/** The stages of one group's way to LLVM IR. */
export interface LoweredGroup {
  readonly program: Program;
  readonly schedule: Schedule | undefined;
  readonly flat: Program;
  readonly text: string;
  readonly symbol: string;
  readonly params: readonly number[];
  readonly workspaceBytes: number;
  readonly checks: readonly CheckSite[];
  readonly refusals: readonly Refusal[];
}

export function lowerGroup(
  graph: Graph,
  group: Group,
  context: Pick<
    KernelContext,
    "target" | "machine" | "threads" | "math" | "schedule" | "checks" | "passes" | "instruments"
  >,
  symbol: string,
): LoweredGroup {
  const { target, machine, threads, math, instruments = [] } = context;
  const built = buildGroupProgram(graph, group, { name: symbol, math });
  const refusals: Refusal[] = [];
  const onRefusal = (refusal: Refusal): void => {
    if (instruments.length > 0) failOnRecipeBug(refusal);
    refusals.push(refusal);
  };
  const schedule =
    context.schedule === "none" ? undefined : defaultSchedule(built.program, { machine, threads, onRefusal });
  const usual = loweringPipeline(target);
  const chosen = context.passes?.(usual) ?? usual;
  const passes = context.checks === "bounds" ? withBoundsChecks(chosen) : chosen;
  const flat = passes.run(schedule?.program ?? built.program, { target, options: {}, instruments });
  const { text, functions } = emitLlvm(flat, codegenTarget(target));
  const signature = functions.find((f) => f.name === symbol);
  if (!signature) throw new InternalError("runtime/no-kernel", `code generation gave no function ${symbol}`);
  const slots: readonly ValueId[] = [...group.inputs, ...group.outputs];
  const params = [...built.params.map((p) => p.value)].map((v) => {
    const slot = slots.indexOf(v);
    invariant(slot >= 0, `a parameter of ${symbol} is neither input nor output of its group`);
    return slot;
  });
  return {
    program: built.program,
    schedule,
    flat,
    text,
    symbol: signature.symbol,
    params,
    workspaceBytes: signature.workspaceBytes,
    checks: signature.checks,
    refusals,
  };
}

/** Cache entry: length of a JSON header, the header, the object code. */
function encodeKernel(k: Kernel): Uint8Array {
  const { object, ...rest } = k;
  const header = new TextEncoder().encode(JSON.stringify(rest));
  const bytes = new Uint8Array(4 + header.length + object.length);
  new DataView(bytes.buffer).setUint32(0, header.length, true);
  bytes.set(header, 4);
  bytes.set(object, 4 + header.length);
  return bytes;
}
function decodeKernel(bytes: Uint8Array): Kernel {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))) as Omit<Kernel, "object">;
  return { ...header, object: bytes.subarray(4 + length) };
}
