/** Turns n-d accesses into accesses of 1-d buffers: offset + Σ index·stride. Buffers keep their ids and scopes. */
import { add, constantValue, index, mul } from "../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../ir/expr/expr.ts";
import { rewrite } from "../../ir/expr/traverse.ts";
import type { PrimFunc, Stmt } from "../../ir/loop/program.ts";
import { mapChildExprs, rewriteStmt } from "../../ir/loop/traverse.ts";
import type { BufferId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";

/** Flattens every buffer and access of a function. */
export function flattenStorage(func: PrimFunc): PrimFunc {
  const flat = new Map<BufferId, Buffer>();
  const flatten = (b: Buffer): Buffer => {
    let result = flat.get(b.id);
    if (!result) {
      result = flatBuffer(b);
      flat.set(b.id, result);
    }
    return result;
  };
  const expr = (e: Expr): Expr =>
    rewrite(e, (n) =>
      n.kind === "load" ? { ...n, buffer: flatten(n.buffer), indices: [flatIndex(n.buffer, n.indices)] } : n,
    );
  const stmt = (s: Stmt): Stmt => {
    const mapped = mapChildExprs(s, expr);
    if (mapped.kind === "store")
      return { ...mapped, buffer: flatten(mapped.buffer), indices: [flatIndex(mapped.buffer, mapped.indices)] };
    if (mapped.kind === "allocate") return { ...mapped, buffer: flatten(mapped.buffer) };
    return mapped;
  };
  const params = func.params.map((p) => ({ ...p, buffer: flatten(p.buffer) }));
  return { ...func, params, body: rewriteStmt(func.body, stmt) };
}

function flatBuffer(b: Buffer): Buffer {
  const { strides: _strides, offset: _offset, ...rest } = b;
  return { ...rest, shape: [elementCount(b)] };
}

/** Elements from the base pointer to one past the last element. */
function elementCount(b: Buffer): Expr {
  if (!b.strides)
    return add(
      b.shape.reduce<Expr>((n, s) => mul(n, s), index(1)),
      b.offset ?? 0,
    );
  const last = b.shape.reduce<Expr>((n, s, k) => add(n, mul(add(s, -1), b.strides![k]!)), index(b.offset ?? 0));
  return b.shape.some((s) => constantValue(s) === 0) ? index(0) : add(last, 1);
}

function flatIndex(b: Buffer, indices: readonly Expr[]): Expr {
  const strides = b.strides ?? compactStrides(b);
  invariant(strides.length === indices.length, `${b.name}: one stride for each index`);
  return indices.reduce<Expr>((sum, e, k) => add(sum, mul(e, strides[k]!)), index(b.offset ?? 0));
}
function compactStrides(b: Buffer): Expr[] {
  const strides: Expr[] = new Array(b.shape.length);
  let stride: Expr = index(1);
  for (let k = b.shape.length - 1; k >= 0; k--) {
    strides[k] = stride;
    stride = mul(stride, b.shape[k]!);
  }
  return strides;
}
