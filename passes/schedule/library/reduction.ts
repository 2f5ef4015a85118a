/**
 * Reductions and normalizations: stages that reduce rows (softmax, layer normalization, means) run row by row with the
 * row's data in cache; a reduction whose innermost axis is spatial is vectorized along that axis.
 */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Block } from "../../../ir/loop/program.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { findBlock, loopRef } from "../tree.ts";
import { parallelOuter, vectorizeContiguous, vectorizeHalos } from "./common.ts";
import { scheduleElementwiseBlock } from "./elementwise.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { isParam, loopOfAxis, type Stage, stagesOf } from "./structure.ts";

export const scheduleReductions: Recipe = { name: "reductions", applies, schedule };

function applies(s: Schedule): boolean {
  const stages = stagesOf(s.program);
  return stages.some((t) => t.kind === "reduction") && stages.every((t) => t.kind !== "ordered");
}

function schedule(s: Schedule, context: RecipeContext): void {
  const stages = stagesOf(s.program).filter((t) => t.kind !== "halo");
  const last = stages.at(-1)!;
  const rows = last.kind === "elementwise" ? gatherRows(s, stages, last) : 0;
  for (const stage of stages) {
    if (stage.kind === "reduction") scheduleReduce(s, s.block(stage.block.name), rows, context);
    else if (rows > 0) vectorizeInner(s, s.block(stage.block.name), rows, context);
    else scheduleElementwiseBlock(s, s.block(stage.block.name), context);
  }
  if (rows > 0) {
    const outer = s.loops(s.block(last.block.name)).slice(0, rows);
    parallelOuter(s, outer, context.threads, workOf(stages) / outer.reduce((p, l) => p * (s.extent(l) ?? 1), 1));
  }
  vectorizeHalos(s, context.machine);
}
const workOf = (stages: readonly Stage[]): number =>
  stages.reduce((total, t) => total + t.block.iterVars.reduce((p, v) => p * (constantValue(v.extent) ?? 1), 1), 0);

/** Computes every earlier stage inside the row loops of the last one; gives how many loops those are. */
function gatherRows(s: Schedule, stages: readonly Stage[], last: Stage): number {
  const ref = s.block(last.block.name);
  const rows = sharedRows(stages, last);
  if (rows === 0) return 0;
  const f = s.program.functions[0]!;
  if (stages.slice(0, -1).some((t) => t.writes.some((b) => isParam(f, b)))) return 0;
  const at = s.loops(ref)[rows - 1]!;
  for (const stage of stages.slice(0, -1).reverse()) {
    const args = { block: s.block(stage.block.name), loop: at };
    if (s.probe("computeAt", args) !== undefined) return 0;
    s.computeAt(args.block, args.loop);
  }
  return rows;
}
/** Leading axes that every stage has as spatial axes of the same extent. */
function sharedRows(stages: readonly Stage[], last: Stage): number {
  const extents = last.block.iterVars.map((v) => constantValue(v.extent));
  let shared = Math.max(0, extents.length - 1);
  for (const t of stages) {
    if (t === last) continue;
    let n = 0;
    while (
      n < shared &&
      t.block.iterVars[n]?.kind === "spatial" &&
      constantValue(t.block.iterVars[n]!.extent) === extents[n]
    )
      n++;
    shared = Math.min(shared, n);
  }
  return shared;
}

/** Vectorizes an element-wise stage inside its row. */
function vectorizeInner(s: Schedule, ref: BlockRef, rows: number, { machine }: RecipeContext): void {
  const inner = s.loops(ref).slice(rows).at(-1);
  if (inner && s.extent(inner)! > 1 && s.probe("vectorize", { loop: inner }) === undefined)
    vectorizeContiguous(s, inner, machine);
}

/** One reduction: over contiguous data with vector accumulators, or vectorized along a spatial axis. */
function scheduleReduce(s: Schedule, ref: BlockRef, rows: number, context: RecipeContext): void {
  const block = findBlock(s.program, ref.id)!;
  const spatial = ownLoops(s, block, "spatial", rows);
  const reductions = ownLoops(s, block, "reduction", rows);
  if (reductions.length === 0) return;
  const lane = spatial.at(-1);
  const alongLane = lane !== undefined && s.extent(lane)! >= 4 && spatialIsInnermost(block);
  if (alongLane) reduceAlongLane(s, ref, lane, spatial, reductions, context);
  else reduceRow(s, ref, reductions, context);
  if (rows === 0) {
    const outer = s.loops(ref).filter((l) => spatial.some((o) => o.id === l.id));
    const leading = s.loops(ref).slice(0, outer.length);
    if (
      leading.length === outer.length &&
      leading.every((l, i) => l.id === outer[i]!.id) &&
      outer.length > 0 &&
      s.probe("parallel", { loop: leading[0]! }) === undefined
    )
      parallelOuter(
        s,
        [leading[0]!],
        context.threads,
        workOf([{ block, kind: "reduction", writes: [], reads: [] }]) / (s.extent(leading[0]!) ?? 1),
      );
  }
}
function ownLoops(s: Schedule, block: Block, kind: string, rows: number): LoopRef[] {
  const inner = new Set(
    s
      .loops({ kind: "block", id: block.id, name: block.name })
      .slice(rows)
      .map((l) => l.id),
  );
  const found = block.iterVars.flatMap((v, i) => {
    const l = v.kind === kind ? loopOfAxis(s.program, block, i) : undefined;
    return l && inner.has(l.var.id) ? [loopRef(l)] : [];
  });
  return [...new Map(found.map((l) => [l.id, l])).values()];
}
/** Whether the main operand's last index is a spatial axis of the block (so lanes are contiguous along it). */
function spatialIsInnermost(block: Block): boolean {
  const lastSpatial = block.iterVars.filter((v) => v.kind === "spatial").at(-1);
  const own = new Set(block.writes.map((r) => r.buffer.id));
  const main = block.reads.filter((r) => !own.has(r.buffer.id)).sort((a, b) => b.ranges.length - a.ranges.length)[0];
  const index = main?.ranges.at(-1)?.min;
  return lastSpatial !== undefined && index?.kind === "var" && index.id === lastSpatial.var.id;
}
function reduceAlongLane(
  s: Schedule,
  ref: BlockRef,
  lane: LoopRef,
  spatial: readonly LoopRef[],
  reductions: readonly LoopRef[],
  { machine }: RecipeContext,
): void {
  const extent = s.extent(lane)!;
  let vector = lane;
  const outer = [...spatial.slice(0, -1)];
  if (extent > machine.lanes) {
    const [o, v] = s.split(lane, { factor: machine.lanes, tail: extent % machine.lanes === 0 ? "exact" : "guard" });
    outer.push(o);
    vector = v;
  }
  s.reorder(...outer, ...reductions, vector);
  const init = s.decomposeReduction(ref, reductions[0]!);
  s.vectorize(vector);
  s.vectorize(s.loops(init).at(-1)!);
}
function reduceRow(s: Schedule, ref: BlockRef, reductions: readonly LoopRef[], { machine }: RecipeContext): void {
  s.decomposeReduction(ref, reductions[0]!);
  const k = reductions.at(-1)!;
  if (s.probe("vectorize", { loop: k }) !== undefined) return;
  vectorizeContiguous(s, k, machine);
}
