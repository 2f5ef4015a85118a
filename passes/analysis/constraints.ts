/**
 * Turns loops, conditions and subscripts into linear constraints over the integers.
 *
 * Note [Auxiliary quotients]. floordiv(x, c) becomes a fresh q with 0 ≤ x - c·q ≤ c-1 and floormod(x, c) becomes x - c·q
 * with the same q, so divisions by constants stay exact. min(a, b) becomes a fresh v ≤ a, v ≤ b; data becomes an
 * unconstrained variable. Both only widen the set, so that an infeasible system stays a proof.
 */
import { constantValue } from "../../ir/expr/build.ts";
import { indexType } from "../../ir/expr/dtype.ts";
import type { Compare, Expr } from "../../ir/expr/expr.ts";
import type { For } from "../../ir/loop/program.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { addScaled, type QuasiAffine, toQuasiAffine } from "./affine.ts";
import { boundsOf, type Ranges } from "./bounds.ts";
import type { Row } from "./integer-system.ts";
import { differenceOf, negate } from "./interval.ts";
import { sameExpr } from "./order.ts";

/** Grows a system; columns are handed out in order. */
export class ConstraintBuilder {
  readonly equalities: Row[] = [];
  readonly inequalities: Row[] = [];
  /** False once something was widened. */
  exact = true;
  #columns = 0;
  readonly #shared = new Map<VarId, Row>();

  /** A fresh variable as a row. */
  column(): Row {
    this.#columns += 1;
    return unitRow(this.#columns);
  }
  /** The row of a variable that means the same everywhere (outer loops, symbolic dimensions). */
  shared(id: VarId): Row {
    let row = this.#shared.get(id);
    if (!row) {
      row = this.column();
      this.#shared.set(id, row);
    }
    return row;
  }
  isZero(row: Row): void {
    this.equalities.push(row);
  }
  isNonNegative(row: Row): void {
    this.inequalities.push(row);
  }
}
const unitRow = (column: number): Row => {
  const row: Row = new Array(column + 1).fill(0);
  row[column] = 1;
  return row;
};
/** x + k·y as a new row. */
export function combine(x: Row, y: Row, k: number): Row {
  const row = x.slice();
  while (row.length < y.length) row.push(0);
  for (let j = 0; j < y.length; j++) row[j] = row[j]! + k * y[j]!;
  return row;
}
const plus = (x: Row, constant: number): Row => {
  const row = x.slice();
  row[0] = row[0]! + constant;
  return row;
};

/** One execution of the statements under some loops: its own column for each loop variable. */
export class Instance {
  readonly #builder: ConstraintBuilder;
  readonly #ranges: Ranges;
  readonly #vars = new Map<VarId, Row>();
  readonly #atoms: { readonly atom: Expr; readonly row: Row }[] = [];

  constructor(builder: ConstraintBuilder, ranges: Ranges) {
    this.#builder = builder;
    this.#ranges = ranges;
  }
  /** Gives a variable a row in this instance. */
  bind(id: VarId, row: Row): void {
    this.#vars.set(id, row);
  }
  /** Constrains a bound loop variable to min ≤ v < min + extent. */
  within(l: For): void {
    const v = this.#vars.get(l.var.id) ?? this.#builder.shared(l.var.id);
    const start = toQuasiAffine(l.min, this.#ranges);
    this.#builder.isNonNegative(combine(v, this.row(start), -1));
    const end = addScaled(start, toQuasiAffine(l.extent, this.#ranges), 1);
    this.#builder.isNonNegative(plus(combine(this.row(end), v, -1), -1));
  }

  /** The row of an int64 expression. */
  expr(e: Expr): Row {
    return this.row(toQuasiAffine(e, this.#ranges));
  }
  row(form: QuasiAffine): Row {
    let row: Row = [form.constant];
    for (const t of form.terms) row = combine(row, this.#atom(t.atom), t.coefficient);
    return row;
  }
  #atom(e: Expr): Row {
    if (e.kind === "var") return this.#vars.get(e.id) ?? this.#builder.shared(e.id);
    for (const known of this.#atoms) if (sameExpr(known.atom, e)) return known.row;
    const row = this.#newAtom(e);
    this.#atoms.push({ atom: e, row });
    return row;
  }
  #newAtom(e: Expr): Row {
    const b = this.#builder;
    if (e.kind === "binary" && e.dtype === indexType) {
      const by = constantValue(e.b);
      if (e.op === "floordiv" && by !== undefined && by > 0) return this.#quotient(e.a, by);
      if (e.op === "floormod" && by !== undefined && by > 0) return this.#remainder(e.a, e.b, by);
      if (e.op === "min" || e.op === "max") {
        b.exact = false;
        const v = b.column();
        for (const side of [e.a, e.b]) {
          const s = this.expr(side);
          b.isNonNegative(e.op === "min" ? combine(s, v, -1) : combine(v, s, -1));
        }
        return v;
      }
    }
    b.exact = false;
    const v = b.column();
    const bounds = boundsOf(e, this.#ranges);
    if (Number.isSafeInteger(bounds.min)) b.isNonNegative(plus(v, -bounds.min));
    if (Number.isSafeInteger(bounds.max)) b.isNonNegative(plus(combine([0], v, -1), bounds.max));
    return v;
  }
  #quotient(x: Expr, by: number): Row {
    const value = this.expr(x);
    const q = this.#builder.column();
    const rest = combine(value, q, -by);
    this.#builder.isNonNegative(rest);
    this.#builder.isNonNegative(plus(combine([0], rest, -1), by - 1));
    return q;
  }
  #remainder(x: Expr, by: Expr, m: number): Row {
    const q = this.#atom({ kind: "binary", op: "floordiv", a: x, b: by, dtype: indexType });
    return combine(this.expr(x), q, -m);
  }

  /** Constrains to a condition; what is not a conjunction of index comparisons is left out. */
  holds(cond: Expr): void {
    const b = this.#builder;
    if (cond.kind === "const") {
      if (Number(cond.value) === 0) b.isNonNegative([-1]);
    } else if (cond.kind === "binary" && cond.op === "and") {
      this.holds(cond.a);
      this.holds(cond.b);
    } else if (cond.kind === "unary" && cond.op === "not") {
      const denied = negate(cond.value);
      if (denied) this.holds(denied);
      else b.exact = false;
    } else if (cond.kind === "compare" && cond.a.dtype === indexType) this.#compares(cond);
    else b.exact = false;
  }
  #compares(cond: Compare): void {
    const b = this.#builder;
    const d = combine(this.expr(cond.a), this.expr(cond.b), -1);
    const less = combine([0], d, -1);
    if (cond.op === "eq") b.isZero(d);
    else if (cond.op === "ge") b.isNonNegative(d);
    else if (cond.op === "gt") b.isNonNegative(plus(d, -1));
    else if (cond.op === "le") b.isNonNegative(less);
    else if (cond.op === "lt") b.isNonNegative(plus(less, -1));
    else {
      // A difference that is not 0 is positive or negative: linear where its bounds leave only one of them.
      const bounds = differenceOf(cond.a, cond.b, this.#ranges);
      if (bounds.min >= 0) b.isNonNegative(plus(d, -1));
      else if (bounds.max <= 0) b.isNonNegative(plus(less, -1));
      else b.exact = false;
    }
  }
}
