/** Blocks whose iterations follow on one another: running sums, and picking one element after the other. */
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { copyOut, parallelOuter, vectorizeHalos } from "./common.ts";
import { fuseContiguous, variableOf, walksLine } from "./contiguous.ts";
import { scheduleElementwiseBlock } from "./elementwise.ts";
import { contextOf, type Recipe, type RecipeOptions } from "./recipe.ts";
import { reduction, workOf } from "./reduction.ts";
import { stagesOf } from "./structure.ts";

/**
 * Schedules a scan: a block each of whose iterations along one axis needs the one before (a running sum).
 *
 * That axis stays as it is; all that can run at once lies across it. Where other axes follow it in memory, their elements
 * are lanes (`vectorize`), and the scan adds one vector to the next. A scan along the last axis has no such lanes, so it
 * should be stated in two levels, as CumSum is: running sums of short pieces (a reduction for each element, so that these
 * are lanes), a scan over the pieces' last elements alone, and one element-wise step that adds the two. The recipe then
 * takes the stages before and after the scan along: those that read it move under its rows
 * (`reverseComputeAt`; a scan itself cannot move), then those it reads (`computeAt`), so that a row is in the first cache from the first stage to the
 * last. Rows run in parallel.
 * @throws ScheduleError with the rule of a primitive
 */
export function scan(s: Schedule, block: BlockRef | string, options: RecipeOptions = {}): void {
  const ref = typeof block === "string" ? s.block(block) : block;
  const { outer, inner } = aroundOrder(s, ref);
  const [row, depth] = [outer.at(-1), outer.length];
  const moved = (name: "computeAt" | "reverseComputeAt", b: BlockRef): boolean => {
    if (!row || s.probe(name, { block: b, loop: row }) !== undefined) return false;
    s[name](b, row);
    return true;
  };
  for (const after of s.consumers(ref)) {
    for (const copy of s.consumers(after))
      if (s.probe("reverseComputeInline", { block: copy }) === undefined) s.reverseComputeInline(copy);
    if (moved("reverseComputeAt", after)) vectorizeFrom(s, after, depth);
    else scheduleElementwiseBlock(s, after, contextOf(options));
  }
  for (const before of s.producers(ref)) {
    const copy = copyOut(s, before);
    pieces(s, before, copy, moved("computeAt", copy) ? depth : 0);
  }
  if (inner.length > 0) vectorizeFrom(s, ref, depth + 1);
  parallelRows(s, ref, depth, options);
}
/**
 * Running results of pieces: lanes are the elements of a piece, which accumulate in registers; the steps of the reduction
 * are written out. The last piece is apart where it is shorter, so that the others need no guards.
 */
function pieces(s: Schedule, ref: BlockRef, copy: BlockRef, depth: number): void {
  const piece = s.loops(copy)[depth]!;
  s.computeAt(ref, piece);
  if (s.probe("loopPartition", { loop: piece }) === undefined) s.loopPartition(piece);
  for (const b of s.blocks().filter((x) => x.name.startsWith(ref.name))) {
    const [lane, step] = s.loops(b).slice(depth + 1);
    if (step) {
      s.reorder(step, lane!);
      s.vectorize(s.loops(s.decomposeReduction(b, step)).at(-1)!);
      s.unroll(step);
    }
    s.vectorize(lane!);
  }
}
function vectorizeFrom(s: Schedule, ref: BlockRef, depth: number): void {
  if (s.loops(ref).length <= depth) return;
  const lane = fuseContiguous(s, ref, depth);
  if (s.extent(lane)! > 1 && s.probe("vectorize", { loop: lane }) === undefined) s.vectorize(lane);
}

/**
 * Schedules the selection of the k best elements of each row: a block whose place r holds the best of all that come after
 * place r-1's. No sorting: k passes over n elements, n·k steps with as many lanes as elements fit into a vector; this is
 * the fastest up to some dozens of places, and needs no memory beside the result.
 *
 * The places of a row follow on one another. A pass is a reduction, whose lanes are elements of the row, or, where other
 * axes follow it in memory, rows side by side. What orders the elements is made for one row at a time (`computeAt`), just
 * before its passes read it from the first cache. Rows run in parallel.
 * @throws ScheduleError with the rule of a primitive
 */
export function topK(s: Schedule, block: BlockRef | string, options: RecipeOptions = {}): void {
  const ref = typeof block === "string" ? s.block(block) : block;
  const { outer, inner } = aroundOrder(s, ref);
  const row = outer.at(-1);
  for (const keys of s.producers(ref)) {
    if (row && s.probe("computeAt", { block: keys, loop: row }) === undefined) {
      s.computeAt(keys, row);
      vectorizeFrom(s, keys, outer.length);
    } else scheduleElementwiseBlock(s, keys, contextOf(options));
  }
  const [first] = inner;
  const variable = first && variableOf(s.describe(ref), inner.at(-1)!);
  if (first && !(variable && walksLine(s.describe(ref), variable))) s.reorder(...inner);
  reduction(s, ref, options, outer.length + 1);
  parallelRows(s, ref, outer.length, options);
}

/** The loops outside of the one whose iterations follow on one another, and the spatial ones inside. */
function aroundOrder(s: Schedule, ref: BlockRef): { outer: readonly LoopRef[]; inner: readonly LoopRef[] } {
  const block = s.describe(ref);
  const loops = s.loops(ref);
  const kinds = loops.map((l) => variableOf(block, l)?.kind);
  const at = kinds.indexOf("ordered");
  return { outer: loops.slice(0, at), inner: loops.filter((_, i) => i > at && kinds[i] === "spatial") };
}
function parallelRows(s: Schedule, ref: BlockRef, depth: number, options: RecipeOptions): void {
  const outer = s.loops(ref).slice(0, depth);
  const [first] = outer;
  if (!first || s.probe("parallel", { loop: first }) !== undefined) return;
  const iterations = outer.reduce((p, l) => p * (s.extent(l) ?? 1), 1);
  parallelOuter(s, outer, contextOf(options).threads, { elements: workOf(s.describe(ref)) / iterations });
}

export const scheduleOrdered: Recipe = {
  name: "ordered",
  applies: (s) => stagesOf(s.program).some((t) => t.kind === "ordered"),
  schedule: (s, context) => {
    const done = new Set<string>();
    const stages = stagesOf(s.program);
    for (const { kind, block } of stages) {
      if (kind !== "ordered") continue;
      const selects = block.iterVars.some((v) => v.kind === "reduction");
      const around = [...s.producers(block.name), ...(selects ? [] : s.consumers(block.name))];
      for (const b of [...around, block]) done.add(b.name);
      (selects ? topK : scan)(s, block.name, context);
    }
    for (const { kind, block } of stages) {
      const left = s.blocks().find((b) => b.id === block.id && !done.has(b.name));
      if (kind === "elementwise" && left) scheduleElementwiseBlock(s, left, context);
    }
    vectorizeHalos(s, context.machine);
  },
};
