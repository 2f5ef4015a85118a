/**
 * Reshapes and transpositions as layouts: the result is the same memory, described in its own axes. Splitting and merging
 * of axes follows the digits of an index, as in Halide's and TVM's `transformLayout`.
 */
import { staticDims, valueOf } from "../../ir/graph/build.ts";
import type { Graph, Group, Node } from "../../ir/graph/graph.ts";
import { type Layout, type LayoutDim, physicalShape, plainLayout } from "../../ir/graph/layout.ts";
import { elementCount } from "../../ir/graph/tensor-value.ts";

const reshapes: ReadonlySet<string> = new Set(["Reshape", "Flatten", "Squeeze", "Unsqueeze"]);

/** The order of axes of a Transpose node: axis `i` of the result is axis `perm[i]` of its input. */
export function permutationOf(graph: Graph, n: Node): readonly number[] | undefined {
  if (n.op !== "Transpose" || n.domain !== "") return undefined;
  const rank = staticDims(graph, n.inputs[0]!).length;
  const perm = n.attributes.get("perm");
  if (perm?.kind !== "ints") return Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return perm.value.map((axis) => (Number(axis) < 0 ? Number(axis) + rank : Number(axis)));
}

/** Whether the node only describes its first input anew: a reshape, a transposition or an identity. */
export const isDescription = (n: Node): boolean =>
  n.domain === "" && (reshapes.has(n.op) || n.op === "Transpose" || n.op === "Identity");

/** The layout of such a node's result that makes it the memory of its input in `layout` (no halo); absent if none does. */
export function viewLayout(graph: Graph, n: Node, layout: Layout): Layout | undefined {
  if (n.domain !== "") return undefined;
  if (n.op === "Identity") return layout;
  const from = staticDims(graph, n.inputs[0]!);
  const perm = permutationOf(graph, n);
  if (perm) return transposedLayout(layout, perm);
  return reshapes.has(n.op) ? reshapedLayout(layout, from, staticDims(graph, n.outputs[0]!)) : undefined;
}

/** Whether a group is no kernel: its result is its input's memory, and neither is a constant or the caller's output. */
export function describesInput(graph: Graph, { nodes }: Group): boolean {
  const [n] = nodes;
  if (nodes.length !== 1 || !n || !isDescription(n)) return false;
  const from = valueOf(graph, n.inputs[0]!);
  const to = valueOf(graph, n.outputs[0]!);
  if (from.constant || graph.outputs.includes(to.id)) return false;
  const [source, result] = [from, to].map((v) => v.layout ?? plainLayout(staticDims(graph, v.id).length));
  const view = viewLayout(graph, n, source!);
  return view !== undefined && sameOrder(view, result!, staticDims(graph, to.id));
}

/** The layout of a transposed value that lies as its source does. */
export function transposedLayout(layout: Layout, perm: readonly number[]): Layout {
  const dims = layout.dims.map((d) => ({ ...d, axis: perm.indexOf(d.axis) }));
  const halo = layout.halo && perm.map((axis) => layout.halo![axis]!);
  return { ...named(layout.rank, dims), ...(halo ? { halo } : {}) };
}

/** A part of an index: floor(index / weight) modulo `extent`, of the run of axes `run`. */
interface Digit {
  readonly run: number;
  readonly weight: number;
  readonly extent: number;
}

/** The layout of a reshaped value that lies as its source does; absent where no layout can say so. */
export function reshapedLayout(layout: Layout, from: readonly number[], to: readonly number[]): Layout | undefined {
  if (layout.halo || elementCount(from) === 0) return undefined;
  const shape = physicalShape(layout, from);
  if (elementCount(shape) !== elementCount(from)) return undefined;
  const source = runsOf(from, to, 0);
  const target = runsOf(from, to, 1);
  const digits = layout.dims.flatMap((d, i): Digit[] => {
    const { run, weight } = source[d.axis]!;
    return shape[i] === 1 ? [] : [{ run, weight: weight * d.divisor, extent: shape[i]! }];
  });
  const parts: LayoutDim[] = [];
  for (const digit of digits) {
    const split = splitDigit(digit, to, target);
    if (!split) return undefined;
    parts.push(...split);
  }
  return withUnitAxes(mergeParts(parts), to);
}
/** A digit of a run in terms of the axes of the run, outermost first; absent where it does not end between them. */
function splitDigit(digit: Digit, dims: readonly number[], places: readonly Place[]): LayoutDim[] | undefined {
  const parts: LayoutDim[] = [];
  const end = digit.weight * digit.extent;
  for (const [axis, { run, weight }] of places.entries()) {
    const above = weight * dims[axis]!;
    const [low, high] = [Math.max(digit.weight, weight), Math.min(end, above)];
    if (run !== digit.run || low >= high) continue;
    if (low % weight !== 0 || high % low !== 0 || above % high !== 0) return undefined;
    const divisor = low / weight;
    parts.push(high === above ? { axis, divisor } : { axis, divisor, modulus: high / low });
  }
  return parts;
}
/** Where an axis stands: the run of axes that map among themselves, and the elements of the run that one step skips. */
interface Place {
  readonly run: number;
  readonly weight: number;
}
/** The axes of `from` (side 0) or `to` (side 1) in the shortest runs of equal products. */
function runsOf(from: readonly number[], to: readonly number[], side: 0 | 1): Place[] {
  const places: Place[] = [];
  let [i, o, run] = [0, 0, 0];
  while (i < from.length || o < to.length) {
    const start = side === 0 ? i : o;
    let inner = from[i++] ?? 1;
    let outer = to[o++] ?? 1;
    while (inner !== outer) {
      if (inner < outer) inner *= from[i++]!;
      else outer *= to[o++]!;
    }
    let weight = inner;
    const dims = side === 0 ? from.slice(start, i) : to.slice(start, o);
    for (const n of dims) {
      weight /= n;
      places.push({ run, weight });
    }
    run++;
  }
  return places;
}
/** Neighbouring parts of one axis (outer, then inner) as one. */
function mergeParts(parts: readonly LayoutDim[]): LayoutDim[] {
  const merged: LayoutDim[] = [];
  for (const part of parts) {
    const last = merged.at(-1);
    if (last && last.axis === part.axis && part.modulus !== undefined && last.divisor === part.divisor * part.modulus)
      merged[merged.length - 1] = { ...last, divisor: part.divisor, ...product(last.modulus, part.modulus) };
    else merged.push(part);
  }
  return merged;
}
const product = (outer: number | undefined, inner: number) => (outer === undefined ? {} : { modulus: outer * inner });
/** Axes of extent 1 take their places before the first part of a later axis. */
function withUnitAxes(parts: readonly LayoutDim[], dims: readonly number[]): Layout {
  const result = [...parts];
  for (const [axis, extent] of dims.entries()) {
    if (extent !== 1) continue;
    const at = result.findIndex((d) => d.axis > axis);
    result.splice(at < 0 ? result.length : at, 0, { axis, divisor: 1 });
  }
  return named(dims.length, result);
}

/** A layout named as oneDNN names formats: `acdb` for channels last, `aBcd16b` for blocks of 16 channels. */
function named(rank: number, dims: readonly LayoutDim[]): Layout {
  const plain = plainLayout(rank);
  if (dims.length === rank && dims.every((d, i) => d.axis === i && d.divisor === 1 && d.modulus === undefined))
    return plain;
  const letter = (axis: number): string => String.fromCharCode(97 + axis);
  const split = new Set(dims.filter((d) => d.divisor > 1 || d.modulus !== undefined).map((d) => d.axis));
  const name = dims.map((d) => {
    if (d.modulus !== undefined) return `${d.modulus}${letter(d.axis)}`;
    return split.has(d.axis) ? letter(d.axis).toUpperCase() : letter(d.axis);
  });
  return { name: name.join(""), rank, dims };
}

/** Whether two layouts of one shape put every element at the same place: blocks of a map of one pixel, say. */
export function sameOrder(a: Layout, b: Layout, dims: readonly number[]): boolean {
  const [first, second] = [digitsOf(a, dims), digitsOf(b, dims)];
  if (first.length !== second.length) return false;
  if (!first.every((d, i) => d.axis === second[i]!.axis && d.divisor === second[i]!.divisor)) return false;
  // Extents say where padding and halos lie, but not how much of a halo comes before.
  return first.every((d, i) => d.extent === second[i]!.extent) && (!(a.halo || b.halo) || sameHalo(a, b));
}
const sameHalo = (a: Layout, b: Layout): boolean => JSON.stringify(a.halo) === JSON.stringify(b.halo);

interface AxisDigit {
  readonly axis: number;
  readonly divisor: number;
  readonly extent: number;
}
/** The parts of a layout that are longer than 1; adjacent parts of one axis (outer, then inner) are one. */
function digitsOf(layout: Layout, dims: readonly number[]): AxisDigit[] {
  const shape = physicalShape(layout, dims);
  const merged: AxisDigit[] = [];
  for (const [i, { axis, divisor }] of layout.dims.entries()) {
    const extent = shape[i]!;
    if (extent === 1) continue;
    const last = merged.at(-1);
    if (last?.axis === axis && last.divisor === divisor * extent)
      merged[merged.length - 1] = { axis, divisor, extent: last.extent * extent };
    else merged.push({ axis, divisor, extent });
  }
  return merged;
}
