/** The inner steps of attention, in our own domain: masking of scores, and a softmax that gives 0 where all is masked. */
import { add, and, cast, compare, index, mul, select, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { broadcastAt, exp, guard, like, reciprocal, workingType } from "../expressions.ts";
import { type ComputeContext, type NodeContext, type OperatorRow, ownDomain, type StaticType } from "../row.ts";
import { broadcastDims, checkType, floats, scalarOfOnnx } from "../shape-rules.ts";
import { layoutOption, outputStage, reduceStage, wide } from "../stages.ts";

/** Scores [batch, heads, queries, keys]; a mask that broadcasts to it, whose keys may be fewer; keys in use [batch]. */
function inferMask(c: NodeContext): StaticType[] {
  const x = checkType(c, 0, floats);
  const mask = c.type(1);
  if (x.dims.length !== 4) c.invalid(`scores [${x.dims}]`);
  if (mask) {
    checkType(c, 1, ["bool", x.dtype]);
    const keys = mask.dims.at(-1) ?? 1;
    const rest = broadcastDims(c, [mask.dims.slice(0, -1), x.dims.slice(0, -1)]);
    const fits = rest.join() === x.dims.slice(0, -1).join() && keys <= x.dims[3]!;
    if (!fits) c.invalid(`a mask [${mask.dims}] for scores [${x.dims}]`);
  }
  const used = c.type(2);
  if (used && used.dims.join() !== `${x.dims[0]}`) c.invalid(`key counts [${used.dims}] for scores [${x.dims}]`);
  return [x];
}
/** Conditions under which a key may be attended by a query, from positions alone. */
function positionLimits(c: ComputeContext, used: Tensor | undefined) {
  const a = c.attributes;
  const [, , queries, keys] = c.output(0).dims as [number, number, number, number];
  const [left, right] = [a.int("left", -1), a.int("right", -1)];
  return (n: Expr, i: Expr, j: Expr): Expr[] => {
    const count = used && cast("int64", used.at(n));
    const offset = count ? sub(count, queries) : index(a.int("past", 0));
    const own = add(i, offset);
    return [
      ...(a.int("causal", 0) !== 0 ? [compare("le", j, own)] : []),
      ...(left >= 0 ? [compare("le", sub(own, j), left)] : []),
      ...(right >= 0 ? [compare("le", sub(j, own), right)] : []),
      ...(count ? [compare("lt", j, count)] : []),
    ].filter(() => keys > 0);
  };
}
/** The score plus the mask, -inf where masked: chosen, not added, so that masked scores never matter. */
function computeMask(c: ComputeContext): Tensor[] {
  const [x, mask, used] = [c.input(0), c.optional(1), c.optional(2)];
  const limits = positionLimits(c, used);
  const covered = mask ? (mask.dims.at(-1) ?? 1) : 0;
  return [
    outputStage(c, "mask_scores", (...i) => {
      const [n, , q, j] = i as [Expr, Expr, Expr, Expr];
      const score = wide(x, ...i);
      const never = like(score, Number.NEGATIVE_INFINITY);
      const allowed = limits(n, q, j);
      const inside = mask && guard(j, covered, 0, x.dims[3]! - 1);
      const conditions = [...(inside ? [inside] : []), ...allowed];
      const biased = mask ? applyMask(score, broadcastAt(mask, i), never) : score;
      return conditions.length === 0 ? biased : select(conditions.reduce(and), biased, never);
    }),
  ];
}
function applyMask(score: Expr, mask: Expr, never: Expr): Expr {
  if (mask.dtype.scalar === "bool") return select(mask, score, never);
  const bias = cast(score.dtype.scalar, mask);
  return select(compare("eq", bias, never), never, add(score, bias));
}

/** Like Softmax over the last axis, except that a row of -inf alone gives zeros. */
function computeSoftmax(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const last = x.dims.length - 1;
  const asked = c.attributes.optionalInt("precision");
  const type = asked !== undefined && scalarOfOnnx(c, asked) === "float64" ? "float64" : workingType(x.dtype.scalar);
  const dims = x.dims.slice(0, last);
  const axes = [["r0", x.dims[last]!] as const];
  const annotations = (part: string) => ({ op: "Softmax", part, axes: [last] });
  const element = (i: readonly Expr[]): Expr => cast(type, x.at(...i));
  const most = reduceStage(c, {
    name: "softmax_max",
    type,
    dims,
    op: "max",
    axes,
    value: (i, k) => element([...i, ...k]),
    options: { annotations: annotations("max") },
  });
  const base = (i: readonly Expr[]): Expr => {
    const m = most.at(...i);
    return select(compare("eq", m, like(m, Number.NEGATIVE_INFINITY)), like(m, 0), m);
  };
  const options = { ...layoutOption(c, false), annotations: annotations("exp") };
  const powers = c.builder.compute(
    "softmax_exp",
    type,
    x.dims,
    (...i) => exp(sub(element(i), base(i.slice(0, last)))),
    options,
  );
  const total = reduceStage(c, {
    name: "softmax_sum",
    type,
    dims,
    op: "add",
    axes,
    value: (i, k) => powers.at(...i, ...k),
    options: { annotations: annotations("sum") },
  });
  const divisor = (i: readonly Expr[]): Expr => {
    const s = total.at(...i);
    return select(compare("eq", s, like(s, 0)), like(s, 1), s);
  };
  return [
    outputStage(c, "softmax", (...i) => mul(powers.at(...i), reciprocal(divisor(i.slice(0, last)))), {
      annotations: annotations("normalize"),
    }),
  ];
}

export const maskedSoftmaxRows: readonly OperatorRow[] = [
  { op: "MaskScores", domain: ownDomain, pattern: "elementwise", infer: inferMask, compute: computeMask },
  {
    op: "MaskedSoftmax",
    domain: ownDomain,
    pattern: "reduction",
    infer: (c) => {
      const x = checkType(c, 0, floats);
      return x.dims.length > 0 ? [x] : c.invalid("a scalar has no axis");
    },
    compute: computeSoftmax,
  },
];
