/** Everything about the kernels of a network that can be counted: instructions, bytes, parallel regions. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Program, Stmt } from "../../../ir/loop/program.ts";
import { childStmts } from "../../../ir/loop/traverse.ts";
import * as native from "../../../native/addon.ts";
import type { CompiledNetwork } from "../compile.ts";
import type { Executable, Feeds } from "../executable.ts";
import { lowerGroup, nativeOptions } from "../kernels.ts";
import { storageBytes } from "../memory-plan.ts";
import { type BasicBlock, basicBlocks } from "./blocks.ts";
import { countedModule, readCounts } from "./counted-code.ts";
import { describeGroup } from "./describe.ts";
import type { Latencies } from "./latency.ts";
import type { KernelFacts } from "./limits.ts";
import { type Execution, executionOf, type Phase, phasesOf } from "./mix.ts";
import { bytesByLevel, type Span } from "./reuse.ts";
import { type Incoming, incomingBytes, trafficOf } from "./traffic.ts";

/** A kernel call with what it computes and where it comes from. */
export interface StepFacts extends KernelFacts {
  /** The main operator with its extents. */
  readonly title: string;
  /** The operators of the graph that the kernel computes, and their names there. */
  readonly nodes: readonly { readonly op: string; readonly name: string }[];
  /** The counted instructions loop by loop; absent where there are none. */
  readonly phases?: readonly Phase[];
}

/** A network's steps, and what could not be found out about them. */
export interface Analysis {
  readonly steps: readonly StepFacts[];
  readonly missing: readonly string[];
}

/** What a network that was loaded from a file says of itself: operations and bytes of each step. */
export const withoutCode = (net: Executable): Analysis => ({
  steps: net.steps.map(({ name, flops, bytes }) => ({
    title: name,
    nodes: name.split("+").map((op) => ({ op, name: "" })),
    flops,
    bytes,
  })),
  missing: [
    "a compiled file has neither assembly nor loops nor a memory plan: limits are those of the direct algorithm's operations and of the bytes touched, and instructions, caches and parallel regions are not counted; profile the ONNX model for those",
  ],
});

/**
 * Compiles every kernel of `compiled` again with counters in its blocks and runs them once, in one thread, in the memory of
 * `net`. The network's own code stays untouched.
 */
export async function analyse(
  compiled: CompiledNetwork,
  net: Executable,
  feeds: Feeds,
  latencies: Latencies,
): Promise<Analysis> {
  const countable = compiled.context.target.arch === "x86_64";
  const kernels = await analyseKernels(compiled, countable);
  const executions = countable
    ? countExecutions(compiled, kernels, net, feeds, latencies)
    : new Map<string, CountedExecution>();
  const first = bytesByLevel(spansOf(compiled), compiled.context.target.caches, net.threads);
  const { fused, steps } = compiled;
  return {
    steps: steps.map((group, i): StepFacts => {
      const { flops, bytes, symbol } = net.steps[i]!;
      const kernel = kernels.get(symbol)!;
      return {
        title: describeGroup(fused.graph, group),
        nodes: group.nodes.map(({ op, name }) => ({ op, name })),
        flops,
        bytes,
        ...executions.get(symbol),
        traffic: trafficOf(first[i]!, kernel.incoming, compiled.context.target.caches.l3Bytes),
        regions: kernel.regions,
      };
    }),
    missing: countable ? [] : ["instructions are counted in x86-64 assembly only"],
  };
}

interface CountedKernel {
  /** Object code with counters; absent where nothing can be counted. */
  readonly counted: { readonly object: Uint8Array; readonly blocks: readonly BasicBlock[] } | undefined;
  readonly regions: readonly number[];
  readonly incoming: Incoming | undefined;
}

async function analyseKernels(c: CompiledNetwork, countable: boolean): Promise<Map<string, CountedKernel>> {
  const { caches } = c.context.target;
  const pending = new Map<string, Promise<CountedKernel>>();
  c.steps.forEach((group, i) => {
    const { symbol } = c.kernels[i]!;
    if (pending.has(symbol)) return;
    const lowered = lowerGroup(c.fused.graph, group, c.context, symbol);
    const func = (lowered.schedule?.program ?? lowered.program).functions[0]!;
    const incoming = incomingBytes(func, caches.l1dBytes, caches.l2Bytes);
    const facts = { regions: regionsOf(lowered.flat), incoming };
    const counted = countable ? countedObject(lowered.text, symbol, c) : Promise.resolve(undefined);
    pending.set(
      symbol,
      counted.then((code) => ({ ...facts, counted: code })),
    );
  });
  return new Map(await Promise.all([...pending].map(async ([symbol, kernel]) => [symbol, await kernel] as const)));
}

async function countedObject(irText: string, symbol: string, { context }: CompiledNetwork) {
  const options = nativeOptions(context.target);
  const assembly = Buffer.from(
    await context.pool.compile({ irText, options: { ...options, emit: "assembly" } }),
  ).toString();
  const object = await context.pool.compile({
    irText: countedModule(assembly, symbol),
    options: { ...options, passes: "" },
  });
  return { object, blocks: basicBlocks(assembly) };
}

interface CountedExecution {
  readonly execution: Execution;
  readonly phases: readonly Phase[];
}

function countExecutions(
  c: CompiledNetwork,
  kernels: ReadonlyMap<string, CountedKernel>,
  net: Executable,
  feeds: Feeds,
  latencies: Latencies,
): Map<string, CountedExecution> {
  const counted = [...kernels].flatMap(([symbol, k]) => (k.counted ? [{ symbol, ...k.counted }] : []));
  // The objects of a network are those of its kernels, then entries and the like.
  const others = c.parts.objects.slice(kernels.size);
  const jit = native.jitCreate([...counted.map((k) => k.object), ...others]);
  try {
    const profileEntry = native.jitLookup(jit, c.parts.profileEntry!);
    net.record(feeds, { repeats: 1, warmup: 0, variant: { profileEntry, serial: true } });
    return new Map(
      counted.map(({ symbol, blocks }) => {
        const calls = c.kernels.filter((k) => k.symbol === symbol).length;
        const counts = readCounts(jit, symbol, blocks.length).map((n) => n / calls);
        const execution = executionOf(blocks, counts, latencies);
        return [symbol, { execution, phases: phasesOf(blocks, counts, latencies) }] as const;
      }),
    );
  } finally {
    native.jitDispose(jit);
  }
}

/** Iterations of each parallel region of a lowered program; 0 where they are not constant. */
function regionsOf(flat: Program): number[] {
  const within = (s: Stmt): number[] =>
    s.kind === "parallelCall" ? [constantValue(s.extent) ?? 0] : childStmts(s).flatMap(within);
  return flat.functions.flatMap((f) => within(f.body));
}

/** The memory that each step touches: inputs, outputs, workspace. */
function spansOf({ fused, steps, kernels, plan }: CompiledNetwork): Span[][] {
  return steps.map((group, i) => {
    const spans = [...group.inputs, ...group.outputs].flatMap((v): Span[] => {
      const location = plan.locations.get(v);
      if (!location) return [];
      const area = location.base === "io" ? `io${location.index}` : location.base;
      return [{ area, offset: location.offset, bytes: storageBytes(fused, v) }];
    });
    const { workspaceBytes } = kernels[i]!;
    return workspaceBytes > 0
      ? [...spans, { area: "arena", offset: plan.workspaces[i]!, bytes: workspaceBytes }]
      : spans;
  });
}
