/** Steps that several recipes share. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { findBlock } from "../tree.ts";
import type { Machine } from "./plan.ts";
import { stagesOf } from "./structure.ts";

/**
 * Work below which a parallel region costs more than it gains: about two microseconds of one core. Entering and leaving a
 * region takes 0.4 microseconds where cores share a cache, and twice that where they do not.
 */
const worthForking = { multiplyAdds: 90_000, elements: 60_000 };
/** Multiply-adds of register tiles, or iterations of a plain loop. */
type Work = { readonly multiplyAdds: number } | { readonly elements: number };

/** Splits an axis into tiles of `points`; the last tile starts earlier rather than being cut. */
export function splitPoints(s: Schedule, loop: LoopRef, points: number): [LoopRef, LoopRef] {
  const tail = s.extent(loop)! % points === 0 ? "exact" : "shift-inwards";
  return s.split(loop, { factor: points, tail });
}

/** Makes a block accumulate in registers; gives the block that copies the result out. */
export function copyOut(s: Schedule, block: BlockRef): BlockRef {
  const buffer = findBlock(s.program, block.id)!.writes[0]!.buffer;
  return s.cacheWrite(block, buffer.name, "register");
}

/** Fuses outer loops and runs them in parallel when there is enough to do; `work` is that of one iteration. */
export function parallelOuter(s: Schedule, loops: readonly LoopRef[], threads: number, work: Work): void {
  if (threads <= 1) return;
  const iterations = loops.reduce((p, l) => p * (s.extent(l) ?? 1), 1);
  const share =
    "elements" in work ? work.elements / worthForking.elements : work.multiplyAdds / worthForking.multiplyAdds;
  if (iterations < 2 || iterations * share < 1) return;
  const fused = loops.length > 1 ? s.fuse(...loops) : loops[0]!;
  s.parallel(fused);
}

/** Bytes of a float32 buffer; extents that are not constant count as 1. */
export const bufferBytes = (b: Buffer): number => b.shape.reduce((product, n) => product * (constantValue(n) ?? 1), 4);

/** How often a panel is read at least so that fetching the next one meanwhile is worth an instruction a line. */
const fewestReadings = 4;
/**
 * Fetches the panel of weights that the next iteration of `panels` reads while this one is read again and again. Weights
 * are read once a run and come from beyond the second cache: the first reading of each panel would wait for all of it, and
 * the later ones for nothing. `steps` are the loops of the reduction: a few lines are asked for in each of its steps,
 * because many at once wait for one another.
 */
export function prefetchPanels(
  s: Schedule,
  block: BlockRef,
  weights: Buffer,
  {
    steps,
    panels,
    machine,
  }: { readonly steps: readonly LoopRef[]; readonly panels: LoopRef; readonly machine: Machine },
): void {
  const bytes = bufferBytes(weights);
  const around = s.loops(block).map((l) => l.id);
  const between = s.loops(block).slice(around.indexOf(panels.id) + 1, around.indexOf(steps[0]!.id));
  const readings = between.reduce((product, l) => product * (s.extent(l) ?? 1), 1);
  const count = s.extent(panels) ?? 1;
  if (bytes <= machine.l1Bytes || readings < fewestReadings || count < 2) return;
  // Both panels stay in the second cache beside what else is read.
  if ((2 * bytes) / count > machine.l2Bytes * 0.75) return;
  const step = steps.at(-1)!;
  const args = { block, buffer: weights.name, loop: step, distance: 1, ahead: panels };
  if (s.probe("prefetch", args) === undefined) s.prefetch(block, weights.name, step, 1, panels);
}

/** Vectorizes the zeroing of halos, whose last loop runs over the lanes of a channel block. */
export function vectorizeHalos(s: Schedule, machine: Machine): void {
  for (const stage of stagesOf(s.program)) {
    if (stage.kind !== "halo") continue;
    const inner = s.loops(s.block(stage.block.name)).at(-1);
    const extent = inner ? (s.extent(inner) ?? 0) : 0;
    if (inner && extent > 1 && extent <= machine.lanes) s.vectorize(inner);
  }
}

/** A loop of a kernel's nest, the dimension of its result that it runs along, and how much of that an iteration makes. */
interface AlongResult {
  readonly loop: LoopRef;
  readonly dim: number;
  readonly each: number;
}
/**
 * Zeroes the halo of a result in the loops that make the result: on its own it would be left to one thread, and take a
 * quarter as long as a pointwise convolution in two whose 14×14 map a 5×5 window reads. `nest` are the outer loops, none left out, of
 * those that make the result [n, c block, h, w, lane].
 */
export function zeroHalosWithin(s: Schedule, nest: readonly AlongResult[]): void {
  const last = nest.at(-1)!.loop;
  // Those at the sides, which stand last, have no guards, so that it can be told that the others write beside them.
  for (const stage of stagesOf(s.program).toReversed()) {
    if (stage.kind !== "halo") continue;
    const halo = s.block(stage.block.name);
    const own: LoopRef[] = s.loops(halo).slice(0, -1);
    const rest = own.map((l) => s.extent(l)!);
    const fits = nest.every(({ loop, dim, each }) => {
      const iterations = Math.ceil(rest[dim]! / each);
      rest[dim] = Math.min(rest[dim]!, each);
      return iterations <= s.extent(loop)!;
    });
    if (!fits) continue;
    const outer = nest.map(({ dim, each }) => {
      if (each === 1) return own[dim]!;
      const extent = s.extent(own[dim]!)!;
      const factor = Math.min(each, extent);
      const [o, i] = s.split(own[dim]!, { factor, tail: extent % factor === 0 ? "exact" : "guard" });
      own[dim] = i;
      return o;
    });
    const inner = own.filter((l) => !outer.some((o) => o.id === l.id));
    s.reorder(...outer, ...inner);
    // What stands below the rows is zeroed with the last of them.
    const align = stage.block.writes[0]!.ranges[2]!.min.kind === "var" ? "start" : "end";
    if (s.probe("computeWith", { block: halo, loop: last, align }) === undefined) s.computeWith(halo, last, align);
  }
}

/** Vectorizes a contiguous loop of any extent; gives the outer part when it was split. */
export function vectorizeContiguous(s: Schedule, loop: LoopRef, machine: Machine, unroll = 1): LoopRef | undefined {
  const extent = s.extent(loop)!;
  if (extent < 2) return undefined;
  if (extent <= machine.lanes) {
    s.vectorize(loop);
    return undefined;
  }
  const exact = extent % machine.lanes === 0;
  const [outer, lane] = splitVectors(s, loop, machine.lanes, exact);
  s.vectorize(lane);
  if (unroll > 1 && s.extent(outer)! % unroll === 0 && s.extent(outer)! > unroll) {
    const [, u] = s.split(outer, { factor: unroll, tail: "exact" });
    s.unroll(u);
  }
  return outer;
}
function splitVectors(s: Schedule, loop: LoopRef, lanes: number, exact: boolean): [LoopRef, LoopRef] {
  if (exact) return s.split(loop, { factor: lanes, tail: "exact" });
  const shifted = s.probe("split", { loop, factor: lanes, tail: "shift-inwards" }) === undefined;
  return s.split(loop, { factor: lanes, tail: shifted ? "shift-inwards" : "guard" });
}
