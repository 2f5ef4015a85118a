/** When attention pays as one kernel, and how it is cut: functions of the machine and of extents alone. */
import type { Machine } from "./plan.ts";

/** softmax(Q·K)·V: Q is queries × depth, K is depth × keys, V is keys × size, for each of some heads. */
export interface AttentionShape {
  readonly queries: number;
  readonly keys: number;
  readonly depth: number;
  readonly size: number;
}

/** Multiply-adds of a head, for each vector of them that starts in a cycle, below which laying keys out is not gained back. */
const worthFusing = 400_000;
/** Fewest queries of a strip: each loaded vector of keys serves that many multiply-adds. */
const fewestRows = 3;
/** Fewest keys of a tile: to rescale the mixture costs as much as to mix about four keys. */
const fewestKeys = 128;

/** Queries that go through the kernel together: so many that their scores stay in the first cache, if they can. */
export function stripRows(m: Machine, queries: number, keys: number): number {
  return Math.min(fullStrip(m, queries), Math.max(1, Math.floor(m.l1Bytes / (4 * keys))));
}
/** Rows of a strip that hide the latency of two multiply-adds a cycle, for one vector of keys; more were no faster. */
const mostRows = 8;
const fullStrip = (m: Machine, queries: number): number => Math.min(queries, mostRows, Math.floor(m.registers / 2));

/**
 * Keys that a strip of queries meets at a time: all of them, or a part that divides them. Undefined where separate kernels
 * are faster (docs/decisions/0012).
 */
export function keysAtATime(s: AttentionShape, m: Machine): number | undefined {
  const work = s.queries * s.keys * (s.depth + s.size);
  if (work < worthFusing * m.fmaPerCycle || s.keys < m.lanes || s.size < m.lanes) return undefined;
  const keys = largestTile(s, m) ?? s.keys;
  return stripRows(m, s.queries, keys) < fewestRows ? undefined : keys;
}
/** The largest tile of keys whose scores stay in the first cache for a full strip. */
function largestTile(s: AttentionShape, m: Machine): number | undefined {
  const most = Math.floor(m.l1Bytes / (4 * fullStrip(m, s.queries)));
  if (s.keys <= most) return s.keys;
  for (let keys = Math.floor(most / m.lanes) * m.lanes; keys >= fewestKeys; keys -= m.lanes)
    if (s.keys % keys === 0) return keys;
  return undefined;
}
