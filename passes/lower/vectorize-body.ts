/** Statements of a vectorized loop; see `vectorize-loops.ts`. */
import { add, broadcast, identityOf, index, mul, not, select, vectorReduce } from "../../ir/expr/build.ts";
import { withLanes } from "../../ir/expr/dtype.ts";
import type { Buffer, Call, Expr, Var, VectorReduce } from "../../ir/expr/expr.ts";
import { rewrite, some, visit } from "../../ir/expr/traverse.ts";
import { allocate, evaluate, ifThen, letIn, seq } from "../../ir/loop/build.ts";
import type { Allocate, For, If, Let, Stmt, Store } from "../../ir/loop/program.ts";
import { mapChildExprs, rewriteStmt, visitExprs } from "../../ir/loop/traverse.ts";
import { InternalError } from "../../ir/support/errors.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { assertNever } from "../../ir/support/invariant.ts";
import { exprKey, linearForm } from "./linear.ts";
import { conjunction } from "./predicate-loads.ts";
import { refold, substituteStmt } from "./substitute.ts";
import { renameLocals } from "./unroll-loops.ts";
import { expandedIndex, mentions, type VectorContext } from "./vectorize-context.ts";
import { vectorizeExpr } from "./vectorize-expr.ts";

/** Vectorizes a statement that runs in the lanes where `mask` holds (in all when absent). */
export function vectorizeStmt(ctx: VectorContext, s: Stmt, mask: Expr | undefined): Stmt {
  switch (s.kind) {
    case "seq":
      return seq(s.body.map((c) => vectorizeStmt(ctx, c, mask)));
    case "store":
      return vectorizeStore(ctx, s, mask);
    case "if":
      return vectorizeIf(ctx, s, mask);
    case "let":
      return vectorizeLet(ctx, s, mask);
    case "for":
      return vectorizeFor(ctx, s, mask);
    case "allocate":
      return vectorizeAllocate(ctx, s, mask);
    case "evaluate":
      return isCheck(s.value) ? vectorizeCheck(ctx, s.value, mask) : substituteLane(ctx, s, 0);
    case "parallelCall":
    case "block":
      throw new InternalError("lower/vectorize", `a ${s.kind} cannot stand in a vectorized loop`);
    default:
      return assertNever(s);
  }
}

const isCheck = (e: Expr): e is Call => e.kind === "call" && e.callee === "checkBounds";
/** A check of all lanes at once: those that are off access nothing. */
function vectorizeCheck(ctx: VectorContext, e: Call, mask: Expr | undefined): Stmt {
  const [site, out, ...places] = e.args.map((a) => value(ctx, a, mask)) as [Expr, Expr, ...Expr[]];
  return evaluate({ ...e, args: [site, mask ? conjunction(mask, out) : out, ...places] });
}

const value = (ctx: VectorContext, e: Expr, mask: Expr | undefined): Expr => vectorizeExpr(ctx, e, mask);

function vectorizeIf(ctx: VectorContext, s: If, mask: Expr | undefined): Stmt {
  if (!mentions(ctx, s.condition)) {
    const condition = value(ctx, s.condition, mask);
    const otherwise = s.otherwise && vectorizeStmt(ctx, s.otherwise, mask);
    return ifThen(condition, vectorizeStmt(ctx, s.then, mask), otherwise);
  }
  const condition = value(ctx, s.condition, mask);
  const arms = [masked(ctx, s.then, conjunction(mask, condition))];
  if (s.otherwise) arms.push(masked(ctx, s.otherwise, conjunction(mask, not(condition))));
  return seq(arms);
}
/**
 * Runs `s` in the lanes of `mask`. What it reads for all lanes together is read only if any lane is on, because the
 * element may not exist otherwise.
 */
function masked(ctx: VectorContext, s: Stmt, mask: Expr): Stmt {
  const body = vectorizeStmt(ctx, s, mask);
  if (mask.dtype.lanes === 1 || !readsUniformly(ctx, s)) return body;
  return ifThen(vectorReduce("or", mask), body);
}
function readsUniformly(ctx: VectorContext, s: Stmt): boolean {
  let uniform = false;
  visitExprs(s, (e) =>
    visit(e, (n) => {
      if (n.kind === "load" && !n.indices.some((i) => mentions(ctx, i))) uniform = true;
    }),
  );
  return uniform;
}

function vectorizeLet(ctx: VectorContext, s: Let, mask: Expr | undefined): Stmt {
  const bound = value(ctx, s.value, mask);
  if (bound.dtype.lanes === 1) return letIn(s.var, bound, vectorizeStmt(ctx, s.body, mask));
  const v: Var = { ...s.var, id: ctx.ids.fresh<"var">(), dtype: bound.dtype };
  ctx.vectors.set(s.var.id, v);
  return letIn(v, bound, vectorizeStmt(ctx, s.body, mask));
}

/** Inner loops stay around the vectors; when their bounds differ from lane to lane the lanes run one after the other. */
function vectorizeFor(ctx: VectorContext, s: For, mask: Expr | undefined): Stmt {
  if (mentions(ctx, s.min) || mentions(ctx, s.extent)) return scalarize(ctx, s, mask);
  const body = vectorizeStmt(ctx, s.body, mask);
  return { ...s, min: value(ctx, s.min, mask), extent: value(ctx, s.extent, mask), body };
}

/** Each lane gets its own element: element i of lane l is element i·lanes + l. Chunks of a loop differ in lanes. */
function vectorizeAllocate(ctx: VectorContext, s: Allocate, mask: Expr | undefined): Stmt {
  const shape = [mul(s.buffer.shape[0]!, ctx.lanes)];
  const wide: Buffer = { ...s.buffer, id: ctx.ids.fresh<"buffer">(), shape };
  ctx.expanded.set(s.buffer.id, wide);
  return allocate(wide, vectorizeStmt(ctx, s.body, mask));
}

function vectorizeStore(ctx: VectorContext, s: Store, mask: Expr | undefined): Stmt {
  const inner = s.predicate ? conjunction(mask, value(ctx, s.predicate, mask)) : mask;
  const wide = ctx.expanded.get(s.buffer.id);
  if (!wide && !s.indices.some((i) => mentions(ctx, i))) return uniformStore(ctx, s, inner);
  const stored = value(ctx, s.value, inner);
  const at = wide ? expandedIndex(ctx, value(ctx, s.indices[0]!, inner)) : value(ctx, s.indices[0]!, inner);
  const vector = stored.dtype.lanes === 1 ? broadcast(stored, ctx.lanes) : stored;
  const predicate = inner && inner.dtype.lanes === 1 ? broadcast(inner, ctx.lanes) : inner;
  return {
    kind: "store",
    buffer: wide ?? s.buffer,
    indices: [at.dtype.lanes === 1 ? broadcast(at, ctx.lanes) : at],
    value: vector,
    ...(predicate ? { predicate } : {}),
    ...(s.nontemporal ? { nontemporal: true } : {}),
  };
}
/** All lanes store to one element: a reduction, or the same value, or at most one lane is meant. */
function uniformStore(ctx: VectorContext, s: Store, mask: Expr | undefined): Stmt {
  const reduction = reductionOf(s);
  if (reduction) return reduceInto(ctx, s, reduction, mask);
  const vectorMask = mask && mask.dtype.lanes > 1;
  if (!vectorMask && !mentions(ctx, s.value)) {
    const scalar: Store = {
      ...s,
      indices: s.indices.map((i) => value(ctx, i, mask)),
      value: value(ctx, s.value, mask),
    };
    return mask ? { ...scalar, predicate: mask } : scalar;
  }
  return scalarize(ctx, s, mask);
}

interface ReductionStore {
  readonly op: VectorReduce["op"];
  readonly old: Expr;
  readonly update: Expr;
  readonly oldFirst: boolean;
}
const reductionOps: ReadonlySet<string> = new Set(["add", "mul", "min", "max", "and", "or"]);
/** `b[i] = b[i] op update`, either way round; `update` must not read the element, though it may read one beside it. */
export function reductionOf(s: Store): ReductionStore | undefined {
  if (s.value.kind !== "binary" || !reductionOps.has(s.value.op)) return undefined;
  const { op, a, b } = s.value;
  const target = s.indices.map(exprKey).join();
  const isOld = (e: Expr): boolean =>
    e.kind === "load" && e.buffer.id === s.buffer.id && !e.predicate && e.indices.map(exprKey).join() === target;
  const touches = (e: Expr): boolean =>
    some(e, (n) => n.kind === "load" && n.buffer.id === s.buffer.id && !isBeside(n.indices[0]!, s.indices[0]!));
  if (isOld(a) && !touches(b)) return { op: op as VectorReduce["op"], old: a, update: b, oldFirst: true };
  if (isOld(b) && !touches(a)) return { op: op as VectorReduce["op"], old: b, update: a, oldFirst: false };
  return undefined;
}
/** Whether two indices always differ: by a constant. */
function isBeside(a: Expr, b: Expr): boolean {
  const [x, y] = [linearForm(a), linearForm(b)];
  const of = new Map(y.terms.map((t) => [t.key, t.coefficient]));
  const same = x.terms.length === of.size && x.terms.every((t) => of.get(t.key) === t.coefficient);
  return same && x.constant !== y.constant;
}
function reduceInto(ctx: VectorContext, s: Store, r: ReductionStore, mask: Expr | undefined): Stmt {
  const wide = value(ctx, r.update, mask);
  const vector = wide.dtype.lanes === 1 ? broadcast(wide, ctx.lanes) : wide;
  const neutral = broadcast(identityOf(r.op, s.buffer.dtype.scalar), ctx.lanes);
  const lanesMask = mask && mask.dtype.lanes === 1 ? broadcast(mask, ctx.lanes) : mask;
  const active = lanesMask ? select(lanesMask, vector, neutral) : vector;
  const total = vectorReduce(r.op, active);
  const old = value(ctx, r.old, undefined);
  const [a, b] = r.oldFirst ? [old, total] : [total, old];
  const combined: Expr = { kind: "binary", op: r.op, a, b, dtype: withLanes(s.buffer.dtype, 1) };
  return { kind: "store", buffer: s.buffer, indices: s.indices.map((i) => value(ctx, i, mask)), value: combined };
}

/** Runs the lanes one after the other. */
function scalarize(ctx: VectorContext, s: Stmt, mask: Expr | undefined): Stmt {
  const lanes: Stmt[] = [];
  for (let k = 0; k < ctx.lanes; k++) {
    const body = substituteLane(ctx, k === 0 ? s : renameLocals(s, ctx.ids), k);
    lanes.push(mask ? ifThen(laneOf(mask, k), body) : body);
  }
  return seq(lanes);
}
/** The statement for lane k alone. */
function substituteLane(ctx: VectorContext, s: Stmt, k: number): Stmt {
  const map = new Map<VarId, Expr>([[ctx.loopVar.id, add(ctx.start, index(k))]]);
  for (const [id, v] of ctx.vectors) map.set(id, laneOf(v, k));
  return redirect(ctx, substituteStmt(s, map), k);
}
/** Lane k of a vector expression (scalars are the same in every lane). */
function laneOf(e: Expr, k: number): Expr {
  if (e.dtype.lanes === 1) return e;
  switch (e.kind) {
    case "broadcast":
      return e.value;
    case "ramp":
      return add(e.base, mul(e.stride, k));
    case "binary":
    case "compare": {
      const next = { ...e, a: laneOf(e.a, k), b: laneOf(e.b, k), dtype: withLanes(e.dtype, 1) } as Expr;
      return refold(next);
    }
    case "unary":
      return { ...e, value: laneOf(e.value, k), dtype: withLanes(e.dtype, 1) };
    default:
      return { kind: "shuffle", vectors: [e], lanes: [k], dtype: withLanes(e.dtype, 1) };
  }
}
/** Lets accesses of expanded buffers go to the elements of lane k. */
function redirect(ctx: VectorContext, s: Stmt, k: number): Stmt {
  if (ctx.expanded.size === 0) return s;
  const at = (i: Expr): Expr => add(mul(i, ctx.lanes), k);
  const expr = (e: Expr): Expr =>
    rewrite(e, (n) => {
      const wide = n.kind === "load" ? ctx.expanded.get(n.buffer.id) : undefined;
      return n.kind === "load" && wide ? { ...n, buffer: wide, indices: n.indices.map(at) } : n;
    });
  return rewriteStmt(s, (n) => {
    const mapped = mapChildExprs(n, expr);
    const wide = mapped.kind === "store" ? ctx.expanded.get(mapped.buffer.id) : undefined;
    return mapped.kind === "store" && wide ? { ...mapped, buffer: wide, indices: mapped.indices.map(at) } : mapped;
  });
}
