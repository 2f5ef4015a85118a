/** `tilewright compile`: a model to a compiled file, a C library, or the text of a stage on the way. */
import { existsSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import type { FusedGraph, Graph, Group } from "../../../ir/graph/graph.ts";
import { UnavailableError, UnsupportedError, UsageError } from "../../../ir/support/errors.ts";
import { printGraph, printNode } from "../../../ir/text/print-graph.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { byteText } from "../../../ir/text/units.ts";
import { writeWhole } from "../../formats/write-file.ts";
import { encodeArtifact } from "../../runtime/artifact.ts";
import { type CompiledNetwork, compileNetwork, kernelContext, prepareGraph } from "../../runtime/compile.ts";
import { kernelSymbol, lowerGroup, nativeOptions } from "../../runtime/kernels.ts";
import { buildLibrary, libraryHeader, libraryName } from "../../runtime/library.ts";
import { withTemporaryFolder } from "../interrupt.ts";
import { compileOptions, loadModel, type ModelOptions } from "../model.ts";
import { compileProgress } from "../progress.ts";
import { duration } from "../table.ts";
import type { CommonOptions, Terminal } from "../terminal.ts";
import { packageVersion } from "../version.ts";
import type { Emission } from "./compile-options.ts";

/** Options of `compile`. */
export interface CompileVerbOptions extends CommonOptions, ModelOptions {
  readonly output?: string;
  readonly emit?: Emission;
  readonly kernel?: string;
  readonly name?: string;
  readonly records?: string;
}

const textStages = ["graph", "loops", "trace", "llvm", "asm"] as const;
type TextStage = (typeof textStages)[number];

/** Compiles a model and writes what `--emit` says; a .tw file without it. */
export async function compileVerb(model: string, options: CompileVerbOptions, terminal: Terminal): Promise<number> {
  checkOptions(options);
  const graph = await loadModel(model, options.shape);
  const stage = textStages.find((s) => s === options.emit);
  if (stage !== undefined) return emitText(graph, stage, options, terminal);
  if (options.emit === undefined && options.output === undefined)
    throw new UsageError("usage/output", "say where to with -o FILE.tw, or what to print with --emit");
  const start = performance.now();
  const network = await compileForFile(graph, options, terminal);
  const written = await writeNetwork(model, network, options, terminal);
  const elapsedMs = performance.now() - start;
  if (written.length === 0) return 0;
  const { target, threads } = network.context;
  terminal.result(
    { files: written, target: target.name, threads, kernels: network.steps.length, elapsedMs },
    () =>
      `${written.map((f) => `${f.path} (${byteText(f.bytes)})`).join(", ")}: ${network.steps.length} kernels for ${target.name}, ${threads} ${threads === 1 ? "thread" : "threads"}, in ${duration(elapsedMs * 1e6)}`,
  );
  return 0;
}

function checkOptions(options: CompileVerbOptions): void {
  if (options.emit === "ptx")
    throw new UnavailableError("emit/ptx", "GPU kernels are not available yet, so there is no PTX to emit");
  if (options.records !== undefined) {
    if (!existsSync(options.records))
      throw new UsageError("usage/records", `there is no records file ${options.records}`);
    throw new UnsupportedError("records/not-yet", "records come with tuning, which is not available yet");
  }
  const isFile = options.emit === "object" || options.emit === "shared";
  if (isFile && options.output === undefined)
    throw new UsageError("usage/output", `--emit ${options.emit} needs -o FILE`);
  if (options.kernel !== undefined && !textStages.some((s) => s === options.emit))
    throw new UsageError("usage/kernel", `--kernel goes with --emit ${textStages.join(", ")}`);
}

async function compileForFile(graph: Graph, options: CompileVerbOptions, terminal: Terminal): Promise<CompiledNetwork> {
  const { onProgress, end } = compileProgress(terminal);
  try {
    const isArtifact = options.emit === undefined;
    return await compileNetwork(graph, { ...compileOptions(options), profile: isArtifact, onProgress });
  } finally {
    end();
  }
}

interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
}

/** Writes a .tw file, a header, or a library with its header. Gives nothing when the text went to stdout. */
async function writeNetwork(
  model: string,
  network: CompiledNetwork,
  options: CompileVerbOptions,
  terminal: Terminal,
): Promise<WrittenFile[]> {
  const { emit, output } = options;
  const name = libraryName(options.name ?? basename(output ?? model, extname(output ?? model)).replace(/^lib/, ""));
  const put = (path: string, bytes: Uint8Array): WrittenFile => {
    writeWhole(path, bytes);
    return { path, bytes: bytes.length };
  };
  if (emit === undefined) return [put(output!, artifactOf(name, network))];
  const header = Buffer.from(libraryHeader(network, name));
  if (emit === "header") {
    if (output !== undefined) return [put(output, header)];
    terminal.result({ emit, text: header.toString() }, () => header.toString());
    return [];
  }
  const library = await withTemporaryFolder((folder) =>
    buildLibrary(network, name, emit === "shared" ? "shared" : "object", folder),
  );
  const files = [put(output!, library), put(join(dirname(output!), `${name}.h`), header)];
  terminal.note(
    emit === "object"
      ? `link with: cc main.c ${output} -lm -pthread`
      : `link with: cc main.c ${output} (and -Wl,-rpath or LD_LIBRARY_PATH)`,
  );
  return files;
}

function artifactOf(name: string, { parts, context }: CompiledNetwork): Uint8Array {
  const compiler = `tilewright ${packageVersion()}, LLVM ${context.compilerVersion}`;
  return encodeArtifact(parts, { name, target: context.target, compiler });
}

/** One kernel's text. */
interface KernelText {
  readonly symbol: string;
  readonly operators: string;
  readonly text: string;
}

async function emitText(
  graph: Graph,
  stage: TextStage,
  options: CompileVerbOptions,
  terminal: Terminal,
): Promise<number> {
  const compiling = compileOptions(options);
  const context = kernelContext(compiling);
  const { fused, steps } = prepareGraph(graph, context, compiling);
  const named = steps.map((group) => ({ group, symbol: kernelSymbol(fused.graph, group, context) }));
  const chosen = named.filter(({ group, symbol }) => isChosen(group, symbol, options.kernel));
  if (chosen.length === 0)
    throw new UsageError(
      "usage/kernel",
      `no kernel's symbol or operators contain ${JSON.stringify(options.kernel)}; there are ${[...new Set(steps.map(operatorsOf))].join(", ")}`,
    );
  const kernels: KernelText[] = [];
  const done = new Set<string>();
  for (const { group, symbol } of chosen) {
    // Equal groups share a kernel; the graph shows every one.
    if (stage !== "graph" && done.has(symbol)) continue;
    done.add(symbol);
    kernels.push({ symbol, operators: operatorsOf(group), text: await textOf(stage, fused, group, context, symbol) });
  }
  const comment = { graph: "", loops: "#", trace: "//", llvm: ";", asm: "#" }[stage];
  const head = stage === "graph" && options.kernel === undefined ? `${headOf(fused)}\n` : "";
  const text = `${head}${kernels.map((k) => `${comment} ${k.symbol}: ${k.operators}`.trimStart() + `\n${k.text}`).join("\n")}`;
  if (options.output !== undefined) {
    writeWhole(options.output, Buffer.from(text));
    terminal.result({ files: [{ path: options.output, bytes: Buffer.byteLength(text) }] }, () => options.output!);
  } else terminal.result({ emit: stage, target: context.target.name, kernels }, () => text);
  return 0;
}

const operatorsOf = (g: Group): string => g.nodes.map((n) => n.op).join("+");
const isChosen = (g: Group, symbol: string, wanted: string | undefined): boolean =>
  wanted === undefined || symbol.includes(wanted) || operatorsOf(g).includes(wanted);

/** The graph's line and its constants. */
const headOf = (fused: FusedGraph): string => printGraph({ ...fused.graph, nodes: [] }).trimEnd();

async function textOf(
  stage: TextStage,
  fused: FusedGraph,
  group: Group,
  context: ReturnType<typeof kernelContext>,
  symbol: string,
): Promise<string> {
  if (stage === "graph") return group.nodes.map((n) => `  ${printNode(fused.graph, n)}\n`).join("");
  const lowered = lowerGroup(fused.graph, group, context, symbol);
  if (stage === "loops") return printProgram(lowered.schedule?.program ?? lowered.program);
  if (stage === "trace") return `${lowered.schedule?.trace.toSource() ?? ""}\n`;
  if (stage === "llvm") return lowered.text;
  const options = { ...nativeOptions(context.target), emit: "assembly" as const };
  return Buffer.from(await context.pool.compile({ irText: lowered.text, options })).toString();
}
