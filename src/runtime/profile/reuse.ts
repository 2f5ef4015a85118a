/** Where the memory that each step touches lies when it is touched: by how much else was touched since the last time. */
import type { Caches } from "../../../ir/target/target.ts";

/** Bytes from an offset in one of the areas that a network works on. */
export interface Span {
  readonly area: string;
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes by the nearest memory that holds them. */
export interface BytesByLevel {
  readonly L1: number;
  readonly L2: number;
  readonly L3: number;
  readonly memory: number;
}
export type Level = keyof BytesByLevel;

const granule = 1024;

/**
 * For each step of a network that runs over and over, the bytes of its spans by the level that they come from: caches are
 * taken to keep what was used last. Private caches count `threads` times.
 */
export function bytesByLevel(steps: readonly (readonly Span[])[], caches: Caches, threads = 1): BytesByLevel[] {
  const touches = steps.flatMap((spans, step) =>
    spans.flatMap((span) => granulesOf(span).map((g) => ({ ...g, step }))),
  );
  const recent = new RecentBytes(2 * touches.length);
  const last = new Map<string, { time: number; bytes: number }>();
  const found = steps.map(() => ({ L1: 0, L2: 0, L3: 0, memory: 0 }));
  const level = (distance: number): Level => {
    if (distance <= caches.l1dBytes * threads) return "L1";
    if (distance <= caches.l2Bytes * threads) return "L2";
    return distance <= caches.l3Bytes ? "L3" : "memory";
  };
  // The first run only fills the caches.
  [...touches, ...touches].forEach(({ key, bytes, step }, time) => {
    const before = last.get(key);
    if (time >= touches.length)
      found[step]![level(before ? recent.since(before.time) : Number.POSITIVE_INFINITY)] += bytes;
    const whole = Math.max(bytes, before?.bytes ?? 0);
    if (before) recent.add(before.time, -before.bytes);
    recent.add(time, whole);
    last.set(key, { time, bytes: whole });
  });
  return found;
}

function granulesOf({ area, offset, bytes }: Span): { readonly key: string; readonly bytes: number }[] {
  const first = Math.floor(offset / granule);
  const count = bytes === 0 ? 0 : Math.ceil((offset + bytes) / granule) - first;
  return Array.from({ length: count }, (_, i) => {
    const start = Math.max(offset, (first + i) * granule);
    return { key: `${area}:${first + i}`, bytes: Math.min(offset + bytes, (first + i + 1) * granule) - start };
  });
}

/** Sums over times, in a binary indexed tree (Fenwick, 1994). */
class RecentBytes {
  readonly #sums: Float64Array;
  #total = 0;
  constructor(times: number) {
    this.#sums = new Float64Array(times + 1);
  }
  add(time: number, bytes: number): void {
    this.#total += bytes;
    for (let i = time + 1; i < this.#sums.length; i += i & -i) this.#sums[i]! += bytes;
  }
  /** Bytes whose last touch was at `time` or later. */
  since(time: number): number {
    let before = 0;
    for (let i = time; i > 0; i -= i & -i) before += this.#sums[i]!;
    return this.#total - before;
  }
}
