/**
 * Decides where allocations live: small ones on the stack, the other `global` ones in one workspace that the caller
 * passes as the last parameter. Buffers that are never alive together share its bytes (Note [Workspace lifetimes]).
 */
import { add, constantValue, index, buffer as makeBuffer, mul } from "../../ir/expr/build.ts";
import { bytesOf } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr } from "../../ir/expr/expr.ts";
import { rewrite, visit } from "../../ir/expr/traverse.ts";
import { allocate } from "../../ir/loop/build.ts";
import type { Allocate, For, Param, PrimFunc, Stmt } from "../../ir/loop/program.ts";
import { childExprs, mapChildExprs, mapChildStmts, rewriteStmt, visitStmt } from "../../ir/loop/traverse.ts";
import { UnsupportedError } from "../../ir/support/errors.ts";
import type { BufferId, IdSource } from "../../ir/support/ids.ts";
import { planArena } from "./plan-arena.ts";

/** Buffers up to this size live on the stack of the function. */
const maxFunctionStackBytes = 4096;
/** Buffers within a parallel loop up to this size live on the stack of the task. */
const maxTaskStackBytes = 128 * 1024;
/** A schedule's `stack` and `register` buffers beyond this move to the workspace: threads have 8 MiB of stack. */
const maxScheduledStackBytes = 1024 * 1024;

/** Places every allocation of a flat function with parallel loops still in place. */
export function placeAllocations(func: PrimFunc, ids: IdSource): PrimFunc {
  const scoped = chooseScopes(func.body, maxFunctionStackBytes);
  const hoisted = privatize(scoped);
  return addWorkspace({ ...func, body: hoisted }, ids);
}

function bytesIn(b: Buffer): number {
  const count = b.shape.reduce<number>((n, e) => n * (constantValue(e) ?? Number.NaN), 1);
  if (Number.isNaN(count))
    throw new UnsupportedError("lower/symbolic-allocation", `${b.name} has a symbolic shape; only parameters may`);
  return count * bytesOf(b.dtype.scalar);
}

/** Gives each allocation scope `stack`, `register` or `global`. */
function chooseScopes(s: Stmt, stackBytes: number): Stmt {
  const limit = s.kind === "for" && s.loopKind === "parallel" ? Math.max(stackBytes, maxTaskStackBytes) : stackBytes;
  const inner = mapChildStmts(s, (c) => chooseScopes(c, limit));
  if (inner.kind !== "allocate") return inner;
  const { buffer } = inner;
  const bytes = bytesIn(buffer);
  if (buffer.scope === "global" && bytes <= stackBytes) return rescope(inner, { ...buffer, scope: "stack" });
  if ((buffer.scope === "stack" || buffer.scope === "register") && bytes > maxScheduledStackBytes)
    return rescope(inner, { ...buffer, scope: "global" });
  return inner;
}
const rescope = (a: Allocate, next: Buffer): Stmt =>
  allocate(
    next,
    replaceBuffer(a.body, a.buffer.id, next, (i) => i),
  );

/** Lets accesses of one buffer go to another one. */
function replaceBuffer(s: Stmt, id: BufferId, next: Buffer, at: (i: Expr) => Expr): Stmt {
  const expr = (e: Expr): Expr =>
    rewrite(e, (n) =>
      n.kind === "load" && n.buffer.id === id ? { ...n, buffer: next, indices: n.indices.map(at) } : n,
    );
  return rewriteStmt(s, (n) => {
    const mapped = mapChildExprs(n, expr);
    if (mapped.kind !== "store" || mapped.buffer.id !== id) return mapped;
    return { ...mapped, buffer: next, indices: mapped.indices.map(at) };
  });
}

/** Moves `global` allocations out of parallel loops: each iteration gets its own slice. */
function privatize(s: Stmt): Stmt {
  if (s.kind !== "for" || s.loopKind !== "parallel") return mapChildStmts(s, privatize);
  const moved: Buffer[] = [];
  const body = extract(s.body, s, moved);
  return moved.reduce<Stmt>((inner, b) => allocate(b, inner), { ...s, body });
}
function extract(s: Stmt, loop: For, moved: Buffer[]): Stmt {
  const inner = mapChildStmts(s, (c) => extract(c, loop, moved));
  if (inner.kind !== "allocate" || inner.buffer.scope !== "global") return inner;
  const { buffer } = inner;
  const extent = constantValue(loop.extent);
  if (extent === undefined)
    throw new UnsupportedError(
      "lower/private-workspace",
      `${buffer.name} is too large for the stack, and parallel loop ${loop.var.name} has no constant extent`,
    );
  const slice = Math.ceil(bytesIn(buffer) / 64) * (64 / bytesOf(buffer.dtype.scalar));
  const whole: Buffer = { ...buffer, shape: [index(slice * extent)] };
  if (!moved.some((b) => b.id === whole.id)) moved.push(whole);
  const iteration = add(loop.var, mul(loop.min, -1));
  return replaceBuffer(inner.body, buffer.id, whole, (i) => shifted(i, mul(iteration, slice)));
}
function shifted(i: Expr, by: Expr): Expr {
  if (i.kind === "ramp") return { ...i, base: add(i.base, by) };
  if (i.kind === "broadcast") return { ...i, value: add(i.value, by) };
  if (i.dtype.lanes === 1) return add(i, by);
  return { kind: "binary", op: "add", a: i, b: { kind: "broadcast", value: by, dtype: i.dtype }, dtype: i.dtype };
}

/**
 * Note [Workspace lifetimes]. Statements are numbered in order. An access counts as its statement's number, or, when
 * loops stand between it and the allocation, as all numbers within the outermost of them: the buffer may be written in
 * one iteration and read in a later one.
 */
function addWorkspace(func: PrimFunc, ids: IdSource): PrimFunc {
  if (!allocatesGlobally(func.body)) return func;
  const lives = lifetimes(func.body);
  const plan = planArena(
    lives.map((l) => ({ id: l.buffer.id, bytes: bytesIn(l.buffer), first: l.first, last: l.last })),
    64,
  );
  const placed = new Map<BufferId, Buffer>();
  for (const { buffer } of lives) {
    const offset = plan.offsets.get(buffer.id)! / bytesOf(buffer.dtype.scalar);
    placed.set(buffer.id, offset === 0 ? buffer : { ...buffer, offset });
  }
  const body = rewriteStmt(func.body, (s) => place(s, placed));
  if (lives.length === 0) return { ...func, body: body };
  const workspace = makeBuffer(ids, "workspace", "uint8", [plan.total], { alignment: 64 });
  const param: Param = { buffer: workspace, role: "workspace" };
  return { ...func, params: [...func.params, param], body };
}

function allocatesGlobally(body: Stmt): boolean {
  let found = false;
  visitStmt(body, (s) => {
    if (s.kind === "allocate" && s.buffer.scope === "global") found = true;
    return !found;
  });
  return found;
}
function place(s: Stmt, placed: ReadonlyMap<BufferId, Buffer>): Stmt {
  if (s.kind !== "allocate" || s.buffer.scope !== "global") return s;
  const next = placed.get(s.buffer.id);
  return next ? { ...s, buffer: next } : s.body;
}

interface Life {
  readonly buffer: Buffer;
  first: number;
  last: number;
}
function lifetimes(body: Stmt): Life[] {
  const lives = new Map<BufferId, Life & { readonly depth: number }>();
  const loops: { first: number; buffers: Set<BufferId> }[] = [];
  let step = 0;
  const touch = (id: BufferId): void => {
    const life = lives.get(id);
    if (!life) return;
    const around = loops[life.depth];
    life.first = Math.min(life.first, around?.first ?? step);
    life.last = Math.max(life.last, step);
    around?.buffers.add(id);
  };
  const walk = (s: Stmt): void => {
    step++;
    for (const e of childExprs(s))
      visit(e, (n) => {
        if (n.kind === "load") touch(n.buffer.id);
      });
    if (s.kind === "store") touch(s.buffer.id);
    if (s.kind === "allocate" && s.buffer.scope === "global" && !lives.has(s.buffer.id))
      lives.set(s.buffer.id, { buffer: s.buffer, first: Number.POSITIVE_INFINITY, last: -1, depth: loops.length });
    if (s.kind !== "for") {
      visitDirect(s, walk);
      return;
    }
    const loop = { first: step, buffers: new Set<BufferId>() };
    loops.push(loop);
    walk(s.body);
    loops.pop();
    for (const id of loop.buffers) lives.get(id)!.last = step;
  };
  walk(body);
  return [...lives.values()].filter((l) => l.last >= 0);
}
function visitDirect(s: Stmt, f: (s: Stmt) => void): void {
  visitStmt(s, (c) => {
    if (c === s) return;
    f(c);
    return false;
  });
}
