/** Reductions over some axes of a value, and what is fused before and after them, in the layout of the value. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Group, Node } from "../../ir/graph/graph.ts";
import { isPlain, type Layout, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { alignedReadings } from "./aligned-readings.ts";
import {
  type Candidate,
  type CandidateContext,
  distinctLayouts,
  noWishes,
  plainReadings,
  type Reading,
} from "./layout-candidate.ts";
import { layoutBytes, streamCycles } from "./layout-costs.ts";

/** Where lanes are results, each step adds to memory instead of a register. */
const lanesAreResultsSlower = 1.5;

/** The ways to compute a reduction; none for other groups, and where its axes are not known. */
export function reductionCandidates(c: CandidateContext, g: Group): Candidate[] {
  const { graph, machine } = c;
  const axes = reducedAxes(graph, g.anchor);
  if (!axes || g.outputs.length !== 1 || g.inputs.some((v) => isComputed(graph, v) && !isFloat(graph, v))) return [];
  const dims = staticDims(graph, g.anchor.inputs[0]!);
  const whole = g.inputs.filter((v) => isComputed(graph, v) && staticDims(graph, v).join() === dims.join());
  const cycles = (layout: Layout) =>
    streamCycles(machine, whole.length * layoutBytes({ dtype: "float32", dims }, layout));
  const layouts = distinctLayouts(whole.flatMap(c.offered)).filter(
    (l) => !isPlain(l) && !axes.includes(l.dims.at(-1)!.axis),
  );
  return [
    ...layouts.map((layout) => inLayout(c, g, layout, { axes, cycles: lanesAreResultsSlower * cycles(layout) })),
    { ...noWishes, readings: plainReadings(graph, g), cycles: cycles(plainLayout(dims.length)) },
  ];
}
const isComputed = (graph: Graph, v: ValueId): boolean => valueOf(graph, v).constant === undefined;
const isFloat = (graph: Graph, v: ValueId): boolean => valueOf(graph, v).type!.dtype === "float32";

/** The axes of a reduction where they are known; absent for other nodes. */
function reducedAxes(graph: Graph, n: Node): readonly number[] | undefined {
  if (!n.op.startsWith("Reduce") || n.domain !== "" || n.inputs[0] === undefined) return undefined;
  const attribute = n.attributes.get("axes");
  const input = n.inputs[1] === undefined ? undefined : valueOf(graph, n.inputs[1]).constant;
  const given = attribute?.kind === "ints" ? attribute.value : input ? Array.from(input.data, Number) : undefined;
  const dims = staticDims(graph, n.inputs[0]);
  const axes = given?.map((a) => (Number(a) + dims.length) % dims.length) ?? [];
  // Which of the two counts depends on the version of the operator; its shape tells.
  const kept = dims.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  const left = dims.filter((_, axis) => !axes.includes(axis));
  const result = staticDims(graph, n.outputs[0]!).join();
  return axes.length > 0 && (result === kept.join() || result === left.join()) ? axes : undefined;
}

function inLayout(
  c: CandidateContext,
  g: Group,
  layout: Layout,
  { axes, cycles }: { readonly axes: readonly number[]; readonly cycles: number },
): Candidate {
  const { graph } = c;
  const output = g.outputs[0]!;
  const [from, to] = [staticDims(graph, g.anchor.inputs[0]!), staticDims(graph, output)];
  const reduced = from.length === to.length ? layout : withoutAxes(layout, axes);
  const before = g.nodes.slice(0, g.nodes.indexOf(g.anchor));
  const inner = new Map(before.flatMap((n) => n.outputs.map((v) => [v!, layout] as const)));
  const readings = new Map<ValueId, readonly Reading[]>();
  for (const v of g.inputs) {
    if (g.anchor.inputs.slice(1).includes(v)) continue;
    const early = g.anchor.inputs[0] === v || before.some((n) => n.inputs.includes(v));
    const aligned = alignedReadings(c, v, early ? from : to, early ? layout : reduced);
    // Only in its own layout: the recipe for reductions does not cut loops into the blocks of an operand.
    if (aligned) readings.set(v, aligned.slice(0, 1));
  }
  return { ...noWishes, output: reduced, inner, readings, cycles };
}
/** The layout of what is left when axes are gone. */
function withoutAxes(layout: Layout, axes: readonly number[]): Layout {
  const kept = Array.from({ length: layout.rank }, (_, axis) => axis).filter((axis) => !axes.includes(axis));
  const dims = layout.dims.flatMap((d) => (axes.includes(d.axis) ? [] : [{ ...d, axis: kept.indexOf(d.axis) }]));
  return { name: `${layout.name} reduced`, rank: kept.length, dims };
}
