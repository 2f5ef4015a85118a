/**
 * Places buffers with known lifetimes in one block of memory: largest first, each at the lowest gap that fits it among
 * those alive with it. Used for the workspace of a function and for the arena of a network.
 */
import { invariant } from "../../ir/support/invariant.ts";

/** A buffer alive from step `first` to step `last`, both included. */
export interface Lifetime<Id = number> {
  readonly id: Id;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}
/** Byte offsets of each buffer, and the size of the block. */
export interface ArenaPlan<Id = number> {
  readonly offsets: ReadonlyMap<Id, number>;
  readonly total: number;
}

interface Placed {
  readonly offset: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

/** Gives non-overlapping places to buffers that live at the same time; offsets are multiples of `alignment`. */
export function planArena<Id>(lifetimes: readonly Lifetime<Id>[], alignment = 64): ArenaPlan<Id> {
  invariant(Number.isInteger(alignment) && alignment > 0, `alignment must be a positive integer, got ${alignment}`);
  const order = lifetimes
    .map((life, position) => ({ life, position }))
    .sort((x, y) => y.life.bytes - x.life.bytes || x.life.first - y.life.first || x.position - y.position);
  const offsets = new Map<Id, number>();
  const placed: Placed[] = [];
  let total = 0;
  for (const { life } of order) {
    const bytes = roundUp(life.bytes, alignment);
    const offset = lowestGap(
      placed.filter((p) => p.first <= life.last && life.first <= p.last),
      bytes,
    );
    offsets.set(life.id, offset);
    insertByOffset(placed, { offset, end: offset + bytes, first: life.first, last: life.last });
    total = Math.max(total, offset + bytes);
  }
  return { offsets, total };
}

/** The smallest gap that holds `bytes` among neighbours sorted by offset; behind the last one if none does. */
function lowestGap(neighbours: readonly Placed[], bytes: number): number {
  let end = 0;
  let best = -1;
  let bestGap = Number.POSITIVE_INFINITY;
  for (const p of neighbours) {
    const gap = p.offset - end;
    if (gap >= bytes && gap < bestGap) {
      best = end;
      bestGap = gap;
    }
    end = Math.max(end, p.end);
  }
  return best >= 0 ? best : end;
}

function insertByOffset(list: Placed[], item: Placed): void {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.offset <= item.offset) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, item);
}

/** The least multiple of `unit` that is at least `value`. */
const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;
