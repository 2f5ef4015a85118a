/** How many bytes the loops of a kernel bring into a cache: what does not fit is fetched again. */
import type { PrimFunc } from "../../../ir/loop/program.ts";
import { type Level, levelsOf } from "../../../passes/schedule/levels.ts";
import type { BytesByLevel } from "./reuse.ts";

/**
 * Bytes that come into a cache of `cacheBytes` in one run of a function, whose cache is empty at the start. A loop of which
 * one iteration fits brings in what it touches in all, once; one of which it does not, what its inner loops do, each time.
 * Undefined where extents are not constant.
 */
export function bytesInto(func: PrimFunc, cacheBytes: number): number | undefined {
  const tops = nested(levelsOf(func));
  const total = tops.reduce((n, t) => n + bytesOf(t, cacheBytes), 0);
  return Number.isFinite(total) ? total : undefined;
}

interface Nest {
  readonly level: Level;
  readonly inside: Nest[];
}

/** Levels come with those around before those inside. */
function nested(levels: readonly Level[]): Nest[] {
  const tops: Nest[] = [];
  const open: Nest[] = [];
  for (const level of levels) {
    const nest: Nest = { level, inside: [] };
    open.length = level.depth;
    (open.at(-1)?.inside ?? tops).push(nest);
    open.push(nest);
  }
  return tops;
}

function bytesOf({ level, inside }: Nest, cacheBytes: number): number {
  const iteration = inside.reduce((n, i) => n + i.level.bytes, 0);
  if (iteration <= cacheBytes) return level.bytes;
  return (level.extent ?? Number.NaN) * inside.reduce((n, i) => n + bytesOf(i, cacheBytes), 0);
}

/** Bytes that come into the first- and second-level cache, and into one that holds everything. */
export interface Incoming {
  readonly l1: number;
  readonly l2: number;
  readonly all: number;
}

/** Undefined where extents are not constant. */
export function incomingBytes(func: PrimFunc, l1Bytes: number, l2Bytes: number): Incoming | undefined {
  const [l1, l2, all] = [l1Bytes, l2Bytes, Number.POSITIVE_INFINITY].map((bytes) => bytesInto(func, bytes));
  return l1 === undefined || l2 === undefined || all === undefined ? undefined : { l1, l2, all };
}

/** Bytes that a kernel has to fetch, by where they lie. */
export interface Traffic {
  /** Touched at least once. */
  readonly touched: number;
  readonly from: BytesByLevel;
}

/**
 * First touches by where they find their bytes, and what comes in again: into the first-level cache from the second, into
 * the second from what lies behind it.
 */
export function trafficOf(first: BytesByLevel, incoming: Incoming | undefined, l3Bytes: number): Traffic {
  const touched = first.L1 + first.L2 + first.L3 + first.memory;
  const { l1, l2, all } = incoming ?? { l1: 0, l2: 0, all: 0 };
  const beyondL2 = l2 - all;
  const withinL2 = Math.max(0, l1 - l2);
  const behind = touched <= l3Bytes ? "L3" : "memory";
  const from = { ...first, L2: first.L2 + withinL2 };
  return { touched, from: { ...from, [behind]: from[behind] + beyondL2 } };
}
