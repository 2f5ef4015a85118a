/** Makes a failing graph smaller: fewer outputs, then inner values as outputs, as long as it fails. */
import { valueOf } from "../../../ir/graph/build.ts";
import type { Graph } from "../../../ir/graph/graph.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { dropDead } from "../../../passes/graph/rewriting.ts";

/** A graph whose single output is the earliest one that still fails; then with inner values turned into inputs. */
export async function shrink(graph: Graph, fails: (g: Graph) => Promise<boolean>): Promise<Graph> {
  let smallest = graph;
  for (const o of graph.outputs) {
    const candidate = withOutputs(graph, [o]);
    if (await fails(candidate)) {
      smallest = candidate;
      break;
    }
  }
  for (const n of [...smallest.nodes]) {
    const o = n.outputs[0]!;
    if (smallest.outputs.includes(o)) continue;
    const candidate = withOutputs(smallest, [o]);
    if (candidate.nodes.length < smallest.nodes.length && (await fails(candidate))) {
      smallest = candidate;
      break;
    }
  }
  for (const n of [...smallest.nodes].reverse()) {
    if (!smallest.nodes.includes(n) || n.outputs.length !== 1) continue;
    const candidate = cutAt(smallest, n.outputs[0]!);
    if (candidate && (await fails(candidate))) smallest = candidate;
  }
  return smallest;
}
function withOutputs(graph: Graph, outputs: readonly ValueId[]): Graph {
  return dropDead({ ...graph, outputs });
}
/** The graph with an inner value as an input. */
function cutAt(graph: Graph, v: ValueId): Graph | undefined {
  if (graph.outputs.includes(v)) return undefined;
  const nodes = graph.nodes.filter((n) => !n.outputs.includes(v));
  return dropDead({ ...graph, nodes, inputs: [...graph.inputs, v] });
}

/** The graph in lines: inputs, nodes with attributes and shapes, outputs. */
export function describeGraph(graph: Graph): string {
  const value = (id: ValueId | undefined): string => {
    if (id === undefined) return "-";
    const v = valueOf(graph, id);
    const small = v.constant && v.constant.data.length <= 8 ? `=${[...v.constant.data].join(",")}` : "";
    return `${v.name}:${v.type?.dtype}[${v.type?.dims.join()}]${v.constant ? `const${small}` : ""}`;
  };
  const lines = graph.nodes.map((n) => {
    const attributes = [...n.attributes].map(([k, a]) => `${k}=${"value" in a ? a.value : a.kind}`).join(" ");
    return `  ${n.outputs.map(value).join(", ")} = ${n.op}.${n.opset}(${n.inputs.map(value).join(", ")}) ${attributes}`;
  });
  return [
    `inputs ${graph.inputs.map(value).join(", ")}`,
    ...lines,
    `outputs ${graph.outputs.map(value).join(", ")}`,
  ].join("\n");
}
