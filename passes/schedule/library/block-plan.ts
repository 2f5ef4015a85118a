/** When convolutions that follow each other pay as one kernel, and how it is cut: functions of the machine and of extents alone. */
import type { Machine } from "./plan.ts";

/** What a convolution computes: rows × width pixels of channels, each of them a sum of `depth` products. */
export interface ConvExtents {
  readonly batch: number;
  readonly channels: number;
  readonly rows: number;
  readonly width: number;
  readonly depth: number;
}
/** A depthwise convolution with the pointwise one before it (expand), the one after it (project), or both. */
export interface BlockShape {
  readonly expand?: ConvExtents;
  /** `window` rows of its input make a row of its result, `stride` rows on from those of the row before. */
  readonly depthwise: ConvExtents & { readonly window: number; readonly stride: number };
  readonly project?: ConvExtents;
}
/** Strips of rows that threads share, and the rows of a strip that go through all convolutions together. */
export interface BlockCut {
  readonly strips: number;
  readonly rows: number;
}

/** Rows of the result below which the weights of each tile are read too often. */
const fewestRows = 4;

/** How rows are cut, for all threads alike; undefined where they cannot be. */
export function cutBlock(s: BlockShape, m: Machine, threads: number): BlockCut | undefined {
  const { rows } = s.depthwise;
  // Two strips a thread, so that one that is late can be helped. Shorter ones gained nothing for sure.
  const strips = threads > 1 ? 2 * threads : 1;
  const fits = rows % strips === 0 && rows / strips >= 2 * fewestRows;
  return fits ? { strips, rows: rowsTogether(s, m, rows / strips) } : undefined;
}
/** The largest divisor of a strip's rows whose maps stay in the second cache, else the least one that is not too small. */
function rowsTogether(s: BlockShape, m: Machine, rows: number): number {
  const divisors = Array.from({ length: rows }, (_, i) => rows - i).filter((n) => rows % n === 0 && n >= fewestRows);
  return divisors.find((n) => staysNear(s, m, n)) ?? divisors.at(-1)!;
}
function staysNear({ expand, depthwise, project }: BlockShape, m: Machine, rows: number): boolean {
  const filtered = project ? rows * rowBytes(depthwise) : 0;
  // Nothing is computed twice without an expansion, so there is no reason to take many rows.
  if (!expand) return filtered <= m.l2Bytes / 4;
  return filtered + ((rows - 1) * depthwise.stride + depthwise.window) * rowBytes(expand) <= m.l2Bytes;
}
const rowBytes = (c: ConvExtents): number => 4 * c.width * c.channels;

/** Cycles of a thread that one kernel saves beside separate ones; not positive where those are as fast (docs/decisions/0012). */
export function savedCycles(s: BlockShape, m: Machine, threads: number): number {
  const { expand, depthwise, project } = s;
  const all = [expand, depthwise, project].filter((c) => c !== undefined);
  // Every thread reads all weights, which must not come from beyond its own caches.
  const weights = all.reduce((sum, c) => sum + 4 * c.channels * c.depth, 0);
  const cut = weights <= m.l2Bytes ? cutBlock(s, m, threads) : undefined;
  if (!cut) return 0;
  const starts = threads > 1 ? (all.length - 1) * startCycles : 0;
  if (!expand) return starts;
  const beyond = (expand.batch * expand.rows * rowBytes(expand) - 3 * m.l2Bytes) / threads;
  const repeated = (depthwise.rows / cut.rows - 1) * Math.max(0, depthwise.window - depthwise.stride);
  const rowCycles = (expand.width * expand.channels * expand.depth) / (m.lanes * m.fmaPerCycle);
  return starts + Math.max(0, beyond) / farBytes - (expand.batch * repeated * rowCycles) / threads;
}
/** Cycles until all threads have ended one kernel and begun the next: about a microsecond, measured with two threads. */
const startCycles = 4000;
/** Bytes a cycle of a map beyond three times the second cache, written by one kernel and read by the next (measured on Zen 4). */
const farBytes = 14;
