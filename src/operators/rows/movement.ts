/** The everyday data movement: reshapes, transposes, concatenation, slices, gathers. */
import { add, floordiv, floormod, index, mul } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { numbersOf, reshaped } from "../elements.ts";
import { broadcastAt, dataIndex } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { broadcastDims, normalizeAxes, normalizeAxis, product, range } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

/**
 * Coordinates in `from` of the element at `indices` of `to`, both row-major over the same elements. Runs of dimensions
 * with equal products map among themselves, so that unchanged dimensions keep their index.
 */
function reshapeIndex(from: readonly number[], to: readonly number[], indices: readonly Expr[]): Expr[] {
  const result: Expr[] = [];
  let i = 0;
  let o = 0;
  while (i < from.length || o < to.length) {
    const firstIn = i;
    const firstOut = o;
    let inner = from[i++] ?? 1;
    let outer = to[o++] ?? 1;
    while (inner !== outer) {
      if (inner < outer) inner *= from[i++]!;
      else outer *= to[o++]!;
    }
    result.push(...splitRun(from.slice(firstIn, i), to.slice(firstOut, o), indices.slice(firstOut, o)));
  }
  return result;
}
/** Maps one run: the position within the run, taken apart again. */
function splitRun(from: readonly number[], to: readonly number[], indices: readonly Expr[]): Expr[] {
  if (from.length === 0) return [];
  if (from.length === 1 && to.length === 1) return [indices[0]!];
  const wideOut = range(to.length).filter((k) => to[k] !== 1);
  const position = wideOut.reduce<Expr>((p, k) => add(mul(p, to[k]!), indices[k]!), index(0));
  let stride = product(from);
  let outermost = true;
  return from.map((n) => {
    if (n === 1) return index(0);
    stride /= n;
    const outer = floordiv(position, stride);
    const digit = outermost ? outer : floormod(outer, n);
    outermost = false;
    return digit;
  });
}
/** A row that keeps the elements and their order, and changes only the shape. */
const reshaping = (op: string, shape: (c: NodeContext) => readonly number[], since?: number): OperatorRow => ({
  op,
  ...(since ? { since } : {}),
  pattern: "injective",
  infer: (c) => {
    const x = c.require(0);
    const dims = shape(c);
    if (product(dims) !== product(x.dims)) c.invalid(`[${x.dims}] cannot become [${dims}]`);
    return [{ dtype: x.dtype, dims }];
  },
  fold: (c) => {
    const x = c.constant(0);
    return x && [reshaped(x, shape(c))];
  },
  compute: (c) => {
    const x = c.input(0);
    const { dims } = c.output(0);
    const empty = product(dims) === 0;
    return [
      outputStage(c, "reshape", (...i) => x.at(...(empty ? x.dims.map(() => 0) : reshapeIndex(x.dims, dims, i)))),
    ];
  },
});
/** Reshape's target: 0 copies an input extent (unless allowzero), -1 takes what is left. */
function reshapeDims(c: NodeContext): number[] {
  const x = c.require(0);
  const asked = c.constantInts(1) ?? c.attributes.ints("shape") ?? c.invalid("no target shape");
  const zero = c.attributes.int("allowzero", 0) !== 0;
  const dims = asked.map((n, i) =>
    n === 0 && !zero ? (x.dims[i] ?? c.invalid(`target [${asked}] copies axis ${i}`)) : n,
  );
  const open = dims.filter((n) => n === -1).length;
  if (open > 1 || dims.some((n) => n < -1)) c.invalid(`target shape [${asked}]`);
  if (open === 0) return dims;
  const rest = product(dims.filter((n) => n !== -1));
  if (rest === 0 || product(x.dims) % rest !== 0) c.invalid(`[${x.dims}] cannot become [${asked}]`);
  return dims.map((n) => (n === -1 ? product(x.dims) / rest : n));
}
function flattenDims(c: NodeContext): number[] {
  const { dims } = c.require(0);
  const asked = c.attributes.int("axis", 1);
  const axis = asked === dims.length ? asked : normalizeAxis(c, asked, dims.length);
  return [product(dims.slice(0, axis)), product(dims.slice(axis))];
}
const axesOf = (c: NodeContext): readonly number[] | undefined =>
  c.node.opset >= 13 ? c.constantInts(1) : c.attributes.ints("axes");
function squeezeDims(c: NodeContext): number[] {
  const { dims } = c.require(0);
  const asked = axesOf(c);
  if (asked === undefined) return dims.filter((n) => n !== 1);
  const axes = normalizeAxes(c, asked, dims.length);
  if (axes.some((a) => dims[a] !== 1)) c.invalid(`axes [${asked}] of [${dims}] are not all 1`);
  return dims.filter((_, i) => !axes.includes(i));
}
function unsqueezeDims(c: NodeContext): number[] {
  const { dims } = c.require(0);
  const asked = axesOf(c) ?? c.invalid("axes are missing");
  const rank = dims.length + asked.length;
  const axes = normalizeAxes(c, asked, rank);
  const rest = [...dims];
  return range(rank).map((a) => (axes.includes(a) ? 1 : rest.shift()!));
}

function permutation(c: NodeContext): readonly number[] {
  const rank = c.require(0).dims.length;
  const perm = c.attributes.ints("perm") ?? range(rank).reverse();
  if (perm.length !== rank || normalizeAxes(c, perm, rank).length !== rank)
    c.invalid(`perm [${perm}] for rank ${rank}`);
  return perm.map((a) => (a < 0 ? a + rank : a));
}
const transposeRow: OperatorRow = {
  op: "Transpose",
  pattern: "injective",
  infer: (c) => {
    const x = c.require(0);
    return [{ dtype: x.dtype, dims: permutation(c).map((a) => x.dims[a]!) }];
  },
  compute: (c) => {
    const x = c.input(0);
    const perm = permutation(c);
    const place = (i: readonly Expr[]): Expr[] => x.dims.map((_, a) => i[perm.indexOf(a)]!);
    return [outputStage(c, "transpose", (...i) => x.at(...place(i)), { annotations: { op: "Transpose", perm } })];
  },
};

const concatAxis = (c: NodeContext): number => normalizeAxis(c, c.attributes.int("axis", 1), c.require(0).dims.length);
function inferConcat(c: NodeContext): StaticType[] {
  const axis = concatAxis(c);
  const inputs = range(c.node.inputs.length).map((i) => c.require(i));
  const first = inputs[0]!;
  for (const t of inputs) {
    const fits = t.dims.length === first.dims.length && t.dims.every((n, i) => i === axis || n === first.dims[i]);
    if (!fits || t.dtype !== first.dtype) c.invalid(`${t.dtype}[${t.dims}] beside ${first.dtype}[${first.dims}]`);
  }
  const total = inputs.reduce((n, t) => n + t.dims[axis]!, 0);
  return [{ dtype: first.dtype, dims: first.dims.map((n, i) => (i === axis ? total : n)) }];
}
/** One stage for each input, that copies it into its part of the output; iterates as the output lies in memory. */
function computeConcat(c: ComputeContext): Tensor[] {
  const axis = concatAxis(c);
  const { dtype, dims } = c.output(0);
  const target = c.builder.declare("concat", dtype, dims, c.layout(0));
  let start = 0;
  for (const i of range(c.node.inputs.length)) {
    const part = c.input(i);
    const offset = start;
    start += part.dims[axis]!;
    const { extents, logical } = partDomain(target, part.dims, axis, offset);
    c.builder.write(
      target,
      "concat",
      extents,
      (...k) => {
        const at = logical(k);
        return { at: at.map((e, a) => (a === axis ? add(e, offset) : e)), value: part.at(...at) };
      },
      { annotations: { op: "Concat" } },
    );
  }
  c.builder.zeroHalo(target, "concat");
  return [target];
}
/** Iterates over a part in the physical order of the target where its blocks line up, else in logical order. */
function partDomain(target: Tensor, dims: readonly number[], axis: number, offset: number) {
  const plain = { extents: dims, logical: (k: readonly Expr[]): Expr[] => [...k] };
  const blocks = target.layout.dims.filter((d) => d.axis === axis && d.divisor > 1).map((d) => d.divisor);
  if (blocks.some((n) => offset % n !== 0 || dims[axis]! % n !== 0)) return plain;
  if (target.layout.dims.some((d) => d.axis !== axis && d.divisor > 1 && dims[d.axis]! % d.divisor !== 0)) return plain;
  const extents = target.layout.dims.map((d) => d.modulus ?? dims[d.axis]! / d.divisor);
  const logical = (k: readonly Expr[]): Expr[] =>
    dims.map((_, a) =>
      target.layout.dims.reduce<Expr>((e, d, p) => (d.axis === a ? add(e, mul(k[p]!, d.divisor)) : e), index(0)),
    );
  return { extents, logical };
}

/** Start and step of each axis of a Slice, and how many elements it takes. */
interface SliceSpec {
  readonly starts: readonly number[];
  readonly steps: readonly number[];
  readonly counts: readonly number[];
}
function sliceSpec(c: NodeContext): SliceSpec {
  const { dims } = c.require(0);
  const read = (name: string, i: number) => (c.node.opset >= 10 ? c.constantInts(i) : c.attributes.ints(name));
  const starts = read("starts", 1) ?? c.invalid("starts are missing");
  const ends = read("ends", 2) ?? c.invalid("ends are missing");
  const axes = (read("axes", 3) ?? range(starts.length)).map((a) => normalizeAxis(c, a, dims.length));
  const steps = (c.node.opset >= 10 ? c.constantInts(4) : undefined) ?? starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length)
    c.invalid("starts, ends, axes and steps differ in length");
  if (steps.includes(0)) c.invalid("a step of 0");
  const along = dims.map((n, a) => {
    const k = axes.indexOf(a);
    return k < 0 ? { start: 0, step: 1, count: n } : sliceAxis(n, starts[k]!, ends[k]!, steps[k]!);
  });
  return {
    starts: along.map((s) => s.start),
    steps: along.map((s) => s.step),
    counts: along.map((s) => s.count),
  };
}
/** NumPy's slice of an axis of extent `n`. */
function sliceAxis(n: number, from: number, to: number, step: number) {
  const limit = (v: number, low: number, high: number): number => Math.min(Math.max(v < 0 ? v + n : v, low), high);
  const start = step > 0 ? limit(from, 0, n) : limit(from, 0, n - 1);
  const end = step > 0 ? limit(to, 0, n) : limit(to, -1, n - 1);
  return { start, step, count: Math.max(Math.ceil((end - start) / step), 0) };
}
const sliceRow: OperatorRow = {
  op: "Slice",
  pattern: "injective",
  infer: (c) => [{ dtype: c.require(0).dtype, dims: sliceSpec(c).counts }],
  compute: (c) => {
    const x = c.input(0);
    const s = sliceSpec(c);
    return [outputStage(c, "slice", (...i) => x.at(...i.map((e, a) => add(mul(e, s.steps[a]!), s.starts[a]!))))];
  },
};

/** The extents of a Split's outputs. */
function splitSizes(c: NodeContext, axis: number): readonly number[] {
  const n = c.require(0).dims[axis]!;
  const asked = c.node.opset >= 13 ? c.constantInts(1) : c.attributes.ints("split");
  const parts = c.node.outputs.length;
  if (c.attributes.int("num_outputs", parts) !== parts) c.invalid(`num_outputs is not the number of outputs, ${parts}`);
  const each = Math.ceil(n / parts);
  const sizes = asked ?? range(parts).map((i) => Math.max(Math.min(each, n - i * each), 0));
  if (sizes.reduce((a, b) => a + b, 0) !== n || sizes.some((s) => s < 0) || sizes.length !== c.node.outputs.length)
    c.invalid(`axis of ${n} into ${c.node.outputs.length} parts [${sizes}]`);
  return sizes;
}
const splitAxis = (c: NodeContext): number => normalizeAxis(c, c.attributes.int("axis", 0), c.require(0).dims.length);
const splitRow: OperatorRow = {
  op: "Split",
  pattern: "injective",
  infer: (c) => {
    const x = c.require(0);
    const axis = splitAxis(c);
    return splitSizes(c, axis).map((n) => ({ dtype: x.dtype, dims: x.dims.map((m, a) => (a === axis ? n : m)) }));
  },
  compute: (c) => {
    const x = c.input(0);
    const axis = splitAxis(c);
    let start = 0;
    return splitSizes(c, axis).map((n, o) => {
      const offset = start;
      start += n;
      return outputStage(c, "split", (...i) => x.at(...i.map((e, a) => (a === axis ? add(e, offset) : e))), {
        output: o,
      });
    });
  },
};

const gatherRow: OperatorRow = {
  op: "Gather",
  pattern: "injective",
  infer: (c) => {
    const x = c.require(0);
    const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
    if (x.dims.length === 0) c.invalid("a scalar has no axis");
    checkIndices(c, 1, x.dims[axis]!);
    return [{ dtype: x.dtype, dims: [...x.dims.slice(0, axis), ...c.require(1).dims, ...x.dims.slice(axis + 1)] }];
  },
  compute: (c) => {
    const [x, indices] = [c.input(0), c.input(1)];
    const axis = normalizeAxis(c, c.attributes.int("axis", 0), x.dims.length);
    const after = axis + indices.dims.length;
    return [
      outputStage(c, "gather", (...i) => {
        const place = dataIndex(indices.at(...i.slice(axis, after)), x.dims[axis]!);
        return x.at(...i.slice(0, axis), place, ...i.slice(after));
      }),
    ];
  },
};
/** Refuses constant indices outside the axis; those known only at run time are limited to it. */
function checkIndices(c: NodeContext, i: number, extent: number): void {
  const value = c.constant(i);
  if (extent === 0 && product(c.require(i).dims) > 0) c.invalid("indices into an empty axis");
  const indices = value ? numbersOf(value) : [];
  const bad = indices.find((n) => n < -extent || n >= extent);
  if (bad !== undefined) c.invalid(`index ${bad} is outside an axis of ${extent}`);
}

const expandRow: OperatorRow = {
  op: "Expand",
  pattern: "elementwise",
  infer: (c) => {
    const x = c.require(0);
    const shape = c.constantInts(1) ?? c.invalid("no target shape");
    if (shape.some((n) => n < 0)) c.invalid(`target shape [${shape}]`);
    return [{ dtype: x.dtype, dims: broadcastDims(c, [x.dims, shape]) }];
  },
  compute: (c) => {
    const x = c.input(0);
    return [outputStage(c, "expand", (...i) => broadcastAt(x, i))];
  },
};

export const movementRows: readonly OperatorRow[] = [
  reshaping("Reshape", reshapeDims),
  reshaping("Flatten", flattenDims),
  reshaping("Squeeze", squeezeDims),
  reshaping("Unsqueeze", unsqueezeDims),
  transposeRow,
  { op: "Concat", pattern: "injective", infer: inferConcat, compute: computeConcat },
  sliceRow,
  splitRow,
  gatherRow,
  expandRow,
];
