/** Convolutions: in blocks of channels, or planar with lanes along pixels; weights in panels of one register tile. */
import { staticDims } from "../../ir/graph/build.ts";
import type { Group } from "../../ir/graph/graph.ts";
import { channelBlocked, type Halo, hasRoomFor, type Layout, lastBlocked, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import {
  blockWidths,
  channelLanes,
  chooseRegisterTile,
  type Machine,
  type RegisterTile,
  type TileProblem,
  tileCost,
  unrolledChannels,
  withLanes,
} from "../schedule/library/plan.ts";
import { winogradTile } from "../schedule/library/winograd-plan.ts";
import { alignedReadings } from "./aligned-readings.ts";
import { joinedLanes } from "./concat-lanes.ts";
import type { ConvShape, WinogradShape } from "./contraction-shapes.ts";
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

/** What a convolution of many channels loses when it reads their planes: those of 2ⁿ bytes meet in one set of the cache. */
const planesReadSlower = 0.3;
/** What reading pixels in another order costs beside the multiply-adds. */
const otherReadSlower = 0.03;
/** What blocks of another width than the channels ask for cost, beside what the model of tiles says. */
const otherLanesSlower = 0.1;

/** The ways to compute a convolution; none where only the plain one is known. */
export function convCandidates(c: CandidateContext, g: Group, s: ConvShape): Candidate[] {
  const { machine } = c;
  if (groupLanes(s, machine) === undefined) return [];
  const widths = lanesOf(c, g, s);
  const blocked = widths.map((lanes) => (s.depthwise ? depthwiseIn(c, g, s, lanes) : denseIn(c, g, s, lanes)));
  return staysPlanar(s, machine) ? [...blocked, planar(c, g, s)] : blocked;
}

/**
 * The widest blocks of output channels that do not span groups; all lanes for ordinary and depthwise convolutions.
 * Undefined where there are none.
 */
function groupLanes(s: ConvShape, m: Machine): number | undefined {
  if (s.group === 1 || s.depthwise) return m.lanes;
  return blockWidths(m).find((lanes) => (s.outputChannels / s.group) % lanes === 0);
}
/**
 * Widths of the blocks of the result: what fits its channels or the concatenation that reads them, and those in which the
 * other operands may lie.
 */
function lanesOf({ graph, machine, offered }: CandidateContext, g: Group, s: ConvShape): number[] {
  if (s.group > 1 && !s.depthwise) return [groupLanes(s, machine)!];
  const [x, ...weights] = g.anchor.inputs;
  const joined = s.depthwise ? undefined : joinedLanes(graph, machine).get(g.outputs[0]!);
  const native = channelLanes(machine, s.outputChannels);
  const maps = g.inputs.filter((v) => (v === x ? s.depthwise : !weights.includes(v)));
  const operands = maps.flatMap((v) => offered(v).flatMap((l) => blockLanes(l) ?? []));
  return [...new Set([joined ?? native, native, ...operands])];
}

function denseIn(c: CandidateContext, g: Group, s: ConvShape, lanes: number): Candidate {
  const x = g.anchor.inputs[0]!;
  const own = channelLanes(c.machine, s.inputChannels);
  const m = withLanes(c.machine, lanes);
  const tile = convTile(s, m);
  const cycles = s.batch * s.group * s.outputHeight * tileCost(m, tileProblem(s, m), tile);
  const few = s.inputChannels < c.machine.lanes || s.inputHeight * s.inputWidth === 1;
  // Channels of the input are read one by one, whatever their layout.
  const slower = (layout: Layout): number => {
    if (blockLanes(layout) !== undefined) return 0;
    if (layout.dims.at(-1)!.axis === 1) return otherReadSlower * cycles;
    return few ? 0 : planesReadSlower * cycles;
  };
  const layouts = distinctLayouts([...c.offered(x), channelBlocked(4, own), plainLayout(4)]);
  const readings = layouts.map((layout) => ({ layout, cycles: slower(layout) }));
  const weights = denseWeightLayout(s, m, tile);
  const factor = nativeFactor(s.outputChannels, c.machine, lanes);
  return inBlocks(c, g, { halo: convHalo(s), lanes, weights, readings, cycles: cycles * factor });
}
function depthwiseIn(c: CandidateContext, g: Group, s: ConvShape, lanes: number): Candidate {
  const m = withLanes(c.machine, lanes);
  const blocks = Math.ceil(s.outputChannels / lanes);
  const window = s.kernel[0] * s.kernel[1];
  const cycles = (1.5 * s.batch * s.outputHeight * s.outputWidth * blocks * window) / m.fmaPerCycle;
  const readings = [freely(channelBlocked(4, lanes))];
  const factor = nativeFactor(s.outputChannels, c.machine, lanes);
  return inBlocks(c, g, {
    halo: convHalo(s),
    lanes,
    weights: depthwiseWeightLayout(lanes),
    readings,
    cycles: cycles * factor,
  });
}
const nativeFactor = (channels: number, m: Machine, lanes: number): number =>
  lanes === channelLanes(m, channels) ? 1 : 1 + otherLanesSlower;
/** A convolution whose result lies in blocks of `lanes` channels. */
interface BlockedConv {
  readonly lanes: number;
  /** How its map may be read, and the zeros it reads around it; absent without padding. */
  readonly readings: readonly Reading[];
  readonly halo: readonly Halo[] | undefined;
  readonly weights: Layout;
  readonly cycles: number;
}
function inBlocks(c: CandidateContext, g: Group, conv: BlockedConv): Candidate {
  const blocked = channelBlocked(4, conv.lanes);
  const [x, w, b] = g.anchor.inputs;
  const readings = new Map<ValueId, readonly Reading[]>([
    [x!, conv.readings.filter(({ layout }) => !conv.halo || hasRoomFor(layout, conv.halo))],
    [w!, [freely(conv.weights)]],
  ]);
  if (b !== undefined) readings.set(b, [freely(lastBlocked(1, conv.lanes))]);
  addOperands(c, g, blocked, readings);
  const halos = new Map(conv.halo ? [[x!, conv.halo]] : []);
  const separateEpilogue = g.nodes.at(-1) === g.anchor;
  return { ...noWishes, output: blocked, internal: blocked, readings, halos, separateEpilogue, cycles: conv.cycles };
}
/** What the nodes after the anchor read. */
function addOperands(c: CandidateContext, g: Group, blocked: Layout, readings: Map<ValueId, readonly Reading[]>): void {
  for (const v of g.inputs) {
    const operand = readings.has(v) ? undefined : alignedReadings(c, v, staticDims(c.graph, g.outputs[0]!), blocked);
    if (operand) readings.set(v, operand);
  }
}

/** Few output channels: pixels make better lanes than channels that are mostly padding. */
function staysPlanar(s: ConvShape, m: Machine): boolean {
  const few = s.outputChannels * 4 <= m.lanes && s.group === 1;
  return few && s.strides[1] === 1 && s.outputWidth * 2 >= m.lanes;
}
function planar({ graph, machine }: CandidateContext, g: Group, s: ConvShape): Candidate {
  const halo = convHalo(s);
  const halos = new Map(halo ? [[g.anchor.inputs[0]!, halo]] : []);
  const vectors = s.batch * s.outputHeight * Math.ceil(s.outputWidth / machine.lanes) * s.outputChannels;
  const cycles = (1.5 * vectors * s.inputChannels * s.kernel[0] * s.kernel[1]) / machine.fmaPerCycle;
  return { ...noWishes, readings: plainReadings(graph, g), halos, cycles };
}

/** Blocked maps with a halo up to the end of the last tile; weights `[oc tile][position][ic outer][ic inner][oc in tile]`. */
export function winogradCandidate(c: CandidateContext, g: Group, s: WinogradShape): Candidate {
  const m = c.machine;
  const blocked = channelBlocked(4, m.lanes);
  const [x, u, b] = g.anchor.inputs;
  const readings = new Map<ValueId, readonly Reading[]>([
    [x!, [freely(blocked)]],
    [u!, [freely(winogradWeightLayout(s, m))]],
  ]);
  if (b !== undefined) readings.set(b, [freely(lastBlocked(1, m.lanes))]);
  addOperands(c, g, blocked, readings);
  const reach = (axis: 0 | 1): Halo => {
    const { outputs, taps, stride } = s.axes[axis];
    const computed = Math.ceil(s.output[axis] / outputs) * outputs;
    const before = s.pads[axis]!;
    return { before, after: Math.max(0, stride * (computed - 1) + taps - before - s.input[axis]) };
  };
  const zero = { before: 0, after: 0 };
  const halo = [zero, zero, reach(0), reach(1)];
  return { ...noWishes, output: blocked, internal: blocked, readings, halos: new Map([[x!, halo]]) };
}
function winogradWeightLayout(s: WinogradShape, m: Machine): Layout {
  const [tileRows, tileColumns] = s.axes.map((a, i) => Math.ceil(s.output[i]! / a.outputs)) as [number, number];
  const tile = winogradTile(m, { ...s, tileRows, tileColumns }).vectors * m.lanes;
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
/** How far beyond the map the windows reach: exactly the padding that is really read. */
function convHalo(c: ConvShape): Halo[] | undefined {
  if (c.pads.every((p) => p === 0)) return undefined;
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
/** Packed weights of a depthwise convolution: `[c block][kh][kw][lane]`. */
const depthwiseWeightLayout = (lanes: number): Layout => ({
  name: `Ohw${lanes}o`,
  rank: 4,
  dims: [
    { axis: 0, divisor: lanes },
    { axis: 2, divisor: 1 },
    { axis: 3, divisor: 1 },
    { axis: 0, divisor: 1, modulus: lanes },
  ],
});
/** How the weights of an ordinary convolution lie whose result lies in the blocks that fit its channels. */
export const nativeWeightLayout = (s: ConvShape, machine: Machine): Layout => {
  const m = withLanes(machine, channelLanes(machine, s.outputChannels));
  return denseWeightLayout(s, m, convTile(s, m));
};
/** Packed weights: `[oc tile][ic outer][kh][kw][ic inner][oc in tile]`. */
function denseWeightLayout(c: ConvShape, m: Machine, { vectors }: RegisterTile): Layout {
  const tile = vectors * m.lanes;
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
/** The register tile of a convolution. */
const convTile = (c: ConvShape, m: Machine): RegisterTile => chooseRegisterTile(m, tileProblem(c, m));
const tileProblem = (c: ConvShape, m: Machine): TileProblem => ({
  vectorBlocks: Math.ceil(c.outputChannels / c.group / m.lanes),
  extent: c.outputWidth,
  depth: (c.inputChannels / c.group) * c.kernel[0] * c.kernel[1],
  outputBytes: 4 * c.outputChannels * c.outputHeight * c.outputWidth,
});
