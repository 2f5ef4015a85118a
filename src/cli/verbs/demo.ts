/** What `npm run demo` shows: a network compiled, checked against its unscheduled lowering, and measured. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Graph } from "../../../ir/graph/graph.ts";
import { digits } from "../../../ir/text/units.ts";
import { packageRoot } from "../../../native/addon.ts";
import { machineFacts } from "../../../native/machine.ts";
import { measureMachine, peakGflops } from "../../../native/measure.ts";
import { readNpz, writeNpz } from "../../formats/npz.ts";
import { readWhole } from "../../formats/read-file.ts";
import { writeWhole } from "../../formats/write-file.ts";
import { buildMobileNetV2 } from "../../models/mobilenet-v2.ts";
import { writeOnnx } from "../../onnx/write.ts";
import { kernelContext } from "../../runtime/compile.ts";
import type { Executable } from "../../runtime/executable.ts";
import { contextKey } from "../../runtime/kernels.ts";
import type { Tensor } from "../../tensor.ts";
import { difference } from "../compare.ts";
import { exitCodes } from "../errors.ts";
import { feedsFor } from "../feeds.ts";
import { imageFor, readLabels, topClasses } from "../image-input.ts";
import { kernelRows, kernelTable } from "../kernel-table.ts";
import { compileWithProgress, loadModel } from "../model.ts";
import { duration, spread } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import type { RunOptions } from "./run.ts";

/** Of the largest output. */
const rtol = 1e-4;
const repeats = 30;

type Tensors = Readonly<Record<string, Tensor>>;

/** Compiles `given` (MobileNetV2 when empty) for one thread and for all, checks and measures it. Gives 5 where outputs differ. */
export async function demo(given: string, options: RunOptions, terminal: Terminal): Promise<number> {
  const { colors } = terminal;
  const say = (text: string): void => terminal.write(`${text}\n`);
  const step = (text: string): void => say(`\n${colors.bold(text)}`);
  const model = given || writeDefaultModel(say);
  const graph = await loadModel(model, options.shape);
  say(`${model}: ${graph.nodes.length} nodes, read back from ONNX`);

  const cores = options.threads ?? machineFacts().cores;
  step("Compiling");
  const nets = new Map<number, Executable>();
  for (const threads of new Set([1, cores])) {
    const start = performance.now();
    const net = await compileWithProgress(graph, { ...options, threads, profile: true }, terminal);
    nets.set(threads, net);
    say(`${threadText(threads)}: ${net.steps.length} kernels in ${duration((performance.now() - start) * 1e6)}`);
  }
  try {
    return await show(model, graph, nets, options, terminal);
  } finally {
    for (const net of nets.values()) net.dispose();
  }
}

async function show(
  model: string,
  graph: Graph,
  nets: ReadonlyMap<number, Executable>,
  options: RunOptions,
  terminal: Terminal,
): Promise<number> {
  const { colors } = terminal;
  const say = (text: string): void => terminal.write(`${text}\n`);
  const step = (text: string): void => say(`\n${colors.bold(text)}`);
  const single = nets.get(1)!;
  const feeds = feedsOf(single, options);

  step("Checking against the unscheduled lowering");
  const reference = await referenceOutputs(model, graph, feeds, options, terminal);
  let ok = true;
  for (const [threads, net] of nets) {
    const results = net.runSync(feeds);
    for (const { name } of net.outputs) {
      const d = difference(name, results[name]!, reference[name]!, rtol);
      ok &&= d.within;
      const verdict = d.within ? colors.green("equal") : colors.red("DIFFERENT");
      say(`${name}, ${threadText(threads)}: ${verdict} (largest difference ${digits(d.maxRel)} of the largest output)`);
    }
  }

  step("Kernels");
  const peak = peakGflops(measureMachine({ threads: 1 }), 1);
  say(kernelTable(kernelRows(single.steps, single.profile(feeds, repeats), peak), terminal));
  say(`(1 thread; measured peak of the machine: ${digits(peak)} GFLOP/s)`);

  if (options.image) {
    step("Classes");
    const labels = options.labels ? readLabels(options.labels) : undefined;
    for (const c of topClasses(single.runSync(feeds)[single.outputs[0]!.name]!, options.top ?? 5, labels))
      say(`${(100 * c.probability).toFixed(1).padStart(5)} %  ${c.label ?? `class ${c.index}`}`);
  }

  step("Latency");
  for (const [threads, net] of nets) {
    const t = spread(net.time(feeds, { warmup: 3, repeats, maxTimeMs: 3000 }));
    say(
      `${threadText(threads)}: ${colors.bold(duration(t.median))} (${duration(t.p10)} to ${duration(t.p90)}, ${repeats} runs)`,
    );
  }
  return ok ? exitCodes.ok : exitCodes.mismatch;
}

const threadText = (threads: number): string => `${threads} ${threads === 1 ? "thread" : "threads"}`;

/** Builds MobileNetV2 1.0-224 and writes it as ONNX into `build/`. */
function writeDefaultModel(say: (text: string) => void): string {
  const path = join(demoFolder(), "mobilenet-v2.onnx");
  say("Building MobileNetV2 1.0-224 with seeded weights");
  writeWhole(path, writeOnnx(buildMobileNetV2()));
  return path;
}
function demoFolder(): string {
  const folder = join(packageRoot(), "build");
  mkdirSync(folder, { recursive: true });
  return folder;
}

function feedsOf(net: Executable, options: RunOptions): Tensors {
  const port = net.inputs.find((p) => p.dims.length === 4) ?? net.inputs[0];
  const given = new Map<string | undefined, Tensor>();
  if (options.image && port) given.set(port.name, imageFor(options.image, port, options));
  return feedsFor(net.inputs, given, { fill: "random", seed: options.seed ?? 0 });
}

/** The unscheduled network is slow, so that its outputs are kept for the next demo of the same code and inputs. */
async function referenceOutputs(
  model: string,
  graph: Graph,
  feeds: Tensors,
  options: RunOptions,
  terminal: Terminal,
): Promise<Tensors> {
  const hash = createHash("sha256")
    .update(contextKey(kernelContext({ schedule: "none" })))
    .update(readWhole(model));
  for (const [name, { data }] of Object.entries(feeds))
    hash.update(`${name}\0`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const path = join(demoFolder(), `reference-${hash.digest("hex").slice(0, 24)}.npz`);
  if (existsSync(path)) {
    terminal.write("(the unscheduled network's outputs are those of an earlier run)\n");
    return Object.fromEntries(readNpz(path));
  }
  const plain = await compileWithProgress(graph, { ...options, schedule: "none", threads: 1 }, terminal);
  try {
    const start = performance.now();
    const results = plain.runSync(feeds);
    terminal.write(`unscheduled: ${duration((performance.now() - start) * 1e6)} a run\n`);
    writeNpz(path, Object.entries(results));
    return results;
  } finally {
    plain.dispose();
  }
}
