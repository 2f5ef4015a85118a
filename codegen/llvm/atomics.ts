/**
 * Writes updates that are one step for all threads: an instruction where the machine has one for it, else a loop that
 * stores the new value where the element still holds the old one. Relaxed order: who reads results waits for the threads.
 */
import { bytesOf, isFloat, isUnsigned } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { rewrite, some } from "../../ir/expr/traverse.ts";
import type { Store } from "../../ir/loop/program.ts";
import type { VarId } from "../../ir/support/ids.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { elementAddress } from "./address.ts";
import type { FunctionContext } from "./function-context.ts";
import { memoryType, registerType } from "./types.ts";
import type { Value } from "./writer.ts";

/** Writes an atomic store. */
export function storeAtomic(ctx: FunctionContext, s: Store): void {
  const at = s.indices[0];
  invariant(at && s.indices.length === 1 && s.value.dtype.lanes === 1, "an atomic update is of one element");
  const update = (): void => {
    const pointer = elementAddress(ctx, s.buffer, at).pointer;
    const word = instructionFor(s);
    if (word) direct(ctx, s, pointer, word);
    else exchange(ctx, s, pointer);
  };
  if (s.predicate) ctx.writer.branch(ctx.emit(s.predicate), update);
  else update();
  ctx.writer.forget(s.buffer.id);
}
const isSelf = (s: Store, e: Expr): boolean => e.kind === "load" && e.buffer.id === s.buffer.id;

interface Direct {
  readonly operation: string;
  readonly operand: Expr;
}
/** The instruction for `self op v` on integers; undefined where there is none. */
function instructionFor(s: Store): Direct | undefined {
  const { scalar } = s.buffer.dtype;
  const { value } = s;
  if (value.kind !== "binary" || isFloat(scalar) || scalar === "bool") return undefined;
  const operand = isSelf(s, value.a) ? value.b : isSelf(s, value.b) ? value.a : undefined;
  if (!operand || some(operand, (e) => isSelf(s, e))) return undefined;
  const sign = isUnsigned(scalar) ? "u" : "";
  const operations: Partial<Record<typeof value.op, string>> = {
    add: "add",
    and: "and",
    or: "or",
    min: `${sign}min`,
    max: `${sign}max`,
  };
  const operation = operations[value.op];
  return operation === undefined ? undefined : { operation, operand };
}
function direct(ctx: FunctionContext, s: Store, pointer: Value, { operation, operand }: Direct): void {
  const v = ctx.emit(operand);
  ctx.writer.effect(`atomicrmw ${operation} ptr ${pointer.ref}, ${memoryType(s.buffer.dtype)} ${v.ref} monotonic`);
}

/** Tries again until no other thread stored in between. */
function exchange(ctx: FunctionContext, s: Store, pointer: Value): void {
  const { dtype, id, name } = s.buffer;
  const [bytes, word] = [bytesOf(dtype.scalar), `i${8 * bytesOf(dtype.scalar)}`];
  const first = ctx.writer.effect(`load atomic ${word}, ptr ${pointer.ref} monotonic, align ${bytes}`);
  const current = { kind: "var", id: -1 as VarId, name, dtype } as const;
  const value = rewrite(s.value, (e) => (e.kind === "load" && e.buffer.id === id ? current : e));
  ctx.writer.repeat(word, first, (old) => {
    ctx.vars.set(current.id, fromWord(ctx, s, word, old));
    const next = toWord(ctx, s, word, ctx.emit(value));
    ctx.vars.delete(current.id);
    const pair = ctx.writer.effect(
      `cmpxchg weak ptr ${pointer.ref}, ${word} ${old.ref}, ${word} ${next.ref} monotonic monotonic`,
    );
    return {
      next: ctx.writer.effect(`extractvalue { ${word}, i1 } ${pair.ref}, 0`),
      done: ctx.writer.effect(`extractvalue { ${word}, i1 } ${pair.ref}, 1`),
    };
  });
}
function fromWord(ctx: FunctionContext, s: Store, word: string, v: Value): Value {
  if (s.buffer.dtype.scalar === "bool") return ctx.writer.effect(`icmp ne ${word} ${v.ref}, 0`);
  const type = registerType(s.buffer.dtype);
  return type === word ? v : ctx.writer.effect(`bitcast ${word} ${v.ref} to ${type}`);
}
function toWord(ctx: FunctionContext, s: Store, word: string, v: Value): Value {
  if (s.buffer.dtype.scalar === "bool") return ctx.writer.effect(`zext i1 ${v.ref} to ${word}`);
  const type = registerType(s.buffer.dtype);
  return type === word ? v : ctx.writer.effect(`bitcast ${type} ${v.ref} to ${word}`);
}
