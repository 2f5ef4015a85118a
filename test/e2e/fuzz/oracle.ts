/** Reference results: ONNX Runtime where it is installed and takes the model, else the interpreter. */
import { createRequire } from "node:module";
import type { Graph } from "../../../ir/graph/graph.ts";
import { elementCount, type TensorValue, type TypedArray } from "../../../ir/graph/tensor-value.ts";
import { writeOnnx } from "../../../src/onnx/write.ts";
import { inferGraph } from "../../../src/operators/infer.ts";
import { interpretGraph } from "../../../src/operators/interpret.ts";

export type Results = Readonly<Record<string, TensorValue>>;

interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}
interface Ort {
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(
      bytes: Uint8Array,
      options: object,
    ): Promise<{ run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>; release(): Promise<void> }>;
  };
}

let ort: Ort | undefined | null;
/** ONNX Runtime, installed for the benchmarks; undefined where it is not. */
export function onnxRuntime(): Ort | undefined {
  if (ort === undefined) {
    try {
      ort = createRequire(new URL("../../../bench/package.json", import.meta.url))("onnxruntime-node") as Ort;
    } catch {
      ort = null;
    }
  }
  return ort ?? undefined;
}

/** The results of every feed. `by` says who computed them; undefined when nobody takes the graph in reasonable time. */
export async function reference(
  graph: Graph,
  feeds: readonly Results[],
): Promise<{ by: string; results: Results[]; refusal?: string } | undefined> {
  const runtime = onnxRuntime();
  let refusal = "not installed";
  if (runtime) {
    try {
      return { by: "onnxruntime", results: await runOrt(runtime, graph, feeds) };
    } catch (error) {
      refusal = String(error).slice(0, 300);
    }
  }
  if (interpretedCost(graph) > 3_000_000) return undefined;
  const inferred = inferGraph(graph);
  return { by: "interpreter", results: feeds.map((f) => interpretGraph(inferred, f)), refusal };
}
async function runOrt(runtime: Ort, graph: Graph, feeds: readonly Results[]): Promise<Results[]> {
  const session = await runtime.InferenceSession.create(writeOnnx(graph), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    graphOptimizationLevel: "disabled",
    logSeverityLevel: 4,
  });
  try {
    const results: Results[] = [];
    for (const feed of feeds) {
      const inputs = Object.entries(feed).map(([k, v]) => [k, new runtime.Tensor(v.type, v.data, v.dims)] as const);
      const outputs = await session.run(Object.fromEntries(inputs));
      results.push(
        Object.fromEntries(
          Object.entries(outputs).map(([k, t]) => [
            k,
            { type: t.type, dims: [...t.dims], data: t.data as TypedArray } as TensorValue,
          ]),
        ),
      );
    }
    return results;
  } finally {
    await session.release();
  }
}
/** Roughly how many steps interpreting the graph takes. */
function interpretedCost(graph: Graph): number {
  let cost = 0;
  for (const n of graph.nodes) {
    const count = (id: (typeof n.outputs)[number]): number =>
      id === undefined ? 0 : elementCount(graph.values.get(id)!.type!.dims as readonly number[]);
    const out = count(n.outputs[0]);
    const weights = graph.values.get(n.inputs[1]!)?.type?.dims as readonly number[] | undefined;
    if (n.op === "Conv" || n.op === "ConvTranspose") cost += out * elementCount(weights!.slice(1));
    else if (n.op === "MatMul" || n.op === "Gemm") cost += out * Math.max(...weights!, 1);
    else cost += out + count(n.inputs[0]);
  }
  return cost;
}

/** What differs between results and what was expected, in words; undefined when they agree. */
export function difference(actual: Results, expected: Results, tolerance: number): string | undefined {
  for (const [name, e] of Object.entries(expected)) {
    const a = actual[name];
    if (!a) return `output ${name} is missing`;
    if (a.type !== e.type) return `output ${name} is ${a.type}, not ${e.type}`;
    if (a.dims.join() !== e.dims.join()) return `output ${name} has shape [${a.dims}], not [${e.dims}]`;
    const place = firstDifference(
      a.data as Float32Array,
      e.data as Float32Array,
      tolerance,
      e.type.startsWith("float"),
    );
    if (place !== undefined)
      return `output ${name} [${e.dims}] ${e.type}: ${place.count} elements differ, first at ${place.at}: ${a.data[place.at]}, not ${e.data[place.at]}; largest error ${place.error} of ${place.largest}`;
  }
  return undefined;
}
function firstDifference(a: Float32Array, e: Float32Array, tolerance: number, isFloat: boolean) {
  let largest = 0;
  for (const v of e) if (isFloat && Number.isFinite(v) && Math.abs(v) < 1e30) largest = Math.max(largest, Math.abs(v));
  let at: number | undefined;
  let count = 0;
  let error = 0;
  for (let i = 0; i < e.length; i++) {
    if (a[i] === e[i] || (Number.isNaN(a[i]) && Number.isNaN(e[i]))) continue;
    // The maximum of nothing: minus infinity here, the lowest finite number in ONNX Runtime.
    if (a[i] === Number.NEGATIVE_INFINITY && e[i]! < -3.4e38) continue;
    const d = isFloat ? Math.abs(a[i]! - e[i]!) : Number.POSITIVE_INFINITY;
    // What cancels to nothing leaves a rounding error of what was cancelled.
    if (
      d <= Math.max(tolerance * largest, tolerance > 0 ? 1e-6 : 0) ||
      (Number.isFinite(a[i]) && d <= tolerance * Math.abs(e[i]!))
    )
      continue;
    at ??= i;
    count++;
    error = Math.max(error, d);
  }
  return at === undefined ? undefined : { at, count, error, largest };
}
