/** The only makers of statement nodes; invariants are asserted here. */
import { constantValue, type ExprLike, toExpr } from "../expr/build.ts";
import type { Buffer, Expr, Var } from "../expr/expr.ts";
import type { IdSource } from "../support/ids.ts";
import { invariant } from "../support/invariant.ts";
import type {
  Allocate,
  Annotations,
  Block,
  Evaluate,
  For,
  If,
  IterKind,
  IterVar,
  Let,
  LoopKind,
  MathPolicy,
  ParallelCall,
  Param,
  PrimFunc,
  Program,
  Range,
  Region,
  Seq,
  Stmt,
  Store,
  ThreadAxis,
} from "./program.ts";

export function forLoop(
  loopVar: Var,
  extent: ExprLike,
  body: Stmt,
  options: { min?: ExprLike; loopKind?: LoopKind; axis?: ThreadAxis; annotations?: Annotations } = {},
): For {
  const { min = 0, loopKind = "serial", axis, annotations } = options;
  invariant((loopKind === "thread") === (axis !== undefined), "exactly the thread-bound loops have an axis");
  return {
    kind: "for",
    var: loopVar,
    min: toExpr(min),
    extent: toExpr(extent),
    loopKind,
    body,
    ...(axis ? { axis } : {}),
    ...(annotations ? { annotations } : {}),
  };
}
export const iterVar = (v: Var, extent: ExprLike, kind: IterKind = "spatial"): IterVar => ({
  var: v,
  extent: toExpr(extent),
  kind,
});

export function block(
  ids: IdSource,
  parts: {
    name: string;
    iterVars: readonly IterVar[];
    bindings: readonly Expr[];
    body: Stmt;
    reads?: readonly Region[];
    writes?: readonly Region[];
    init?: Stmt;
    predicate?: Expr;
    annotations?: Annotations;
  },
): Block {
  const { name, iterVars, bindings, body, reads = [], writes = [], init, predicate, annotations } = parts;
  invariant(iterVars.length === bindings.length, `block ${name}: one binding for each iteration variable`);
  return {
    kind: "block",
    id: ids.fresh(),
    name,
    iterVars,
    bindings,
    reads,
    writes,
    body,
    ...(predicate ? { predicate } : {}),
    ...(init ? { init } : {}),
    ...(annotations ? { annotations } : {}),
  };
}
export function store(target: Buffer, indices: readonly ExprLike[], value: Expr, predicate?: Expr): Store {
  invariant(
    indices.length === target.shape.length,
    `${target.name} has ${target.shape.length} dimensions, got ${indices.length} indices`,
  );
  invariant(
    value.dtype.scalar === target.dtype.scalar,
    `storing ${value.dtype.scalar} into ${target.name}: ${target.dtype.scalar}`,
  );
  return { kind: "store", buffer: target, indices: indices.map(toExpr), value, ...(predicate ? { predicate } : {}) };
}
/** A sequence; nested sequences are flattened, a single statement stands alone. */
export function seq(body: readonly Stmt[]): Stmt {
  const flat = body.flatMap((s) => (s.kind === "seq" ? s.body : [s]));
  const result: Seq = { kind: "seq", body: flat };
  return flat.length === 1 ? flat[0]! : result;
}
export const emptyStmt: Seq = { kind: "seq", body: [] };
export function ifThen(condition: Expr, then: Stmt, otherwise?: Stmt): Stmt {
  const known = constantValue(condition);
  if (known === 1) return then;
  if (known === 0) return otherwise ?? emptyStmt;
  const node: If = { kind: "if", condition, then, ...(otherwise ? { otherwise } : {}) };
  return node;
}
export const letIn = (v: Var, value: Expr, body: Stmt): Let => ({ kind: "let", var: v, value, body });
export const allocate = (b: Buffer, body: Stmt): Allocate => ({ kind: "allocate", buffer: b, body });
export const evaluate = (value: Expr): Evaluate => ({ kind: "evaluate", value });
export const parallelCall = (parts: Omit<ParallelCall, "kind">): ParallelCall => ({ kind: "parallelCall", ...parts });
export const range = (min: ExprLike, extent: ExprLike): Range => ({ min: toExpr(min), extent: toExpr(extent) });
export function region(b: Buffer, ranges: readonly Range[]): Region {
  invariant(ranges.length === b.shape.length, `a region of ${b.name} has ${b.shape.length} ranges`);
  return { buffer: b, ranges };
}
/** The region of single elements at `indices`. */
export const pointRegion = (b: Buffer, indices: readonly ExprLike[]): Region =>
  region(
    b,
    indices.map((i) => range(i, 1)),
  );

export function primFunc(parts: {
  name: string;
  params: readonly Param[];
  body: Stmt;
  math?: MathPolicy;
  scalars?: readonly Var[];
  chunk?: PrimFunc["chunk"];
  annotations?: Annotations;
}): PrimFunc {
  const { name, params, body, math = "default", scalars = [], chunk, annotations } = parts;
  return { name, params, scalars, math, body, ...(chunk ? { chunk } : {}), ...(annotations ? { annotations } : {}) };
}
export const program = (functions: readonly PrimFunc[], ids: IdSource): Program => ({
  kind: "program",
  functions,
  nextId: ids.next,
});
