/**
 * Puts convolutions that follow each other into one kernel: a pointwise expansion, the depthwise convolution that alone
 * reads it and the pointwise projection that alone reads that, or two of them, where the model of the target says that
 * this is faster. Runs on a graph with layouts, so that each convolution keeps its packed weights and register tile.
 *
 * The zeros above and below the expanded map become rows that a Pad node makes, because a piece of the map has some of them
 * only at the ends of the picture; those at its sides stay a halo. No sum is computed in another order.
 */
import { attributesOf, GraphBuilder, valueOf } from "../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group, Node } from "../../ir/graph/graph.ts";
import { withHalo, withoutHalo } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { type BlockShape, type ConvExtents, savedCycles } from "../schedule/library/block-plan.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { type ConvShape, convShapeOf } from "./contraction-shapes.ts";
import { blockLanes } from "./layout-candidate.ts";
import { groupOf, type Neighbours, neighboursOf, withMerged } from "./neighbours.ts";

/** Merges the groups of each block that `threads` threads of `machine` compute faster as one kernel. */
export function fuseBlocks(fused: FusedGraph, machine: Machine, threads: number): FusedGraph {
  const neighbours = neighboursOf(fused);
  const builder = new GraphBuilder(fused.graph);
  const merged = new Map<Group, Group>();
  const gone = new Set<Group>();
  for (const g of fused.groups) {
    const depthwise = convOf(fused.graph, g);
    if (!depthwise?.shape.depthwise) continue;
    const best = bestParts(candidatesOf(fused.graph, depthwise, neighbours, gone), machine, threads);
    if (!best) continue;
    const whole = groupsOf(best);
    for (const part of whole) gone.add(part);
    merged.set(whole.at(-1)!, mergedGroup(builder, best));
  }
  return withMerged(fused, merged, gone, builder);
}

/** A convolution in channel blocks, with what is done with its elements. */
interface Conv {
  readonly group: Group;
  readonly shape: ConvShape;
}
interface Parts {
  readonly expand?: Conv;
  readonly depthwise: Conv;
  readonly project?: Conv;
}
const groupsOf = ({ expand, depthwise, project }: Parts): Group[] =>
  [expand, depthwise, project].flatMap((c) => (c ? [c.group] : []));

function convOf(graph: Graph, group: Group | undefined): Conv | undefined {
  const shape = group && group.outputs.length === 1 ? convShapeOf(graph, group.anchor) : undefined;
  if (!group || !shape || shape.outputWidth < 2) return undefined;
  const { layout } = valueOf(graph, group.outputs[0]!);
  return layout && blockLanes(layout) !== undefined ? { group, shape } : undefined;
}
function isPointwise({ shape }: Conv): boolean {
  const unit = [...shape.kernel, ...shape.strides].every((n) => n === 1);
  return unit && shape.group === 1 && shape.pads.every((p) => p === 0);
}

/** The depthwise convolution with the pointwise ones beside it that may join: those that no other group has to do with. */
function candidatesOf(graph: Graph, depthwise: Conv, n: Neighbours, gone: ReadonlySet<Group>): Parts[] {
  const pointwise = (g: Group | undefined): Conv | undefined => {
    const conv = g && !gone.has(g) ? convOf(graph, g) : undefined;
    return conv && isPointwise(conv) ? conv : undefined;
  };
  const [map] = depthwise.group.anchor.inputs as [ValueId];
  const [result] = depthwise.group.outputs as [ValueId];
  const before = readsOnce(depthwise.group, map) && n.reader.get(map) ? pointwise(n.maker.get(map)) : undefined;
  const expand = before && isCheap(before) && hasRoomAtSides(graph, depthwise) ? before : undefined;
  const after = pointwise(n.reader.get(result));
  const project = after && readsOnce(after.group, result) ? after : undefined;
  return [
    ...(expand && project ? [{ expand, depthwise, project }] : []),
    ...(expand ? [{ expand, depthwise }] : []),
    ...(project ? [{ depthwise, project }] : []),
  ];
}
/** Whether an expansion's elements are quickly made: some are made twice, and with exponentials in them that lost. */
const isCheap = ({ group }: Conv): boolean => group.nodes.every((n) => n === group.anchor || cheap.has(n.op));
const cheap: ReadonlySet<string> = new Set([
  "Relu",
  "Clip",
  "LeakyRelu",
  "HardSwish",
  "HardSigmoid",
  "Add",
  "Identity",
]);
/** Whether only the group's anchor reads the value, as its map. */
const readsOnce = ({ anchor, nodes }: Group, v: ValueId): boolean =>
  anchor.inputs[0] === v && nodes.flatMap((n) => n.inputs).filter((x) => x === v).length === 1;
/** Whether the zeros that the windows meet lie around the map. */
function hasRoomAtSides(graph: Graph, { group, shape }: Conv): boolean {
  const { layout } = valueOf(graph, group.anchor.inputs[0]!);
  return shape.pads.every((p) => p === 0) || layout?.halo !== undefined;
}

/** The candidate that saves most; undefined where none saves anything. */
function bestParts(candidates: readonly Parts[], machine: Machine, threads: number): Parts | undefined {
  let [best, most]: [Parts | undefined, number] = [undefined, 0];
  for (const parts of candidates) {
    const saved = savedCycles(blockShapeOf(parts), machine, threads);
    if (saved > most) [best, most] = [parts, saved];
  }
  return best;
}
function blockShapeOf({ expand, depthwise, project }: Parts): BlockShape {
  const { kernel, strides, dilations } = depthwise.shape;
  const window = (kernel[0] - 1) * dilations[0] + 1;
  return {
    ...(expand ? { expand: extentsOf(expand.shape) } : {}),
    depthwise: { ...extentsOf(depthwise.shape), window, stride: strides[0] },
    ...(project ? { project: extentsOf(project.shape) } : {}),
  };
}
const extentsOf = (s: ConvShape): ConvExtents => ({
  batch: s.batch,
  channels: s.outputChannels,
  rows: s.outputHeight,
  width: s.outputWidth,
  depth: (s.inputChannels / s.group) * s.kernel[0] * s.kernel[1],
});

function mergedGroup(b: GraphBuilder, parts: Parts): Group {
  const { expand, depthwise, project } = parts;
  const nodes = [
    ...(expand?.group.nodes ?? []),
    ...(expand ? withRows(b, depthwise) : depthwise.group.nodes),
    ...(project?.group.nodes ?? []),
  ];
  const { anchor, outputs } = (project ?? depthwise).group;
  return groupOf(nodes, nodes.find((n) => n.id === anchor.id)!, outputs);
}
/** The nodes of a depthwise convolution that reads rows of zeros which a node before it makes. */
function withRows(b: GraphBuilder, { group, shape }: Conv): Node[] {
  const { anchor, nodes } = group;
  const [top, left, bottom, right] = shape.pads;
  if (top === 0 && bottom === 0) return [...nodes];
  const map = anchor.inputs[0]!;
  const { name, type, layout } = b.values.get(map)!;
  const none = { before: 0, after: 0 };
  const dims = [shape.batch, shape.inputChannels, shape.inputHeight + top + bottom, shape.inputWidth];
  const rows = b.value(`${name}_rows`, { dtype: type!.dtype, dims });
  b.update(map, { layout: withoutHalo(layout!) });
  b.update(rows, { layout: withHalo(layout!, [none, none, none, layout!.halo![3]!]) });
  const pad: Node = {
    ...anchor,
    id: b.ids.fresh<"node">(),
    name: "rows",
    op: "Pad",
    opset: 2,
    inputs: [map],
    outputs: [rows],
    attributes: attributesOf({ pads: [0, 0, top, 0, 0, 0, bottom, 0] }),
  };
  const attributes = new Map([...anchor.attributes, ...attributesOf({ pads: [0, left, 0, right] })]);
  attributes.delete("auto_pad");
  const conv: Node = { ...anchor, inputs: [rows, ...anchor.inputs.slice(1)], attributes };
  return [pad, ...nodes.map((n) => (n === anchor ? conv : n))];
}
