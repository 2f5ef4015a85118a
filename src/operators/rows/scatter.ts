/**
 * Writes at places that data gives: ScatterElements, ScatterND, TensorScatter, MaxUnpool. Places outside the tensor are
 * left out. Updates run in order, so that of several to one element the last one wins.
 */
import { add, and, binary, cast, compare, floordiv, floormod, select } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { inRange, type Tensor } from "../../../ir/loop/compute.ts";
import type { IterKind } from "../../../ir/loop/program.ts";
import { literal, nanMax, nanMin } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, normalizeAxis, product, range } from "../shape-rules.ts";
import { asOutput } from "../stages.ts";
import { spatialAttribute } from "../window.ts";

const combiners: Readonly<Record<string, (old: Expr, update: Expr) => Expr>> = {
  none: (_, update) => update,
  add: (old, update) => binary(old.dtype.scalar === "bool" ? "or" : "add", old, update),
  mul: (old, update) => binary(old.dtype.scalar === "bool" ? "and" : "mul", old, update),
  min: nanMin,
  max: nanMax,
};
function combinerOf(c: NodeContext): (old: Expr, update: Expr) => Expr {
  const name = c.attributes.string("reduction", "none");
  const found = Object.hasOwn(combiners, name) ? combiners[name] : undefined;
  return found ?? c.invalid(`reduction ${JSON.stringify(name)}`);
}
/** An index from data as int64, a negative one counted from the end once. */
function signedIndex(e: Expr, extent: number): Expr {
  const wide = cast("int64", e);
  return select(compare("lt", wide, 0), add(wide, extent), wide);
}
/** A copy of `x` that stages then write into. */
function copyOf(c: ComputeContext, x: Tensor): Tensor {
  return c.builder.compute("scatter", x.dtype.scalar, x.dims, (...i) => x.at(...i));
}
const kindsOf = (rank: number, isOrdered: (axis: number) => boolean): IterKind[] =>
  range(rank).map((a) => (isOrdered(a) ? "ordered" : "spatial"));

function inferScatterElements(c: NodeContext): StaticType[] {
  const x = c.require(0);
  const indices = checkType(c, 1, ["int32", "int64"]);
  const updates = c.require(2);
  const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
  combinerOf(c);
  const fits =
    x.dims.length > 0 && indices.dims.length === x.dims.length && indices.dims.join() === updates.dims.join();
  if (!fits || updates.dtype !== x.dtype || indices.dims.some((n, a) => a !== axis && n > x.dims[a]!))
    c.invalid(`updates ${updates.dtype}[${updates.dims}] at [${indices.dims}] of ${x.dtype}[${x.dims}]`);
  return [x];
}
function computeScatterElements(c: ComputeContext): Tensor[] {
  const [x, indices, updates] = [c.input(0), c.input(1), c.input(2)];
  const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
  const combine = combinerOf(c);
  const t = copyOf(c, x);
  c.builder.write(
    t,
    "scatter_update",
    indices.dims,
    (...i) => {
      const place = signedIndex(indices.at(...i), x.dims[axis]!);
      const at = i.map((e, a) => (a === axis ? place : e));
      return { at, value: combine(t.at(...at), updates.at(...i)), predicate: inRange(place, x.dims[axis]!) };
    },
    { kinds: kindsOf(x.dims.length, (a) => a === axis) },
  );
  return [asOutput(c, t, "scatter_copy")];
}

function inferScatterNd(c: NodeContext): StaticType[] {
  const x = c.require(0);
  const indices = checkType(c, 1, ["int64", "int32"]);
  const updates = c.require(2);
  const depth = indices.dims.at(-1) ?? 0;
  combinerOf(c);
  const wanted = [...indices.dims.slice(0, -1), ...x.dims.slice(depth)];
  if (depth < 1 || depth > x.dims.length || updates.dims.join() !== wanted.join() || updates.dtype !== x.dtype)
    c.invalid(`updates ${updates.dtype}[${updates.dims}] at [${indices.dims}] of ${x.dtype}[${x.dims}]`);
  return [x];
}
function computeScatterNd(c: ComputeContext): Tensor[] {
  const [x, indices, updates] = [c.input(0), c.input(1), c.input(2)];
  const outer = indices.dims.length - 1;
  const depth = indices.dims[outer]!;
  const combine = combinerOf(c);
  const t = copyOf(c, x);
  c.builder.write(
    t,
    "scatter_update",
    updates.dims,
    (...i) => {
      const tuple = range(depth).map((k) => signedIndex(indices.at(...i.slice(0, outer), k), x.dims[k]!));
      const at = [...tuple, ...i.slice(outer)];
      const predicate = tuple.map((e, k) => inRange(e, x.dims[k]!)).reduce(and);
      return { at, value: combine(t.at(...at), updates.at(...i)), predicate };
    },
    { kinds: kindsOf(updates.dims.length, (a) => a < outer) },
  );
  return [asOutput(c, t, "scatter_copy")];
}

const sequenceAxis = (c: NodeContext): number =>
  normalizeAxis(c, c.attributes.int("axis", -2), c.require(0).dims.length);
function inferTensorScatter(c: NodeContext): StaticType[] {
  const [x, updates] = [c.require(0), c.require(1)];
  const axis = sequenceAxis(c);
  const fits = x.dims.length === updates.dims.length && x.dims.length >= 2 && axis > 0;
  if (!fits || x.dims.some((n, a) => (a === axis ? updates.dims[a]! > n : updates.dims[a] !== n)))
    c.invalid(`updates [${updates.dims}] of a cache [${x.dims}] along axis ${axis}`);
  const places = c.type(2);
  if (places && places.dims.join() !== `${x.dims[0]}`) c.invalid(`write indices [${places.dims}]`);
  const mode = c.attributes.string("mode", "linear");
  if (mode !== "linear" && mode !== "circular") c.invalid(`mode ${JSON.stringify(mode)}`);
  return [x];
}
function computeTensorScatter(c: ComputeContext): Tensor[] {
  const [x, updates, places] = [c.input(0), c.input(1), c.optional(2)];
  const axis = sequenceAxis(c);
  const circular = c.attributes.string("mode", "linear") === "circular";
  const extent = x.dims[axis]!;
  const t = copyOf(c, x);
  c.builder.write(t, "scatter_update", updates.dims, (...i) => {
    const start = places ? cast("int64", places.at(i[0]!)) : literal("int64", 0);
    const next = add(start, i[axis]!);
    const place = circular && extent > 0 ? floormod(next, extent) : next;
    return {
      at: i.map((e, a) => (a === axis ? place : e)),
      value: updates.at(...i),
      predicate: inRange(place, extent),
    };
  });
  return [asOutput(c, t, "scatter_copy")];
}

/** Extents that the pooled indices count in, and those of the result, which may be larger. */
function unpool(c: NodeContext): { inner: number[]; dims: readonly number[] } {
  const x = c.require(0);
  const rank = x.dims.length - 2;
  const kernel = c.attributes.ints("kernel_shape") ?? c.invalid("kernel_shape is missing");
  if (rank < 1 || kernel.length !== rank) c.invalid(`a kernel [${kernel}] over [${x.dims}]`);
  if (c.require(1).dims.join() !== x.dims.join()) c.invalid(`indices [${c.require(1).dims}] for [${x.dims}]`);
  const strides = spatialAttribute(c, "strides", rank);
  const pads = c.attributes.ints("pads") ?? Array<number>(2 * rank).fill(0);
  if (pads.length !== 2 * rank) c.invalid(`pads [${pads}]`);
  const spatial = kernel.map((k, i) => (x.dims[i + 2]! - 1) * strides[i]! - pads[i]! - pads[rank + i]! + k);
  const inner = [...x.dims.slice(0, 2), ...spatial];
  const dims = c.constantInts(2) ?? inner;
  if (dims.length !== inner.length || dims.some((n) => n < 0)) c.invalid(`output shape [${dims}]`);
  return { inner, dims };
}
function computeMaxUnpool(c: ComputeContext): Tensor[] {
  const [x, indices] = [c.input(0), c.input(1)];
  const { inner, dims } = unpool(c);
  const zero = literal(x.dtype.scalar, 0);
  const t = c.builder.compute("unpool", x.dtype.scalar, dims, () => zero);
  c.builder.write(
    t,
    "unpool_update",
    x.dims,
    (...i) => {
      const position = cast("int64", indices.at(...i));
      const at = coordinates(position, inner);
      const inside = at.map((e, a) => inRange(e, dims[a]!)).reduce(and);
      return { at, value: x.at(...i), predicate: and(inRange(position, product(inner)), inside) };
    },
    { kinds: kindsOf(x.dims.length, () => true) },
  );
  return [asOutput(c, t, "unpool_copy")];
}
/** The coordinates of a row-major position. */
function coordinates(position: Expr, dims: readonly number[]): Expr[] {
  return dims.map((n, a) => floormod(floordiv(position, product(dims.slice(a + 1))), Math.max(n, 1)));
}

export const scatterRows: readonly OperatorRow[] = [
  { op: "ScatterElements", since: 11, pattern: "opaque", infer: inferScatterElements, compute: computeScatterElements },
  { op: "Scatter", since: 9, pattern: "opaque", infer: inferScatterElements, compute: computeScatterElements },
  { op: "ScatterND", since: 11, pattern: "opaque", infer: inferScatterNd, compute: computeScatterNd },
  { op: "TensorScatter", since: 24, pattern: "opaque", infer: inferTensorScatter, compute: computeTensorScatter },
  {
    op: "MaxUnpool",
    since: 9,
    pattern: "opaque",
    infer: (c) => [{ dtype: c.require(0).dtype, dims: unpool(c).dims }],
    compute: computeMaxUnpool,
  },
];
