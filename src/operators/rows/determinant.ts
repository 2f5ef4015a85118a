/** Det: determinants of matrices, by elimination with row exchange. */
import { add, compare, div, index, mul, select, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { Tensor } from "../../../ir/loop/compute.ts";
import { abs, dataIndex, like, literal, workingType } from "../expressions.ts";
import type { ComputeContext, OperatorRow } from "../row.ts";
import { checkType, floats, range } from "../shape-rules.ts";
import { outputStage, wide } from "../stages.ts";

/** Matrices beyond this order are refused: each column takes stages of its own. */
const orderLimit = 32;

/** The row at or below `k` with the greatest element of column `k`. */
function pivotRow(c: ComputeContext, m: Tensor, k: number): Tensor {
  const batch = m.dims.slice(0, -2);
  const r = c.builder.reduceAxis("r", m.dims.at(-1)! - k);
  const [, row] = c.builder.computeTuple(["pivot_size", "pivot_row"], [m.dtype.scalar, "int64"], batch, (...n) => ({
    kind: "tupleReduction",
    axes: [r],
    init: [literal(m.dtype.scalar, -1), index(k)],
    update: ([best, place]) => {
      const size = abs(m.at(...n, add(r.var, k), k));
      const wins = compare("gt", size, best!);
      return [select(wins, size, best!), select(wins, add(r.var, k), place!)];
    },
  }));
  return row!;
}
/** Exchanges row `k` with the pivot row and clears column `k` below it. */
function eliminate(c: ComputeContext, m: Tensor, row: Tensor, k: number): Tensor {
  const order = m.dims.at(-1)!;
  return c.builder.compute("eliminate", m.dtype.scalar, m.dims, (...i) => {
    const n = i.slice(0, -2);
    const [r, col] = [i.at(-2)!, i.at(-1)!];
    const pivot = dataIndex(row.at(...n), order);
    const own = select(compare("eq", r, k), pivot, select(compare("eq", r, pivot), index(k), r));
    const value = m.at(...n, own, col);
    const head = m.at(...n, pivot, k);
    const safe = select(compare("eq", head, like(head, 0)), like(head, 1), head);
    const cleared = sub(value, mul(div(m.at(...n, own, k), safe), m.at(...n, pivot, col)));
    return select(compare("gt", r, k), cleared, value);
  });
}
function computeDet(c: ComputeContext): Tensor[] {
  const x = c.input(0);
  const order = x.dims.at(-1)!;
  const type = workingType(x.dtype.scalar);
  let m = c.builder.compute("matrix", type, x.dims, (...i) => wide(x, ...i));
  const exchanged: Tensor[] = [];
  for (const k of range(Math.max(order - 1, 0))) {
    const row = pivotRow(c, m, k);
    exchanged.push(row);
    m = eliminate(c, m, row, k);
  }
  const last = m;
  return [
    outputStage(c, "determinant", (...n) => {
      const diagonal = range(order).map((k) => last.at(...n, k, k));
      const signs = exchanged.map((row, k): Expr => {
        const one = literal(type, 1);
        return select(compare("eq", row.at(...n), k), one, like(one, -1));
      });
      return [...diagonal, ...signs].reduce((a, b) => mul(a, b), literal(type, 1));
    }),
  ];
}
export const determinantRows: readonly OperatorRow[] = [
  {
    op: "Det",
    since: 11,
    pattern: "opaque",
    infer: (c) => {
      const x = checkType(c, 0, floats);
      const [rows, columns] = [x.dims.at(-2), x.dims.at(-1)];
      if (rows === undefined || rows !== columns) return c.invalid(`matrices [${x.dims}] are not square`);
      if (rows > orderLimit) c.unsupported(`matrices of order ${rows}, more than ${orderLimit}`);
      return [{ dtype: x.dtype, dims: x.dims.slice(0, -2) }];
    },
    compute: computeDet,
  },
];
