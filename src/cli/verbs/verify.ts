/** `tilewright verify`: a compiled network beside a reference, and the first kernel that differs. */
import { valueOf } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import type { TensorValue } from "../../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { digits } from "../../../ir/text/units.ts";
import { inferGraph } from "../../operators/infer.ts";
import { evaluateNode } from "../../operators/interpret.ts";
import { type CompiledNetwork, compileNetwork } from "../../runtime/compile.ts";
import { Executable } from "../../runtime/executable.ts";
import { assertRunnable } from "../../runtime/host.ts";
import { runWithTaps } from "../../runtime/taps.ts";
import { Tensor } from "../../tensor.ts";
import { type Difference, difference } from "../compare.ts";
import { exitCodes } from "../errors.ts";
import { type Fill, feedsFor, readInputs, stillWanted, tellCompiler } from "../feeds.ts";
import { compileOptions, cpuTarget, loadModel, type ModelOptions } from "../model.ts";
import type { InputFile } from "../options.ts";
import { openPeer } from "../peers.ts";
import { compileProgress, progress } from "../progress.ts";
import { table } from "../table.ts";
import type { CommonOptions, Terminal } from "../terminal.ts";

/** Options of `verify`. */
export interface VerifyOptions extends CommonOptions, ModelOptions {
  readonly against: "unscheduled" | "interpreter" | "onnxruntime";
  readonly rtol: number;
  readonly input?: readonly InputFile[];
  readonly fill?: Fill;
}

type Tensors = Readonly<Record<string, Tensor>>;
/** The kernel that differs first. */
interface Culprit {
  readonly step: number;
  readonly kernel: string;
  readonly operators: string;
  readonly value: string;
  readonly maxRel: number;
}

/** Compares every output with the reference. Gives 5 where one differs. */
export async function verify(model: string, options: VerifyOptions, terminal: Terminal): Promise<number> {
  assertRunnable(cpuTarget(options.target));
  const given = readInputs(options.input ?? []);
  const all = tellCompiler(options, given);
  const graph = await loadModel(model, all.shape);
  const network = await compileQuietly(graph, all, terminal);
  const feeds = feedsFor(network.parts.inputs, stillWanted(network.parts.inputs, given), {
    fill: options.fill,
    seed: options.seed ?? 0,
  });
  const actual = runOnce(network, feeds);
  const reference = await referenceOf(model, graph, feeds, all, terminal);
  const outputs = network.parts.outputs.map((p) =>
    difference(p.name, actual[p.name]!, reference[p.name]!, options.rtol),
  );
  const ok = outputs.every((o) => o.within);
  const culprit = ok ? undefined : await firstDifferent(graph, network, feeds, all, terminal);
  const { against, rtol } = options;
  terminal.result({ ok, against, rtol, outputs, ...(culprit ? { firstDifference: culprit } : {}) }, () =>
    verdict(outputs, options, terminal),
  );
  if (ok) return exitCodes.ok;
  const { errorColors: colors } = terminal;
  const head = colors.red(colors.bold("verification failed"));
  process.stderr.write(
    `${head}: the outputs differ from ${against} by more than ${rtol} of the largest\n${blame(culprit, options)}\n`,
  );
  return exitCodes.mismatch;
}

async function compileQuietly(
  graph: Graph,
  options: ModelOptions & { readonly schedule?: "none" },
  terminal: Terminal,
): Promise<CompiledNetwork> {
  const { onProgress, end } = compileProgress(terminal);
  try {
    return await compileNetwork(graph, { ...compileOptions(options), onProgress });
  } finally {
    end();
  }
}

function runOnce(network: CompiledNetwork, feeds: Tensors): Tensors {
  const net = new Executable(network.parts);
  try {
    return net.runSync(feeds);
  } finally {
    net.dispose();
  }
}

async function referenceOf(
  model: string,
  graph: Graph,
  feeds: Tensors,
  options: VerifyOptions,
  terminal: Terminal,
): Promise<Tensors> {
  if (options.against === "interpreter")
    return interpret(inferGraph(graph, options.shape, options.values), feeds, terminal);
  if (options.against === "unscheduled")
    return runOnce(await compileQuietly(graph, { ...options, schedule: "none" }, terminal), feeds);
  const peer = await openPeer(model, options.threads ?? 1);
  try {
    return await peer.prepare({ ...feeds, ...options.values })();
  } finally {
    await peer.release();
  }
}

/** Node by node in the reference interpreter: the operators' meaning before any graph pass. */
function interpret(graph: Graph, feeds: Tensors, terminal: Terminal): Tensors {
  const bar = progress(terminal, "interpreting nodes");
  const known = new Map<ValueId, TensorValue>();
  for (const id of graph.inputs) known.set(id, feeds[valueOf(graph, id).name]!);
  graph.nodes.forEach((node, i) => {
    for (const [id, value] of evaluateNode(graph.values, node, known)) known.set(id, value);
    bar.step(i + 1, graph.nodes.length);
  });
  bar.end();
  return Object.fromEntries(
    graph.outputs.map((id) => {
      const { name, constant } = valueOf(graph, id);
      const value = known.get(id) ?? constant;
      invariant(value, `the interpreter gave no ${name}`);
      return [name, Tensor.from(value)];
    }),
  );
}

/** Compares what every kernel makes with what its unscheduled twin makes. */
async function firstDifferent(
  graph: Graph,
  network: CompiledNetwork,
  feeds: Tensors,
  options: VerifyOptions,
  terminal: Terminal,
): Promise<Culprit | undefined> {
  terminal.note("looking for the first kernel that differs");
  const plain = await compileQuietly(graph, { ...options, schedule: "none" }, terminal);
  const [actual, reference] = [await runWithTaps(network, feeds), await runWithTaps(plain, feeds)];
  for (const [i, { step, value, tensor }] of actual.entries()) {
    const { within, maxRel } = difference(value, tensor, reference[i]!.tensor, options.rtol);
    if (within) continue;
    const { symbol: kernel, name: operators } = network.parts.steps[step]!;
    return { step, kernel, operators, value, maxRel };
  }
  return undefined;
}

function verdict(outputs: readonly Difference[], options: VerifyOptions, { colors }: Terminal): string {
  const rows = outputs.map((o) => [
    o.name,
    String(o.elements),
    digits(o.maxAbs),
    digits(o.maxRel),
    o.within ? "equal" : "DIFFERENT",
  ]);
  const columns = [
    { title: `output (against ${options.against})` },
    { title: "elements", right: true },
    { title: "max. difference", right: true },
    { title: "of the largest", right: true },
    { title: "" },
  ];
  return table(columns, rows, colors);
}

function blame(culprit: Culprit | undefined, options: VerifyOptions): string {
  if (culprit === undefined)
    return `every kernel equals its unscheduled twin, so the difference comes from a graph pass, an operator's definition or ${options.against} itself`;
  return `first different kernel: ${culprit.kernel} (step ${culprit.step}, ${culprit.operators}), in ${culprit.value}, by ${digits(culprit.maxRel)} of the largest
see it with: tilewright compile MODEL --emit loops --kernel ${culprit.kernel}`;
}
