/** BitCast: the same bits as another type. */
import { call, cast } from "../../../ir/expr/build.ts";
import { bitsOf, dtype, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { NodeContext, OperatorRow } from "../row.ts";
import { scalarOfOnnx } from "../shape-rules.ts";
import { outputStage } from "../stages.ts";

function targetType(c: NodeContext): ScalarType {
  const to = scalarOfOnnx(c, c.attributes.optionalInt("to") ?? c.invalid("to is missing"));
  const from = c.require(0).dtype;
  if (bitsOf(to) !== bitsOf(from)) c.invalid(`bits of ${from} as ${to}`);
  return to;
}
/** A bool is a byte of 0 or 1; any other byte read as a bool is true. */
function reinterpret(x: Expr, to: ScalarType): Expr {
  const from = x.dtype.scalar;
  if (from === to) return x;
  if (from === "bool" || to === "bool") return cast(to, x);
  return call("bitcast", [x], dtype(to));
}
export const bitRows: readonly OperatorRow[] = [
  {
    op: "BitCast",
    since: 26,
    pattern: "elementwise",
    infer: (c) => [{ dtype: targetType(c), dims: c.require(0).dims }],
    compute: (c) => {
      const x = c.input(0);
      return [outputStage(c, "bitcast", (...i) => reinterpret(x.at(...i), c.output(0).dtype))];
    },
  },
];
