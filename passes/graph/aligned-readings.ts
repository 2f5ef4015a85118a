/** How a kernel that runs over a value in its layout reads an operand that is broadcast to it. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import { type Layout, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { type CandidateContext, freely, type Reading } from "./layout-candidate.ts";
import { lanesMatch, layoutBytes, streamCycles } from "./layout-costs.ts";

/**
 * The layouts in which operand `v` of a result of shape `out` in `layout` can be read line by line: the result's own,
 * without the axes that the operand does not have, and for whole operands those with the same lanes. Absent for operands
 * that are read as they are: single elements, and those that stand still along the lanes.
 */
export function alignedReadings(
  { graph, machine, offered }: Pick<CandidateContext, "graph" | "machine" | "offered">,
  v: ValueId,
  out: readonly number[],
  layout: Layout,
): readonly Reading[] | undefined {
  const dims = staticDims(graph, v);
  if (dims.every((n) => n === 1)) return undefined;
  const own = freely(broadcastLayout(layout, dims, out.length));
  if (valueOf(graph, v).constant !== undefined) return [own];
  if (!sameDims(dims, out)) return dims[lanesAxis(layout) - (out.length - dims.length)] === 1 ? undefined : [own];
  const t = { dtype: valueOf(graph, v).type!.dtype, dims };
  const others = offered(v).filter((l) => lanesMatch(layout, l, dims, machine.lanes / 2));
  // Lines in another order: what the prefetcher does not see coming.
  return [own, ...others.map((l) => ({ layout: l, cycles: 0.2 * streamCycles(machine, layoutBytes(t, l)) }))];
}
const sameDims = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);
const lanesAxis = (layout: Layout): number => layout.dims.at(-1)!.axis;

/** The part of a layout that an operand of shape `dims`, aligned at the last axes, takes part in. */
function broadcastLayout(layout: Layout, dims: readonly number[], rank: number): Layout {
  const missing = rank - dims.length;
  const parts = layout.dims.flatMap((d) => {
    const axis = d.axis - missing;
    if (axis < 0) return [];
    if (dims[axis] !== 1) return [{ ...d, axis }];
    return d.modulus === undefined ? [{ axis, divisor: 1 }] : [];
  });
  if (missing === 0 && parts.length === layout.dims.length) return layout;
  const plain = parts.every((d, i) => d.axis === i && d.divisor === 1 && d.modulus === undefined);
  return plain ? plainLayout(dims.length) : { name: `${layout.name} part`, rank: dims.length, dims: parts };
}
