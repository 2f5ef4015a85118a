/**
 * Turns loops, conditions and subscripts into linear constraints over the integers.
 *
 * Note [Auxiliary quotients]. floordiv(x, c) becomes a fresh q with 0 ≤ x - c·q ≤ c-1 and floormod(x, c) becomes x - c·q
 * with the same q, so divisions by constants stay exact. min(a, b) becomes a fresh v ≤ a, v ≤ b; where it is not itself an
 * upper bound, a choice says that it is one of them. Data becomes an unconstrained variable, which only widens the set:
 * an infeasible system stays a proof.
 *
 * Note [Choices]. `or`, `!=` and min/max leave several systems of which one must hold. They are multiplied out only at the
 * end, and the last ones dropped where they would be too many.
 */
import { constantValue } from "../../ir/expr/build.ts";
import { indexType } from "../../ir/expr/dtype.ts";
import type { Binary, Compare, Expr } from "../../ir/expr/expr.ts";
import type { For } from "../../ir/loop/program.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { addScaled, type QuasiAffine, toQuasiAffine } from "./affine.ts";
import { boundsOf, type Ranges } from "./bounds.ts";
import type { Row } from "./integer-system.ts";
import { differenceOf, negate } from "./interval.ts";
import { sameExpr } from "./order.ts";

/** Constraints that hold together: rows = 0 and rows ≥ 0. */
interface Conjunction {
  readonly equalities: readonly Row[];
  readonly inequalities: readonly Row[];
}
const always: Conjunction = { equalities: [], inequalities: [] };
const both = (x: Conjunction, y: Conjunction): Conjunction => ({
  equalities: [...x.equalities, ...y.equalities],
  inequalities: [...x.inequalities, ...y.inequalities],
});
/** More systems than this are not made of one, nor a condition given more alternatives. */
const maxSystems = 16;

/** Grows a system; columns are handed out in order. */
export class ConstraintBuilder {
  readonly equalities: Row[] = [];
  readonly inequalities: Row[] = [];
  readonly #choices: (readonly Conjunction[])[] = [];
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
  /** One of the alternatives holds. */
  oneOf(alternatives: readonly Conjunction[]): void {
    const [only, ...others] = alternatives;
    if (!only) this.isNonNegative([-1]);
    else if (others.length > 0) this.#choices.push(alternatives);
    else {
      this.equalities.push(...only.equalities);
      this.inequalities.push(...only.inequalities);
    }
  }
  /** The systems of which one holds; see Note [Choices]. */
  systems(): readonly Conjunction[] {
    let systems: readonly Conjunction[] = [this];
    for (const choice of this.#choices)
      if (systems.length * choice.length > maxSystems) this.exact = false;
      else systems = systems.flatMap((s) => choice.map((c) => both(s, c)));
    return systems;
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
    this.#builder.isNonNegative(combine(v, this.#limit(start, "max"), -1));
    const end = addScaled(start, toQuasiAffine(l.extent, this.#ranges), 1);
    this.#builder.isNonNegative(plus(combine(this.#limit(end, "min"), v, -1), -1));
  }
  /** The row of a form that only bounds from one side: a min above or a max below need no choice. */
  #limit(form: QuasiAffine, op: "min" | "max"): Row {
    let row: Row = [form.constant];
    for (const t of form.terms) {
      const bare = t.coefficient > 0 && t.atom.kind === "binary" && t.atom.op === op;
      const atom = bare && t.atom.kind === "binary" ? this.#bounded(t.atom).value : this.#atom(t.atom);
      row = combine(row, atom, t.coefficient);
    }
    return row;
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
        const { value, apart } = this.#bounded(e);
        b.oneOf(apart.map((row) => ({ equalities: [row], inequalities: [] })));
        return value;
      }
    }
    b.exact = false;
    const v = b.column();
    const bounds = boundsOf(e, this.#ranges);
    if (Number.isSafeInteger(bounds.min)) b.isNonNegative(plus(v, -bounds.min));
    if (Number.isSafeInteger(bounds.max)) b.isNonNegative(plus(combine([0], v, -1), bounds.max));
    return v;
  }
  /** A value at most both sides of a min (at least those of a max), and how far each side is from it. */
  #bounded(e: Binary): { readonly value: Row; readonly apart: readonly Row[] } {
    const value = this.#builder.column();
    const apart = [e.a, e.b].map((side) => combine(this.expr(side), value, -1));
    for (const row of apart) this.#builder.isNonNegative(e.op === "min" ? row : combine([0], row, -1));
    return { value, apart };
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

  /** Constrains to a condition; what does not consist of index comparisons is left out. */
  holds(cond: Expr): void {
    this.#builder.oneOf(this.#alternatives(cond));
  }
  /** The condition as conjunctions of which one must hold. */
  #alternatives(cond: Expr): readonly Conjunction[] {
    if (cond.kind === "const") return Number(cond.value) === 0 ? [] : [always];
    if (cond.kind === "binary" && (cond.op === "and" || cond.op === "or")) {
      const x = this.#alternatives(cond.a);
      const y = this.#alternatives(cond.b);
      const many = cond.op === "or" ? x.length + y.length : x.length * y.length;
      if (many > maxSystems) return this.#unknown();
      return cond.op === "or" ? [...x, ...y] : x.flatMap((p) => y.map((q) => both(p, q)));
    }
    if (cond.kind === "unary" && cond.op === "not") {
      const denied = negate(cond.value);
      return denied ? this.#alternatives(denied) : this.#unknown();
    }
    return cond.kind === "compare" && cond.a.dtype === indexType ? this.#compares(cond) : this.#unknown();
  }
  #unknown(): readonly Conjunction[] {
    this.#builder.exact = false;
    return [always];
  }
  #compares(cond: Compare): readonly Conjunction[] {
    const d = combine(this.expr(cond.a), this.expr(cond.b), -1);
    const more = plus(d, -1);
    const less = plus(combine([0], d, -1), -1);
    const nonNegative = (row: Row): Conjunction => ({ equalities: [], inequalities: [row] });
    switch (cond.op) {
      case "eq":
        return [{ equalities: [d], inequalities: [] }];
      case "ge":
        return [nonNegative(d)];
      case "gt":
        return [nonNegative(more)];
      case "le":
        return [nonNegative(plus(less, 1))];
      case "lt":
        return [nonNegative(less)];
      default: {
        // A difference that is not 0 is positive or negative: its bounds may leave only one of them.
        const bounds = differenceOf(cond.a, cond.b, this.#ranges);
        return [...(bounds.max > 0 ? [nonNegative(more)] : []), ...(bounds.min < 0 ? [nonNegative(less)] : [])];
      }
    }
  }
}
