/** Running sums and products along one axis. */
import { add, binary, cast, compare, max, min, select, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { literal, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { checkType, normalizeAxis, numbers } from "../shape-rules.ts";
import { asOutput } from "../stages.ts";

function scanAxis(c: NodeContext): number {
  const axis = c.constantInts(1) ?? c.invalid("no axis");
  if (axis.length !== 1) c.invalid(`${axis.length} axes`);
  return normalizeAxis(c, axis[0]!, c.require(0).dims.length);
}
/** Walks the axis in order; each element is the one before, combined with the next input. */
function computeScan(c: ComputeContext, op: "add" | "mul"): Tensor[] {
  const x = c.input(0);
  const axis = scanAxis(c);
  const exclusive = c.attributes.int("exclusive", 0) !== 0;
  const reverse = c.attributes.int("reverse", 0) !== 0;
  const type = workingType(x.dtype.scalar);
  const n = x.dims[axis] ?? 1;
  const t = c.builder.declare("scan", type, x.dims);
  const neutral = literal(type, op === "add" ? 0 : 1);
  c.builder.write(
    t,
    "scan",
    x.dims,
    (...k) => {
      const at = k.map((e, a) => (a === axis && reverse ? sub(n - 1, e) : e));
      const before = at.map((e, a) => {
        if (a !== axis) return e;
        return reverse ? min(add(e, 1), n - 1) : max(sub(e, 1), 0);
      });
      const element = cast(type, x.at(...(exclusive ? before : at)));
      const first: Expr = exclusive ? neutral : element;
      return { at, value: select(compare("eq", k[axis]!, 0), first, binary(op, t.at(...before), element)) };
    },
    { kinds: x.dims.map((_, a) => (a === axis ? "ordered" : "spatial")) },
  );
  return [asOutput(c, t, "scan_copy")];
}
const row = (op: string, since: number, combine: "add" | "mul"): OperatorRow => ({
  op,
  since,
  pattern: "opaque",
  infer: (c) => {
    const x = checkType(c, 0, numbers);
    if (x.dims.length === 0) c.invalid("a scalar has no axis");
    scanAxis(c);
    return [x];
  },
  compute: (c) => computeScan(c, combine),
});
export const scanRows: readonly OperatorRow[] = [row("CumSum", 11, "add"), row("CumProd", 26, "mul")];
