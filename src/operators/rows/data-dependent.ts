/**
 * Operators whose output's shape depends on data: Compress, NonZero, Unique, NonMaxSuppression. They are computed at
 * compile time from inputs that are known then, and refused otherwise.
 */
import { elementCount, type TensorValue } from "../../../ir/graph/tensor-value.ts";
import { elementAt, intVector, numbersOf, tensorOf } from "../elements.ts";
import type { ExpandContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, normalizeAxis, product, range } from "../shape-rules.ts";

/** Most elements looked at while compiling. */
const inputLimit = 1 << 20;
/** The value of input `i`, which decides the shape of the result. */
function shapingInput(c: NodeContext, i: number): TensorValue {
  c.require(i);
  const known = c.requireConstant(i);
  return elementCount(known.dims) <= inputLimit ? known : c.unsupported(`input ${i} is too large to be computed early`);
}
const typeOf = (t: TensorValue): StaticType => ({ dtype: t.type, dims: t.dims });
/** A row whose outputs all follow from constants. */
const folded = (op: string, since: number, values: (c: NodeContext) => readonly TensorValue[]): OperatorRow => ({
  op,
  since,
  pattern: "opaque",
  infer: (c) => values(c).map(typeOf),
  fold: values,
});

/** Where the condition holds. */
function kept(c: NodeContext, extent: number): number[] {
  checkType(c, 1, ["bool"]);
  const condition = numbersOf(shapingInput(c, 1));
  return range(Math.min(condition.length, extent)).filter((i) => condition[i] !== 0);
}
function compress(c: NodeContext): { axis: number | undefined; places: number[] } {
  const { dims } = c.require(0);
  const asked = c.attributes.optionalInt("axis");
  const axis = asked === undefined ? undefined : normalizeAxis(c, asked, dims.length);
  return { axis, places: kept(c, axis === undefined ? product(dims) : dims[axis]!) };
}
function expandCompress(c: ExpandContext) {
  const { axis, places } = compress(c);
  const x =
    axis === undefined
      ? c.graph.node("Reshape", [c.inputs[0], c.graph.constant("shape", intVector([product(c.require(0).dims)]))], {
          attributes: { allowzero: 1 },
        })[0]
      : c.inputs[0];
  const indices = c.graph.constant("places", intVector(places));
  return c.graph.node("Gather", [x, indices], { attributes: { axis: axis ?? 0 } });
}

/** The coordinates of every element that is not 0, [rank, count]. */
function nonZero(c: NodeContext): TensorValue[] {
  const x = shapingInput(c, 0);
  const places = numbersOf(x).flatMap((v, i) => (v !== 0 ? [i] : []));
  const strides = x.dims.map((_, a) => product(x.dims.slice(a + 1)));
  const coordinates = x.dims.flatMap((n, a) => places.map((p) => Math.floor(p / strides[a]!) % n));
  return [tensorOf("int64", [x.dims.length, places.length], coordinates)];
}

function compareKeys(a: readonly (number | bigint)[], b: readonly (number | bigint)[]): number {
  const k = a.findIndex((v, i) => v !== b[i]);
  return k < 0 ? 0 : a[k]! < b[k]! ? -1 : 1;
}
/** Distinct slices along an axis (or elements), where each first stands, which one each slice is, and how often. */
function unique(c: NodeContext): TensorValue[] {
  const x = shapingInput(c, 0);
  const asked = c.attributes.optionalInt("axis");
  const axis = asked === undefined ? undefined : normalizeAxis(c, asked, x.dims.length);
  const dims = axis === undefined ? [elementCount(x.dims)] : x.dims;
  const along = axis ?? 0;
  const inner = product(dims.slice(along + 1));
  const outer = product(dims.slice(0, along));
  const n = dims[along]!;
  const place = (k: number, j: number): number => (Math.floor(j / inner) * n + k) * inner + (j % inner);
  const keys = range(n).map((k) => range(outer * inner).map((j) => elementAt(x, place(k, j))));
  const groups = new Map<string, number[]>();
  for (const [k, key] of keys.entries()) {
    const own = groups.get(key.join());
    if (own) own.push(k);
    else groups.set(key.join(), [k]);
  }
  const members = [...groups.values()];
  if (c.attributes.int("sorted", 1) !== 0) members.sort((a, b) => compareKeys(keys[a[0]!]!, keys[b[0]!]!));
  const inverse = Array<number>(n).fill(0);
  for (const [g, m] of members.entries()) for (const k of m) inverse[k] = g;
  const count = members.length;
  const shape = dims.map((extent, a) => (a === along ? count : extent));
  const values = range(product(shape)).map((i) => {
    const g = Math.floor(i / inner) % Math.max(count, 1);
    return keys[members[g]![0]!]![Math.floor(i / (inner * count)) * inner + (i % inner)]!;
  });
  return [
    tensorOf(x.type, shape, values),
    intVector(members.map((m) => m[0]!)),
    intVector(inverse),
    intVector(members.map((m) => m.length)),
  ];
}

type Box = readonly [number, number, number, number];
const boxAt = (flat: readonly number[], i: number): Box => [
  flat[4 * i]!,
  flat[4 * i + 1]!,
  flat[4 * i + 2]!,
  flat[4 * i + 3]!,
];
/** Low and high corner [y, x] of a box given by two corners, or by its centre [x, y] and extent. */
function corners([a, b, c, d]: Box, centred: boolean): Box {
  if (centred) return [b - d / 2, a - c / 2, b + d / 2, a + c / 2];
  return [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
}
const area = ([y1, x1, y2, x2]: Box): number => (y2 - y1) * (x2 - x1);
/** Whether two boxes overlap by more than a part of their union. */
function overlaps(a: Box, b: Box, threshold: number): boolean {
  const shared: Box = [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
  if (shared[2] <= shared[0] || shared[3] <= shared[1] || area(a) <= 0 || area(b) <= 0) return false;
  const inside = Math.fround(area(shared));
  return Math.fround(inside / Math.fround(area(a) + area(b) - inside)) > threshold;
}
/** The boxes kept of one class, best score first (Neubeck and Van Gool, 2006). */
function suppress(
  boxes: readonly Box[],
  scores: readonly number[],
  limits: { most: number; iou: number; least: number },
) {
  const order = range(boxes.length).filter((i) => scores[i]! > limits.least);
  order.sort((a, b) => scores[b]! - scores[a]! || a - b);
  const chosen: number[] = [];
  for (const i of order) {
    if (chosen.length >= limits.most) break;
    if (!chosen.some((k) => overlaps(boxes[i]!, boxes[k]!, limits.iou))) chosen.push(i);
  }
  return chosen;
}
function nonMaxSuppression(c: NodeContext): TensorValue[] {
  const [boxes, scores] = [shapingInput(c, 0), shapingInput(c, 1)];
  const [batches, count, four] = boxes.dims as [number, number, number];
  const classes = scores.dims[1] ?? 0;
  if (boxes.dims.length !== 3 || four !== 4 || scores.dims.join() !== [batches, classes, count].join())
    c.invalid(`boxes [${boxes.dims}] with scores [${scores.dims}]`);
  const option = (i: number, fallback: number): number => {
    const t = c.type(i) && c.requireConstant(i);
    return t && t.data.length > 0 ? Number(elementAt(t, 0)) : fallback;
  };
  const limits = { most: option(2, 0), iou: option(3, 0), least: option(4, Number.NEGATIVE_INFINITY) };
  const centred = c.attributes.int("center_point_box", 0) !== 0;
  const [flat, score] = [numbersOf(boxes), numbersOf(scores)];
  const rows = range(batches).flatMap((n) => {
    const own = range(count).map((i) => corners(boxAt(flat, n * count + i), centred));
    return range(classes).flatMap((k) => {
      const start = (n * classes + k) * count;
      return suppress(own, score.slice(start, start + count), limits).flatMap((i) => [n, k, i]);
    });
  });
  return [tensorOf("int64", [rows.length / 3, 3], rows)];
}

export const dataDependentRows: readonly OperatorRow[] = [
  {
    op: "Compress",
    since: 9,
    pattern: "opaque",
    infer: (c) => {
      const x = c.require(0);
      const { axis, places } = compress(c);
      const dims = axis === undefined ? [places.length] : x.dims.map((n, a) => (a === axis ? places.length : n));
      return [{ dtype: x.dtype, dims }];
    },
    expand: expandCompress,
  },
  folded("NonZero", 9, nonZero),
  folded("Unique", 11, unique),
  folded("NonMaxSuppression", 10, nonMaxSuppression),
];
