/** Well-formedness of operator graphs. */
import type { Graph } from "../graph/graph.ts";
import { elementCount } from "../graph/tensor-value.ts";
import { InternalError } from "../support/errors.ts";
import type { ValueId } from "../support/ids.ts";

/** One broken rule of a graph. */
export interface GraphIssue {
  readonly rule:
    | "known-values"
    | "single-definition"
    | "topological-order"
    | "outputs-defined"
    | "unique-names"
    | "constants-fit"
    | "next-id";
  readonly message: string;
  /** The name of the node or value. */
  readonly at: string;
}

/** What is ill-formed in `graph`; nothing when all rules hold. */
export function verifyGraph(graph: Graph): readonly GraphIssue[] {
  const issues: GraphIssue[] = [];
  const report = (rule: GraphIssue["rule"], at: string, message: string): void =>
    void issues.push({ rule, at, message });
  checkValues(graph, report);
  checkOrder(graph, report);
  return issues;
}
type Report = (rule: GraphIssue["rule"], at: string, message: string) => void;

function checkValues(graph: Graph, report: Report): void {
  const names = new Set<string>();
  for (const [id, v] of graph.values) {
    if (id !== v.id) report("known-values", v.name, `value ${v.name} is filed under id ${id}, but has id ${v.id}`);
    if (id >= graph.nextId) report("next-id", v.name, `value id ${id} is not below nextId ${graph.nextId}`);
    if (names.has(v.name)) report("unique-names", v.name, `two values are called ${v.name}`);
    names.add(v.name);
    const { constant, type } = v;
    if (!constant) continue;
    if (constant.data.length !== elementCount(constant.dims)) {
      report("constants-fit", v.name, `constant ${v.name} has ${constant.data.length} elements for [${constant.dims}]`);
    }
    const fits = type === undefined || (type.dtype === constant.type && String(type.dims) === String(constant.dims));
    if (!fits) report("constants-fit", v.name, `constant ${v.name} has another type than its value`);
  }
}
function checkOrder(graph: Graph, report: Report): void {
  const made = new Map<ValueId, string>();
  const makers = new Map<ValueId, string>();
  for (const n of graph.nodes) for (const o of n.outputs) if (o !== undefined) makers.set(o, n.name);
  const nameOf = (id: ValueId): string => graph.values.get(id)?.name ?? `#${id}`;
  const define = (id: ValueId, by: string): void => {
    if (!graph.values.has(id)) report("known-values", by, `${by} makes value ${id}, which the graph does not know`);
    const other = made.get(id);
    if (other !== undefined) report("single-definition", by, `${nameOf(id)} is made by ${other} and by ${by}`);
    made.set(id, by);
  };
  for (const id of graph.inputs) define(id, "graph inputs");
  for (const v of graph.values.values()) if (v.constant && !made.has(v.id)) made.set(v.id, "constants");
  for (const n of graph.nodes) {
    if (n.id >= graph.nextId) report("next-id", n.name, `node id ${n.id} is not below nextId ${graph.nextId}`);
    for (const i of n.inputs) {
      if (i === undefined || made.has(i)) continue;
      if (!graph.values.has(i))
        report("known-values", n.name, `${n.op} ${n.name} reads value ${i}, which the graph does not know`);
      else if (makers.has(i))
        report("topological-order", n.name, `${n.op} ${n.name} reads ${nameOf(i)} before it is made`);
      else report("single-definition", n.name, `${n.op} ${n.name} reads ${nameOf(i)}, which nothing makes`);
    }
    for (const o of n.outputs) if (o !== undefined) define(o, `${n.op} ${n.name}`);
  }
  for (const o of graph.outputs)
    if (!made.has(o)) report("outputs-defined", nameOf(o), `output ${nameOf(o)} is never made`);
}
/** @throws InternalError `verify/<rule>` when the graph is ill-formed */
export function assertGraphWellFormed(graph: Graph): void {
  const issues = verifyGraph(graph);
  const first = issues[0];
  if (!first) return;
  const text = issues.slice(0, 5).map((i) => `  [${i.rule}] ${i.message}`);
  throw new InternalError(`verify/${first.rule}`, [`ill-formed graph ${graph.name}`, ...text].join("\n"), { issues });
}
