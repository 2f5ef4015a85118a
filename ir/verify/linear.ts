/** Index expressions as sums: enough to see that two of them differ by a constant. */
import { constantValue } from "../expr/build.ts";
import type { Expr } from "../expr/expr.ts";
import { children } from "../expr/traverse.ts";

interface Sum {
  readonly terms: Map<string, number>;
  constant: number;
}

/** a - b when that is a known constant, else undefined. */
export function constantDifference(a: Expr, b: Expr): number | undefined {
  const sum: Sum = { terms: new Map(), constant: 0 };
  addTo(sum, a, 1);
  addTo(sum, b, -1);
  for (const coefficient of sum.terms.values()) if (coefficient !== 0) return undefined;
  return sum.constant;
}
function addTo(sum: Sum, e: Expr, factor: number): void {
  const value = constantValue(e);
  if (value !== undefined) sum.constant += factor * value;
  else if (e.kind === "binary" && (e.op === "add" || e.op === "sub")) {
    addTo(sum, e.a, factor);
    addTo(sum, e.b, e.op === "add" ? factor : -factor);
  } else if (e.kind === "binary" && e.op === "mul" && constantValue(e.b) !== undefined) {
    addTo(sum, e.a, factor * constantValue(e.b)!);
  } else if (e.kind === "binary" && e.op === "mul" && constantValue(e.a) !== undefined) {
    addTo(sum, e.b, factor * constantValue(e.a)!);
  } else {
    const key = keyOf(e);
    sum.terms.set(key, (sum.terms.get(key) ?? 0) + factor);
  }
}
/** Equal keys mean equal expressions. */
function keyOf(e: Expr): string {
  const own = e.kind === "var" ? e.id : e.kind === "const" ? String(e.value) : e.kind === "load" ? e.buffer.id : "";
  const op = "op" in e ? e.op : e.kind === "call" ? e.callee : e.kind === "shuffle" ? e.lanes.join() : "";
  return `${e.kind} ${own}${op} ${e.dtype.scalar}${e.dtype.lanes}(${children(e).map(keyOf).join(",")})`;
}
