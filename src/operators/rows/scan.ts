/** Running sums and products along one axis. */
import {
  add,
  binary,
  cast,
  compare,
  floordiv,
  floormod,
  index,
  max,
  mul,
  select,
  sub,
} from "../../../ir/expr/build.ts";
import { isFloat, type ScalarType } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { reduce, type Tensor } from "../../../ir/loop/compute.ts";
import { guard, guarded, literal, workingType } from "../expressions.ts";
import type { ComputeContext, NodeContext, OperatorRow } from "../row.ts";
import { checkType, normalizeAxis, numbers } from "../shape-rules.ts";
import { asOutput, outputStage } from "../stages.ts";

function scanAxis(c: NodeContext): number {
  const axis = c.constantInts(1) ?? c.invalid("no axis");
  if (axis.length !== 1) c.invalid(`${axis.length} axes`);
  return normalizeAxis(c, axis[0]!, c.require(0).dims.length);
}
/** One running sum or product; each element is included in its own result. */
interface Scan {
  readonly op: "add" | "mul";
  readonly axis: number;
  readonly type: ScalarType;
  /** The input element at the tensor's coordinates, its scanned axis counted in the order of the scan. */
  readonly element: (at: readonly Expr[]) => Expr;
  readonly neutral: Expr;
}
function computeScan(c: ComputeContext, op: "add" | "mul"): Tensor[] {
  const x = c.input(0);
  const axis = scanAxis(c);
  const reverse = c.attributes.int("reverse", 0) !== 0;
  const exclusive = c.attributes.int("exclusive", 0) !== 0;
  const type = workingType(x.dtype.scalar);
  const n = x.dims[axis] ?? 1;
  const inOrder = (at: readonly Expr[]): Expr[] => at.map((e, a) => (a === axis && reverse ? sub(n - 1, e) : e));
  const neutral = literal(type, op === "add" ? 0 : 1);
  const s: Scan = { op, axis, type, element: (at) => cast(type, x.at(...inOrder(at))), neutral };
  const mayReorder = c.math !== "strict" || !isFloat(type);
  const inPieces = axis === x.dims.length - 1 && n >= 2 * pieceLength && mayReorder;
  const whole = inPieces ? undefined : scanInOrder(c, s, x.dims);
  if (whole && !reverse && !exclusive) return [asOutput(c, whole, "scan_copy")];
  const result: Places = whole ? (i) => whole.at(...i) : scanPieces(c, s, x.dims);
  const value = (i: readonly Expr[]): Expr => {
    if (!exclusive) return result(i);
    const before = result(i.map((e, a) => (a === axis ? max(sub(e, 1), 0) : e)));
    return select(compare("eq", i[axis]!, 0), neutral, before);
  };
  return [outputStage(c, "scan_copy", (...i) => value(inOrder(i)))];
}
/** Elements of a piece of a scan along the last axis: as many as the widest vectors have lanes. */
const pieceLength = 16;

/**
 * Note [Scans in pieces]. Along the last axis neighbouring results depend on each other, so they cannot be lanes. Cut into
 * pieces, the running sums of a piece are short reductions, of which each lane adds up those elements that its own result
 * takes; the last ones of the pieces alone are scanned in order, and what came before a piece is added at the end. For
 * floats this is another order of additions.
 */
function scanPieces(c: ComputeContext, s: Scan, dims: readonly number[]): Places {
  const { builder } = c;
  const n = dims.at(-1)!;
  const pieces = Math.ceil(n / pieceLength);
  const shape = [...dims.slice(0, -1), pieces];
  const k = builder.reduceAxis("k", pieceLength);
  const own = builder.compute("scan_piece", s.type, [...shape, pieceLength], (...i) => {
    const [p, lane] = i.slice(-2) as [Expr, Expr];
    const at = add(mul(p, pieceLength), k.var);
    const inside = guarded([guard(at, n, 0, pieces * pieceLength - 1)], s.element([...i.slice(0, -2), at]), s.neutral);
    return reduce(s.op, select(compare("le", k.var, lane), inside, s.neutral), [k]);
  });
  const before = builder.declare("scan_before", s.type, shape);
  const kinds = dims.map((_, a) => (a === s.axis ? ("ordered" as const) : ("spatial" as const)));
  builder.computeInto(
    before,
    "scan_before",
    (...i) => {
      const p = i.at(-1)!;
      const last = [...i.slice(0, -1), max(sub(p, 1), 0)];
      const total = own.at(...last, index(pieceLength - 1));
      return select(compare("eq", p, 0), s.neutral, binary(s.op, before.at(...last), total));
    },
    { kinds },
  );
  const sums = builder.compute("scan_sum", s.type, [...shape, pieceLength], (...i) =>
    binary(s.op, before.at(...i.slice(0, -1)), own.at(...i)),
  );
  return (i) => {
    const at = i.at(-1)!;
    return sums.at(...i.slice(0, -1), floordiv(at, pieceLength), floormod(at, pieceLength));
  };
}
type Places = (at: readonly Expr[]) => Expr;

/** Walks the axis in order; each element is the one before, combined with the next input. */
function scanInOrder(c: ComputeContext, s: Scan, dims: readonly number[]): Tensor {
  const t = c.builder.declare("scan", s.type, dims);
  const kinds = dims.map((_, a) => (a === s.axis ? ("ordered" as const) : ("spatial" as const)));
  c.builder.computeInto(
    t,
    "scan",
    (...i) => {
      const before = i.map((e, a) => (a === s.axis ? max(sub(e, 1), 0) : e));
      return select(compare("eq", i[s.axis]!, 0), s.element(i), binary(s.op, t.at(...before), s.element(i)));
    },
    { kinds },
  );
  return t;
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
