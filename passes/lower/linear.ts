/** Index expressions as sums: Σ coefficient·atom + constant, where an atom is a variable or a non-linear expression. */
import { add, constantValue, index, mul } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { children } from "../../ir/expr/traverse.ts";

/** One summand; `key` is equal for structurally equal atoms. */
export interface LinearTerm {
  readonly key: string;
  readonly atom: Expr;
  readonly coefficient: number;
}
/** A sum with each atom at most once and no zero coefficient. */
export interface LinearForm {
  readonly terms: readonly LinearTerm[];
  readonly constant: number;
}

const keys = new WeakMap<Expr, string>();

/** A text equal for structurally equal expressions (names and shared subtrees aside). */
export function exprKey(e: Expr): string {
  let key = keys.get(e);
  if (key === undefined) {
    key = makeKey(e);
    keys.set(e, key);
  }
  return key;
}
function makeKey(e: Expr): string {
  if (e.kind === "var") return `v${e.id}`;
  const type = `${e.dtype.scalar}x${e.dtype.lanes}`;
  if (e.kind === "const") return `${type}:${Object.is(e.value, -0) ? "-0" : e.value}`;
  const head =
    e.kind === "unary" || e.kind === "binary" || e.kind === "compare" || e.kind === "vectorReduce"
      ? e.op
      : e.kind === "load"
        ? `load${e.buffer.id}${e.predicate ? "p" : ""}`
        : e.kind === "shuffle"
          ? `shuffle[${e.lanes.join(" ")}]`
          : e.kind === "call"
            ? e.callee
            : e.kind;
  return `${head}.${type}(${children(e).map(exprKey).join(",")})`;
}

/** Decomposes an integer expression; exact, because coefficients stay within the safe range or the term stays whole. */
export function linearForm(e: Expr): LinearForm {
  const sum = new Map<string, LinearTerm>();
  const constant = accumulate(e, 1, sum);
  return { terms: [...sum.values()].filter((t) => t.coefficient !== 0), constant };
}

/** Adds factor·e into `sum` and gives the constant part. */
function accumulate(e: Expr, factor: number, sum: Map<string, LinearTerm>): number {
  const value = constantValue(e);
  if (value !== undefined && Number.isSafeInteger(value * factor)) return value * factor;
  if (e.kind === "binary") {
    if (e.op === "add") return accumulate(e.a, factor, sum) + accumulate(e.b, factor, sum);
    if (e.op === "sub") return accumulate(e.a, factor, sum) + accumulate(e.b, -factor, sum);
    if (e.op === "mul") {
      const a = constantValue(e.a);
      const b = constantValue(e.b);
      if (b !== undefined && Number.isSafeInteger(factor * b)) return accumulate(e.a, factor * b, sum);
      if (a !== undefined && Number.isSafeInteger(factor * a)) return accumulate(e.b, factor * a, sum);
    }
  }
  const key = exprKey(e);
  const old = sum.get(key);
  sum.set(key, { key, atom: e, coefficient: (old?.coefficient ?? 0) + factor });
  return 0;
}

/** The expression of a sum. */
export function fromLinear(form: LinearForm): Expr {
  const sum = form.terms.reduce<Expr>((s, t) => add(s, mul(t.atom, t.coefficient)), index(0));
  return add(sum, form.constant);
}
