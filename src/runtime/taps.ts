/** Networks that also give what flows between their kernels, to find the kernel that goes wrong. */
import { bytesOf } from "../../ir/expr/dtype.ts";
import { valueOf } from "../../ir/graph/build.ts";
import type { Value } from "../../ir/graph/graph.ts";
import { isPlain, type Layout, physicalShape } from "../../ir/graph/layout.ts";
import { arrayTypeOf, elementCount, type TypedArray } from "../../ir/graph/tensor-value.ts";
import { Tensor } from "../tensor.ts";
import { type CompiledNetwork, linkParts } from "./compile.ts";
import { Executable, type Feeds } from "./executable.ts";
import { planMemory, storagePlace } from "./memory-plan.ts";

/** What one kernel made, in logical (row-major) order. */
export interface Intermediate {
  /** Position of the kernel in the order of execution. */
  readonly step: number;
  readonly value: string;
  readonly tensor: Tensor;
}

/**
 * Runs the very kernels of `network` on `feeds` and gives every value that one of them makes, in order. The values get
 * memory of their own instead of a shared arena; nothing else changes.
 */
export async function runWithTaps(network: CompiledNetwork, feeds: Feeds): Promise<Intermediate[]> {
  const { fused, steps, kernels, context } = network;
  const made = steps.flatMap((g, step) => g.outputs.map((id) => ({ id, step, place: storagePlace(fused, id) })));
  const outputs = [...new Set([...fused.graph.outputs, ...made.map(({ place }) => place.whole)])];
  const open = { graph: { ...fused.graph, outputs }, groups: fused.groups };
  const planned = steps.map((group, i) => ({ group, workspaceBytes: kernels[i]!.workspaceBytes }));
  const parts = await linkParts({ fused: open, steps, kernels, plan: planMemory(open, planned), context }, false);
  const values = outputs.map((id) => valueOf(open.graph, id));
  // By position: a name could be that of an output as well.
  const ports = parts.outputs.map((p, i) => ({ ...p, name: String(i), dims: storedDims(values[i]!) }));
  const net = new Executable({ ...parts, outputs: ports });
  try {
    const results = net.runSync(feeds);
    return made.map(({ id, step, place }) => {
      const { data } = results[String(outputs.indexOf(place.whole))]!;
      const v = valueOf(open.graph, id);
      const first = place.offset / bytesOf(v.type!.dtype);
      const stored = data.subarray(first, first + elementCount(storedDims(v))) as TypedArray;
      return { step, value: v.name, tensor: unpacked(stored, v) };
    });
  } finally {
    net.dispose();
  }
}

const logicalDims = (v: Value): readonly number[] => v.type!.dims as readonly number[];
const storedDims = (v: Value): readonly number[] =>
  v.layout ? physicalShape(v.layout, logicalDims(v)) : logicalDims(v);

/** The elements of a value in row-major order. */
function unpacked(stored: TypedArray, v: Value): Tensor {
  const dims = logicalDims(v);
  const type = v.type!.dtype;
  if (isPlain(v.layout)) return Tensor.from({ type, dims, data: stored });
  const data = new (arrayTypeOf(type))(elementCount(dims));
  const bytes = bytesOf(type);
  const [from, to] = [new Uint8Array(stored.buffer, stored.byteOffset), new Uint8Array(data.buffer)];
  const tables = offsetTables(v.layout!, dims);
  const index = dims.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    let at = 0;
    for (let axis = 0; axis < index.length; axis++) at += tables[axis]![index[axis]!]!;
    for (let b = 0; b < bytes; b++) to[i * bytes + b] = from[at * bytes + b]!;
    for (let axis = index.length - 1; axis >= 0 && ++index[axis]! === dims[axis]; axis--) index[axis] = 0;
  }
  return Tensor.from({ type, dims, data });
}

/** For each axis, how far each of its coordinates leads into the stored elements. */
function offsetTables(layout: Layout, dims: readonly number[]): readonly Float64Array[] {
  const shape = physicalShape(layout, dims);
  const strides = shape.map((_, i) => elementCount(shape.slice(i + 1)));
  return dims.map((extent, axis) =>
    Float64Array.from({ length: extent }, (_, i) =>
      layout.dims.reduce((sum, d, k) => {
        if (d.axis !== axis) return sum;
        const outer = Math.floor(i / d.divisor);
        const coordinate = (d.modulus === undefined ? outer : outer % d.modulus) + (layout.halo?.[axis]?.before ?? 0);
        return sum + coordinate * strides[k]!;
      }, 0),
    ),
  );
}
