/** What layouts one group wants for its inputs and gives its outputs, by the kind of its anchor. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Group, Node } from "../../ir/graph/graph.ts";
import { channelBlocked, type Halo, isPlain, type Layout, lastBlocked, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import {
  channelLanes,
  chooseRegisterTile,
  halfLanes,
  hasMasks,
  type Machine,
  prefersDots,
  unrolledChannels,
  withLanes,
} from "../schedule/library/plan.ts";
import { attentionLayouts } from "./attention-layouts.ts";
import {
  type ConvShape,
  convShapeOf,
  type MatmulShape,
  matmulShapeOf,
  type WinogradShape,
  winogradShapeOf,
} from "./contraction-shapes.ts";

export interface GroupLayouts {
  /** Layout of values that leave the group (halo comes later, from their readers). */
  readonly output?: Layout;
  /** Layout of values that stay inside, where it differs from `output`; `inner` names single ones. */
  readonly internal?: Layout;
  readonly inner: ReadonlyMap<ValueId, Layout>;
  /** Layouts wanted for inputs; those not named are read as they are. */
  readonly inputs: ReadonlyMap<ValueId, Layout>;
  /** Zero halo (one a logical axis) that convolutions read beyond the map. */
  readonly halos: ReadonlyMap<ValueId, readonly Halo[]>;
  /** Whether a lone anchor wants a copying epilogue. */
  readonly separateEpilogue: boolean;
}

type LayoutOf = (v: ValueId) => Layout | undefined;
const none = { inner: new Map(), inputs: new Map(), halos: new Map(), separateEpilogue: false };

export function wantedLayouts(graph: Graph, g: Group, m: Machine, layoutOf: LayoutOf): GroupLayouts {
  if (g.anchor.op === "SoftmaxMatMul") return { ...none, ...attentionLayouts(graph, g, m) };
  const conv = convShapeOf(graph, g.anchor);
  if (conv && staysPlanar(conv, m, layoutOf(g.anchor.inputs[0]!))) return planarLayouts(graph, g, conv, layoutOf);
  if (conv && blocksChannels(conv, m)) return convLayouts(graph, g, conv, m, layoutOf);
  const winograd = winogradShapeOf(graph, g.anchor);
  if (winograd) return winogradLayouts(graph, g, winograd, m);
  const matmul = matmulShapeOf(graph, g.anchor);
  if (matmul && staticDims(graph, matmul.right).length === 2 && prefersDots(m, matmul))
    return narrowLayouts(graph, g, matmul, layoutOf);
  if (matmul && matmul.columns > 1) return matmulLayouts(graph, g, matmul, m);
  const followed = followedLanes(graph, g, m, layoutOf);
  if (followed !== undefined) return followingLayouts(graph, g, withLanes(m, followed));
  return plainLayouts(graph, g, layoutOf);
}

/** Channels a block of a layout `NCHW[lanes]c`; absent for other layouts. */
const blockLanes = (layout: Layout | undefined): number | undefined =>
  layout?.dims.length === 5 && layout.rank === 4 ? layout.dims[4]!.modulus : undefined;

/** Few output channels from a map that has no blocks: pixels make better lanes than channels that are mostly padding. */
function staysPlanar(c: ConvShape, m: Machine, input: Layout | undefined): boolean {
  const few = c.outputChannels * 4 <= m.lanes && c.group === 1;
  return few && isPlain(input) && c.strides[1] === 1 && c.outputWidth * 2 >= m.lanes;
}
function planarLayouts(graph: Graph, g: Group, c: ConvShape, layoutOf: LayoutOf): GroupLayouts {
  const halos = new Map(c.pads.some((p) => p > 0) ? [[g.anchor.inputs[0]!, convHalo(c)]] : []);
  return { ...plainLayouts(graph, g, layoutOf), halos };
}
/** Ordinary and depthwise convolutions, and grouped ones whose groups are whole blocks. */
function blocksChannels(c: ConvShape, m: Machine): boolean {
  if (c.group === 1) return true;
  if (c.depthwise) return true;
  return (c.inputChannels / c.group) % m.lanes === 0 && (c.outputChannels / c.group) % m.lanes === 0;
}

function convLayouts(graph: Graph, g: Group, c: ConvShape, whole: Machine, layoutOf: LayoutOf): GroupLayouts {
  const inputs = new Map<ValueId, Layout>();
  const halos = new Map<ValueId, readonly Halo[]>();
  const [x, w, b] = g.anchor.inputs;
  const current = layoutOf(x!);
  // Channels of the input are read one by one, whatever their blocks.
  const inputLanes = blockLanes(current) ?? channelLanes(whole, c.inputChannels);
  const output = g.outputs[0]!;
  const outputLanes = joinedLanes(graph, whole).get(output) ?? channelLanes(whole, c.outputChannels);
  const m = withLanes(whole, c.depthwise ? inputLanes : outputLanes);
  const blocked = channelBlocked(4, m.lanes);
  const small = c.inputChannels < whole.lanes || c.inputHeight * c.inputWidth === 1;
  if (c.depthwise || !(small && isPlain(current))) inputs.set(x!, channelBlocked(4, inputLanes));
  if (c.pads.some((p) => p > 0)) halos.set(x!, convHalo(c));
  inputs.set(w!, convWeightLayout(c, m));
  if (b !== undefined) inputs.set(b, lastBlocked(1, m.lanes));
  for (const v of g.inputs)
    if (v !== x && v !== w && v !== b) wantAligned(graph, v, staticDims(graph, output), blocked, m, inputs);
  const last = g.nodes.at(-1)!;
  return { ...none, output: blocked, internal: blocked, inputs, halos, separateEpilogue: last === g.anchor };
}
/** Blocked maps with a halo up to the end of the last tile; weights `[oc tile][position][ic outer][ic inner][oc in tile]`. */
function winogradLayouts(graph: Graph, g: Group, s: WinogradShape, m: Machine): GroupLayouts {
  const blocked = channelBlocked(4, m.lanes);
  const [x, u, b] = g.anchor.inputs;
  const inputs = new Map<ValueId, Layout>([
    [x!, blocked],
    [u!, winogradWeightLayout(s, m)],
  ]);
  if (b !== undefined) inputs.set(b, lastBlocked(1, m.lanes));
  const reach = (axis: 0 | 1): Halo => {
    const { outputs, taps, stride } = s.axes[axis];
    const computed = Math.ceil(s.output[axis] / outputs) * outputs;
    const before = s.pads[axis]!;
    return { before, after: Math.max(0, stride * (computed - 1) + taps - before - s.input[axis]) };
  };
  const zero = { before: 0, after: 0 };
  const halo = [zero, zero, reach(0), reach(1)];
  for (const v of g.inputs)
    if (v !== x && v !== u && v !== b) wantAligned(graph, v, staticDims(graph, g.outputs[0]!), blocked, m, inputs);
  return { ...none, output: blocked, internal: blocked, inputs, halos: new Map([[x!, halo]]) };
}
function winogradWeightLayout(s: WinogradShape, m: Machine): Layout {
  const tile = winogradTile(s, m).vectors * m.lanes;
  const unroll = unrolledChannels(s.inputChannels, m.lanes);
  return {
    name: `winograd${tile}`,
    rank: 3,
    dims: [
      { axis: 1, divisor: tile },
      { axis: 0, divisor: 1 },
      { axis: 2, divisor: unroll },
      { axis: 2, divisor: 1, modulus: unroll },
      { axis: 1, divisor: 1, modulus: tile },
    ],
  };
}
/** The register tile of the products: transformed tiles × output channels. */
function winogradTile(s: WinogradShape, m: Machine) {
  const [rows, columns] = s.axes.map((a, i) => Math.ceil(s.output[i]! / a.outputs)) as [number, number];
  return chooseRegisterTile(m, {
    vectorBlocks: Math.ceil(s.outputChannels / m.lanes),
    extent: Math.min(rows * columns, 28),
    depth: s.inputChannels,
    outputBytes: 0,
  });
}
/** How far beyond the map the windows reach: exactly the padding that is really read. */
function convHalo(c: ConvShape): Halo[] {
  const reach = (
    size: number,
    kernel: number,
    stride: number,
    dilation: number,
    before: number,
    out: number,
  ): Halo => ({
    before,
    after: Math.max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - before - size),
  });
  const zero = { before: 0, after: 0 };
  return [
    zero,
    zero,
    reach(c.inputHeight, c.kernel[0], c.strides[0], c.dilations[0], c.pads[0], c.outputHeight),
    reach(c.inputWidth, c.kernel[1], c.strides[1], c.dilations[1], c.pads[1], c.outputWidth),
  ];
}
/** Packed weights: `[oc tile][ic outer][kh][kw][ic inner][oc in tile]`; depthwise `[c block][kh][kw][lane]`. */
function convWeightLayout(c: ConvShape, m: Machine): Layout {
  if (c.depthwise) {
    const dims = [
      { axis: 0, divisor: m.lanes },
      { axis: 2, divisor: 1 },
      { axis: 3, divisor: 1 },
      { axis: 0, divisor: 1, modulus: m.lanes },
    ];
    return { name: `Ohw${m.lanes}o`, rank: 4, dims };
  }
  const tile = convTile(c, m).vectors * m.lanes;
  const u = unrolledChannels(c.inputChannels / c.group, m.lanes);
  return {
    name: `OIhw${u}i${tile}o`,
    rank: 4,
    dims: [
      { axis: 0, divisor: tile },
      { axis: 1, divisor: u },
      { axis: 2, divisor: 1 },
      { axis: 3, divisor: 1 },
      { axis: 1, divisor: 1, modulus: u },
      { axis: 0, divisor: 1, modulus: tile },
    ],
  };
}
/** The register tile of a convolution; recipes and weight packing both ask here. */
export function convTile(c: ConvShape, m: Machine) {
  return chooseRegisterTile(m, {
    vectorBlocks: Math.ceil(c.outputChannels / c.group / m.lanes),
    extent: c.outputWidth,
    depth: (c.inputChannels / c.group) * c.kernel[0] * c.kernel[1],
    outputBytes: 4 * c.outputChannels * c.outputHeight * c.outputWidth,
  });
}

function matmulLayouts(graph: Graph, g: Group, s: MatmulShape, m: Machine): GroupLayouts {
  const inputs = new Map<ValueId, Layout>();
  const right = valueOf(graph, s.right);
  // A single column tile reads the matrix in order as it lies.
  const lies = !s.rightTransposed && s.columns <= matmulTile(s, m).vectors * m.lanes && hasMasks(m);
  const packs = right.type!.dims.length === 2 && !lies && (right.constant !== undefined || paysToPack(s, m));
  if (packs) inputs.set(s.right, matmulRightLayout(s, m));
  for (const v of g.inputs) if (!inputs.has(v)) inputs.set(v, plainLayout(staticDims(graph, v).length));
  const rank = staticDims(graph, g.anchor.outputs[0]!).length;
  const inner = new Map<ValueId, Layout>();
  const accumulates = packs || s.columns % m.lanes === 0;
  if (accumulates && g.nodes.length > 1) inner.set(g.anchor.outputs[0]!, lastBlocked(rank, m.lanes));
  return {
    output: plainLayout(rank),
    inner,
    inputs,
    halos: new Map(),
    separateEpilogue: accumulates,
    ...(accumulates && g.nodes.length === 1 ? { internal: lastBlocked(rank, m.lanes) } : {}),
  };
}
/** Packing at run time reads the matrix once more than a product of few rows does; a small one is read from the first cache. */
function paysToPack(s: MatmulShape, m: Machine): boolean {
  const bytes = 4 * s.depth * s.columns;
  return s.rows >= 65 && bytes > m.l1Bytes / 2 && (s.columns % m.lanes !== 0 || bytes > 8 * m.l1Bytes);
}
/** Few columns: lanes run along the reduction, and so does memory on both sides. */
function narrowLayouts(graph: Graph, g: Group, s: MatmulShape, layoutOf: LayoutOf): GroupLayouts {
  const plain = plainLayouts(graph, g, layoutOf);
  if (s.rightTransposed || s.columns === 1) return plain;
  const columnsFirst: Layout = { name: "transposed", rank: 2, dims: [1, 0].map((axis) => ({ axis, divisor: 1 })) };
  return { ...plain, inputs: new Map([...plain.inputs, [s.right, columnsFirst]]) };
}
/** `[n tile][k][n in tile]` for the right-hand side of a matmul. */
function matmulRightLayout(s: MatmulShape, m: Machine): Layout {
  const tile = matmulTile(s, m).vectors * m.lanes;
  const [k, n] = s.rightTransposed ? [1, 0] : [0, 1];
  return {
    name: `packed${tile}`,
    rank: 2,
    dims: [
      { axis: n, divisor: tile },
      { axis: k, divisor: 1 },
      { axis: n, divisor: 1, modulus: tile },
    ],
  };
}
/** The register tile of a matmul. */
export function matmulTile(s: MatmulShape, m: Machine) {
  return chooseRegisterTile(m, {
    vectorBlocks: Math.ceil(s.columns / m.lanes),
    extent: s.rows,
    depth: s.depth,
    outputBytes: 4 * s.rows * s.columns,
  });
}

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
/** Channels a block of the result, for groups that compute in the blocks of their inputs; absent for others. */
function followedLanes(graph: Graph, g: Group, m: Machine, layoutOf: LayoutOf): number | undefined {
  const out = g.outputs[0];
  if (g.outputs.length !== 1 || out === undefined || staticDims(graph, out).length !== 4) return undefined;
  const lanesOf = (v: ValueId): number | undefined => blockLanes(layoutOf(v));
  const maps = g.inputs.filter((v) => valueOf(graph, v).constant === undefined && staticDims(graph, v).length === 4);
  const widths = maps.flatMap((v) => lanesOf(v) ?? []);
  if (widths.length === 0) return undefined;
  const { op } = g.anchor;
  if (op === "Concat") {
    const lanes = Math.min(...widths);
    return widths.length === maps.length && concatKeepsBlocks(graph, g.anchor, lanes) ? lanes : undefined;
  }
  if (channelwise.has(op)) {
    const single = g.anchor.outputs.filter((o) => o !== undefined).length === 1;
    return single && keepsChannels(graph, g.anchor) ? lanesOf(g.anchor.inputs[0]!) : undefined;
  }
  const dims = staticDims(graph, out);
  if (!isElementwise(graph, g) || !maps.every((v) => alignable(graph, v, dims, lanesOf(v) !== undefined)))
    return undefined;
  return new Set(widths).size === 1 ? widths[0] : channelLanes(m, dims[1]!);
}
const keepsChannels = (graph: Graph, n: Node): boolean => {
  const from = staticDims(graph, n.inputs[0]!);
  const to = staticDims(graph, n.outputs[0]!);
  return from[1] === to[1] && from[0] === to[0];
};
/** Lanes in which concatenated maps would all be whole blocks, by map, so that their kernels make them so. */
function joinedLanes(graph: Graph, m: Machine): ReadonlyMap<ValueId, number> {
  const cached = joined.get(graph);
  if (cached?.machine === m) return cached.lanes;
  const lanes = new Map<ValueId, number>();
  for (const n of graph.nodes) {
    if (n.op !== "Concat" || n.inputs.some((v) => staticDims(graph, v!).length !== 4)) continue;
    const fitting = [m.lanes, halfLanes(m)].find((width) => concatKeepsBlocks(graph, n, width));
    if (fitting !== undefined) for (const v of n.inputs) lanes.set(v!, fitting);
  }
  joined.set(graph, { machine: m, lanes });
  return lanes;
}
const joined = new WeakMap<Graph, { readonly machine: Machine; readonly lanes: ReadonlyMap<ValueId, number> }>();

/** Concatenation along channels with every part but the last in whole blocks. */
function concatKeepsBlocks(graph: Graph, n: Node, lanes: number): boolean {
  const axis = n.attributes.get("axis");
  const along = axis?.kind === "int" ? Number(axis.value) : 1;
  return (along === 1 || along === -3) && n.inputs.slice(0, -1).every((i) => staticDims(graph, i!)[1]! % lanes === 0);
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
function isElementwise(graph: Graph, g: Group): boolean {
  return (
    g.nodes.every((n) => elementwiseAnchors.has(n.op) && n.domain === "") &&
    g.inputs.every((v) => valueOf(graph, v).type!.dtype === "float32")
  );
}
/** Whether an operand can be read in blocks: same channels, or one that broadcasts. */
function alignable(graph: Graph, v: ValueId, out: readonly number[], blocked: boolean): boolean {
  const d = staticDims(graph, v);
  return blocked || d[1] === out[1] || d[1] === 1;
}
function followingLayouts(graph: Graph, g: Group, m: Machine): GroupLayouts {
  const blocked = channelBlocked(4, m.lanes);
  const inputs = new Map<ValueId, Layout>();
  const dims = staticDims(graph, g.outputs[0]!);
  const shapeOperands = new Set(
    channelwise.has(g.anchor.op) && g.anchor.op !== "BatchNormalization" ? g.anchor.inputs.slice(1) : [],
  );
  for (const v of g.inputs)
    if (!shapeOperands.has(v)) wantAligned(graph, v, dims, blocked, m, inputs, g.anchor.op === "BatchNormalization");
  return { ...none, output: blocked, internal: blocked, inputs };
}
/** Asks for `v` in a layout that a blocked iteration can read: blocked maps, padded per-channel constants. */
function wantAligned(
  graph: Graph,
  v: ValueId,
  out: readonly number[],
  blocked: Layout,
  m: Machine,
  inputs: Map<ValueId, Layout>,
  vectorIsChannels = false,
): void {
  const dims = staticDims(graph, v);
  const rank = dims.length;
  if (dims.every((d) => d === 1)) return;
  if (rank === 4 && dims[1] !== 1) {
    inputs.set(v, blocked);
    return;
  }
  const channelAxis = vectorIsChannels && rank === 1 ? 0 : rank - 3;
  if (channelAxis < 0 || dims[channelAxis] === 1 || out[1] === 1) return;
  const parts = dims.flatMap((_, axis) =>
    axis === channelAxis ? [{ axis, divisor: m.lanes }] : [{ axis, divisor: 1 }],
  );
  inputs.set(v, {
    name: `channels${m.lanes}`,
    rank,
    dims: [...parts, { axis: channelAxis, divisor: 1, modulus: m.lanes }],
  });
}

/** Everything row-major: what has no recipe in another layout. */
function plainLayouts(graph: Graph, g: Group, layoutOf: LayoutOf): GroupLayouts {
  const inputs = new Map<ValueId, Layout>();
  const identity = g.nodes.length === 1 && g.anchor.op === "Identity";
  for (const v of g.inputs)
    if (!identity && layoutOf(v) !== undefined) inputs.set(v, plainLayout(staticDims(graph, v).length));
  return { ...none, inputs };
}
