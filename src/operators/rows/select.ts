/** TopK: the k greatest (or least) elements along an axis, the first of equals first. */
import { and, binary, call, cast, compare, index, max, or, select, sub } from "../../../ir/expr/build.ts";
import { bitsOf, dtype, isFloat } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { reduce, type Tensor } from "../../../ir/loop/compute.ts";
import { dataIndex, isNaN, literal } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, normalizeAxis, numbers } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

function topK(c: NodeContext): { axis: number; k: number; largest: boolean } {
  const { dims } = checkType(c, 0, numbers);
  if (dims.length === 0) c.invalid("a scalar has no axis");
  const axis = normalizeAxis(c, c.attributes.int("axis", -1), dims.length);
  const asked = c.node.opset >= 10 ? c.constantInts(1) : [c.attributes.int("k", -1)];
  const k = asked?.[0] ?? c.invalid("k is missing");
  if (asked?.length !== 1 || k < 0 || k > dims[axis]!) c.invalid(`k [${asked}] of an axis of ${dims[axis]}`);
  return { axis, k, largest: c.attributes.int("largest", 1) !== 0 };
}
function inferTopK(c: NodeContext): StaticType[] {
  const x = c.require(0);
  const { axis, k } = topK(c);
  const dims = x.dims.map((n, a) => (a === axis ? k : n));
  return [
    { dtype: x.dtype, dims },
    { dtype: "int64", dims },
  ];
}
/**
 * Note [Selection]. Place r holds the best of the elements that come after place r-1's in the order by (value, index): k
 * passes over n elements, no sorting. NaN counts as the greatest (for `largest`: first) of all. Where value and index fit
 * into 64 bits, both are one whole number that orders as they do, so that a pass is one maximum, whose lanes are elements.
 */
function computeTopK(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const { axis, largest } = topK(c);
  const n = x.dims[axis]!;
  const dims = c.output(0).dims;
  const type = x.dtype.scalar;
  const beats = largest ? "gt" : "lt";
  const order = { axis, n, dims, beats, key: keyOf(x, largest) } as const;
  const place = fitsRank(type, n) && !dims.includes(0) ? ranked(c, x, order) : selection(c, type, order);
  const value = (...i: Expr[]): Expr => x.at(...i.map((e, a) => (a === axis ? dataIndex(place(...i), n) : e)));
  return [outputStage(c, "top_value", value), outputStage(c, "top_index", (...i) => place(...i), { output: 1 })];
}
/** The element as it is compared. */
function keyOf(x: Tensor, largest: boolean): (...i: Expr[]) => Expr {
  const type = x.dtype.scalar;
  if (!isFloat(type)) return (...i) => x.at(...i);
  const extreme = literal(type, largest ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY);
  return (...i) => select(isNaN(x.at(...i)), extreme, x.at(...i));
}
interface Order {
  readonly axis: number;
  readonly n: number;
  readonly dims: readonly number[];
  readonly beats: "gt" | "lt";
  readonly key: (...i: Expr[]) => Expr;
}
/** The index of the element at each place. */
type Places = (...i: Expr[]) => Expr;

const fitsRank = (type: StaticType["dtype"], n: number): boolean => bitsOf(type) <= 32 && n < 2 ** 31;
const long = (value: number | bigint): Expr => literal("int64", value);
const greatest = 2n ** 63n - 1n;

/** Places by ranks: the 32 bits of the value, as they order, above the index, the first of equals the greatest. */
function ranked(c: ComputeContext, x: Tensor, o: Order): Places {
  const { builder } = c;
  const along = (i: readonly Expr[], e: Expr): Expr[] => i.map((old, a) => (a === o.axis ? e : old));
  const ranks = builder.compute("top_rank", "int64", x.dims, (...i) => {
    const bits = cast("int64", orderedBits(o.key(...i)));
    // 32 unsigned bits become signed ones in the same order.
    const whole = x.dtype.scalar === "uint32" ? sub(bits, 2 ** 31) : bits;
    const better = o.beats === "gt" ? whole : binary("xor", whole, long(-1));
    return binary("or", binary("shl", better, long(32)), sub(o.n - 1, i[o.axis]!));
  });
  const kinds = o.dims.map((_, a) => (a === o.axis ? ("ordered" as const) : ("spatial" as const)));
  const j = builder.reduceAxis("j", o.n);
  const best = builder.declare("top_best", "int64", o.dims);
  builder.computeInto(
    best,
    "top",
    (...i) => {
      const r = i[o.axis]!;
      const last = select(compare("eq", r, 0), long(greatest), best.at(...along(i, sub(r, 1))));
      const rank = ranks.at(...along(i, j.var));
      return reduce("max", select(compare("lt", rank, last), rank, long(-greatest - 1n)), [j]);
    },
    { kinds },
  );
  return (...i) => sub(o.n - 1, binary("and", best.at(...i), long(0xffffffff)));
}
/** A whole number that orders as the value does; equal values, as zeros of both signs, have equal ones. */
function orderedBits(value: Expr): Expr {
  if (!isFloat(value.dtype.scalar)) return value;
  const v = cast("float32", value);
  const bits = call("bitcast", [select(compare("eq", v, 0), literal("float32", 0), v)], dtype("int32"));
  const flipped = binary("xor", bits, literal("int32", 0x7fffffff));
  return select(compare("lt", bits, 0), flipped, bits);
}
/** Places by comparing values and indices, for elements of 64 bits. */
function selection(c: ComputeContext, type: StaticType["dtype"], o: Order): Places {
  const { builder } = c;
  if (o.dims.includes(0)) return () => index(0);
  const key = builder.declare("top_key", type, o.dims);
  const place = builder.declare("top_place", "int64", o.dims);
  const kinds = o.dims.map((_, a) => (a === o.axis ? ("ordered" as const) : ("spatial" as const)));
  const j = builder.reduceAxis("j", o.n);
  const along = (i: readonly Expr[], e: Expr): Expr[] => i.map((old, a) => (a === o.axis ? e : old));
  builder.computeTupleInto(
    [key, place],
    "top",
    (...i) => {
      const before = along(i, max(sub(i[o.axis]!, 1), 0));
      const candidate = o.key(...along(i, j.var));
      const [lastKey, lastPlace] = [key.at(...before), place.at(...before)];
      const after = or(
        compare(o.beats, lastKey, candidate),
        and(compare("eq", lastKey, candidate), compare("gt", j.var, lastPlace)),
      );
      const free = or(compare("eq", i[o.axis]!, 0), after);
      return {
        kind: "tupleReduction",
        axes: [j],
        init: [literal(type, 0), cast("int64", literal("int64", -1))],
        update: ([best, bestPlace]) => {
          const better = or(compare("lt", bestPlace!, 0), compare(o.beats, candidate, best!));
          const wins = and(free, better);
          return [select(wins, candidate, best!), select(wins, j.var, bestPlace!)];
        },
      };
    },
    { kinds },
  );
  return (...i) => place.at(...i);
}
export const selectRows: readonly OperatorRow[] = [
  { op: "TopK", pattern: "opaque", infer: inferTopK, compute: computeTopK },
];
