/**
 * Concatenations that copy nothing: where the parts of the result follow one another in memory, each part's producer
 * writes it where the result lies.
 */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group } from "../../ir/graph/graph.ts";
import { type Layout, physicalShape, plainLayout, sameLayout, withoutHalo } from "../../ir/graph/layout.ts";
import { byteCount, elementCount } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { describesInput } from "./layout-views.ts";

/** Where a part lies: so many bytes after the first of `whole`. */
export interface PartPlace {
  readonly whole: ValueId;
  readonly offset: number;
}

/** Kernels assume that what they read and write starts at a cache line. */
const alignment = 64;

/** Parts whose producers can write into the result of a concatenation, with their places there. */
export function inPlaceParts({ graph, groups }: FusedGraph): ReadonlyMap<ValueId, PartPlace> {
  const makers = new Map(groups.flatMap((g) => g.outputs.map((v) => [v, g] as const)));
  const places = new Map<ValueId, PartPlace>();
  for (const g of groups) {
    const parts = contiguousParts(graph, g, sameLayout);
    const free = (v: ValueId) => !places.has(v) && isMovable(graph, makers.get(v), v);
    if (parts?.every(({ part, offset }) => offset % alignment === 0 && free(part)))
      for (const { part, offset } of parts) places.set(part, { whole: g.outputs[0]!, offset });
  }
  return places;
}

/** The parts of a concatenation that could be written in place if its operands had one halo; absent for other groups. */
export function partsOfOneHalo(graph: Graph, g: Group): readonly ValueId[] | undefined {
  const bare = (l: Layout | undefined): Layout | undefined => l && withoutHalo(l);
  return contiguousParts(graph, g, (a, b) => sameLayout(bare(a), bare(b)))?.map(({ part }) => part);
}

/** Made by a kernel of its own, and nobody else's memory. */
function isMovable(graph: Graph, maker: Group | undefined, v: ValueId): boolean {
  return (
    maker !== undefined && !graph.outputs.includes(v) && !graph.inputs.includes(v) && !describesInput(graph, maker)
  );
}

/** The operands of a lone concatenation, in order, with their byte offsets, if each is one range of the result. */
function contiguousParts(
  graph: Graph,
  { nodes }: Group,
  same: (a: Layout | undefined, b: Layout | undefined) => boolean,
): readonly { readonly part: ValueId; readonly offset: number }[] | undefined {
  const [n] = nodes;
  if (nodes.length !== 1 || n?.op !== "Concat" || n.domain !== "") return undefined;
  const whole = valueOf(graph, n.outputs[0]!);
  const dims = staticDims(graph, whole.id);
  const attribute = n.attributes.get("axis");
  const given = attribute?.kind === "int" ? Number(attribute.value) : 1;
  const axis = given < 0 ? given + dims.length : given;
  const layout = whole.layout ?? plainLayout(dims.length);
  const shape = physicalShape(layout, dims);
  const at = layout.dims.findIndex((d) => d.axis === axis);
  const halo = layout.halo?.[axis];
  if (at < 0 || shape.slice(0, at).some((extent) => extent !== 1) || (halo && halo.before + halo.after > 0))
    return undefined;
  const parts = n.inputs.map((v) => v!);
  if (new Set(parts).size !== parts.length) return undefined;
  const step = byteCount(whole.type!.dtype, shape.slice(at + 1));
  const { divisor } = layout.dims[at]!;
  let blocks = 0;
  const placed: { part: ValueId; offset: number }[] = [];
  for (const [i, part] of parts.entries()) {
    const value = valueOf(graph, part);
    const extent = staticDims(graph, part)[axis]!;
    if (value.constant || !same(value.layout, whole.layout)) return undefined;
    if (extent % divisor !== 0 && i < parts.length - 1) return undefined;
    placed.push({ part, offset: blocks * step });
    blocks += Math.ceil(extent / divisor);
  }
  return elementCount(shape) === 0 ? undefined : placed;
}
