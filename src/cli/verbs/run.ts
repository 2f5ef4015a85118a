/** `tilewright run`: a network on given, generated or image input. */
import { UsageError } from "../../../ir/support/errors.ts";
import { decodeBfloat16, decodeFloat16 } from "../../../ir/support/half.ts";
import { digits } from "../../../ir/text/units.ts";
import { writeNpy } from "../../formats/npy.ts";
import { writeNpz } from "../../formats/npz.ts";
import type { Executable, Port } from "../../runtime/executable.ts";
import type { Tensor } from "../../tensor.ts";
import { type Fill, feedsFor, type GivenTensors, readInputs, stillWanted, tellCompiler } from "../feeds.ts";
import { type ImageOptions, imageFor, readLabels, topClasses } from "../image-input.ts";
import { isArtifactFile, type ModelOptions, openNetwork } from "../model.ts";
import type { InputFile } from "../options.ts";
import { duration } from "../table.ts";
import type { CommonOptions, Terminal } from "../terminal.ts";

/** Options of `run`. */
export interface RunOptions extends CommonOptions, ModelOptions, ImageOptions {
  readonly input?: readonly InputFile[];
  readonly fill?: Fill;
  readonly image?: string;
  readonly top?: number;
  readonly labels?: string;
  readonly output?: string;
}

/** First values of an output that a summary shows. */
const shownValues = 6;

/** Opens, feeds and runs a network; prints a summary of its outputs, or the classes of an image. */
export async function run(file: string, options: RunOptions, terminal: Terminal): Promise<number> {
  if (options.output !== undefined && !/\.np[yz]$/.test(options.output))
    throw new UsageError("usage/output", `-o writes .npz or .npy, not ${options.output}`);
  const given = readInputs(options.input ?? []);
  // A compiled file has its shapes; a model may leave dimensions to the given tensors.
  const opened = await openNetwork(file, isArtifactFile(file) ? options : tellCompiler(options, given), terminal);
  const { net } = opened;
  try {
    terminal.note(`${opened.source === "artifact" ? "loaded" : "compiled"} in ${duration(opened.readyMs * 1e6)}`);
    const wanted = opened.source === "model" ? stillWanted(net.inputs, given) : given;
    const feeds = feedsOf(net, wanted, options, terminal);
    const start = performance.now();
    const results = net.runSync(feeds);
    const runMs = performance.now() - start;
    if (options.output) writeResults(options.output, results);
    const outputs = net.outputs.map((port) => summary(port, results[port.name]!));
    const top = options.image ? classesOf(net, results, options) : undefined;
    terminal.result(
      {
        outputs,
        ...(top ? { top } : {}),
        runMs,
        readyMs: opened.readyMs,
        ...(options.output ? { output: options.output } : {}),
      },
      () => (top ? top.map((c) => classLine(c)).join("\n") : outputs.map(summaryLine).join("\n")),
    );
    return 0;
  } finally {
    net.dispose();
  }
}

function feedsOf(net: Executable, given: GivenTensors, options: RunOptions, terminal: Terminal) {
  const tensors = new Map(given);
  if (options.image) {
    const port = net.inputs.find((p) => p.dims.length === 4) ?? net.inputs[0];
    if (port === undefined) throw new UsageError("usage/image", "the network has no input for an image");
    tensors.set(port.name, imageFor(options.image, port, options));
  }
  if (tensors.size === 0 && net.inputs.length > 0)
    terminal.note(`inputs: ${options.fill ?? "random"} values (seed ${options.seed ?? 0})`);
  return feedsFor(net.inputs, tensors, { fill: options.fill, seed: options.seed ?? 0 });
}

function writeResults(path: string, results: Readonly<Record<string, Tensor>>): void {
  const entries = Object.entries(results);
  if (path.endsWith(".npz")) {
    writeNpz(path, entries);
    return;
  }
  if (entries.length !== 1)
    throw new UsageError(
      "usage/output",
      `a .npy file holds one tensor, the network has ${entries.length} outputs: use .npz`,
    );
  writeNpy(path, entries[0]![1]);
}

/** What is said of an output without --image. */
interface Summary extends Port {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly first: readonly number[];
}
function summary(port: Port, tensor: Tensor): Summary {
  const values = numbersOf(tensor);
  let [min, max, sum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const v of values) {
    // NaN is neither below nor above, and must be seen.
    if (!(v >= min)) min = v;
    if (!(v <= max)) max = v;
    sum += v;
  }
  return { ...port, min, max, mean: sum / values.length, first: Array.from(values.subarray(0, shownValues)) };
}
function summaryLine(s: Summary): string {
  const shape = `${s.name}: ${s.type}[${s.dims.join(", ")}]`;
  if (s.dims.includes(0)) return `${shape} (empty)`;
  const more = s.dims.reduce((a, b) => a * b, 1) > s.first.length ? ", …" : "";
  return `${shape}  min ${digits(s.min)}  max ${digits(s.max)}  mean ${digits(s.mean)}  [${s.first.map(digits).join(", ")}${more}]`;
}
/** Elements as numbers. */
export function numbersOf(t: Tensor): Float64Array {
  const data = t.data as ArrayLike<number | bigint>;
  if (t.type === "float16") return Float64Array.from(data, (v) => decodeFloat16(Number(v)));
  if (t.type === "bfloat16") return Float64Array.from(data, (v) => decodeBfloat16(Number(v)));
  return Float64Array.from(data, Number);
}

function classesOf(net: Executable, results: Readonly<Record<string, Tensor>>, options: RunOptions) {
  const labels = options.labels ? readLabels(options.labels) : undefined;
  return topClasses(results[net.outputs[0]!.name]!, options.top ?? 5, labels);
}
const classLine = (c: { index: number; probability: number; label?: string }): string =>
  `${(100 * c.probability).toFixed(1).padStart(5)} %  ${String(c.index).padStart(4)}${c.label === undefined ? "" : `  ${c.label}`}`;
