/** What a group of nodes offers to layout selection: ways to compute it, each in its layouts, with what it costs. */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Group, Node } from "../../ir/graph/graph.ts";
import { type Halo, type Layout, plainLayout } from "../../ir/graph/layout.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import type { Machine } from "../schedule/library/plan.ts";

/** A layout in which a kernel can read an input, and the modelled cycles by which it then runs longer. */
export interface Reading {
  readonly layout: Layout;
  readonly cycles: number;
}

/** One way to compute a group. */
export interface Candidate {
  /** Layout of values that leave the group (halo comes later, from their readers); plain when absent. */
  readonly output?: Layout;
  /** Layout of values that stay inside, where it differs from `output`; `inner` names single ones. */
  readonly internal?: Layout;
  readonly inner: ReadonlyMap<ValueId, Layout>;
  /** How inputs can be read, what is cheapest first; those not named are read as they are. */
  readonly readings: ReadonlyMap<ValueId, readonly Reading[]>;
  /** Zero halo (one a logical axis) that convolutions read beyond the map. */
  readonly halos: ReadonlyMap<ValueId, readonly Halo[]>;
  /** Whether a lone anchor wants a copying epilogue. */
  readonly separateEpilogue: boolean;
  /** Modelled cycles of the kernel: comparable among the candidates of one group. */
  readonly cycles: number;
}

/** What candidates are made from. */
export interface CandidateContext {
  readonly graph: Graph;
  readonly machine: Machine;
  /** The layouts that a value may be made in, plain for graph inputs. */
  readonly offered: (v: ValueId) => readonly Layout[];
  /** The nodes that read a value. */
  readonly readers: (v: ValueId) => readonly Node[];
}

/** What a candidate says when it says nothing. */
export const noWishes = {
  inner: new Map<ValueId, Layout>(),
  readings: new Map<ValueId, readonly Reading[]>(),
  halos: new Map<ValueId, readonly Halo[]>(),
  separateEpilogue: false,
  cycles: 0,
};

/** A layout that costs nothing more. */
export const freely = (layout: Layout): Reading => ({ layout, cycles: 0 });

/** Everything row-major, for kernels that have no recipe in another layout. */
export function plainReadings(graph: Graph, g: Group): Map<ValueId, readonly Reading[]> {
  const computed = g.inputs.filter((v) => valueOf(graph, v).constant === undefined);
  return new Map(computed.map((v) => [v, [freely(plainLayout(staticDims(graph, v).length))]]));
}

/** Channels a block of a layout `NCHW[lanes]c`; absent for other layouts. */
export const blockLanes = (layout: Layout): number | undefined =>
  layout.dims.length === 5 && layout.rank === 4 && layout.dims[1]!.axis === 1 && layout.dims[4]!.axis === 1
    ? layout.dims[4]!.modulus
    : undefined;

/** Equal for layouts that put every element at the same place in shapes of any extents, halos aside. */
export const layoutKey = (layout: Layout): string =>
  layout.dims.map((d) => `${d.axis}/${d.divisor}%${d.modulus ?? ""}`).join(" ");

/** Each layout once, in order. */
export function distinctLayouts(layouts: readonly Layout[]): Layout[] {
  return [...new Map(layouts.toReversed().map((l) => [layoutKey(l), l])).values()].toReversed();
}
