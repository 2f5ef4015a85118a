/** Lays constants out in memory the way kernels read them. */
import { bytesOf } from "../../ir/expr/dtype.ts";
import { isPlain, type Layout, physicalShape } from "../../ir/graph/layout.ts";
import { arrayTypeOf, elementCount, type TensorValue, type TypedArray } from "../../ir/graph/tensor-value.ts";
import { invariant } from "../../ir/support/invariant.ts";

/** Bytes of a constant in this layout. */
export function packedBytes(value: TensorValue, layout: Layout | undefined): number {
  const dims = layout ? physicalShape(layout, value.dims) : value.dims;
  return elementCount(dims) * bytesOf(value.type);
}

/** Writes `value` in `layout` to `target` (bytes, zeroed); what the layout adds stays zero. */
export function packConstant(value: TensorValue, layout: Layout | undefined, target: Uint8Array): void {
  const make = arrayTypeOf(value.type);
  const elements = target.byteLength / bytesOf(value.type);
  const out = new make(target.buffer as ArrayBuffer, target.byteOffset, elements) as Float32Array;
  const source = value.data as Float32Array;
  if (layout === undefined || isPlain(layout)) {
    out.set(source);
    return;
  }
  invariant(layout.halo === undefined, "constants have no halo");
  scatterInto(out, source, value.dims, layout);
}

/** Longest run of logical indices whose physical offsets are tabulated together. */
const longestRun = 8192;
/** Runs copied side by side: blocked layouts put the elements of so many next to each other. */
const runsAtOnce = 16;

/**
 * out[physical(i)] = source[i] for every logical index i. Physical offsets add up over the axes: trailing axes share one
 * table, so that even pointwise kernels have a long innermost loop.
 */
function scatterInto(out: TypedArray, source: TypedArray, dims: readonly number[], layout: Layout): void {
  const tables = axisOffsets(dims, layout);
  let inner: Offsets = Int32Array.of(0);
  while (tables.length > 0 && inner.length * tables.at(-1)!.length <= longestRun) inner = sumsOf(tables.pop()!, inner);
  const outer = tables.pop() ?? Int32Array.of(0);
  // Typed arrays of any kind store and load alike.
  const run: Run = { target: out as Float32Array, values: source as Float32Array, outer, inner };
  let position = 0;
  const walk = (axis: number, base: number): void => {
    if (axis === tables.length) {
      for (let first = 0; first < outer.length; first += runsAtOnce)
        scatterRuns(run, first, { base, position: position + first * inner.length });
      position += outer.length * inner.length;
      return;
    }
    for (const offset of tables[axis]!) walk(axis + 1, base + offset);
  };
  walk(0, 0);
}

type Offsets = Int32Array<ArrayBuffer>;
interface Run {
  readonly target: Float32Array;
  readonly values: Float32Array;
  readonly outer: Offsets;
  readonly inner: Offsets;
}

/** Copies the runs of some coordinates of the outer axis, all of them in step. */
function scatterRuns(run: Run, first: number, at: { base: number; position: number }): void {
  const { target, values, outer, inner } = run;
  const last = Math.min(first + runsAtOnce, outer.length);
  const { base, position } = at;
  for (let j = 0; j < inner.length; j++) {
    const place = base + inner[j]!;
    let from = position + j;
    for (let i = first; i < last; i++) {
      target[place + outer[i]!] = values[from]!;
      from += inner.length;
    }
  }
}

/** What each coordinate of each axis adds to the physical offset, in elements. */
function axisOffsets(dims: readonly number[], layout: Layout): Offsets[] {
  const shape = physicalShape(layout, dims);
  invariant(elementCount(shape) < 2 ** 31, "a constant has fewer than 2^31 elements");
  const strides = shape.map((_, i) => elementCount(shape.slice(i + 1)));
  return dims.map((extent, axis) => {
    const table = new Int32Array(extent);
    layout.dims.forEach((d, k) => {
      if (d.axis !== axis) return;
      for (let i = 0; i < extent; i++) {
        const outer = Math.floor(i / d.divisor);
        table[i] = table[i]! + (d.modulus === undefined ? outer : outer % d.modulus) * strides[k]!;
      }
    });
    return table;
  });
}

/** outer[i] + inner[j] for every i and j, j fastest. */
function sumsOf(outer: Offsets, inner: Offsets): Offsets {
  const sums = new Int32Array(outer.length * inner.length);
  for (const [i, base] of outer.entries())
    for (let j = 0; j < inner.length; j++) sums[i * inner.length + j] = base + inner[j]!;
  return sums;
}
