/** Compiles a random graph one way, runs it several times, and compares with the reference. */
import type { Graph } from "../../../ir/graph/graph.ts";
import { defaultSchedule } from "../../../passes/schedule/library/index.ts";
import type { Refusal } from "../../../passes/schedule/library/recipe.ts";
import { writeOnnx } from "../../../src/onnx/write.ts";
import { buildGroupProgram } from "../../../src/operators/build-program.ts";
import { type CompileOptions, compile, kernelContext, prepareGraph } from "../../../src/runtime/compile.ts";
import { difference, type Results, reference } from "./oracle.ts";

/** Ways of compiling, besides the default one. */
export const configurations: readonly (CompileOptions & { readonly label: string })[] = [
  { label: "host", target: "host", threads: 1 },
  { label: "host, 2 threads", target: "host", threads: 2 },
  { label: "x86-64-v3", target: "x86-64-v3", threads: 1 },
  { label: "strict", target: "host", threads: 1, math: "strict" },
  { label: "x86-64-v3, 2 threads", target: "x86-64-v3", threads: 2 },
  { label: "unscheduled", target: "host", threads: 1, schedule: "none" },
  { label: "x86-64-v2", target: "x86-64-v2", threads: 1 },
  { label: "host-avx512f", target: "host-avx512f", threads: 1 },
  { label: "x86-64-v4, strict, 3 threads", target: "x86-64-v4", threads: 3, math: "strict" },
  { label: "fast", target: "host", threads: 1, math: "fast" },
];

/** What came of one check. */
export interface Outcome {
  readonly by: string;
  readonly failure?: string;
  /** Why the reference is not ONNX Runtime. */
  readonly refusal?: string;
}
const tolerance = 2e-4;

/** Compiles as `options` say, runs both feeds in turn, and compares with the reference and between runs. */
export async function check(graph: Graph, feeds: readonly Results[], options: CompileOptions): Promise<Outcome> {
  const expected = await reference(graph, feeds);
  if (!expected) return { by: "nobody" };
  const net = await compile(writeOnnx(graph), { cache: false, ...options });
  try {
    const [a, b] = feeds as [Results, Results];
    const first = net.runSync(a);
    const kept = structuredClone(plain(first));
    const second = net.runSync(b);
    const again = net.runSync(a);
    const [ea, eb] = expected.results as [Results, Results];
    const failure =
      difference(plain(first), ea, tolerance) ??
      prefixed("second feed: ", difference(plain(second), eb, tolerance)) ??
      prefixed("the first run again: ", difference(plain(again), kept, 0)) ??
      prefixed("the first results after other runs: ", difference(plain(first), kept, 0));
    const { by, refusal } = expected;
    return { by, ...(failure ? { failure } : {}), ...(refusal ? { refusal } : {}) };
  } finally {
    net.dispose();
  }
}
const prefixed = (prefix: string, text: string | undefined): string | undefined => text && prefix + text;
const plain = (r: Readonly<Record<string, { type: string; dims: readonly number[]; data: unknown }>>): Results =>
  Object.fromEntries(Object.entries(r).map(([k, t]) => [k, { type: t.type, dims: t.dims, data: t.data }])) as Results;

/** Every refusal of a recipe while the graph's groups are scheduled: kind of group, recipe, reason. */
export function refusals(graph: Graph, options: CompileOptions): { groups: number; refused: string[] } {
  const context = kernelContext({ ...options, cache: false });
  const { fused, steps } = prepareGraph(graph, context, options);
  const refused = steps.flatMap((g) => {
    const { program } = buildGroupProgram(fused.graph, g, { name: "k", math: context.math });
    const found: string[] = [];
    const onRefusal = ({ recipe, reason }: Refusal): void => {
      found.push(`${recipe}(${g.anchor.op}): ${reason}`);
    };
    defaultSchedule(program, { machine: context.machine, threads: context.threads, onRefusal });
    return found;
  });
  return { groups: steps.length, refused };
}
