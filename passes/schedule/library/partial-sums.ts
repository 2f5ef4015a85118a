/** Several accumulators for each result, where a tile has too few results to keep the multiply-adders busy. */
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { accessesInLoops } from "./contiguous.ts";
import { fmaLatency, largestDivisor, type Machine } from "./plan.ts";
import { ownLoops } from "./reduction.ts";

/**
 * Accumulators of each result of a tile of `vectors` vectors of them: a multiply-add waits for the one before it on the
 * same accumulator. `depth` is the extent of the reduction that is shared among them, which their number divides.
 */
export const accumulatorsOf = (m: Machine, vectors: number, depth: number): number =>
  largestDivisor(depth, Math.floor((fmaLatency * m.fmaPerCycle) / vectors));

/** What accumulates in a tile: a block, and how many accumulators each result has. */
export interface Accumulation {
  readonly block: BlockRef;
  readonly parts: number;
}

/**
 * Computes a block within the tile that a loop goes through. With several parts, every `parts`-th iteration of its first
 * reduction loop is summed up on its own (`rfactor`) in a block before it, whose results have the parts as their first axis,
 * and it is left with adding these up. That changes the order of additions, and is not done under strict math.
 * @throws ScheduleError with a rule of computeAt
 */
export function accumulateAt(s: Schedule, block: BlockRef, loop: LoopRef, parts: number): Accumulation {
  const [k] = ownLoops(s, block, "reduction", 0);
  const sums = k && parts > 1 ? partialSums(s, k, parts) : undefined;
  s.computeAt(block, loop);
  if (!sums) return { block, parts: 1 };
  s.computeAt(sums, loop);
  addUp(s, block, s.loops(block).findIndex((l) => l.id === loop.id) + 1);
  return { block: sums, parts };
}
function partialSums(s: Schedule, k: LoopRef, parts: number): BlockRef | undefined {
  const cut = (on: Schedule): LoopRef => on.split(k, { factor: parts, tail: "exact" })[1];
  const trial = s.fork();
  const refused = trial.probe("rfactor", { loop: cut(trial), factorAxis: 0 }) !== undefined;
  return refused ? undefined : s.rfactor(cut(s), 0);
}

/** The loops of a block, from depth `from` on, that choose its results, in the order of the axes of these. */
export function resultLoops(s: Schedule, ref: BlockRef, from: number): LoopRef[] {
  const own = s.loops(ref).slice(from);
  const [result] = accessesInLoops(s, ref);
  const found = result!.indices.flatMap((e) => own.filter((l) => freeVars(e).has(l.id)));
  return [...new Map(found.map((l) => [l.id, l])).values()];
}

/** Adds up partial sums within a tile, below depth `from`: everything is written out but the lanes. */
function addUp(s: Schedule, block: BlockRef, from: number): void {
  const [part] = ownLoops(s, block, "reduction", from);
  const tile = resultLoops(s, block, from);
  s.reorder(part!, ...tile);
  const zero = s.decomposeReduction(block, part!);
  // No lanes where there is one result.
  const lanes = tile.length > 0 ? 1 : 0;
  for (const b of [block, zero]) {
    const loops = s.loops(b).slice(from);
    for (const l of loops.slice(0, loops.length - lanes)) s.unroll(l);
    for (const l of loops.slice(loops.length - lanes)) s.vectorize(l);
  }
  s.setScope(block, s.describe(block).writes[0]!.buffer.name, "register");
}
