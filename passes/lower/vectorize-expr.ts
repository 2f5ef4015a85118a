/** Expressions of a vectorized loop; see `vectorize-loops.ts`. */
import { add, broadcast, constantValue, mul, ramp, sub } from "../../ir/expr/build.ts";
import { withLanes } from "../../ir/expr/dtype.ts";
import type { Binary, Expr, Load, Ramp } from "../../ir/expr/expr.ts";
import { mapChildren } from "../../ir/expr/traverse.ts";
import { fromLinear, linearForm } from "./linear.ts";
import { conjunction } from "./predicate-loads.ts";
import { expandedIndex, mentions, type VectorContext } from "./vectorize-context.ts";

/** The expression for all lanes: a vector if it differs from lane to lane, else the scalar it was. */
export function vectorizeExpr(ctx: VectorContext, e: Expr, mask: Expr | undefined): Expr {
  if (e.kind === "load") return vectorizeLoad(ctx, e, mask);
  if (!mentions(ctx, e)) return mapChildren(e, (c) => vectorizeExpr(ctx, c, mask));
  if (e.kind === "var") {
    if (e.id === ctx.loopVar.id) return ramp(ctx.start, 1, ctx.lanes);
    return ctx.vectors.get(e.id) ?? e;
  }
  if (e.dtype.scalar === "int64" && e.kind === "binary") {
    const linear = linearRamp(ctx, e);
    if (linear) return linear;
  }
  const vector = mapChildren(e, (c) => widened(ctx, vectorizeExpr(ctx, c, mask)));
  if (vector.kind === "binary") return foldRamp({ ...vector, dtype: withLanes(e.dtype, ctx.lanes) });
  return { ...vector, dtype: withLanes(e.dtype, ctx.lanes) } as Expr;
}
const widened = (ctx: VectorContext, e: Expr): Expr => (e.dtype.lanes === 1 ? broadcast(e, ctx.lanes) : e);

/** coefficient·loopVar + rest with a rest that is the same in every lane. */
function linearRamp(ctx: VectorContext, e: Expr): Expr | undefined {
  const form = linearForm(e);
  const own = form.terms.find((t) => t.atom.kind === "var" && t.atom.id === ctx.loopVar.id);
  const rest = form.terms.filter((t) => t !== own);
  if (rest.some((t) => mentions(ctx, t.atom))) return undefined;
  const base = fromLinear({ terms: rest.map((t) => ({ ...t, atom: t.atom })), constant: form.constant });
  if (!own) return base;
  return ramp(add(mul(ctx.start, own.coefficient), base), own.coefficient, ctx.lanes);
}

/** Moves scalar addends and factors into a ramp. */
function foldRamp(e: Binary): Expr {
  const { op, a, b } = e;
  if (e.dtype.scalar !== "int64") return e;
  const [r, s] = a.kind === "ramp" ? [a, b] : [b, a];
  if (r.kind !== "ramp" || s.kind !== "broadcast") return e;
  if (op === "add") return ramp(add(r.base, s.value), r.stride, r.dtype.lanes);
  if (op === "sub" && r === a) return ramp(sub(r.base, s.value), r.stride, r.dtype.lanes);
  if (op === "mul" && constantValue(s.value) !== undefined) return scaledRamp(r, s.value);
  return e;
}
const scaledRamp = (r: Ramp, factor: Expr): Expr => ramp(mul(r.base, factor), mul(r.stride, factor), r.dtype.lanes);

function vectorizeLoad(ctx: VectorContext, e: Load, mask: Expr | undefined): Expr {
  const wide = ctx.expanded.get(e.buffer.id);
  const at = vectorizeExpr(ctx, e.indices[0]!, mask);
  const own = e.predicate && vectorizeExpr(ctx, e.predicate, mask);
  if (wide) return vectorLoad(ctx, { ...e, buffer: wide }, expandedIndex(ctx, at), own, mask);
  if (at.dtype.lanes > 1) return vectorLoad(ctx, e, at, own, mask);
  const all = own && own.dtype.lanes > 1;
  if (all) return vectorLoad(ctx, e, broadcast(at, ctx.lanes), own, mask);
  // One element for all lanes: where a mask matters, an `if` on any lane being on stands around the statement.
  const predicate = mask && mask.dtype.lanes === 1 ? conjunction(own, mask) : own;
  const { predicate: _old, ...rest } = e;
  return { ...rest, indices: [at], ...(predicate ? { predicate } : {}) };
}
function vectorLoad(ctx: VectorContext, e: Load, at: Expr, own: Expr | undefined, mask: Expr | undefined): Expr {
  const both = mask ? conjunction(own, mask) : own;
  const predicate = both && widened(ctx, both);
  const { predicate: _old, ...rest } = e;
  const dtype = withLanes(e.buffer.dtype, ctx.lanes);
  return { ...rest, indices: [at], dtype, ...(predicate ? { predicate } : {}) };
}
