/** `tilewright inspect`: what a model is, and whether it can be compiled. */
import { valueOf } from "../../../ir/graph/build.ts";
import type { Graph, Value } from "../../../ir/graph/graph.ts";
import { elementCount } from "../../../ir/graph/tensor-value.ts";
import { InputError, UnsupportedError } from "../../../ir/support/errors.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { printNode, tensorTypeText } from "../../../ir/text/print-graph.ts";
import { loadOnnx } from "../../onnx/load.ts";
import { inferGraph } from "../../operators/infer.ts";
import { nodeMacs } from "../../runtime/work.ts";
import { isArtifactFile, loadModel } from "../model.ts";
import { countText, table } from "../table.ts";
import type { CommonOptions, Terminal } from "../terminal.ts";

/** Options of `inspect`. */
export interface InspectOptions extends CommonOptions {
  readonly check?: boolean;
  readonly shape?: Readonly<Record<string, readonly number[]>>;
}

/** What inspection finds. */
interface Facts {
  readonly name: string;
  readonly producer: string | undefined;
  readonly opset: number | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly inputs: readonly PortFacts[];
  readonly outputs: readonly PortFacts[];
  readonly operators: Readonly<Record<string, number>>;
  readonly parameters: number;
  readonly parameterBytes: number;
  /** Multiply-adds of one run; absent where shapes are not known. */
  readonly macs: number | undefined;
  readonly nodes: number;
  /** Why the model cannot be compiled as asked; absent when it can. */
  readonly problem?: { readonly code: string; readonly message: string; readonly items: UnsupportedError["items"] };
}
interface PortFacts {
  readonly name: string;
  readonly type: string;
}

/** Prints a model's facts. @throws UnsupportedError with `check`, listing every unsupported node */
export async function inspect(file: string, options: InspectOptions, terminal: Terminal): Promise<number> {
  if (isArtifactFile(file)) await loadModel(file);
  const graph = await loadOnnx(file, { shapes: options.shape });
  const { typed, error } = typedGraph(graph, options);
  if (error && options.check) {
    if (terminal.json) terminal.result(factsOf(graph, undefined, error), () => "");
    throw error;
  }
  const facts = factsOf(graph, typed, error);
  const listed = typed ?? graph;
  const nodes = terminal.verbose ? listed.nodes.map((n) => printNode(listed, n)) : [];
  terminal.result(terminal.verbose ? { ...facts, nodeList: nodes } : facts, () =>
    [factsText(facts, terminal), ...(nodes.length > 0 ? ["", ...nodes] : [])].join("\n"),
  );
  if (options.check) terminal.note(terminal.colors.green("every operator is supported"));
  return 0;
}

function typedGraph(graph: Graph, options: InspectOptions): { typed?: Graph; error?: InputError | UnsupportedError } {
  try {
    return { typed: inferGraph(graph, options.shape) };
  } catch (error) {
    if (error instanceof InputError || error instanceof UnsupportedError) return { error };
    throw error;
  }
}

function factsOf(graph: Graph, typed: Graph | undefined, error: InputError | UnsupportedError | undefined): Facts {
  const shown = typed ?? graph;
  const port = (id: ValueId): PortFacts => ({ name: valueOf(graph, id).name, type: typeText(shown.values.get(id)) });
  const operators = new Map<string, number>();
  for (const n of graph.nodes) {
    const op = n.domain === "" ? n.op : `${n.domain}.${n.op}`;
    operators.set(op, (operators.get(op) ?? 0) + 1);
  }
  const used = new Set(graph.nodes.flatMap((n) => n.inputs));
  const constants = [...graph.values.values()].filter((v) => v.constant && used.has(v.id)).map((v) => v.constant!);
  return {
    name: graph.name,
    producer:
      [graph.metadata.get("producer_name"), graph.metadata.get("producer_version")].filter(Boolean).join(" ") ||
      undefined,
    opset: graph.nodes.find((n) => n.domain === "")?.opset,
    metadata: Object.fromEntries(graph.metadata),
    inputs: graph.inputs.map(port),
    outputs: graph.outputs.map(port),
    operators: Object.fromEntries([...operators].sort((a, b) => b[1] - a[1])),
    parameters: constants.reduce((sum, c) => sum + elementCount(c.dims), 0),
    parameterBytes: constants.reduce((sum, c) => sum + c.data.byteLength, 0),
    macs: typed?.nodes.reduce((sum, n) => sum + nodeMacs(typed, n), 0),
    nodes: graph.nodes.length,
    ...(error ? { problem: { code: error.code, message: error.message, items: itemsOf(error) } } : {}),
  };
}
const typeText = (v: Value | undefined): string => tensorTypeText(v?.type);
const itemsOf = (error: Error): UnsupportedError["items"] => (error instanceof UnsupportedError ? error.items : []);

function factsText(f: Facts, { colors }: Terminal): string {
  const rows = [
    ["name", f.name || "(none)"],
    ["producer", f.producer ?? "(none)"],
    ["opset", f.opset === undefined ? "(no standard operators)" : String(f.opset)],
    ["nodes", String(f.nodes)],
    ["parameters", `${countText(f.parameters)} (${(f.parameterBytes / 2 ** 20).toFixed(1)} MiB)`],
    ["multiply-adds", f.macs === undefined ? "unknown" : countText(f.macs)],
    ...f.inputs.map((p) => ["input", `${p.name}: ${p.type}`]),
    ...f.outputs.map((p) => ["output", `${p.name}: ${p.type}`]),
  ];
  const width = Math.max(...rows.map((r) => r[0]!.length));
  const operators = Object.entries(f.operators).map(([op, n]) => [op, String(n)]);
  return [
    ...rows.map(([k, v]) => `${colors.dim(k!.padEnd(width))}  ${v}`),
    "",
    table([{ title: "operator" }, { title: "count", right: true }], operators, colors),
    ...(f.problem ? ["", colors.yellow(f.problem.message)] : []),
  ].join("\n");
}
