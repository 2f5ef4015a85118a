/**
 * Attention in one kernel: softmax(scores)·V of SoftmaxMatMul, together with the product that makes the scores. A strip
 * of queries goes through all stages before the next strip begins, and through the keys tile by tile, so that scores and
 * weights never leave the first two caches:
 *
 *   for head
 *     keys in vectors, values       once; squares of keys turn around in registers
 *     for strip of queries
 *       for tile of keys            (one, where all keys fit)
 *         scores                    queries × a vector of keys in registers over the depth
 *         highest, weights, sums    vectors along a row
 *         mixture                   queries × vectors of values in registers over the tile's keys
 *       result
 */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { Block } from "../../../ir/loop/program.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { loopRef } from "../tree.ts";
import { stripRows } from "./attention-plan.ts";
import { parallelOuter } from "./common.ts";
import { accessesOf } from "./contiguous.ts";
import { scheduleElementwiseBlock } from "./elementwise.ts";
import { tileProduct, vectorizeRows } from "./fused.ts";
import { inlineStages } from "./inline.ts";
import { scheduleAccumulation, splitColumns } from "./matmul.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { ownLoops, reduction, workOf } from "./reduction.ts";
import { loopOfAxis, type Stage, stagesOf } from "./structure.ts";
import { transpose } from "./transpose.ts";

export const scheduleAttention: Recipe = {
  name: "attention",
  inlines: false,
  applies: (s) => {
    const stages = stagesOf(s.program);
    return stages.some((t) => part(t.block) === "mixed") && stages.filter((t) => isProduct(t)).length === 1;
  },
  schedule,
};
const part = (b: Block): unknown => (b.annotations?.op === "SoftmaxMatMul" ? b.annotations.part : undefined);
const isProduct = (t: Stage): boolean => t.kind === "reduction" && t.block.annotations?.op === "MatMul";
const depthOf = (s: Schedule, b: BlockRef, loop: LoopRef): number => s.loops(b).findIndex((l) => l.id === loop.id) + 1;

/** Stages between the mixture and the scores, from the last to the first: of all keys at once, and tile by tile. */
const atOnce = ["total", "weights", "peak"];
const online = ["kept", "scale", "total", "shrink", "sums", "weights", "peak", "highest"];

function schedule(s: Schedule, context: RecipeContext): void {
  const stages = settle(s);
  const { product, laidOut, parts } = stages;
  const work = 2 * workOf(s.describe(product));
  const end = s.blocks().at(-1)!;
  const mixture = parts.get("added") ?? parts.get("mixed")!;
  const { batch, row, column } = resultLoops(s, end, parts.get("mixed")!);
  s.reorder(...batch, row, column);
  const queries = s.extent(row)!;
  const keys = ownLoops(s, mixture, "reduction", 0).reduce((p, l) => p * s.extent(l)!, 1);
  const rows = stripRows(context.machine, queries, keys);
  const [strip] = s.split(row, { factor: rows, tail: queries % rows === 0 ? "exact" : "shift-inwards" });
  if (parts.has("added")) tileByTile(s, stages, end, strip, context);
  else {
    const depth = depthOf(s, end, strip);
    tileProduct(s, end, mixture, depth, context);
    gather(s, stages, atOnce, strip, depth, context);
  }
  const heads = batch.reduce((p, l) => p * s.extent(l)!, 1);
  const head = batch.findLast((l) => s.extent(l)! > 1);
  // With few heads the strips run in parallel, and operands are laid out before.
  const ahead = context.threads > 1 && heads < 2 * context.threads;
  for (const b of laidOut) layOut(s, b, ahead ? undefined : head, context);
  if (ahead) parallelOuter(s, [...batch, strip], context.threads, { multiplyAdds: work / (heads * s.extent(strip)!) });
  else parallelOuter(s, batch, context.threads, { multiplyAdds: work / heads });
}
/** The strip's mixture is a scan over tiles of keys, before whose steps everything else happens. */
function tileByTile(s: Schedule, stages: Stages, end: BlockRef, strip: LoopRef, context: RecipeContext): void {
  const { parts } = stages;
  const mixed = parts.get("mixed")!;
  const inStrip = depthOf(s, end, strip);
  vectorizeRows(s, end, inStrip + 1);
  s.computeAt(mixed, strip);
  const tile = s.loops(mixed)[inStrip]!;
  tileProduct(s, mixed, parts.get("added")!, inStrip + 1, context);
  gather(s, stages, online, tile, inStrip + 1, context);
  for (const state of ["peak", "total", "mixed"]) keepTwo(s, parts.get(state)!, strip);
}
/** Computes the scores and the stages of these names inside of a loop, below which they are at `depth`. */
function gather(
  s: Schedule,
  { product, scores, parts }: Stages,
  names: readonly string[],
  loop: LoopRef,
  depth: number,
  context: RecipeContext,
): void {
  for (const name of names) {
    const stage = parts.get(name)!;
    s.computeAt(stage, loop);
    if (s.describe(stage).iterVars.some((v) => v.kind === "reduction")) reduction(s, stage, context, depth);
    else vectorizeRows(s, stage, depth);
  }
  s.computeAt(scores, loop);
  scoreTile(s, scores, product, depth, context);
}

interface Stages {
  /** The product of queries and keys, and the stage that takes its results over. */
  readonly product: BlockRef;
  readonly scores: BlockRef;
  /** Stages that lay operands out. */
  readonly laidOut: readonly BlockRef[];
  readonly parts: ReadonlyMap<unknown, BlockRef>;
}
/** Inlines what stands between the stages of attention and those that lay its operands out. */
function settle(s: Schedule): Stages {
  const all = stagesOf(s.program);
  const product = all.find(isProduct)!;
  const parts = all.filter((t) => part(t.block) !== undefined);
  const named = new Map(parts.map((t) => [part(t.block), t]));
  const made = new Set(parts.flatMap((t) => t.writes));
  const scores = all.find((t) => t.writes.some((b) => named.get("weights")!.reads.includes(b) && !made.has(b)))!;
  const operands = [product, named.get("added") ?? named.get("mixed")!].map((t) => columnsOf(t.block).id);
  const laidOut = all.filter((t) => t.kind === "elementwise" && operands.some((b) => t.writes.includes(b)));
  const kept = new Set([scores, ...laidOut, ...parts].map((t) => t.block.id));
  inlineStages(s, (b) => kept.has(b.id));
  const ref = (t: Stage): BlockRef => s.block(t.block.name);
  const after = stagesOf(s.program);
  const last = after.findLastIndex((t) => part(t.block) !== undefined);
  for (const t of after.slice(last + 1, -1)) s.computeInline(ref(t));
  return {
    product: ref(product),
    scores: ref(scores),
    laidOut: laidOut.map(ref),
    parts: new Map(parts.map((t) => [part(t.block), ref(t)])),
  };
}
/** The operand of a product that its columns run along. */
function columnsOf(b: Block): Buffer {
  const column = b.iterVars.findLast((v) => v.kind === "spatial")!.var.id;
  const own = b.writes[0]!.buffer.id;
  return b.reads.find((r) => r.buffer.id !== own && r.ranges.some((e) => freeVars(e.min).has(column)))!.buffer;
}

/** The loops of the last stage: along the queries, along the columns of the mixture [batch…, query, column], and others. */
function resultLoops(s: Schedule, end: BlockRef, mixed: BlockRef) {
  const block = s.describe(end);
  const made = s.describe(mixed).writes[0]!.buffer.id;
  const { indices } = accessesOf(block).find((a) => a.buffer.id === made)!;
  const [row, column] = indices.slice(-2).map((e): LoopRef => {
    const axis = block.iterVars.findIndex((v) => freeVars(e).has(v.var.id));
    return loopRef(loopOfAxis(s.program, block, axis)!);
  }) as [LoopRef, LoopRef];
  return { batch: s.loops(end).filter((l) => l.id !== row.id && l.id !== column.id), row, column };
}

/** Computes the strip's scores, all rows with a vector of keys at a time, which memory has in that order. */
function scoreTile(s: Schedule, scores: BlockRef, product: BlockRef, from: number, { machine }: RecipeContext): void {
  const own = s.loops(scores).slice(from);
  const [vectors, lane] = splitColumns(s, own.at(-1)!, machine.lanes);
  s.reorder(vectors, ...own.slice(0, -1), lane);
  s.computeAt(product, vectors);
  scheduleAccumulation(s, product, from + 1);
  s.vectorize(lane);
  for (const row of own.slice(0, -1)) s.unroll(row);
}
/** Of a state that is carried along the tiles, a strip keeps the last two values. */
function keepTwo(s: Schedule, scan: BlockRef, strip: LoopRef): void {
  const { iterVars, writes } = s.describe(scan);
  const { buffer } = writes[0]!;
  const along = iterVars.findIndex((v) => v.kind === "ordered");
  s.hoistStorage(scan, buffer.name, strip);
  if (constantValue(buffer.shape[along]!)! > 2) s.storageFold(scan, buffer.name, along, 2);
}
/** Lays an operand out for each head, or for all of them before the first. */
function layOut(s: Schedule, operand: BlockRef, head: LoopRef | undefined, context: RecipeContext): void {
  if (head) s.computeAt(operand, head);
  const outside = head ? depthOf(s, operand, head) : 0;
  const { parts, around } = wholeVectors(s, operand);
  const from = Math.max(outside, around);
  for (const b of parts) {
    if (transpose(s, b, context, from)) continue;
    if (from > 0) vectorizeRows(s, b, from);
    else scheduleElementwiseBlock(s, b, context);
  }
}
/** A stage for whole vectors of keys, and for the rest that ends in a part of one; how many loops are around both. */
function wholeVectors(s: Schedule, b: BlockRef): { readonly parts: readonly BlockRef[]; readonly around: number } {
  const around = s.loops(b).findIndex((loop) => s.probe("loopPartition", { loop }) === undefined);
  if (around < 0) return { parts: [b], around: 0 };
  const cut = new Set(s.loopPartition(s.loops(b)[around]!).map((l) => l.id));
  return { parts: s.blocks().filter((x) => s.loops(x).some((l) => cut.has(l.id))), around };
}
