/** Kernels that can run in the layout of what they read: element-wise ones, pools, resizes, concatenations, descriptions. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Group, Node } from "../../ir/graph/graph.ts";
import { channelBlocked, isPlain, type Layout, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { channelLanes, type Machine, withLanes } from "../schedule/library/plan.ts";
import { alignedReadings } from "./aligned-readings.ts";
import { concatAxis, keepsBlocks } from "./concat-lanes.ts";
import { convShapeOf } from "./contraction-shapes.ts";
import { nativeWeightLayout } from "./conv-candidates.ts";
import {
  blockLanes,
  type Candidate,
  type CandidateContext,
  distinctLayouts,
  freely,
  noWishes,
  plainReadings,
  type Reading,
} from "./layout-candidate.ts";
import { copyCycles, layoutBytes, streamCycles } from "./layout-costs.ts";
import { isDescription, viewLayout } from "./layout-views.ts";
import { type Cut, cutOf, keepsBlocksOf } from "./parts-in-place.ts";

/** Operators over feature maps whose output channel is their input channel. */
const channelwise: ReadonlySet<string> = new Set([
  "MaxPool",
  "AveragePool",
  "LpPool",
  "GlobalAveragePool",
  "GlobalMaxPool",
  "Resize",
  "Upsample",
  "BatchNormalization",
]);
/** How much slower these run where lanes are pixels. */
const planarPoolSlower = 6;

/** The ways to compute a group in layouts of its inputs; none where it can only be computed in plain ones. */
export function followingCandidates(c: CandidateContext, g: Group): Candidate[] {
  const { anchor } = g;
  const cut = g.nodes.length === 1 ? cutOf(c.graph, anchor) : undefined;
  if (cut) return sliceCandidates(c, g, cut);
  if (g.outputs.length !== 1) return [];
  if (g.nodes.length === 1 && anchor.op === "Concat" && anchor.domain === "") return concatCandidates(c, g);
  if (g.nodes.length === 1 && isDescription(anchor)) return descriptionCandidates(c, g);
  if (anchor.op === "SpaceToDepth" && anchor.domain === "") return spaceToDepthCandidates(c, g);
  if (channelwise.has(anchor.op) && anchor.domain === "") return channelCandidates(c, g);
  return isElementwise(c.graph, g) ? elementwiseCandidates(c, g) : [];
}

const elementwiseAnchors: ReadonlySet<string> = new Set([
  "Relu",
  "LeakyRelu",
  "Elu",
  "Selu",
  "Celu",
  "Sigmoid",
  "HardSigmoid",
  "HardSwish",
  "Tanh",
  "Clip",
  "Softplus",
  "Mish",
  "Gelu",
  "Swish",
  "Add",
  "Sub",
  "Mul",
  "Div",
  "Max",
  "Min",
  "Pow",
  "Sqrt",
  "Exp",
  "Neg",
  "Abs",
  "Erf",
  "PRelu",
  "Identity",
  "Sum",
  "Mean",
]);
/** Whether every element of the node's result is computed from those at its place (operands may be broadcast). */
export const isPointwise = (n: Node): boolean => n.domain === "" && elementwiseAnchors.has(n.op);

function isElementwise(graph: Graph, g: Group): boolean {
  return g.nodes.every(isPointwise) && g.inputs.every((v) => valueOf(graph, v).type!.dtype === "float32");
}
function elementwiseCandidates(c: CandidateContext, g: Group): Candidate[] {
  const { graph, machine } = c;
  const dims = staticDims(graph, g.outputs[0]!);
  const whole = g.inputs.filter((v) => isWhole(graph, v, dims));
  const widths = new Set(whole.flatMap((v) => c.offered(v).flatMap((l) => blockLanes(l) ?? [])));
  // Maps in blocks of different widths meet in what fits the channels.
  const meeting = widths.size > 1 ? [channelBlocked(4, channelLanes(machine, dims[1]!))] : [];
  const wished = wishesOfConvolutions(c, g.outputs[0]!);
  const layouts = distinctLayouts([...meeting, ...whole.flatMap(c.offered), ...wished, plainLayout(dims.length)]);
  return layouts.map((layout) => {
    const bytes = (whole.length + 1) * layoutBytes({ dtype: "float32", dims }, layout);
    return inLayout(c, g, layout, { cycles: streamCycles(machine, bytes) });
  });
}
/** The layouts in which the convolutions that read a value as a map or as weights want it. */
function wishesOfConvolutions({ graph, machine, readers }: CandidateContext, v: ValueId): Layout[] {
  const dims = staticDims(graph, v);
  if (dims.length !== 4) return [];
  const asMap = readers(v).some((n) => n.op.endsWith("Conv") && n.inputs[0] === v);
  const asWeights = readers(v).flatMap((n) => {
    const s = n.inputs[1] === v ? convShapeOf(graph, n) : undefined;
    return s?.group === 1 ? [nativeWeightLayout(s, machine)] : [];
  });
  return [...(asMap ? [channelBlocked(4, channelLanes(machine, dims[1]!))] : []), ...asWeights];
}
const isWhole = (graph: Graph, v: ValueId, dims: readonly number[]): boolean =>
  valueOf(graph, v).constant === undefined && staticDims(graph, v).join() === dims.join();

/** The group in one layout throughout; `skip` names operands that say something else than elements. */
function inLayout(
  c: CandidateContext,
  g: Group,
  layout: Layout,
  { cycles, skip = new Set() }: { readonly cycles: number; readonly skip?: ReadonlySet<ValueId> },
): Candidate {
  const dims = staticDims(c.graph, g.outputs[0]!);
  const readings = new Map<ValueId, readonly Reading[]>();
  for (const v of g.inputs) {
    const aligned = skip.has(v) ? undefined : alignedReadings(c, v, dims, layout);
    if (aligned) readings.set(v, aligned);
  }
  return { ...noWishes, output: layout, internal: layout, readings, cycles };
}

function channelCandidates(c: CandidateContext, g: Group): Candidate[] {
  const { graph, machine } = c;
  const { anchor } = g;
  const [x, ...others] = anchor.inputs as readonly [ValueId, ...ValueId[]];
  const [from, to] = [staticDims(graph, x), staticDims(graph, anchor.outputs[0]!)];
  const one = anchor.outputs.filter((o) => o !== undefined).length === 1;
  if (!one || from.length !== 4 || from[0] !== to[0] || from[1] !== to[1]) return [];
  const moved = (layout: Layout) =>
    layoutBytes({ dtype: "float32", dims: from }, layout) + layoutBytes({ dtype: "float32", dims: to }, layout);
  const blocked = c.offered(x).filter((l) => blockLanes(l) !== undefined);
  const candidates = blocked.map((layout) => {
    const cycles = streamCycles(machine, moved(layout));
    const candidate = inLayout(c, g, layout, { cycles, skip: new Set(others) });
    const readings = new Map(candidate.readings).set(x, [freely(layout)]);
    if (anchor.op === "BatchNormalization")
      for (const v of others) readings.set(v, [freely(perChannel(withLanes(machine, blockLanes(layout)!)))]);
    return { ...candidate, readings };
  });
  const plain = plainLayout(4);
  const cycles = planarPoolSlower * streamCycles(machine, moved(plain));
  return blocked.length > 0 ? [...candidates, { ...noWishes, readings: plainReadings(graph, g), cycles }] : [];
}
/** Reads a plain map, and may write it as the convolutions that read it wish. */
function spaceToDepthCandidates(c: CandidateContext, g: Group): Candidate[] {
  const out = g.outputs[0]!;
  const t = { dtype: "float32", dims: staticDims(c.graph, out) } as const;
  if (valueOf(c.graph, out).type!.dtype !== "float32") return [];
  const plain = plainLayout(4);
  return distinctLayouts([...wishesOfConvolutions(c, out), plain]).map((layout) => ({
    ...noWishes,
    output: layout,
    readings: plainReadings(c.graph, g),
    cycles: copyCycles(c.machine, t, plain, layout),
  }));
}
/** A vector of one element a channel, in blocks. */
const perChannel = ({ lanes }: Machine): Layout => ({
  name: `channels${lanes}`,
  rank: 1,
  dims: [
    { axis: 0, divisor: lanes },
    { axis: 0, divisor: 1, modulus: lanes },
  ],
});

function concatCandidates(c: CandidateContext, g: Group): Candidate[] {
  const { graph, machine } = c;
  const whole = g.outputs[0]!;
  const dims = staticDims(graph, whole);
  const { dtype } = valueOf(graph, whole).type!;
  const fitting = distinctLayouts([...g.inputs.flatMap(c.offered), plainLayout(dims.length)]).filter((l) =>
    keepsBlocks(graph, g.anchor, l),
  );
  return fitting.map((layout) => {
    const copied = areRanges(dims, concatAxis(graph, g.anchor), layout)
      ? 0
      : copyCycles(machine, { dtype, dims }, layout, layout);
    const readings = new Map(g.inputs.map((v) => [v, [freely(layout)]]));
    return { ...noWishes, output: layout, readings, cycles: copied };
  });
}
/** Slices and splits: ranges of the same memory in each layout that keeps blocks whole, if nothing lies around the axis. */
function sliceCandidates(c: CandidateContext, g: Group, cut: Cut): Candidate[] {
  const { graph, machine } = c;
  const dims = staticDims(graph, cut.whole);
  const { dtype } = valueOf(graph, cut.whole).type!;
  const fitting = distinctLayouts([...c.offered(cut.whole), plainLayout(dims.length)]).filter((l) =>
    keepsBlocksOf(graph, cut, l),
  );
  return fitting.map((layout) => {
    const copied = cut.parts.map((v) => copyCycles(machine, { dtype, dims: staticDims(graph, v) }, layout, layout));
    const cycles = areRanges(dims, cut.axis, layout) ? 0 : copied.reduce((a, b) => a + b, 0);
    const readings = new Map(plainReadings(graph, g)).set(cut.whole, [freely(layout)]);
    return { ...noWishes, output: layout, readings, cycles };
  });
}
/** Whether parts along an axis follow one another in memory. */
function areRanges(dims: readonly number[], axis: number, layout: Layout): boolean {
  const at = layout.dims.findIndex((d) => d.axis === axis);
  return layout.dims.slice(0, at).every((d) => dims[d.axis] === 1);
}

/** Reshapes and transpositions: the same memory in each layout where one can say so, else a copy. */
function descriptionCandidates(c: CandidateContext, g: Group): Candidate[] {
  const { graph, machine } = c;
  const [x] = g.anchor.inputs as readonly [ValueId];
  const [out] = g.outputs as readonly [ValueId];
  const value = valueOf(graph, x);
  if (value.constant !== undefined) return [];
  const t = { dtype: value.type!.dtype, dims: staticDims(graph, x) };
  const plain = plainLayout(staticDims(graph, out).length);
  return distinctLayouts([...c.offered(x), plainLayout(t.dims.length)]).map((layout) => {
    const readings = new Map([[x, [freely(layout)]]]);
    const view = viewLayout(graph, g.anchor, layout);
    // A graph output is memory of its own.
    if (view && !(isPlain(view) && graph.outputs.includes(out))) return { ...noWishes, output: view, readings };
    const cycles = copyCycles(machine, t, layout, plainLayout(t.dims.length));
    return { ...noWishes, output: plain, readings, cycles };
  });
}
