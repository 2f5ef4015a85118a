/** The model behind layout selection: cycles of moving tensors through memory. */
import type { ScalarType } from "../../ir/expr/dtype.ts";
import { type Layout, physicalShape } from "../../ir/graph/layout.ts";
import { byteCount } from "../../ir/graph/tensor-value.ts";
import type { Machine } from "../schedule/library/plan.ts";
import { sameOrder } from "./layout-views.ts";

/** Cycles that a kernel of its own costs beside its work: the call, and the threads' meeting at its end. */
const kernelCycles = 2000;
/** What another name for the same memory counts, so that a value keeps one where it can. */
const renamingCycles = 1;
/** Bytes read and written a cycle: within the second cache, within the last one, and beyond. */
const nearBytesPerCycle = 24;
const farBytesPerCycle = 16;
const memoryBytesPerCycle = 8;
const lastLevelBytes = 8 << 20;
/** Bytes a cycle of a copy whose lanes are not lines on both sides: tiles transposed in registers. */
const transposedBytesPerCycle = 12;
/** Bytes a cycle of a copy element by element. */
const scalarBytesPerCycle = 2;

/** Cycles of reading and writing so many bytes in all, line after line. */
export function streamCycles(m: Machine, bytes: number): number {
  const rate =
    bytes <= m.l2Bytes ? nearBytesPerCycle : bytes <= lastLevelBytes ? farBytesPerCycle : memoryBytesPerCycle;
  return bytes / rate;
}

/** A tensor to be moved. */
export interface Moved {
  readonly dtype: ScalarType;
  readonly dims: readonly number[];
}
/** Bytes of a tensor in a layout, the padding of its last blocks included. */
export const layoutBytes = ({ dtype, dims }: Moved, layout: Layout): number =>
  byteCount(dtype, physicalShape(layout, dims));

/** Cycles of a kernel that copies a tensor from one layout into another; next to nothing where they are the same memory. */
export function conversionCycles(m: Machine, t: Moved, from: Layout, to: Layout): number {
  return sameOrder(from, to, t.dims) ? renamingCycles : copyCycles(m, t, from, to);
}
/** Cycles of a copying kernel. */
export function copyCycles(m: Machine, t: Moved, from: Layout, to: Layout): number {
  const bytes = layoutBytes(t, from) + layoutBytes(t, to);
  return kernelCycles + Math.max(streamCycles(m, bytes), bytes / copyRate(m, t, from, to));
}
function copyRate(m: Machine, t: Moved, from: Layout, to: Layout): number {
  if (t.dims.length === 0 || lanesMatch(from, to, t.dims, m.lanes / 2)) return Number.POSITIVE_INFINITY;
  const tile = Math.min(runAlong(from, lineAxis(to, t.dims), t.dims), runAlong(to, lineAxis(from, t.dims), t.dims));
  return tile >= 4 ? transposedBytesPerCycle : scalarBytesPerCycle;
}
/** The axis that lies in a line: the innermost one that is longer than 1. */
function lineAxis(layout: Layout, dims: readonly number[]): number {
  const at = physicalShape(layout, dims).findLastIndex((extent) => extent > 1);
  return layout.dims[Math.max(at, 0)]!.axis;
}
/** Elements along an axis that follow one another at one stride. */
const runAlong = (layout: Layout, axis: number, dims: readonly number[]): number =>
  layout.dims.find((d) => d.axis === axis && d.divisor === 1)?.modulus ?? dims[axis]!;
/**
 * Whether a kernel that walks one layout line by line also walks the other so: both have the same axis innermost, in
 * blocks (of at least `lanes`) that fill it and of which the longer are whole numbers of the shorter.
 */
export function lanesMatch(a: Layout, b: Layout, dims: readonly number[], lanes: number): boolean {
  const [first, second] = [a, b].map((l) => {
    const shape = physicalShape(l, dims);
    const at = shape.findLastIndex((extent) => extent > 1);
    return { dim: l.dims[at], extent: shape[at] };
  });
  if (!first?.dim || !second?.dim || first.dim.axis !== second.dim.axis) return false;
  if (first.dim.divisor !== 1 || second.dim.divisor !== 1) return false;
  const [short, long] = [first.extent!, second.extent!].sort((x, y) => x - y) as [number, number];
  return short === long || (short >= lanes && long % short === 0 && dims[first.dim.axis]! % short === 0);
}
