/**
 * Convolutions that follow each other in one kernel: an inverted residual block (pointwise expansion, depthwise
 * convolution, pointwise projection) or two of its parts. Some rows of the result go through all of them before the next
 * ones, so that the maps between them stay in the caches of a core; rows of the expansion that two such pieces need are
 * computed twice:
 *
 *   for strip of rows parallel
 *     for piece of rows
 *       expanded                  all rows that the windows of the piece reach; zeros at the sides
 *       filtered                  rows of the piece
 *       result                    each in tiles that accumulate in registers, as separate kernels have them
 */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Block } from "../../../ir/loop/program.ts";
import type { BlockRef } from "../primitive.ts";
import type { LoopCursor } from "../query.ts";
import type { Schedule } from "../schedule.ts";
import { type BlockShape, type ConvExtents, cutBlock } from "./block-plan.ts";
import { parallelOuter, vectorizeHalos } from "./common.ts";
import { reductionLength, tileConvolution } from "./convolution.ts";
import { inlineStages } from "./inline.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { workOf } from "./reduction.ts";
import { type Stage, stagesOf } from "./structure.ts";

export const scheduleConvBlock: Recipe = {
  name: "block of convolutions",
  inlines: false,
  applies: (s) => {
    const reductions = stagesOf(s.program).filter((t) => t.kind === "reduction");
    return reductions.length > 1 && reductions.every(isBlocked) && reductions.some(isDepthwise);
  },
  schedule,
};
const spatialAxes = (b: Block): number => b.iterVars.filter((v) => v.kind === "spatial").length;
const isBlocked = ({ block }: Stage): boolean => block.annotations?.op === "Conv" && spatialAxes(block) === 5;
const isDepthwise = ({ block }: Stage): boolean => block.iterVars.length === 7;

/** A convolution and the stage that takes its results over; the zeros around what that makes. */
interface Part {
  readonly conv: BlockRef;
  readonly end: BlockRef;
  readonly halos: readonly BlockRef[];
}

function schedule(s: Schedule, context: RecipeContext): void {
  const { machine, threads } = context;
  const shape = shapeOf(stagesOf(s.program));
  const { strips, rows } = cutBlock(shape, machine, threads) ?? { strips: 1, rows: shape.depthwise.rows };
  const work = stagesOf(s.program).reduce((sum, t) => sum + (t.kind === "reduction" ? workOf(t.block) : 0), 0);
  const parts = settle(s);
  const last = parts.at(-1)!;
  const { shared, piece, depth } = cutRows(s, last.end, strips, rows);
  tileConvolution(s, last.conv, last.end, depth, context);
  for (const { conv, end, halos } of parts.slice(0, -1).toReversed()) {
    for (const b of [...halos, end].toReversed()) s.computeAt(b, piece);
    const { sums } = tileConvolution(s, conv, end, depth, context);
    for (const b of sums.id === conv.id ? [end, conv] : [end, conv, sums])
      s.hoistStorage(b, s.describe(b).writes[0]!.buffer.name, piece);
  }
  vectorizeHalos(s, machine);
  parallelOuter(s, [shared], threads, { multiplyAdds: work / s.extent(shared)! });
}

/** The loop over strips (of all pictures) and that over pieces, which may be the same, and how many loops these are. */
function cutRows(s: Schedule, end: BlockRef, strips: number, rows: number) {
  const [n, co, h] = s.loops(end) as [LoopCursor, LoopCursor, LoopCursor];
  const [strip, row] = s.split(h, { factor: s.extent(h)! / strips, tail: "exact" });
  const [piece] = s.split(row, { factor: rows, tail: "exact" });
  s.reorder(n, strip, piece, co);
  return { shared: s.fuse(n, strip), piece, depth: 2 };
}

/** Inlines all stages but the convolutions and the last one after each of them. */
function settle(s: Schedule): Part[] {
  const stages = stagesOf(s.program).filter((t) => t.kind !== "halo");
  const convs = stages.filter((t) => t.kind === "reduction");
  const ends = convs.map((_, i) => stages[(i + 1 < convs.length ? stages.indexOf(convs[i + 1]!) : stages.length) - 1]!);
  const kept = new Set(ends.map((t) => t.block.id));
  inlineStages(s, (b) => kept.has(b.id));
  const halos = stagesOf(s.program).filter((t) => t.kind === "halo");
  const ref = (t: Stage): BlockRef => s.block(t.block.name);
  return convs.map((conv, i) => {
    const [made] = ends[i]!.writes;
    return { conv: ref(conv), end: ref(ends[i]!), halos: halos.filter((t) => t.writes[0] === made).map(ref) };
  });
}

function shapeOf(stages: readonly Stage[]): BlockShape {
  const convs = stages.filter((t) => t.kind === "reduction");
  const at = convs.findIndex(isDepthwise);
  const { block } = convs[at]!;
  const facts = block.annotations as { readonly [name: string]: readonly number[] };
  const [kernel, stride, dilation] = [facts.kernel![0]!, facts.strides![0]!, facts.dilations![0]!];
  const extentsAt = (i: number): ConvExtents | undefined => convs[i] && extentsOf(convs[i].block);
  const [expand, project] = [extentsAt(at - 1), extentsAt(at + 1)];
  return {
    ...(expand ? { expand } : {}),
    depthwise: { ...extentsOf(block), window: (kernel - 1) * dilation + 1, stride },
    ...(project ? { project } : {}),
  };
}
/** A block iterates over [n, c block, h, w, lane, reductions…]. */
function extentsOf(b: Block): ConvExtents {
  const [batch, blocks, rows, width, lanes] = b.iterVars.map((v) => constantValue(v.extent)!);
  return { batch: batch!, channels: blocks! * lanes!, rows: rows!, width: width!, depth: reductionLength(b) };
}
