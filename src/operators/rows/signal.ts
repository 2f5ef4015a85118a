/** Signal processing: DFT, STFT, window functions, mel filter banks. */
import { add, cast, compare, div, floormod, index, mul, or, select, sub } from "../../../ir/expr/build.ts";
import type { ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import type { ValueId } from "../../../ir/support/ids.ts";
import { elementAt, tensorOf } from "../elements.ts";
import { like } from "../expressions.ts";
import {
  type ComputeContext,
  type ExpandContext,
  type NodeContext,
  type OperatorRow,
  ownDomain,
  type StaticType,
} from "../row.ts";
import { checkType, floats, normalizeAxis, scalarOfOnnx } from "../shape-rules.ts";
import { outputStage, reduceStage } from "../stages.ts";

/** Most entries of a table or window made at compile time. */
const tableLimit = 1 << 20;

/** The number that a constant scalar input holds. */
function scalarInput(c: NodeContext, i: number): number {
  const t = c.requireConstant(i);
  return t.data.length === 1 ? Number(elementAt(t, 0)) : c.invalid(`input ${i} is not a scalar`);
}
/** A transform: which axis, how long, which way, and whether half of a symmetric spectrum is left out. */
interface Transform {
  readonly axis: number;
  readonly length: number;
  readonly inverse: boolean;
  readonly onesided: boolean;
}
function transformOf(c: NodeContext): Transform {
  const { dims } = checkType(c, 0, floats);
  const last = dims.at(-1);
  if (dims.length < 2 || (last !== 1 && last !== 2)) c.invalid(`a signal [${dims}]`);
  const asked = c.node.opset >= 20 ? (c.type(2) ? scalarInput(c, 2) : -2) : c.attributes.int("axis", 1);
  const axis = normalizeAxis(c, asked, dims.length);
  if (axis === dims.length - 1) c.invalid("the transform's axis holds real and imaginary parts");
  const inverse = c.attributes.int("inverse", 0) !== 0;
  const onesided = c.attributes.int("onesided", 0) !== 0;
  if (inverse && !onesided) c.unsupported("an inverse transform of a whole spectrum");
  const natural = inverse && onesided ? 2 * (dims[axis]! - 1) : dims[axis]!;
  const length = c.type(1) ? scalarInput(c, 1) : natural;
  return { axis, inverse, onesided, length: checkLength(c, length) };
}
function checkLength(c: NodeContext, n: number): number {
  if (!Number.isInteger(n) || n < 1) c.invalid(`a transform of length ${n}`);
  return n <= tableLimit ? n : c.unsupported(`a transform of length ${n}`);
}
const bins = (t: Pick<Transform, "length" | "onesided">): number =>
  t.onesided ? Math.floor(t.length / 2) + 1 : t.length;
function transformDims(c: NodeContext, t: Transform): number[] {
  const { dims } = c.require(0);
  const extent = t.inverse ? t.length : bins(t);
  const parts = t.inverse && t.onesided ? 1 : 2;
  return dims.map((n, a) => (a === t.axis ? extent : a === dims.length - 1 ? parts : n));
}
/** Cosine and sine of every whole multiple of 2π/length, [length, 2]. */
function circle(c: ExpandContext, length: number, type: ScalarType): ValueId {
  const values = Array.from({ length: 2 * length }, (_, i) => {
    const angle = (2 * Math.PI * Math.floor(i / 2)) / length;
    return i % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
  return c.graph.constant("circle", tensorOf(type === "float64" ? "float64" : "float32", [length, 2], values));
}
function expandDft(c: ExpandContext): ValueId[] {
  const t = transformOf(c);
  const table = circle(c, t.length, c.require(0).dtype);
  const attributes = { axis: t.axis, inverse: Number(t.inverse), onesided: Number(t.onesided) };
  return c.graph.node("Fourier", [c.inputs[0], table], { attributes, domain: ownDomain, opset: 1 });
}
/** What a Fourier node of our own says; its length is its table's. */
function fourierOf(c: NodeContext): Transform {
  const x = checkType(c, 0, floats);
  const table = checkType(c, 1, ["float32", "float64"]);
  const axis = c.attributes.int("axis", 0);
  const last = x.dims.at(-1);
  const fits = table.dims.length === 2 && table.dims[1] === 2 && table.dims[0]! > 0;
  if (!fits || axis < 0 || axis >= x.dims.length - 1 || (last !== 1 && last !== 2)) c.invalid(`a signal [${x.dims}]`);
  const flag = (name: string): boolean => c.attributes.int(name, 0) !== 0;
  return { axis, length: table.dims[0]!, inverse: flag("inverse"), onesided: flag("onesided") };
}
/** The real or imaginary part of a product with e^(±iθ): `part` says which, at run time. */
function turned(re: Expr, im: Expr | undefined, table: Tensor, angle: Expr, part: Expr, inverse: boolean): Expr {
  const [cos, sine] = [0, 1].map((k) => cast(re.dtype.scalar, table.at(angle, k))) as [Expr, Expr];
  const sin = inverse ? sine : sub(like(sine, 0), sine);
  const [real, imaginary] = im
    ? [sub(mul(re, cos), mul(im, sin)), add(mul(re, sin), mul(im, cos))]
    : [mul(re, cos), mul(re, sin)];
  return select(compare("eq", part, 0), real, imaginary);
}
function computeFourier(c: ComputeContext): Tensor[] {
  const [x, table] = [c.input(0), c.input(1)];
  const t = fourierOf(c);
  const half = t.inverse && t.onesided;
  const last = x.dims.length - 1;
  const complex = x.dims[last] === 2;
  const terms = Math.min(x.dims[t.axis]!, half ? Math.floor(t.length / 2) + 1 : t.length);
  const type = table.dtype.scalar;
  const total = reduceStage(c, {
    name: "fourier",
    type,
    dims: c.output(0).dims,
    op: "add",
    axes: [["k", terms]],
    value: (i, [k]) => {
      const at = (part: number): Expr =>
        cast(type, x.at(...i.map((e, a) => (a === t.axis ? k! : a === last ? index(part) : e))));
      const angle = floormod(mul(k!, i[t.axis]!), t.length);
      const value = turned(at(0), complex ? at(1) : undefined, table, angle, i[last]!, t.inverse);
      if (!half) return value;
      // A left-out part mirrors one that is there; the first and, of an even length, the middle one have none.
      const alone = or(compare("eq", k!, 0), compare("eq", mul(k!, 2), t.length));
      return select(alone, value, mul(value, like(value, 2)));
    },
  });
  return [
    outputStage(c, "fourier_out", (...i) => {
      const value = total.at(...i);
      return t.inverse ? div(value, like(value, t.length)) : value;
    }),
  ];
}

/** Frames of an STFT: signal [batch, length, 1 or 2], step, window [taps], frame length. */
function framesOf(c: NodeContext) {
  const { dims } = checkType(c, 0, floats);
  if (dims.length !== 3 || (dims[2] !== 1 && dims[2] !== 2)) c.invalid(`a signal [${dims}]`);
  const step = scalarInput(c, 1);
  const window = c.type(2);
  const length = checkLength(c, c.type(3) ? scalarInput(c, 3) : (window?.dims[0] ?? dims[1]!));
  const taps = window ? window.dims[0]! : length;
  if (!Number.isInteger(step) || step < 1 || (window && window.dims.length !== 1) || taps > length || length > dims[1]!)
    c.invalid(`frames of ${length} every ${step} of a signal [${dims}]`);
  const onesided = c.attributes.int("onesided", 1) !== 0;
  if (onesided && dims[2] === 2) c.invalid("half a spectrum of a complex signal");
  return { step, length, onesided, frames: 1 + Math.floor((dims[1]! - length) / step) };
}
function expandStft(c: ExpandContext): ValueId[] {
  const f = framesOf(c);
  const table = circle(c, f.length, c.require(0).dtype);
  const attributes = { step: f.step, onesided: Number(f.onesided) };
  const inputs = [c.inputs[0], table, c.inputs[2]];
  return c.graph.node("FourierFrames", inputs, { attributes, domain: ownDomain, opset: 1 });
}
function inferFrames(c: NodeContext): StaticType[] {
  const x = checkType(c, 0, floats);
  const table = checkType(c, 1, ["float32", "float64"]);
  const window = c.type(2);
  const [length, step] = [table.dims[0]!, c.attributes.int("step", 1)];
  const fits = x.dims.length === 3 && (x.dims[2] === 1 || x.dims[2] === 2) && length <= x.dims[1]! && step > 0;
  const windowFits = !window || (window.dims.length === 1 && window.dims[0]! <= length);
  if (!fits || !windowFits || table.dims.length !== 2 || table.dims[1] !== 2) c.invalid(`a signal [${x.dims}]`);
  const extent = bins({ length, onesided: c.attributes.int("onesided", 0) !== 0 });
  return [{ dtype: x.dtype, dims: [x.dims[0]!, 1 + Math.floor((x.dims[1]! - length) / step), extent, 2] }];
}
function computeFrames(c: ComputeContext): Tensor[] {
  const [x, table, window] = [c.input(0), c.input(1), c.optional(2)];
  const length = table.dims[0]!;
  const step = c.attributes.int("step", 1);
  const type = table.dtype.scalar;
  const total = reduceStage(c, {
    name: "fourier",
    type,
    dims: c.output(0).dims,
    op: "add",
    axes: [["k", window ? window.dims[0]! : length]],
    value: ([n, frame, bin, part], [k]) => {
      const at = (p: number): Expr => {
        const value = cast(type, x.at(n!, add(mul(frame!, step), k!), p));
        return window ? mul(value, cast(type, window.at(k!))) : value;
      };
      const angle = floormod(mul(k!, bin!), length);
      return turned(at(0), x.dims[2] === 2 ? at(1) : undefined, table, angle, part!, false);
    },
  });
  return [outputStage(c, "fourier_out", (...i) => total.at(...i))];
}

/** A window function: a formula of the position's angle 2π·n/N. */
function windowRow(op: string, formula: (angle: number) => number): OperatorRow {
  const extent = (c: NodeContext): number => {
    const n = scalarInput(c, 0);
    if (!Number.isInteger(n) || n < 0) c.invalid(`a window of ${n} elements`);
    return n <= tableLimit ? n : c.unsupported(`a window of ${n} elements`);
  };
  const type = (c: NodeContext): StaticType => ({
    dtype: scalarOfOnnx(c, c.attributes.int("output_datatype", 1)),
    dims: [extent(c)],
  });
  return {
    op,
    since: 17,
    pattern: "opaque",
    infer: (c) => [type(c)],
    fold: (c) => {
      const n = extent(c);
      const period = c.attributes.int("periodic", 1) !== 0 ? n : n - 1;
      const values = Array.from({ length: n }, (_, i) => (period === 0 ? 1 : formula((2 * Math.PI * i) / period)));
      return [tensorOf(type(c).dtype, [n], values)];
    },
  };
}

/** Extents and edges of a mel filter bank. */
function melOf(c: NodeContext) {
  const [filters, length, rate, low, high] = [0, 1, 2, 3, 4].map((i) => scalarInput(c, i)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const rows = Math.floor(length / 2) + 1;
  if (!(filters >= 0 && length >= 0 && rate > 0) || !Number.isInteger(filters) || !Number.isInteger(length))
    c.invalid(`${filters} filters over ${length} samples at rate ${rate}`);
  if (filters * rows > tableLimit) c.unsupported("a filter bank beyond the limit");
  return { filters, rows, length, rate, low, high };
}
/** Row-major [rows, filters]: triangles between frequencies equally far apart on the mel scale. */
function melValues(c: NodeContext): number[] {
  const m = melOf(c);
  const toMel = (f: number): number => (2595 * Math.log1p(f / 700)) / Math.LN10;
  const [first, last] = [toMel(m.low), toMel(m.high)];
  const step = (last - first) / (m.filters + 2);
  const edges = Array.from({ length: m.filters + 2 }, (_, i) => {
    const frequency = 700 * Math.expm1(((i * step + first) / 2595) * Math.LN10);
    return Math.floor(((m.length + 1) * frequency) / m.rate);
  });
  if (edges.some((e) => !(e >= 0 && e < m.rows))) c.invalid("an edge lies outside the spectrum");
  const values = Array<number>(m.rows * m.filters).fill(0);
  const put = (row: number, filter: number, v: number): void => {
    values[row * m.filters + filter] = v;
  };
  for (let i = 0; i < m.filters; i++) {
    const [left, centre, right] = [edges[i]!, edges[i + 1]!, edges[i + 2]!];
    if (left === centre) put(centre, i, 1);
    else for (let j = left; j <= centre; j++) put(j, i, (j - left) / (centre - left));
    for (let j = centre; j < right; j++) put(j, i, (right - j) / (right - centre));
  }
  return values;
}
const melType = (c: NodeContext): StaticType => ({
  dtype: scalarOfOnnx(c, c.attributes.int("output_datatype", 1)),
  dims: [melOf(c).rows, melOf(c).filters],
});

export const signalRows: readonly OperatorRow[] = [
  {
    op: "DFT",
    since: 17,
    pattern: "opaque",
    infer: (c) => [{ dtype: c.require(0).dtype, dims: transformDims(c, transformOf(c)) }],
    expand: expandDft,
  },
  {
    op: "STFT",
    since: 17,
    pattern: "opaque",
    infer: (c) => {
      const f = framesOf(c);
      const x = c.require(0);
      return [{ dtype: x.dtype, dims: [x.dims[0]!, f.frames, bins(f), 2] }];
    },
    expand: expandStft,
  },
  {
    op: "Fourier",
    domain: ownDomain,
    pattern: "reduction",
    infer: (c) => [{ dtype: c.require(0).dtype, dims: transformDims(c, fourierOf(c)) }],
    compute: computeFourier,
  },
  { op: "FourierFrames", domain: ownDomain, pattern: "reduction", infer: inferFrames, compute: computeFrames },
  windowRow("HannWindow", (a) => 0.5 - 0.5 * Math.cos(a)),
  windowRow("HammingWindow", (a) => 25 / 46 - (21 / 46) * Math.cos(a)),
  windowRow("BlackmanWindow", (a) => 0.42 - 0.5 * Math.cos(a) + 0.08 * Math.cos(2 * a)),
  {
    op: "MelWeightMatrix",
    since: 17,
    pattern: "opaque",
    infer: (c) => [melType(c)],
    fold: (c) => [tensorOf(melType(c).dtype, melType(c).dims, melValues(c))],
  },
];
