/** Losses over class scores [n, classes, d…] and integer targets [n, d…]. */
import { cast, compare, div, index, mul, select, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { dataIndex, exp, like, literal, log, neg, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow, StaticType } from "../row.ts";
import { checkType, floats, wants } from "../shape-rules.ts";
import { outputStage, reduceStage, wide } from "../stages.ts";

const reductions: readonly string[] = ["none", "sum", "mean"];

function inferLoss(c: NodeContext): StaticType[] {
  const x = checkType(c, 0, floats);
  const target = checkType(c, 1, ["int32", "int64"]);
  const [n, , ...rest] = x.dims;
  if (x.dims.length < 2 || target.dims.join() !== [n, ...rest].join())
    c.invalid(`targets [${target.dims}] for scores [${x.dims}]`);
  const weight = c.type(2);
  if (weight && weight.dims.join() !== `${x.dims[1]}`) c.invalid(`weights [${weight.dims}] for ${x.dims[1]} classes`);
  const reduction = c.attributes.string("reduction", "mean");
  if (!reductions.includes(reduction)) c.invalid(`reduction ${JSON.stringify(reduction)}`);
  const loss = { dtype: x.dtype, dims: reduction === "none" ? target.dims : [] };
  return c.node.op === "SoftmaxCrossEntropyLoss" ? [loss, x] : [loss];
}
/** Log-probabilities along the class axis. */
function logSoftmax(c: ComputeContext, x: Tensor): Tensor {
  const type = workingType(x.dtype.scalar);
  const dims = x.dims.filter((_, i) => i !== 1);
  const axes = [["class", x.dims[1]!] as const];
  const most = reduceStage(c, {
    name: "loss_max",
    type,
    dims,
    op: "max",
    axes,
    value: ([n, ...d], [k]) => wide(x, n!, k!, ...d),
  });
  const shifted = (n: Expr, k: Expr, d: readonly Expr[]): Expr => sub(wide(x, n, k, ...d), most.at(n, ...d));
  const total = reduceStage(c, {
    name: "loss_exp_sum",
    type,
    dims,
    op: "add",
    axes,
    value: ([n, ...d], [k]) => exp(shifted(n!, k!, d)),
  });
  return c.builder.compute("log_probability", type, x.dims, (n, k, ...d) =>
    sub(shifted(n!, k!, d), log(total.at(n!, ...d))),
  );
}
/** The loss from scores that are log-probabilities already. */
function lossOf(c: ComputeContext, scores: Tensor): Tensor {
  const target = c.input(1);
  const weight = c.optional(2);
  const type = workingType(c.output(0).dtype);
  const ignored = c.attributes.optionalInt("ignore_index");
  const classes = scores.dims[1]!;
  const place = (i: readonly Expr[]): Expr => dataIndex(target.at(...i), classes);
  /** `value`, or zero where the target is ignored. */
  const counted = (i: readonly Expr[], value: Expr): Expr =>
    ignored === undefined
      ? value
      : select(compare("ne", cast("int64", target.at(...i)), index(ignored)), value, like(value, 0));
  const weightAt = (i: readonly Expr[]): Expr => (weight ? wide(weight, place(i)) : literal(type, 1));
  const element = (i: readonly Expr[]): Expr => {
    const [n, ...d] = i;
    const score = neg(wide(scores, n!, place(i), ...d));
    return counted(i, weight ? mul(score, weightAt(i)) : score);
  };
  const reduction = c.attributes.string("reduction", "mean");
  if (reduction === "none") return outputStage(c, "loss", (...i) => element(i));
  const axes = target.dims.map((n, i) => [`r${i}`, n] as const);
  const sumOf = (name: string, value: (k: readonly Expr[]) => Expr): Tensor =>
    reduceStage(c, { name, type, dims: [], op: "add", axes, value: (_, k) => value(k) });
  const total = sumOf("loss_sum", element);
  if (reduction === "sum") return outputStage(c, "loss", () => total.at());
  const norm = sumOf("loss_weight", (k) => counted(k, weightAt(k)));
  return outputStage(c, "loss", () => div(total.at(), norm.at()));
}

export const lossRows: readonly OperatorRow[] = [
  {
    op: "NegativeLogLikelihoodLoss",
    since: 12,
    pattern: "reduction",
    infer: inferLoss,
    compute: (c) => [lossOf(c, c.input(0))],
  },
  {
    op: "SoftmaxCrossEntropyLoss",
    since: 12,
    pattern: "reduction",
    infer: inferLoss,
    compute: (c) => {
      const scores = logSoftmax(c, c.input(0));
      const loss = lossOf(c, scores);
      return wants(c, 1)
        ? [loss, outputStage(c, "log_probability_out", (...i) => scores.at(...i), { output: 1 })]
        : [loss];
    },
  },
];
