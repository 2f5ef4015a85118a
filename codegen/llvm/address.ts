/**
 * Addresses. An index is split into Σ coefficient·atom + constant; the sum is built from the outermost atoms inwards, so
 * that each partial sum lands in front of the loop it does not depend on, and the constant becomes a displacement.
 */
import { constantValue } from "../../ir/expr/build.ts";
import { bytesOf } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr } from "../../ir/expr/expr.ts";
import { UnsupportedError } from "../../ir/support/errors.ts";
import { linearForm } from "../../passes/lower/linear.ts";
import { bindingOf, type FunctionContext } from "./function-context.ts";
import { memoryType } from "./types.ts";
import type { Value } from "./writer.ts";

/** Where an element is, and what tells it from other elements of its buffer. */
export interface Address {
  readonly pointer: Value;
  /** Equal for indices that differ by a constant only. */
  readonly base: string;
  /** The constant. */
  readonly first: number;
  /** Bytes that the address is known to be a multiple of. */
  readonly alignment: number;
}

/** Writes the address of a buffer's element at a scalar index. */
export function elementAddress(ctx: FunctionContext, buffer: Buffer, index: Expr): Address {
  const binding = bindingOf(ctx, buffer.id, buffer.name);
  const form = linearForm(index);
  const bytes = bytesOf(buffer.dtype.scalar);
  const terms = form.terms.map((t) => ({ value: ctx.emit(t.atom), coefficient: t.coefficient }));
  terms.sort((x, y) => x.value.depth - y.value.depth || x.coefficient - y.coefficient);
  let alignment = binding.alignment;
  let base = "";
  for (const t of terms) {
    alignment = commonAlignment(alignment, t.coefficient * bytes);
    base += `${t.value.ref}*${t.coefficient}+`;
  }
  const depth = Math.max(binding.pointer.depth, terms.at(-1)?.value.depth ?? 0);
  const pointer = ctx.writer.memo(`${buffer.id}[${base}`, depth, () => pointerTo(ctx, buffer, binding.pointer, terms));
  return {
    pointer: displaced(ctx, pointer, form.constant * bytes),
    base,
    first: form.constant,
    alignment: commonAlignment(alignment, form.constant * bytes),
  };
}

interface Term {
  readonly value: Value;
  readonly coefficient: number;
}
/** Sums the terms of each depth and moves the pointer by them, outermost first. */
function pointerTo(ctx: FunctionContext, buffer: Buffer, start: Value, terms: readonly Term[]): Value {
  const { writer } = ctx;
  const element = memoryType(buffer.dtype);
  let pointer = start;
  for (let i = 0; i < terms.length; ) {
    const depth = terms[i]!.value.depth;
    let sum: Value | undefined;
    for (; i < terms.length && terms[i]!.value.depth === depth; i++) {
      const scaled = scaledTerm(ctx, terms[i]!);
      sum = sum ? writer.hoisted(`add nsw i64 ${sum.ref}, ${scaled.ref}`, [sum, scaled]) : scaled;
    }
    if (sum) pointer = writer.hoisted(`getelementptr ${element}, ptr ${pointer.ref}, i64 ${sum.ref}`, [pointer, sum]);
  }
  return pointer;
}
function scaledTerm(ctx: FunctionContext, t: Term): Value {
  if (t.coefficient === 1) return t.value;
  const shift = Math.log2(t.coefficient);
  const text = Number.isInteger(shift)
    ? `shl nsw i64 ${t.value.ref}, ${shift}`
    : `mul nsw i64 ${t.value.ref}, ${t.coefficient}`;
  return ctx.writer.hoisted(text, [t.value]);
}
function displaced(ctx: FunctionContext, pointer: Value, bytes: number): Value {
  if (bytes === 0) return pointer;
  return ctx.writer.hoisted(`getelementptr i8, ptr ${pointer.ref}, i64 ${bytes}`, [pointer]);
}

/** The greatest power of two that divides both (0 is divided by everything). */
export function commonAlignment(alignment: number, bytes: number): number {
  let result = alignment;
  while (result > 1 && bytes % result !== 0) result /= 2;
  return result;
}

/** Elements of a buffer, when they are a constant number. */
export function constantCount(b: Buffer): number {
  const counts = b.shape.map((e: Expr) => constantValue(e));
  if (counts.some((c) => c === undefined))
    throw new UnsupportedError("codegen/symbolic-allocation", `${b.name} has a symbolic shape; only parameters may`);
  return counts.reduce<number>((n, c) => n * c!, 1);
}
