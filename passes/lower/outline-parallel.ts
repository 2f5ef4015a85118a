/**
 * Turns each outermost `parallel` loop into a task function and a `parallelCall` of it; parallel loops inside become
 * serial. The task gets the buffers and scalars that its body uses, and runs a chunk of the iterations.
 */
import { add, constantValue, sub, variable } from "../../ir/expr/build.ts";
import type { Buffer, Expr, Var } from "../../ir/expr/expr.ts";
import { visit } from "../../ir/expr/traverse.ts";
import { forLoop, letIn, parallelCall, primFunc } from "../../ir/loop/build.ts";
import type { For, Param, PrimFunc, Stmt } from "../../ir/loop/program.ts";
import { childExprs, mapChildStmts, visitStmt } from "../../ir/loop/traverse.ts";
import type { BufferId, IdSource, VarId } from "../../ir/support/ids.ts";

/** The function without parallel loops, then its tasks. */
export function outlineParallel(func: PrimFunc, ids: IdSource): readonly PrimFunc[] {
  const tasks: PrimFunc[] = [];
  const go = (s: Stmt): Stmt => {
    if (s.kind !== "for" || s.loopKind !== "parallel") return mapChildStmts(s, go);
    const serial = serializeParallel(s);
    if (serial.kind !== "for" || constantValue(s.extent) === 1) return serial;
    const name = `${func.name}.task${tasks.length}`;
    const { task, call } = outline(func, serial, name, ids);
    tasks.push(task);
    return call;
  };
  const body = go(func.body);
  return tasks.length === 0 ? [func] : [{ ...func, body }, ...tasks];
}

/** Parallel loops as serial ones. */
function serializeParallel(s: Stmt): Stmt {
  const inner = mapChildStmts(s, serializeParallel);
  return inner.kind === "for" && inner.loopKind === "parallel" ? { ...inner, loopKind: "serial" } : inner;
}

function outline(func: PrimFunc, loop: For, name: string, ids: IdSource): { task: PrimFunc; call: Stmt } {
  const { buffers, scalars, written } = captures(loop);
  const begin = variable(ids, "begin");
  const end = variable(ids, "end");
  const first = constantValue(loop.min) === 0;
  const counter = first ? loop.var : variable(ids, `${loop.var.name}_i`);
  const body = first ? loop.body : letIn(loop.var, add(loop.min, counter), loop.body);
  const params = buffers.map((b): Param => ({ buffer: b, role: written.has(b.id) ? "output" : "input" }));
  const task = primFunc({
    name,
    params,
    scalars,
    chunk: { begin, end },
    math: func.math,
    body: forLoop(counter, sub(end, begin), body, { min: begin }),
    ...(func.annotations ? { annotations: func.annotations } : {}),
  });
  return { task, call: parallelCall({ callee: name, extent: loop.extent, buffers, scalars }) };
}

/** What the loop uses and does not bind itself, in order of first use. */
function captures(loop: For): { buffers: Buffer[]; scalars: Var[]; written: ReadonlySet<BufferId> } {
  const buffers = new Map<BufferId, Buffer>();
  const vars = new Map<VarId, Var>();
  const bound = new Set<number>();
  const written = new Set<BufferId>();
  const scan = (e: Expr): void =>
    visit(e, (n) => {
      if (n.kind === "var") vars.set(n.id, n);
      else if (n.kind === "load") buffers.set(n.buffer.id, n.buffer);
    });
  visitStmt(loop, (s) => {
    if (s !== loop) childExprs(s).forEach(scan);
    if (s.kind === "for" || s.kind === "let") bound.add(s.var.id);
    if (s.kind === "allocate") bound.add(s.buffer.id);
    if (s.kind === "store") {
      buffers.set(s.buffer.id, s.buffer);
      written.add(s.buffer.id);
    }
  });
  scan(loop.min);
  return {
    buffers: [...buffers.values()].filter((b) => !bound.has(b.id)),
    scalars: [...vars.values()].filter((v) => !bound.has(v.id)),
    written,
  };
}
