/** Turns statements into actions. Every kind of loop runs serially, in increasing order. */
import { constantValue } from "../expr/build.ts";
import type { Expr } from "../expr/expr.ts";
import type { Allocate, Block, For, If, Let, ParallelCall, Stmt, Store } from "../loop/program.ts";
import { assertNever } from "../support/invariant.ts";
import { addressOf, physicalCount, writing } from "./access.ts";
import { InterpreterError } from "./error.ts";
import { compileExpr } from "./expressions.ts";
import type { Scalar } from "./scalar.ts";
import type { Action, Frame, SlotScope, Thunk } from "./scope.ts";
import { poisonStorage, type Storage, undefinedStorage } from "./storage.ts";

/** What a statement needs from its program: how to run a task over chunks of 0..extent. */
export type TaskRunner = (
  callee: string,
  buffers: readonly Storage[],
  scalars: readonly Scalar[],
  extent: number,
) => void;

/** Makes a statement ready to run in frames of `scope`. */
export function compileStmt(s: Stmt, scope: SlotScope, tasks: TaskRunner): Action {
  const sub = (c: Stmt): Action => compileStmt(c, scope, tasks);
  switch (s.kind) {
    case "for":
      return forAction(s, scope, sub);
    case "block":
      return blockAction(s, scope, sub);
    case "store":
      return storeAction(s, scope);
    case "seq": {
      const actions = s.body.map(sub);
      return (frame) => {
        for (const action of actions) action(frame);
      };
    }
    case "if":
      return ifAction(s, scope, sub);
    case "let":
      return letAction(s, scope, sub);
    case "allocate":
      return allocateAction(s, scope, sub);
    case "evaluate":
      return evaluateAction(s.value, scope);
    case "parallelCall":
      return parallelAction(s, scope, tasks);
    default:
      return assertNever(s);
  }
}
type SubStatement = (c: Stmt) => Action;

function forAction(s: For, scope: SlotScope, sub: SubStatement): Action {
  const min = compileExpr(s.min, scope);
  const extent = compileExpr(s.extent, scope);
  const slot = scope.bindVar(s.var);
  const body = sub(s.body);
  return (frame) => {
    const first = Number(min(frame, 0));
    const end = first + Number(extent(frame, 0));
    for (let i = first; i < end; i++) {
      frame.vars[slot] = i;
      body(frame);
    }
  };
}
function ifAction(s: If, scope: SlotScope, sub: SubStatement): Action {
  const condition = compileExpr(s.condition, scope);
  const then = sub(s.then);
  const otherwise = s.otherwise && sub(s.otherwise);
  return (frame) => {
    if (condition(frame, 0) !== 0) then(frame);
    else otherwise?.(frame);
  };
}
function letAction(s: Let, scope: SlotScope, sub: SubStatement): Action {
  const value = lanesOf(s.value, scope);
  const slot = scope.bindVar(s.var);
  const body = sub(s.body);
  return (frame) => {
    frame.vars[slot] = value(frame);
    body(frame);
  };
}
/** The whole value of an expression: a scalar, or all lanes. */
function lanesOf(e: Expr, scope: SlotScope): (frame: Frame) => Scalar | readonly Scalar[] {
  const thunk = compileExpr(e, scope);
  const { lanes } = e.dtype;
  return lanes === 1 ? (frame) => thunk(frame, 0) : (frame) => Array.from({ length: lanes }, (_, l) => thunk(frame, l));
}
function evaluateAction(e: Expr, scope: SlotScope): Action {
  const value = lanesOf(e, scope);
  return (frame) => void value(frame);
}

function storeAction(s: Store, scope: SlotScope): Action {
  const compile = (e: Expr): Thunk => compileExpr(e, scope);
  const address = addressOf(s.buffer, s.indices, compile);
  const value = compile(s.value);
  const write = writing(s.buffer, scope);
  const predicate = s.predicate && compile(s.predicate);
  const lanes = Math.max(s.value.dtype.lanes, ...s.indices.map((i) => i.dtype.lanes));
  if (lanes === 1) {
    return (frame) => {
      if (predicate && predicate(frame, 0) === 0) return;
      const v = value(frame, 0);
      write(frame, address(frame, 0) as number, v);
    };
  }
  return (frame) => {
    const pending: [number, Scalar][] = [];
    for (let lane = 0; lane < lanes; lane++) {
      if (predicate && predicate(frame, lane) === 0) continue;
      pending.push([address(frame, lane) as number, value(frame, lane)]);
    }
    for (const [at, v] of pending) write(frame, at, v);
  };
}

function allocateAction(s: Allocate, scope: SlotScope, sub: SubStatement): Action {
  const shape = s.buffer.shape.map((e) => compileExpr(e, scope));
  const slot = scope.bindBuffer(s.buffer);
  const body = sub(s.body);
  let spare: Storage | undefined;
  return (frame) => {
    const extents = shape.map((n) => Number(n(frame, 0)));
    const count = physicalCount(s.buffer, extents);
    if (spare?.elements.length === count) poisonStorage(spare);
    else spare = undefinedStorage(s.buffer.dtype.scalar, count, scope.checkUninitialized);
    frame.buffers[slot] = spare;
    body(frame);
    frame.buffers[slot] = undefined;
  };
}

function blockAction(s: Block, scope: SlotScope, sub: SubStatement): Action {
  const bindings = s.bindings.map((e) => compileExpr(e, scope));
  const predicate = s.predicate && compileExpr(s.predicate, scope);
  const extents = s.iterVars.map((v) => compileExpr(v.extent, scope));
  const slots = s.iterVars.map((v) => scope.bindVar(v.var));
  const reductions = slots.filter((_, k) => s.iterVars[k]!.kind === "reduction");
  const init = s.init && sub(s.init);
  const body = sub(s.body);
  const bound = new Array<Scalar>(slots.length);
  return (frame) => {
    if (predicate && predicate(frame, 0) === 0) return;
    for (let k = 0; k < slots.length; k++) bound[k] = bindings[k]!(frame, 0);
    for (let k = 0; k < slots.length; k++) {
      const v = bound[k]!;
      if (!(v >= 0 && v < extents[k]!(frame, 0))) outsideDomain(s, k, v, extents[k]!(frame, 0));
      frame.vars[slots[k]!] = v;
    }
    const outer = frame.block;
    frame.block = s.name;
    if (init && reductions.every((slot) => frame.vars[slot] === 0)) init(frame);
    body(frame);
    frame.block = outer;
  };
}
function outsideDomain(s: Block, k: number, v: Scalar, extent: Scalar): never {
  const { name } = s.iterVars[k]!.var;
  throw new InterpreterError(
    "interp/outside-domain",
    `block ${s.name}: iteration variable ${name} = ${v} is outside 0..${extent}`,
    { block: s.name, iterVar: name, value: Number(v), extent: Number(extent) },
  );
}

function parallelAction(s: ParallelCall, scope: SlotScope, tasks: TaskRunner): Action {
  const extent = constantValue(s.extent);
  const extentThunk = compileExpr(s.extent, scope);
  const buffers = s.buffers.map((b) => scope.bufferSlot(b));
  const scalars = s.scalars.map((v) => scope.varSlot(v));
  return (frame) =>
    tasks(
      s.callee,
      buffers.map((slot) => frame.buffers[slot]!),
      scalars.map((slot) => frame.vars[slot] as Scalar),
      extent ?? Number(extentThunk(frame, 0)),
    );
}
