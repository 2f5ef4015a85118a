/** What a kernel executes: its instructions by kind, counted over all blocks, and its hottest loop. */
import { type BasicBlock, type InnermostLoop, innermostLoops, loopBody } from "./blocks.ts";
import { chainCycles, type Latencies } from "./latency.ts";
import { type Instruction, type Width, widths } from "./x86.ts";

/** A number for each vector width. */
export type ByWidth = Readonly<Record<Width, number>>;

/** Instructions by what they occupy. */
export interface Mix {
  readonly instructions: number;
  readonly multiplyAdds: ByWidth;
  readonly multiplies: ByWidth;
  readonly adds: ByWidth;
  readonly divides: ByWidth;
  /** Other arithmetic on vector registers. */
  readonly vectors: ByWidth;
  readonly loads: ByWidth;
  readonly stores: ByWidth;
  /** Floating-point operations on elements, a multiply-add two; also those on lanes that nobody reads. */
  readonly operations: number;
  readonly stackReferences: number;
  /** Stack references that move vectors: spilled and reloaded. */
  readonly vectorSpills: number;
  /** Calls by function; of a whole execution, only those whose instructions are not counted. */
  readonly calls: Readonly<Record<string, number>>;
}

/** The loop that executes the most instructions. */
export interface HotLoop {
  /** One iteration; fractions where not every block of it runs each time. */
  readonly iteration: Mix;
  readonly iterations: number;
  /** Of all instructions that the kernel executes. */
  readonly share: number;
}

/** Instructions that were executed, and cycles that chains of dependent vector arithmetic take in their loops. */
export interface Phase {
  readonly total: Mix;
  readonly chainCycles: number;
}

/** A kernel's call, counted. */
export interface Execution extends Phase {
  readonly hotLoop: HotLoop | undefined;
}

/** Adds up blocks that ran so often. */
export function executionOf(blocks: readonly BasicBlock[], counts: readonly number[], latencies: Latencies): Execution {
  const all = mixOf(blocks.map((b, i) => ({ instructions: b.instructions, times: counts[i]! })));
  const own = new Set(blocks.flatMap((b) => b.labels));
  const total = { ...all, calls: Object.fromEntries(Object.entries(all.calls).filter(([name]) => !own.has(name))) };
  const loops = innermostLoops(blocks);
  const work = (l: InnermostLoop): number => {
    let sum = 0;
    for (let i = l.first; i <= l.last; i++) sum += counts[i]! * blocks[i]!.instructions.length;
    return sum;
  };
  const hottest = loops.reduce<InnermostLoop | undefined>((a, b) => (a && work(a) >= work(b) ? a : b), undefined);
  const chains = loops.map((l) => loopChain(blocks, counts, l, latencies));
  const share = hottest ? work(hottest) / total.instructions : 0;
  return {
    total,
    hotLoop: hottest && share > 0 ? hotLoopOf(blocks, counts, hottest, share) : undefined,
    chainCycles: chains.reduce((a, b) => a + b, 0),
  };
}

/** The execution in parts: each innermost loop, and what is around them. */
export function phasesOf(blocks: readonly BasicBlock[], counts: readonly number[], latencies: Latencies): Phase[] {
  const loops = innermostLoops(blocks);
  const counted = blocks.map((b, i) => ({ instructions: b.instructions, times: counts[i]! }));
  const inside = loops.map((l) => ({
    total: mixOf(counted.slice(l.first, l.last + 1)),
    chainCycles: loopChain(blocks, counts, l, latencies),
  }));
  const around = counted.filter((_, i) => !loops.some((l) => i >= l.first && i <= l.last));
  return [...inside, { total: mixOf(around), chainCycles: 0 }].filter((p) => p.total.instructions > 0);
}

const loopChain = (
  blocks: readonly BasicBlock[],
  counts: readonly number[],
  l: InnermostLoop,
  latencies: Latencies,
): number => counts[l.first]! * chainCycles(loopBody(blocks, l), latencies);

function hotLoopOf(blocks: readonly BasicBlock[], counts: readonly number[], l: InnermostLoop, share: number): HotLoop {
  const iterations = counts[l.first]!;
  const inside = blocks.slice(l.first, l.last + 1);
  const iteration = mixOf(
    inside.map((b, i) => ({ instructions: b.instructions, times: counts[l.first + i]! / iterations })),
  );
  return { iteration, iterations, share };
}

interface Weighted {
  readonly instructions: readonly Instruction[];
  readonly times: number;
}

/** Counts instructions, each as often as its block runs. */
export function mixOf(blocks: readonly Weighted[]): Mix {
  const sum = (amount: (i: Instruction) => number): number =>
    blocks.reduce((n, b) => n + (b.times === 0 ? 0 : b.times * b.instructions.reduce((k, i) => k + amount(i), 0)), 0);
  const byWidth = (amount: (i: Instruction) => number, widthOf = (i: Instruction): Width => i.width): ByWidth => {
    const [narrow, half, whole] = widths.map((w) => sum((i) => (widthOf(i) === w ? amount(i) : 0)));
    return { 128: narrow!, 256: half!, 512: whole! };
  };
  const unit = (wanted: Instruction["unit"]) => byWidth((i) => (i.unit === wanted ? 1 : 0));
  const calls: Record<string, number> = {};
  for (const { instructions, times } of blocks)
    for (const { unit: kind, target } of instructions)
      if (kind === "call" && times > 0) calls[target ?? "?"] = (calls[target ?? "?"] ?? 0) + times;
  return {
    instructions: sum(() => 1),
    multiplyAdds: unit("multiplyAdd"),
    multiplies: unit("multiply"),
    adds: unit("add"),
    divides: unit("divide"),
    vectors: unit("vector"),
    loads: byWidth(
      (i) => i.loads,
      (i) => i.loadWidth,
    ),
    stores: byWidth((i) => i.stores),
    operations: sum((i) => i.lanes * (i.unit === "multiplyAdd" ? 2 : 1)),
    stackReferences: sum((i) => (i.onStack ? 1 : 0)),
    vectorSpills: sum((i) => (i.onStack && (i.writes !== undefined || i.reads.length > 0) ? 1 : 0)),
    calls,
  };
}

/** All widths together. */
export const countOf = (counts: ByWidth): number => counts[128] + counts[256] + counts[512];

/**
 * Of the innermost loops of an assembly, without running it, the one with the most multiply-adds, else with the most vector
 * instructions, as one iteration; undefined where there is no loop.
 */
export function hottestLoop(blocks: readonly BasicBlock[]): Mix | undefined {
  const mixes = innermostLoops(blocks).map((l) => mixOf([{ instructions: loopBody(blocks, l), times: 1 }]));
  const score = (m: Mix): number =>
    countOf(m.multiplyAdds) * 1e6 +
    [m.multiplies, m.adds, m.divides, m.vectors, m.loads].reduce((n, c) => n + countOf(c), 0);
  return mixes.reduce<Mix | undefined>((best, m) => (best && score(best) >= score(m) ? best : m), undefined);
}
