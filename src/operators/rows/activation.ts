/** Activation functions: element-wise operators of one input whose attributes are constants of the formula. */
import { add, binary, compare, div, max, min, mul, select, sub, unary } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { elementwiseRow } from "../elementwise.ts";
import { abs, exp, like, neg, relu, sigmoid, softplus } from "../expressions.ts";
import type { ComputeContext, OperatorRow } from "../row.ts";
import { floats, numbers, signedNumbers } from "../shape-rules.ts";

/** A row for floating-point `x`; `attribute` reads a float attribute as a constant of x's type. */
function activation(
  op: string,
  formula: (x: Expr, attribute: (name: string, fallback: number) => Expr, c: ComputeContext) => Expr,
): OperatorRow {
  return elementwiseRow(op, floats, (c, x) =>
    formula(x, (name, fallback) => like(x, c.attributes.float(name, fallback)), c),
  );
}
const positive = (x: Expr): Expr => compare("gt", x, like(x, 0));
const negative = (x: Expr): Expr => compare("lt", x, like(x, 0));
/** e^x - 1 for the negative arm. */
const expm1 = (x: Expr): Expr => sub(exp(x), 1);
/** max(0, min(1, x)). */
const unit = (x: Expr): Expr => max(like(x, 0), min(like(x, 1), x));

function gelu(x: Expr, c: ComputeContext): Expr {
  const half = mul(x, 0.5);
  if (c.attributes.string("approximate", "none") === "tanh") {
    const inner = mul(add(x, mul(mul(x, mul(x, x)), 0.044715)), Math.sqrt(2 / Math.PI));
    return mul(half, add(unary("tanh", inner), 1));
  }
  return mul(half, add(unary("erf", mul(x, Math.SQRT1_2)), 1));
}
function shrink(x: Expr, bias: number, lambda: number): Expr {
  const above = select(compare("gt", x, like(x, lambda)), sub(x, like(x, bias)), like(x, 0));
  return select(compare("lt", x, like(x, -lambda)), add(x, like(x, bias)), above);
}
/** Limits as attributes, as before opset 11. */
const clipByAttributes = elementwiseRow("Clip", floats, (c, x) => {
  const low = c.attributes.float("min", Number.NEGATIVE_INFINITY);
  const high = c.attributes.float("max", Number.POSITIVE_INFINITY);
  const above = low === Number.NEGATIVE_INFINITY ? x : max(like(x, low), x);
  return high === Number.POSITIVE_INFINITY ? above : min(like(x, high), above);
});
/** Limits as optional inputs; the upper one wins where they cross. */
const clipByInputs = elementwiseRow(
  "Clip",
  numbers,
  (c, x, ...limits) => {
    const low = c.node.inputs[1] === undefined ? undefined : limits[0];
    const high = c.node.inputs[2] === undefined ? undefined : limits.at(-1);
    const above = low ? max(low, x) : x;
    return high ? min(high, above) : above;
  },
  { since: 11 },
);

export const activationRows: readonly OperatorRow[] = [
  elementwiseRow("Relu", signedNumbers, (_, x) => relu(x)),
  clipByAttributes,
  clipByInputs,
  activation("Celu", (x, a) => add(relu(x), min(like(x, 0), mul(a("alpha", 1), expm1(div(x, a("alpha", 1))))))),
  activation("Elu", (x, a) => select(negative(x), mul(a("alpha", 1), expm1(x)), x)),
  activation("Gelu", (x, _, c) => gelu(x, c)),
  activation("HardSigmoid", (x, a) => unit(add(mul(a("alpha", 0.2), x), a("beta", 0.5)))),
  activation("HardSwish", (x) => mul(x, unit(add(mul(x, 1 / 6), 0.5)))),
  activation("LeakyRelu", (x, a) => select(negative(x), mul(a("alpha", 0.01), x), x)),
  activation("Mish", (x) => mul(x, unary("tanh", softplus(x)))),
  activation("Selu", (x, a) => {
    const gamma = a("gamma", 1.0507009873554805);
    return select(positive(x), mul(gamma, x), mul(gamma, mul(a("alpha", 1.6732632423543772), expm1(x))));
  }),
  elementwiseRow("Shrink", signedNumbers, (c, x) =>
    shrink(x, c.attributes.float("bias", 0), c.attributes.float("lambd", 0.5)),
  ),
  activation("Sigmoid", (x) => sigmoid(x)),
  activation("Softplus", (x) => softplus(x)),
  activation("Softsign", (x) => div(x, add(abs(x), 1))),
  activation("Swish", (x, a) => div(x, add(exp(neg(mul(a("alpha", 1), x))), 1))),
  activation("ThresholdedRelu", (x, a) => select(compare("gt", x, a("alpha", 1)), x, like(x, 0))),
  elementwiseRow("PRelu", signedNumbers, (_, x, slope) => select(negative(x), binary("mul", slope!, x), x)),
];
