/** Data movement by index arithmetic: Tile, DepthToSpace, SpaceToDepth, Trilu, EyeLike, ReverseSequence. */
import { add, cast, compare, floordiv, floormod, max, min, mul, select, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { literal } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { anyType, checkType, scalarOfOnnx } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

function tileDims(c: NodeContext): number[] {
  const { dims } = c.require(0);
  const repeats = c.constantInts(1) ?? c.invalid("no repeats");
  if (repeats.length !== dims.length || repeats.some((n) => n < 0))
    c.invalid(`repeats [${repeats}] of a tensor [${dims}]`);
  return dims.map((n, a) => n * repeats[a]!);
}
const tileRow: OperatorRow = {
  op: "Tile",
  since: 6,
  pattern: "injective",
  infer: (c) => [{ dtype: c.require(0).dtype, dims: tileDims(c) }],
  compute: (c) => {
    const x = c.input(0);
    const { dims } = c.output(0);
    const place = (e: Expr, a: number): Expr => (dims[a] === x.dims[a] ? e : floormod(e, x.dims[a]!));
    return [outputStage(c, "tile", (...i) => x.at(...i.map(place)))];
  },
};

function blockSize(c: NodeContext): number {
  const b = c.attributes.int("blocksize", 0);
  if (c.require(0).dims.length !== 4) c.invalid(`a tensor [${c.require(0).dims}] instead of [n, c, h, w]`);
  return b >= 1 ? b : c.invalid(`blocksize ${b}`);
}
const depthToSpaceRow: OperatorRow = {
  op: "DepthToSpace",
  pattern: "injective",
  infer: (c) => {
    const b = blockSize(c);
    const [n, channels, h, w] = c.require(0).dims as [number, number, number, number];
    const mode = c.attributes.string("mode", "DCR");
    if (mode !== "DCR" && mode !== "CRD") c.invalid(`mode ${JSON.stringify(mode)}`);
    if (channels % (b * b) !== 0) c.invalid(`${channels} channels in blocks of ${b}`);
    return [{ dtype: c.require(0).dtype, dims: [n, channels / (b * b), h * b, w * b] }];
  },
  compute: (c) => {
    const x = c.input(0);
    const b = blockSize(c);
    const depth = c.output(0).dims[1]!;
    const columnsFirst = c.attributes.string("mode", "DCR") === "CRD";
    return [
      outputStage(c, "depth_to_space", (n, d, h, w) => {
        const part = add(mul(floormod(h!, b), b), floormod(w!, b));
        const channel = columnsFirst ? add(mul(d!, b * b), part) : add(mul(part, depth), d!);
        return x.at(n!, channel, floordiv(h!, b), floordiv(w!, b));
      }),
    ];
  },
};
const spaceToDepthRow: OperatorRow = {
  op: "SpaceToDepth",
  pattern: "injective",
  infer: (c) => {
    const b = blockSize(c);
    const [n, channels, h, w] = c.require(0).dims as [number, number, number, number];
    if (h % b !== 0 || w % b !== 0) c.invalid(`${h}×${w} in blocks of ${b}`);
    return [{ dtype: c.require(0).dtype, dims: [n, channels * b * b, h / b, w / b] }];
  },
  compute: (c) => {
    const x = c.input(0);
    const b = blockSize(c);
    const depth = x.dims[1]!;
    return [
      outputStage(c, "space_to_depth", (n, d, h, w) => {
        const part = floordiv(d!, depth);
        const row = add(mul(h!, b), floordiv(part, b));
        return x.at(n!, floormod(d!, depth), row, add(mul(w!, b), floormod(part, b)));
      }),
    ];
  },
};

/** The diagonal that divides kept from zeroed elements, read from data when it is not constant. */
function diagonalOf(c: ComputeContext): Expr {
  const k = c.optional(1);
  if (!k) return literal("int64", 0);
  const limit = 2 ** 40;
  return min(max(cast("int64", k.at(...k.dims.map(() => 0))), -limit), limit);
}
const triluRow: OperatorRow = {
  op: "Trilu",
  since: 14,
  pattern: "injective",
  infer: (c) => {
    const x = checkType(c, 0, anyType);
    if (x.dims.length < 2) c.invalid(`a tensor [${x.dims}] has no matrices`);
    return [x];
  },
  compute: (c) => {
    const x = c.input(0);
    const upper = c.attributes.int("upper", 1) !== 0;
    const diagonal = diagonalOf(c);
    const zero = literal(x.dtype.scalar, 0);
    return [
      outputStage(c, "trilu", (...i) => {
        const distance = sub(i.at(-1)!, i.at(-2)!);
        return select(compare(upper ? "ge" : "le", distance, diagonal), x.at(...i), zero);
      }),
    ];
  },
};
function inferEyeLike(c: NodeContext): StaticType[] {
  const x = c.require(0);
  if (x.dims.length !== 2) c.invalid(`a tensor [${x.dims}] is no matrix`);
  const type = c.attributes.optionalInt("dtype");
  return [{ dtype: type === undefined ? x.dtype : scalarOfOnnx(c, type), dims: x.dims }];
}
const eyeLikeRow: OperatorRow = {
  op: "EyeLike",
  since: 9,
  pattern: "elementwise",
  infer: inferEyeLike,
  compute: (c) => {
    const { dtype } = c.output(0);
    const k = c.attributes.int("k", 0);
    return [
      outputStage(c, "eye", (i, j) =>
        select(compare("eq", sub(j!, i!), literal("int64", k)), literal(dtype, 1), literal(dtype, 0)),
      ),
    ];
  },
};

/** Which axis is the batch and which the time; the two are the first two. */
function sequenceAxes(c: NodeContext): { batch: number; time: number } {
  const [batch, time] = [c.attributes.int("batch_axis", 1), c.attributes.int("time_axis", 0)];
  const { dims } = c.require(0);
  if (batch + time !== 1 || batch * time !== 0 || dims.length < 2)
    c.invalid(`batch axis ${batch} and time axis ${time} of [${dims}]`);
  if (c.require(1).dims.join() !== `${dims[batch]}`) c.invalid(`lengths [${c.require(1).dims}] for [${dims}]`);
  return { batch, time };
}
const reverseSequenceRow: OperatorRow = {
  op: "ReverseSequence",
  since: 10,
  pattern: "injective",
  infer: (c) => {
    sequenceAxes(c);
    return [c.require(0)];
  },
  compute: (c) => {
    const [x, lengths] = [c.input(0), c.input(1)];
    const { batch, time } = sequenceAxes(c);
    return [
      outputStage(c, "reverse_sequence", (...i) => {
        const n = x.dims[time]!;
        const length = min(max(cast("int64", lengths.at(i[batch]!)), 0), n);
        const t = i[time]!;
        const mirrored = max(sub(sub(length, 1), t), 0);
        const source = select(compare("lt", t, length), mirrored, t);
        return x.at(...i.map((e, a) => (a === time ? source : e)));
      }),
    ];
  },
};

export const rearrangeRows: readonly OperatorRow[] = [
  tileRow,
  depthToSpaceRow,
  spaceToDepthRow,
  triluRow,
  eyeLikeRow,
  reverseSequenceRow,
];
