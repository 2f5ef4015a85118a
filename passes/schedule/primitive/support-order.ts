/**
 * What a block that leaves its nest would no longer see in the right order.
 *
 * Note [Leaving a nest]
 * Blocks that share loops with a block run once more after it, in later iterations, and once more before it, in earlier
 * ones. Where the block goes to a place outside of those loops, all iterations of the others come before (or after) it.
 * The loops that it shares with its new place too keep their order, and so does what they hold, as long as each of their
 * iterations runs the same instances of the block as before.
 */
import type { Buffer } from "../../../ir/expr/expr.ts";
import type { Block, For, Program } from "../../../ir/loop/program.ts";
import type { BufferId } from "../../../ir/support/ids.ts";
import { dependencesOf } from "../dependences.ts";
import { nestOf } from "../legality.ts";
import { loopsAround } from "../tree.ts";
import { type Access, blockAccesses, collectAccesses, merged, rangesOf } from "./support-access.ts";
import { type Box, boxOf, spanCovers } from "./support-box.ts";
import { addLinear, exprOf, linearOf, type Ranges } from "./support-linear.ts";
import type { DomainAxis } from "./support-nest.ts";

function sharedLoops(program: Program, x: Block, y: Block): number {
  const [a, b] = [loopsAround(program, x.id), loopsAround(program, y.id)];
  const differs = a.findIndex((l, k) => l !== b[k]);
  return differs < 0 ? a.length : differs;
}
/** Two of the writers of a buffer that share loops and may write one element. */
export function writingInTurn(
  program: Program,
  writers: readonly Block[],
  buffer: Buffer,
): readonly [Block, Block] | undefined {
  for (const [k, x] of writers.entries())
    for (const y of writers.slice(k + 1)) {
      if (sharedLoops(program, x, y) === 0) continue;
      const nest = nestOf(loopsAround(program, x.id)[0]!);
      const [a, b] = [x, y].map((s) => nest.instances.find((i) => i.stmt === s));
      if (!a || !b || !dependencesOf(nest, [a, b], { buffer: buffer.id }).next().done) return [x, y];
    }
  return undefined;
}
/** Those of `others` that share loops with `b` which `place` stands outside of. */
export const companions = (program: Program, others: readonly Block[], b: Block, place: Block): Block[] => {
  const kept = sharedLoops(program, b, place);
  return others.filter((x) => x !== b && sharedLoops(program, x, b) > kept);
};
/** One of the blocks before `b` that overwrites, in a later iteration, what `b` has read; `b` goes to `place`, after it. */
export function overwrittenLater(
  program: Program,
  before: readonly Block[],
  b: Block,
  place: Block,
): Block | undefined {
  const inputs = new Set(blockAccesses(b).flatMap((a) => (a.kind === "load" ? [a.buffer.id] : [])));
  const kept = sharedLoops(program, b, place);
  const loops: readonly For[] = loopsAround(program, b.id);
  return companions(program, before, b, place).find((x) => {
    const nest = nestOf(loops[kept]!, loops.slice(0, kept));
    const [theirs, own] = [x, b].map((s) => nest.instances.find((i) => i.stmt === s));
    if (!theirs || !own) return true;
    const isLate = (buffer: BufferId): boolean =>
      [...dependencesOf(nest, [theirs, own], { buffer })].some((d) => d.kind === "anti" && d.source.block === b);
    return [...inputs].some(isLate);
  });
}

/** The first of `buffers` that something under the outermost of `loops` writes. */
export function writtenUnder(loops: readonly For[], buffers: ReadonlySet<BufferId>): Access | undefined {
  const [outermost] = loops;
  return outermost && collectAccesses(outermost, (id) => buffers.has(id)).find((a) => a.kind === "store");
}
/** The instances that axes mean while some loops run, at one iteration of those further out. */
export function instancesOf(axes: readonly DomainAxis[], moving: readonly For[], outer: Ranges): Box {
  const inner = new Map(axes.map((a) => [a.iter.var.id, { min: 0, max: a.extent - 1 }] as const));
  const places = axes.map((a) => exprOf(addLinear(a.min, linearOf(a.iter.var, inner))));
  return boxOf(places, merged(rangesOf(moving), inner), merged(outer, inner));
}
/** The instances that a block's own loops run, at one iteration of those further out. */
export function instancesUnder(b: Block, own: readonly For[], outer: Ranges): Box {
  const moving = rangesOf(own);
  return boxOf(b.bindings, moving, merged(outer, moving));
}
/** Whether a box certainly holds all of another. */
export const holdsAll = (outer: Box, inner: Box, ranges: Ranges): boolean =>
  outer.exact && outer.spans.every((s, d) => s && inner.spans[d] && spanCovers(s, inner.spans[d], ranges));
