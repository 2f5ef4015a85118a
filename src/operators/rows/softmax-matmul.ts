/**
 * SoftmaxMatMul (made by passes/graph/fuse-attention.ts): softmax(X)·V for scores X [batch…, queries, keys] and values
 * V [batch…, keys, size], divided by the sum of the weights at the end. With `tile` keys at a time it is the online softmax
 * (Milakov & Gimelshein, 2018) as FlashAttention has it (Dao et al., 2022): the largest score, the sum of the weights and
 * the mixture so far are carried from tile to tile, and rescaled where the largest score grows.
 */
import { add, compare, index, max, mul, select, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { reduce, sum, type Tensor } from "../../../ir/loop/compute.ts";
import { exp, like, literal, reciprocal } from "../expressions.ts";
import { type ComputeContext, type NodeContext, type OperatorRow, ownDomain, type StaticType } from "../row.ts";
import { checkType } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

const type = "float32";

interface Facts {
  /** Extents of the rows of scores: batch…, queries. */
  readonly rows: readonly number[];
  readonly keys: number;
  readonly size: number;
  /** Keys that are mixed at a time. */
  readonly tile: number;
}
function facts(c: NodeContext): Facts {
  const x = checkType(c, 0, [type]).dims;
  const v = checkType(c, 1, [type]).dims;
  const fits = x.length >= 2 && [...x.slice(0, -2), x.at(-1)].join() === v.slice(0, -1).join();
  if (!fits) c.invalid(`scores [${x}] of values [${v}]`);
  const keys = x.at(-1)!;
  const tile = c.attributes.int("tile", keys);
  if (keys < 1 || tile < 1 || keys % tile !== 0) c.invalid(`${keys} keys in tiles of ${tile}`);
  return { rows: x.slice(0, -1), keys, size: v.at(-1)!, tile };
}
const infer = (c: NodeContext): StaticType[] => {
  const f = facts(c);
  return [{ dtype: type, dims: [...f.rows, f.size] }];
};
const isNever = (e: Expr): Expr => compare("eq", e, like(e, Number.NEGATIVE_INFINITY));
/** What is subtracted from scores: the peak, unless nothing has been allowed so far. */
const base = (peak: Expr): Expr => select(isNever(peak), like(peak, 0), peak);
/** Whether a row of -inf alone gives zeros, as MaskedSoftmax does; else it gives NaN, as Softmax does. */
const masked = (c: NodeContext): boolean => c.attributes.int("masked", 0) !== 0;
const nonZero = (total: Expr): Expr => select(compare("eq", total, like(total, 0)), like(total, 1), total);

function compute(c: ComputeContext): Tensor[] {
  const f = facts(c);
  const mixed = f.tile < f.keys ? online(c, f) : atOnce(c, f);
  return [outputStage(c, "attention", (...i) => mixed(i))];
}
type At = (indices: readonly Expr[]) => Expr;
const annotations = (part: string) => ({ annotations: { op: "SoftmaxMatMul", part } });

/** The mixture over all keys at once. */
function atOnce(c: ComputeContext, f: Facts): At {
  const { builder } = c;
  const [x, v] = [c.input(0), c.input(1)];
  const axis = () => builder.reduceAxis("k", f.keys);
  const [k1, k2, k3] = [axis(), axis(), axis()];
  const peak = builder.compute(
    "peak",
    type,
    f.rows,
    (...i) => reduce("max", x.at(...i, k1.var), [k1]),
    annotations("peak"),
  );
  const weights = builder.compute(
    "weights",
    type,
    x.dims,
    (...i) => {
      const row = i.slice(0, -1);
      const highest = peak.at(...row);
      return exp(sub(x.at(...i), masked(c) ? base(highest) : highest));
    },
    annotations("weights"),
  );
  const total = builder.compute(
    "total",
    type,
    f.rows,
    (...i) => sum(weights.at(...i, k2.var), k2),
    annotations("total"),
  );
  const mixed = builder.compute(
    "mixed",
    type,
    [...f.rows, f.size],
    (...i) => sum(mul(weights.at(...i.slice(0, -1), k3.var), v.at(...i.slice(0, -2), k3.var, i.at(-1)!)), k3),
    annotations("mixed"),
  );
  return (i) => {
    const sum = total.at(...i.slice(0, -1));
    return mul(mixed.at(...i), reciprocal(masked(c) ? nonZero(sum) : sum));
  };
}

/** The same, tile by tile, over [batch…, tile, query]; each state is a scan along the tiles. */
function online(c: ComputeContext, f: Facts): At {
  const { builder } = c;
  const [x, v] = [c.input(0), c.input(1)];
  const tiles = f.keys / f.tile;
  const axis = () => builder.reduceAxis("k", f.tile);
  const [k1, k2, k3] = [axis(), axis(), axis()];
  const [batch, queries] = [f.rows.slice(0, -1), f.rows.at(-1)!];
  const dims = [...batch, tiles, queries];
  const at = batch.length;
  const split = (i: readonly Expr[]) => ({ b: i.slice(0, at), t: i[at]!, q: i[at + 1]!, row: i.slice(0, at + 2) });
  const score = (i: readonly Expr[], k: Expr): Expr => {
    const { b, t, q } = split(i);
    return x.at(...b, q, add(mul(t, f.tile), k));
  };
  const before = (state: Tensor, i: readonly Expr[]): Expr => state.at(...i.with(at, sub(i[at]!, 1)));
  const later = (i: readonly Expr[], value: Expr, first: Expr): Expr => select(compare("gt", i[at]!, 0), value, first);
  const kinds = [...dims, f.size].map((_, a) => (a === at ? ("ordered" as const) : ("spatial" as const)));
  const scan = (
    name: string,
    extents: readonly number[],
    value: (self: Tensor, i: readonly Expr[]) => Expr,
  ): Tensor => {
    const state = builder.declare(name, type, extents);
    builder.computeInto(state, name, (...i) => value(state, i), { kinds, ...annotations(name) });
    return state;
  };

  const highest = builder.compute(
    "highest",
    type,
    dims,
    (...i) => reduce("max", score(i, k1.var), [k1]),
    annotations("highest"),
  );
  const peak = scan("peak", dims, (self, i) => max(highest.at(...i), later(i, before(self, i), highest.at(...i))));
  const weights = builder.compute(
    "weights",
    type,
    [...dims, f.tile],
    (...i) => exp(sub(score(i, i.at(-1)!), base(peak.at(...split(i).row)))),
    annotations("weights"),
  );
  // What the weights so far shrink by when the peak grows.
  const shrink = builder.compute(
    "shrink",
    type,
    dims,
    (...i) => later(i, exp(sub(before(peak, i), base(peak.at(...i)))), literal(type, 0)),
    annotations("shrink"),
  );
  const sums = builder.compute("sums", type, dims, (...i) => sum(weights.at(...i, k2.var), k2), annotations("sums"));
  const total = scan("total", dims, (self, i) =>
    add(sums.at(...i), later(i, mul(before(self, i), shrink.at(...i)), literal(type, 0))),
  );
  const scale = builder.compute(
    "scale",
    type,
    dims,
    (...i) => {
      const so = total.at(...i);
      const more = compare("lt", i[at]!, tiles - 1);
      return reciprocal(masked(c) ? nonZero(so) : select(more, nonZero(so), so));
    },
    annotations("scale"),
  );
  // The mixture so far is divided by the sum so far, so that its share shrinks as the sum grows.
  const kept = builder.compute(
    "kept",
    type,
    dims,
    (...i) => later(i, mul(mul(before(total, i), shrink.at(...i)), scale.at(...i)), literal(type, 0)),
    annotations("kept"),
  );
  const added = builder.compute(
    "added",
    type,
    [...dims, f.size],
    (...i) => {
      const { b, t, row } = split(i);
      return sum(mul(weights.at(...row, k3.var), v.at(...b, add(mul(t, f.tile), k3.var), i.at(-1)!)), k3);
    },
    annotations("added"),
  );
  const mixed = scan("mixed", [...dims, f.size], (self, i) => {
    const { row } = split(i);
    const old = later(i, mul(before(self, i), kept.at(...row)), literal(type, 0));
    return add(mul(added.at(...i), scale.at(...row)), old);
  });
  return (i) => mixed.at(...i.toSpliced(at, 0, index(tiles - 1)));
}

export const softmaxMatmulRows: readonly OperatorRow[] = [
  { op: "SoftmaxMatMul", domain: ownDomain, pattern: "contraction", infer, compute },
];
