/** What sampling primitives draw from. Decisions stand in the trace; the generator only proposes them. */
import type { Program } from "../../ir/loop/program.ts";
import { computeAt } from "./primitive/compute-at.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";
import { findBlock, loopRef, loopsAround, outermostBlocksIn } from "./tree.ts";

export type SamplingName = "sampleTile" | "sampleCategorical" | "sampleComputeLocation";
/** The primitives whose argument `decision` is drawn when it is not given. */
export const samplingNames: ReadonlySet<string> = new Set<SamplingName>([
  "sampleTile",
  "sampleCategorical",
  "sampleComputeLocation",
]);
/** What a sampling primitive decides: factors, or the index of a value or place (-1: none). */
export type Decision = number | readonly number[];

/** Seeded numbers (mulberry32). */
export class SeededRandom {
  state: number;
  constructor(seed: number) {
    this.state = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) >>> 0;
  }
  /** A number in [0, 1). */
  unit(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  /** An integer in [min, max]. */
  int(min: number, max: number): number {
    return min + Math.floor(this.unit() * (max - min + 1));
  }
}
/** The divisors of a positive number, in increasing order. */
export function divisorsOf(n: number): number[] {
  const small: number[] = [];
  const large: number[] = [];
  for (let d = 1; d * d <= n; d++) {
    if (n % d !== 0) continue;
    small.push(d);
    if (d * d < n) large.unshift(n / d);
  }
  return [...small, ...large];
}
/** Factors of an extent, innermost drawn first. */
export function drawTile(r: SeededRandom, extent: number, n: number, maxInner: number): number[] {
  const factors: number[] = [];
  let rest = extent;
  for (let k = 0; k < n - 1; k++) {
    const choices = divisorsOf(rest).filter((d) => k > 0 || d <= maxInner);
    const drawn = choices[r.int(0, choices.length - 1)] ?? 1;
    factors.unshift(drawn);
    rest /= drawn;
  }
  return [rest, ...factors];
}
/** An index drawn with these probabilities. */
export function drawCategory(r: SeededRandom, probabilities: readonly number[]): number {
  let left = r.unit() * probabilities.reduce((a, b) => a + b, 0);
  for (const [k, p] of probabilities.entries()) {
    left -= p;
    if (left < 0) return k;
  }
  return Math.max(0, probabilities.length - 1);
}
/** The loops of its consumers at which a block can be computed, in program order, outermost first. */
export function locationsOf(program: Program, ref: BlockRef): LoopRef[] {
  const block = findBlock(program, ref.id);
  if (!block) return [];
  const written = new Set(block.writes.map((w) => w.buffer.id));
  const consumers = outermostBlocksIn(program).filter(
    (b) => b !== block && b.reads.some((r) => written.has(r.buffer.id)),
  );
  const loops = new Map(consumers.flatMap((c) => loopsAround(program, c.id).map((l) => [l.var.id, l] as const)));
  return [...loops.values()]
    .map(loopRef)
    .filter((loop) => computeAt.check(program, { block: ref, loop }) === undefined);
}
