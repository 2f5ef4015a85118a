/**
 * Concatenations and slices that copy nothing: where the parts follow one another in memory, each part of a concatenation is
 * written by its producer where the result lies, and a slice is read where what it is cut from lies.
 */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { FusedGraph, Graph, Group, Node } from "../../ir/graph/graph.ts";
import { type Layout, physicalShape, plainLayout, sameLayout, withoutHalo } from "../../ir/graph/layout.ts";
import { byteCount, elementCount } from "../../ir/graph/tensor-value.ts";
import type { ValueId } from "../../ir/support/ids.ts";
import { axisOf } from "./concat-lanes.ts";
import { describesInput } from "./layout-views.ts";

/** Where a part lies: so many bytes after the first of `whole`. */
export interface PartPlace {
  readonly whole: ValueId;
  readonly offset: number;
}

/** Kernels assume that what they read and write starts at a cache line. */
const alignment = 64;

/** Values that lie within others. */
export interface InPlace {
  readonly places: ReadonlyMap<ValueId, PartPlace>;
  /** Results of concatenations whose parts are written in place, and slices that are read in place: no kernel makes them. */
  readonly views: ReadonlySet<ValueId>;
}
/** Parts of concatenations that are written where the result lies, and slices that are read where their source lies. */
export function placedWithin(fused: FusedGraph): InPlace {
  const { graph, groups } = fused;
  const makers = new Map(groups.flatMap((g) => g.outputs.map((v) => [v, g] as const)));
  const slices = slicesInPlace(fused);
  const places = new Map<ValueId, PartPlace>();
  const views = new Set<ValueId>();
  const free = (v: ValueId): boolean => !places.has(v) && isMovable(graph, makers.get(v), v);
  for (const g of groups) {
    const parts = contiguousParts(graph, g, sameLayout);
    if (!parts?.every(({ offset }) => offset % alignment === 0)) continue;
    const made = withWholeSources(graph, parts, (v) => !slices.has(v) && free(v), slices);
    if (!made.every(({ part }) => free(part))) continue;
    for (const { part, offset } of made) {
      places.set(part, { whole: g.outputs[0]!, offset });
      // A slice that is copied by itself is one part copied; the concatenation would copy all.
      if (slices.has(part)) for (const v of makers.get(part)!.outputs) slices.delete(v);
    }
    views.add(g.outputs[0]!);
  }
  for (const v of slices.keys()) views.add(v);
  return { places: new Map([...slices, ...places]), views };
}
function slicesInPlace({ graph, groups }: FusedGraph): Map<ValueId, PartPlace> {
  const places = new Map<ValueId, PartPlace>();
  for (const g of groups) {
    const slices = contiguousSlices(graph, g, sameLayout) ?? [];
    if (slices.some(({ part, offset }) => offset % alignment !== 0 || graph.outputs.includes(part))) continue;
    for (const { part, offset } of slices) places.set(part, { whole: g.nodes[0]!.inputs[0]!, offset });
  }
  return places;
}
/** The parts, but in place of slices that together are all of their source, one after the other, that source. */
function withWholeSources(
  graph: Graph,
  parts: readonly Part[],
  free: (v: ValueId) => boolean,
  slices: ReadonlyMap<ValueId, PartPlace>,
): readonly Part[] {
  const result: Part[] = [];
  for (let k = 0; k < parts.length; k++) {
    const { part, offset } = parts[k]!;
    const source = slices.get(part)?.whole;
    let end = k;
    const follows = (p: Part | undefined): boolean => {
      const place = p && slices.get(p.part);
      return place !== undefined && place.whole === source && place.offset === p!.offset - offset;
    };
    while (source !== undefined && follows(parts[end])) end++;
    const bytes = parts.slice(k, end).reduce((sum, p) => sum + bytesOf(graph, p.part), 0);
    const whole = source !== undefined && end > k && bytes === bytesOf(graph, source) && free(source);
    result.push(whole ? { part: source, offset } : parts[k]!);
    if (whole) k = end - 1;
  }
  return result;
}
/** Bytes a value takes in memory in its layout. */
export function bytesOf(graph: Graph, id: ValueId): number {
  const v = valueOf(graph, id);
  const dims = staticDims(graph, id);
  return byteCount(v.type!.dtype, physicalShape(v.layout ?? plainLayout(dims.length), dims));
}

/** The values of a concatenation or slice that could be one memory if they had one halo; none of other groups. */
export function valuesOfOneHalo(graph: Graph, g: Group): readonly ValueId[] {
  const bare = (l: Layout | undefined): Layout | undefined => l && withoutHalo(l);
  const same = (a: Layout | undefined, b: Layout | undefined): boolean => sameLayout(bare(a), bare(b));
  if (contiguousParts(graph, g, same)) return [...g.inputs, ...g.outputs];
  return contiguousSlices(graph, g, same) ? [g.nodes[0]!.inputs[0]!, ...g.outputs] : [];
}

/** Made by a kernel of its own, and nobody else's memory. */
function isMovable(graph: Graph, maker: Group | undefined, v: ValueId): boolean {
  return (
    maker !== undefined && !graph.outputs.includes(v) && !graph.inputs.includes(v) && !describesInput(graph, maker)
  );
}

type SameLayout = (a: Layout | undefined, b: Layout | undefined) => boolean;
interface Part {
  readonly part: ValueId;
  /** Bytes from the first of the whole. */
  readonly offset: number;
}

/** The operands of a lone concatenation, in order, with their byte offsets, if each is one range of the result. */
function contiguousParts(graph: Graph, { nodes }: Group, same: SameLayout): readonly Part[] | undefined {
  const [n] = nodes;
  if (nodes.length !== 1 || n?.op !== "Concat" || n.domain !== "") return undefined;
  const parts = n.inputs.map((v) => v!);
  if (new Set(parts).size !== parts.length) return undefined;
  return partsAlong(graph, { whole: n.outputs[0]!, axis: axisOf(graph, n, 1), start: 0, parts }, same);
}
/** The results of a lone slice or split with their byte offsets, if each is one range of what it is cut from. */
function contiguousSlices(graph: Graph, { nodes }: Group, same: SameLayout): readonly Part[] | undefined {
  const cut = nodes.length === 1 ? cutOf(graph, nodes[0]!) : undefined;
  return cut && partsAlong(graph, cut, same);
}
/** What a slice or a split cuts into ranges of one axis; absent for other nodes, and for steps and several axes. */
export function cutOf(graph: Graph, n: Node): Cut | undefined {
  if (n.domain !== "" || (n.op !== "Slice" && n.op !== "Split")) return undefined;
  const whole = n.inputs[0]!;
  if (valueOf(graph, whole).constant || n.outputs.includes(undefined)) return undefined;
  const parts = n.outputs.map((v) => v!);
  const dims = staticDims(graph, whole);
  if (n.op === "Split") return { whole, axis: axisOf(graph, n, 0), start: 0, parts };
  const range = sliceOf(graph, n, dims, staticDims(graph, parts[0]!));
  return range && { whole, ...range, parts };
}
/** Whether the parts begin and end with blocks of a layout of the whole. */
export function keepsBlocksOf(graph: Graph, { whole, axis, start, parts }: Cut, layout: Layout): boolean {
  const extent = staticDims(graph, whole)[axis]!;
  const outermost = layout.dims.find((d) => d.axis === axis);
  // Where the axis begins with its lesser digits, what follows in it does not follow in memory.
  if (outermost === undefined || outermost.modulus !== undefined) return false;
  const { divisor } = outermost;
  let first = start;
  return parts.every((part) => {
    const begin = first;
    first += staticDims(graph, part)[axis]!;
    // A last block that is not full has no other's elements beside it.
    return begin % divisor === 0 && (first % divisor === 0 || first === extent);
  });
}
/** The only axis along which a slice is shorter, and where it begins there; absent where it takes steps. */
function sliceOf(graph: Graph, n: Node, dims: readonly number[], result: readonly number[]) {
  const integers = (name: string, i: number): readonly number[] | undefined => {
    const attribute = n.attributes.get(name);
    if (attribute?.kind === "ints") return attribute.value.map(Number);
    const constant = n.inputs[i] === undefined ? undefined : valueOf(graph, n.inputs[i]).constant;
    return constant && Array.from(constant.data, Number);
  };
  const starts = integers("starts", 1);
  const steps = integers("steps", 4) ?? [];
  const shorter = dims.flatMap((d, axis) => (d === result[axis] ? [] : [axis]));
  const [axis] = shorter;
  if (!starts || axis === undefined || shorter.length > 1 || steps.some((step) => step !== 1)) return undefined;
  const axes = (integers("axes", 3) ?? starts.map((_, k) => k)).map((a) => (a < 0 ? a + dims.length : a));
  const given = starts[axes.indexOf(axis)];
  if (given === undefined) return undefined;
  return { axis, start: Math.max(0, given < 0 ? given + dims[axis]! : given) };
}

/** Parts of a value that follow one another along an axis. */
export interface Cut {
  readonly whole: ValueId;
  readonly axis: number;
  /** Index of the first part's first element. */
  readonly start: number;
  readonly parts: readonly ValueId[];
}
/** The parts with their byte offsets, if each is one range of the whole's memory. */
function partsAlong(graph: Graph, cut: Cut, same: SameLayout): readonly Part[] | undefined {
  const { whole: id, axis, start, parts } = cut;
  const whole = valueOf(graph, id);
  const dims = staticDims(graph, id);
  const layout = whole.layout ?? plainLayout(dims.length);
  const shape = physicalShape(layout, dims);
  const at = layout.dims.findIndex((d) => d.axis === axis);
  const halo = layout.halo?.[axis];
  if (at < 0 || shape.slice(0, at).some((extent) => extent !== 1) || (halo && halo.before + halo.after > 0))
    return undefined;
  if (!keepsBlocksOf(graph, cut, layout)) return undefined;
  const step = byteCount(whole.type!.dtype, shape.slice(at + 1));
  const { divisor } = layout.dims[at]!;
  let first = start;
  const placed: Part[] = [];
  for (const part of parts) {
    const value = valueOf(graph, part);
    if (value.constant || !same(value.layout, whole.layout)) return undefined;
    placed.push({ part, offset: (first / divisor) * step });
    first += staticDims(graph, part)[axis]!;
  }
  return elementCount(shape) === 0 ? undefined : placed;
}
