/** Vectors: what is the same in every lane is computed once, what grows by a stride stays a ramp. */
import { binary, broadcast, cast, compare, constantValue, index, ramp, select, unary } from "../../ir/expr/build.ts";
import { elementOf, isFloat } from "../../ir/expr/dtype.ts";
import type {
  Binary,
  Broadcast,
  Cast,
  Compare,
  Expr,
  Ramp,
  Select,
  Shuffle,
  Unary,
  VectorReduce,
} from "../../ir/expr/expr.ts";
import { boundsOf, type Ranges } from "../analysis/bounds.ts";
import { sameExpr } from "../analysis/order.ts";
import { isConstant } from "./fold.ts";
import type { Rule } from "./rule.ts";

/** An index vector as base + lane·stride; a broadcast has stride 0. */
function asRamp(e: Expr): { base: Expr; stride: Expr | undefined } | undefined {
  if (e.kind === "ramp") return { base: e.base, stride: e.stride };
  return e.kind === "broadcast" ? { base: e.value, stride: undefined } : undefined;
}

export const vectorBinaryRules: readonly Rule<Binary>[] = [
  {
    name: "broadcast-out",
    apply: (e, { simplify }) =>
      e.a.kind === "broadcast" && e.b.kind === "broadcast"
        ? broadcast(simplify(binary(e.op, e.a.value, e.b.value)), e.dtype.lanes)
        : undefined,
  },
  {
    name: "ramp-sum",
    apply: (e, { simplify }) => {
      if (e.op !== "add" && e.op !== "sub") return undefined;
      const x = asRamp(e.a);
      const y = asRamp(e.b);
      if (!x || !y || e.dtype.scalar !== "int64") return undefined;
      const stride = simplify(binary(e.op, x.stride ?? index(0), y.stride ?? index(0)));
      return simplify(ramp(simplify(binary(e.op, x.base, y.base)), stride, e.dtype.lanes));
    },
  },
  {
    name: "ramp-scale",
    apply: (e, { simplify }) => {
      if (e.op !== "mul" || e.dtype.scalar !== "int64") return undefined;
      const [r, b] = e.a.kind === "ramp" ? [e.a, e.b] : [e.b, e.a];
      if (r.kind !== "ramp" || b.kind !== "broadcast") return undefined;
      const scaled = (part: Expr): Expr => simplify(binary("mul", part, b.value));
      return simplify(ramp(scaled(r.base), scaled(r.stride), e.dtype.lanes));
    },
  },
  {
    name: "ramp-divide",
    apply: (e, ctx) => {
      if (e.op !== "floordiv" && e.op !== "floormod") return undefined;
      return divideRamp(e, ctx.ranges, ctx.simplify);
    },
  },
];

/**
 * (base + lane·s) by m: where m divides s the quotient is a ramp of s/m and the remainder is the base's; where the lanes
 * stay within one step of m the quotient is the base's and the remainder is a ramp.
 */
function divideRamp(e: Binary, ranges: Ranges, simplify: (e: Expr) => Expr): Expr | undefined {
  if (e.a.kind !== "ramp" || e.b.kind !== "broadcast") return undefined;
  const m = constantValue(e.b.value);
  const s = constantValue(e.a.stride);
  if (m === undefined || s === undefined || m <= 0) return undefined;
  const { lanes } = e.dtype;
  const base = simplify(binary(e.op, e.a.base, m));
  if (s % m === 0) return e.op === "floordiv" ? simplify(ramp(base, s / m, lanes)) : broadcast(base, lanes);
  const rest = boundsOf(simplify(binary("floormod", e.a.base, m)), ranges);
  const last = s * (lanes - 1);
  if (rest.min + Math.min(0, last) < 0 || rest.max + Math.max(0, last) >= m) return undefined;
  return e.op === "floordiv" ? broadcast(base, lanes) : ramp(base, s, lanes);
}

export const vectorCompareRules: readonly Rule<Compare>[] = [
  {
    name: "broadcast-out",
    apply: (e, { simplify }) =>
      e.a.kind === "broadcast" && e.b.kind === "broadcast"
        ? broadcast(simplify(compare(e.op, e.a.value, e.b.value)), e.dtype.lanes)
        : undefined,
  },
];
export const vectorUnaryRules: readonly Rule<Unary>[] = [
  {
    name: "broadcast-out",
    apply: (e, { simplify }) =>
      e.value.kind === "broadcast" ? broadcast(simplify(unary(e.op, e.value.value)), e.dtype.lanes) : undefined,
  },
];
export const vectorCastRules: readonly Rule<Cast>[] = [
  {
    name: "broadcast-out",
    apply: (e, { simplify }) =>
      e.value.kind === "broadcast"
        ? broadcast(simplify(cast(e.dtype.scalar, e.value.value)), e.dtype.lanes)
        : undefined,
  },
];
export const vectorSelectRules: readonly Rule<Select>[] = [
  {
    name: "broadcast-out",
    apply: (e, { simplify }) => {
      const { condition, then, otherwise } = e;
      if (then.kind !== "broadcast" || otherwise.kind !== "broadcast") return undefined;
      if (condition.kind === "broadcast")
        return broadcast(simplify(select(condition.value, then.value, otherwise.value)), e.dtype.lanes);
      return condition.dtype.lanes === 1
        ? broadcast(simplify(select(condition, then.value, otherwise.value)), e.dtype.lanes)
        : undefined;
    },
  },
];
export const rampRules: readonly Rule<Ramp>[] = [
  {
    name: "ramp-stride-zero",
    apply: (e) => (isConstant(e.stride, 0) ? broadcast(e.base, e.dtype.lanes) : undefined),
  },
  { name: "ramp-one-lane", apply: (e) => (e.dtype.lanes === 1 ? e.base : undefined) },
];
export const broadcastRules: readonly Rule<Broadcast>[] = [
  { name: "broadcast-one-lane", apply: (e) => (e.dtype.lanes === 1 ? e.value : undefined) },
];
export const shuffleRules: readonly Rule<Shuffle>[] = [
  {
    name: "identity-shuffle",
    apply: (e) => {
      const only = e.vectors.length === 1 ? e.vectors[0] : undefined;
      return only && only.dtype === e.dtype && e.lanes.every((l, i) => l === i) ? only : undefined;
    },
  },
  {
    name: "shuffle-of-broadcast",
    apply: (e) => {
      const first = e.vectors[0];
      if (first?.kind !== "broadcast" || !e.vectors.every((v) => sameExpr(v, first))) return undefined;
      return e.dtype.lanes === 1 ? first.value : broadcast(first.value, e.dtype.lanes);
    },
  },
];
export const reduceRules: readonly Rule<VectorReduce>[] = [
  {
    name: "reduce-one-lane",
    apply: (e) => (e.value.dtype.lanes === 1 ? e.value : undefined),
  },
  {
    name: "reduce-broadcast",
    apply: (e, { simplify }) => {
      if (e.value.kind !== "broadcast") return undefined;
      const { value } = e.value;
      if (e.op === "add" && !isFloat(e.dtype.scalar) && elementOf(e.dtype).scalar !== "bool")
        return simplify(binary("mul", value, e.value.dtype.lanes));
      return e.op === "add" || e.op === "mul" ? undefined : value;
    },
  },
];
