/** Writes statements. */
import { constantValue } from "../../ir/expr/build.ts";
import { bytesOf } from "../../ir/expr/dtype.ts";
import type { Buffer } from "../../ir/expr/expr.ts";
import type { Allocate, Evaluate, For, If, Let, ParallelCall, Stmt } from "../../ir/loop/program.ts";
import { visitStmt } from "../../ir/loop/traverse.ts";
import { InternalError, UnsupportedError } from "../../ir/support/errors.ts";
import type { BufferId } from "../../ir/support/ids.ts";
import { assertNever, invariant } from "../../ir/support/invariant.ts";
import { constantCount, elementAddress } from "./address.ts";
import { emitCheck } from "./bounds.ts";
import { isNonNegative } from "./facts.ts";
import { type BodyContext, bindingOf } from "./function-context.ts";
import { storeValue } from "./memory.ts";
import { emitTensorized } from "./tensor.ts";
import { memoryType } from "./types.ts";
import { literal, type Value } from "./writer.ts";

/** Writes a statement. */
export function emitStmt(ctx: BodyContext, s: Stmt): void {
  switch (s.kind) {
    case "for":
      emitFor(ctx, s);
      break;
    case "store":
      storeValue(ctx, s);
      break;
    case "seq":
      for (const c of s.body) emitStmt(ctx, c);
      break;
    case "if":
      emitIf(ctx, s);
      break;
    case "let":
      emitLet(ctx, s);
      break;
    case "allocate":
      emitAllocate(ctx, s);
      break;
    case "evaluate":
      emitEvaluate(ctx, s);
      break;
    case "parallelCall":
      emitParallelCall(ctx, s);
      break;
    case "block":
      throw new InternalError("codegen/block", `block ${s.name} is lowered before code is generated`);
    default:
      assertNever(s);
  }
}

function emitLet(ctx: BodyContext, s: Let): void {
  ctx.vars.set(s.var.id, ctx.emit(s.value));
  if (s.var.dtype.scalar === "int64" && isNonNegative(ctx, s.value)) ctx.nonNegative.add(s.var.id);
  emitStmt(ctx, s.body);
}
/** Keeps LLVM's scheduler from moving memory accesses across. */
const barrier = 'call void asm sideeffect "", "~{memory}"()';

function emitFor(ctx: BodyContext, s: For): void {
  if (s.loopKind === "tensorized") {
    emitTensorized(ctx, s);
    return;
  }
  invariant(s.loopKind === "serial", `loop ${s.var.name} is ${s.loopKind}: lowering leaves serial loops only`);
  const extent = constantValue(s.extent);
  if (extent !== undefined && extent <= 0) return;
  const begin = ctx.emit(s.min);
  if (isNonNegative(ctx, s.min)) ctx.nonNegative.add(s.var.id);
  const body = (counter: Value): void => {
    ctx.vars.set(s.var.id, counter);
    emitStmt(ctx, s.body);
  };
  if (extent === 1) {
    body(begin);
    return;
  }
  forgetWrites(ctx, s.body);
  const end = endOf(ctx, s, begin);
  ctx.writer.loop({ begin, end, nonEmpty: extent !== undefined, metadata: ctx.module.loopMetadata() }, body);
}
function endOf(ctx: BodyContext, s: For, begin: Value): Value {
  const [first, extent] = [constantValue(s.min), constantValue(s.extent)];
  if (first !== undefined && extent !== undefined) return literal(String(first + extent));
  const count = ctx.emit(s.extent);
  if (first === 0) return count;
  return ctx.writer.hoisted(`add nsw i64 ${begin.ref}, ${count.ref}`, [begin, count]);
}
/** A later iteration stores before it loads again: nothing known of what the body writes holds inside. */
function forgetWrites(ctx: BodyContext, body: Stmt): void {
  const written = new Set<BufferId>();
  visitStmt(body, (c) => {
    if (c.kind === "store") written.add(c.buffer.id);
    else if (c.kind === "parallelCall") for (const b of c.buffers) written.add(b.id);
  });
  for (const id of written) ctx.writer.forget(id);
}

function emitIf(ctx: BodyContext, s: If): void {
  const condition = ctx.emit(s.condition);
  const arm = (body: Stmt) => (): void => emitStmt(ctx, body);
  if (s.otherwise) ctx.writer.branch(condition, arm(s.then), arm(s.otherwise));
  else ctx.writer.branch(condition, arm(s.then));
}

function emitAllocate(ctx: BodyContext, s: Allocate): void {
  const { buffer } = s;
  if (!ctx.buffers.has(buffer.id)) {
    if (buffer.scope === "global") placeInWorkspace(ctx, buffer);
    else if (buffer.scope === "stack" || buffer.scope === "register") placeOnStack(ctx, buffer);
    else
      throw new UnsupportedError("codegen/scope", `${buffer.name} has scope ${buffer.scope}, which CPUs do not have`);
  }
  // Its contents are undefined again.
  ctx.writer.forget(buffer.id);
  emitStmt(ctx, s.body);
}
function placeOnStack(ctx: BodyContext, buffer: Buffer): void {
  const alignment = Math.min(64, buffer.alignment);
  const pointer = ctx.writer.alloca(`[${Math.max(1, constantCount(buffer))} x ${memoryType(buffer.dtype)}]`, alignment);
  ctx.buffers.set(buffer.id, { pointer, alignment, metadata: "" });
}
function placeInWorkspace(ctx: BodyContext, buffer: Buffer): void {
  const workspace = ctx.workspace && bindingOf(ctx, ctx.workspace.buffer, "workspace");
  invariant(workspace, `${buffer.name} is global but its function has no workspace`);
  const bytes = (buffer.offset ?? 0) * bytesOf(buffer.dtype.scalar);
  const pointer =
    bytes === 0
      ? workspace.pointer
      : ctx.writer.hoisted(`getelementptr i8, ptr ${workspace.pointer.ref}, i64 ${bytes}`, [workspace.pointer]);
  ctx.buffers.set(buffer.id, { pointer, alignment: 64, metadata: ctx.workspace?.metadata.get(buffer.id) ?? "" });
}

/** `prefetch(load, write?, locality?)` touches the address of the load. */
function emitEvaluate(ctx: BodyContext, s: Evaluate): void {
  const { value } = s;
  if (value.kind === "call" && value.callee === "scheduleBarrier") {
    ctx.writer.instruction(barrier);
    return;
  }
  if (value.kind === "call" && value.callee === "checkBounds") emitCheck(ctx, value);
  if (value.kind !== "call" || value.callee !== "prefetch") return;
  const [target, write, locality] = value.args;
  invariant(target?.kind === "load", "prefetch takes the load whose address is meant");
  const address = elementAddress(ctx, target.buffer, target.indices[0]!);
  const callee = ctx.module.declare("llvm.prefetch.p0", "void", ["ptr", "i32 immarg", "i32 immarg", "i32 immarg"]);
  const mode = write && constantValue(write) === 1 ? 1 : 0;
  const keep = (locality && constantValue(locality)) ?? 3;
  ctx.writer.instruction(`call void ${callee}(ptr ${address.pointer.ref}, i32 ${mode}, i32 ${keep}, i32 1)`);
}

/** Stores the captured pointers and scalars into a struct on the stack and hands it to the runtime. */
function emitParallelCall(ctx: BodyContext, s: ParallelCall): void {
  const slots = s.buffers.length + s.scalars.length;
  const struct = ctx.writer.alloca(`[${Math.max(1, slots)} x i64]`, 16);
  const put = (slot: number, type: string, v: Value): void => {
    const place = ctx.writer.hoisted(`getelementptr i64, ptr ${struct.ref}, i64 ${slot}`, [struct]);
    ctx.writer.instruction(`store ${type} ${v.ref}, ptr ${place.ref}, align 8`);
  };
  s.buffers.forEach((b, i) => {
    put(i, "ptr", bindingOf(ctx, b.id, b.name).pointer);
  });
  s.scalars.forEach((v, i) => {
    put(s.buffers.length + i, memoryType(v.dtype), ctx.emit(v));
  });
  const run = ctx.module.declare("tw_parallel_for", "void", ["ptr", "ptr", "ptr", "i64"]);
  const extent = ctx.emit(s.extent);
  const task = ctx.module.symbols.symbolOf(s.callee);
  ctx.writer.instruction(`call void ${run}(ptr %rt, ptr @${task}, ptr ${struct.ref}, i64 ${extent.ref})`);
  for (const b of s.buffers) ctx.writer.forget(b.id);
}
