/** `tilewright bench`: latency, kernels beside the machine's peak, and ONNX Runtime in turn. */

import { basename, dirname, extname, join } from "node:path";
import { UsageError } from "../../../ir/support/errors.ts";
import { digits } from "../../../ir/text/units.ts";
import { measureMachine, peakGflops } from "../../../native/measure.ts";
import { writeWhole } from "../../formats/write-file.ts";
import type { Executable } from "../../runtime/executable.ts";
import type { Tensor } from "../../tensor.ts";
import { difference } from "../compare.ts";
import { exitCodes } from "../errors.ts";
import { type Fill, feedsFor, readInputs, stillWanted, tellCompiler } from "../feeds.ts";
import { kernelRows, kernelTable } from "../kernel-table.ts";
import { isArtifactFile, type ModelOptions, type OpenedForProfile, openForProfile, openNetwork } from "../model.ts";
import type { InputFile } from "../options.ts";
import { openPeer, type PeerNetwork } from "../peers.ts";
import { chromeTrace } from "../profile/chrome-trace.ts";
import { explanationText } from "../profile/explain.ts";
import type { NetworkProfile } from "../profile/network-profile.ts";
import { profileNetwork } from "../profile/profile.ts";
import { type ReportFacts, reportPage } from "../profile/report-page.ts";
import { duration, spread } from "../table.ts";
import type { CommonOptions, Terminal } from "../terminal.ts";

/** Options of `bench`. */
export interface BenchOptions extends CommonOptions, ModelOptions {
  readonly against?: "onnxruntime";
  /** Where to, without `.json` or `.html`; true for beside the model. */
  readonly profile?: string | true;
  readonly explain?: boolean;
  readonly repeats: number;
  readonly input?: readonly InputFile[];
  readonly fill?: Fill;
}

type Feeds = Readonly<Record<string, Tensor>>;

/** Outputs of two compilers may differ by this much of the largest element before a comparison of times means nothing. */
const comparableRtol = 1e-3;
/** Blocks that the two take turns in. */
const turns = 10;

/** Measures a network and prints its kernels and latency. Gives 5 where a peer's outputs differ. */
export async function bench(file: string, options: BenchOptions, terminal: Terminal): Promise<number> {
  if (options.against && isArtifactFile(file))
    throw new UsageError("usage/against", "--against needs the ONNX model; a compiled file has only our code");
  const given = readInputs(options.input ?? []);
  const told = isArtifactFile(file) ? options : tellCompiler(options, given);
  const isProfiled = options.profile !== undefined || options.explain === true;
  const opened = isProfiled
    ? await openForProfile(file, { ...told, profile: true }, terminal)
    : await openNetwork(file, { ...told, profile: true }, terminal);
  const { net, source } = opened;
  const profiler = "parts" in opened ? opened : undefined;
  try {
    const wanted = source === "model" ? stillWanted(net.inputs, given) : given;
    const feeds = feedsFor(net.inputs, wanted, { fill: options.fill, seed: options.seed ?? 0 });
    const peer = options.against ? await openPeer(file, net.threads) : undefined;
    try {
      const fed = { ours: feeds, theirs: { ...feeds, ...told.values } };
      return await measure(file, { net, profiler }, { fed, peer }, options, terminal);
    } finally {
      await peer?.release();
    }
  } finally {
    net.dispose();
  }
}

async function measure(
  file: string,
  { net, profiler }: { readonly net: Executable; readonly profiler: OpenedForProfile | undefined },
  { fed, peer }: { readonly fed: { readonly ours: Feeds; readonly theirs: Feeds }; readonly peer?: PeerNetwork },
  options: BenchOptions,
  terminal: Terminal,
): Promise<number> {
  const { repeats } = options;
  const rivalry = peer ? await takeTurns(net, peer, fed, repeats) : undefined;
  if (rivalry && !rivalry.equal) {
    terminal.result({ file, threads: net.threads, against: rivalry }, () => "");
    process.stderr.write(
      `${terminal.errorColors.red("the outputs differ")} from ONNX Runtime's by ${digits(rivalry.maxRel)} of the largest, so times mean nothing (tilewright verify ${file} --against onnxruntime)\n`,
    );
    return exitCodes.mismatch;
  }
  const latencyNs = spread(net.time(fed.ours, { warmup: 3, repeats, maxTimeMs: 30_000 }));
  if (profiler) terminal.note("measuring the machine, counting instructions");
  const profile = profiler ? await profileNetwork(profiler, fed.ours, repeats) : undefined;
  const peak = profile?.peakGflops ?? peakGflops(measureMachine({ threads: net.threads }), net.threads);
  const kernels = profile?.kernels ?? kernelRows(net.steps, net.profile(fed.ours, Math.min(repeats, 50)), peak);
  const files =
    profile && options.profile !== undefined ? writeProfile(profile, { file, latencyNs }, options.profile) : undefined;
  const flops = net.steps.reduce((sum, s) => sum + s.flops, 0);
  const gflops = flops / latencyNs.median;
  const document = {
    file,
    threads: net.threads,
    latencyNs,
    gflops,
    peakGflops: peak,
    ofPeak: gflops / peak,
    kernels,
    ...(profile ? { machine: { ...profile.machine, ...profile.model }, missing: profile.missing } : {}),
    ...(rivalry ? { against: rivalry } : {}),
    ...(files ? { profile: files } : {}),
  };
  terminal.result(document, () =>
    [
      kernelTable(kernels, terminal),
      "",
      ...(profile && options.explain ? [explanationText(profile, terminal), ""] : []),
      `latency   ${duration(latencyNs.median)} (${duration(latencyNs.p10)} to ${duration(latencyNs.p90)}, ${repeats} runs, ${threadText(net.threads)})`,
      `rate      ${digits(gflops)} GFLOP/s, ${digits((100 * gflops) / peak)} % of the measured peak of ${digits(peak)}`,
      ...(rivalry ? [rivalryText(rivalry)] : []),
      ...(files ? [`profile   ${files.report}, ${files.trace} (ui.perfetto.dev, chrome://tracing)`] : []),
    ].join("\n"),
  );
  return exitCodes.ok;
}

/** Writes the trace and the page. */
function writeProfile(profile: NetworkProfile, facts: ReportFacts, to: string | true) {
  const beside = join(dirname(facts.file), `${basename(facts.file, extname(facts.file))}.profile`);
  const stem = to === true ? beside : to.replace(/\.(json|html)$/, "");
  const files = { trace: `${stem}.json`, report: `${stem}.html` };
  writeWhole(files.trace, Buffer.from(chromeTrace(profile)));
  writeWhole(files.report, Buffer.from(reportPage(profile, facts)));
  return files;
}

const threadText = (threads: number): string => `${threads} ${threads === 1 ? "thread" : "threads"}`;

/** How ONNX Runtime did, in the same process and in turn. */
interface Rivalry {
  readonly peer: string;
  readonly equal: boolean;
  readonly maxRel: number;
  /** Nanoseconds from JavaScript, calls included, for both alike; absent where outputs differ. */
  readonly oursNs?: ReturnType<typeof spread>;
  readonly theirsNs?: ReturnType<typeof spread>;
  /** Their median by ours: above 1 where we are faster. */
  readonly ratio?: number;
}

async function takeTurns(
  net: Executable,
  peer: PeerNetwork,
  fed: { ours: Feeds; theirs: Feeds },
  repeats: number,
): Promise<Rivalry> {
  const theirs = peer.prepare(fed.theirs);
  const [actual, reference] = [net.runSync(fed.ours), await theirs()];
  const gaps = net.outputs.map((p) => difference(p.name, actual[p.name]!, reference[p.name]!, comparableRtol));
  const maxRel = Math.max(0, ...gaps.map((g) => g.maxRel));
  const facts = { peer: `onnxruntime-node ${peer.version}`, equal: gaps.every((g) => g.within), maxRel };
  if (!facts.equal) return facts;
  const ours = () => net.run(fed.ours);
  const times = { ours: [] as number[], theirs: [] as number[] };
  const block = Math.max(1, Math.ceil(repeats / turns));
  for (let turn = 0; turn < turns; turn++) {
    times.ours.push(...(await timed(ours, block)));
    times.theirs.push(...(await timed(theirs, block)));
  }
  const [oursNs, theirsNs] = [spread(times.ours), spread(times.theirs)];
  return { ...facts, oursNs, theirsNs, ratio: theirsNs.median / oursNs.median };
}

/** Nanoseconds of single calls, after one that is not counted. */
async function timed(call: () => Promise<unknown>, count: number): Promise<number[]> {
  await call();
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = process.hrtime.bigint();
    await call();
    times.push(Number(process.hrtime.bigint() - start));
  }
  return times;
}

function rivalryText(r: Rivalry): string {
  const { oursNs, theirsNs } = r;
  return `against   ${r.peer}: ${duration(theirsNs!.median)} (${duration(theirsNs!.p10)} to ${duration(theirsNs!.p90)}); ours in turn ${duration(oursNs!.median)}; ratio ${digits(r.ratio!)} (outputs equal to ${digits(r.maxRel)})`;
}
