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

/** out[physical(i)] = source[i] for every logical index; per axis, the physical offset of each coordinate is tabulated. */
function scatterInto(out: TypedArray, source: TypedArray, dims: readonly number[], layout: Layout): void {
  const shape = physicalShape(layout, dims);
  const strides = shape.map((_, i) => elementCount(shape.slice(i + 1)));
  const offsets = dims.map((extent, axis) => {
    const table = new Float64Array(extent);
    layout.dims.forEach((d, k) => {
      if (d.axis !== axis) return;
      for (let i = 0; i < extent; i++) {
        const outer = Math.floor(i / d.divisor);
        table[i] = table[i]! + (d.modulus === undefined ? outer : outer % d.modulus) * strides[k]!;
      }
    });
    return table;
  });
  const inner = offsets.at(-1) ?? new Float64Array(1);
  const target = out as Float32Array;
  const values = source as Float32Array;
  let position = 0;
  const walk = (axis: number, base: number): void => {
    if (axis >= dims.length - 1) {
      for (let i = 0; i < inner.length; i++) target[base + inner[i]!] = values[position++]!;
      return;
    }
    const table = offsets[axis]!;
    for (let i = 0; i < table.length; i++) walk(axis + 1, base + table[i]!);
  };
  walk(0, 0);
}
