/** Integer and bool operators. Division never traps: a zero divisor of an arm not chosen becomes 1. */

import { constantValue } from "../../ir/expr/build.ts";
import { bitsOf, type DType, isSigned } from "../../ir/expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr } from "../../ir/expr/expr.ts";
import { invariant } from "../../ir/support/invariant.ts";
import { isNonNegative } from "./facts.ts";
import type { FunctionContext } from "./function-context.ts";
import { registerType, scalarLiteral, splatLiteral, vectorOf } from "./types.ts";
import { literal, type Value } from "./writer.ts";

/** Operands of one instruction: values, their type, and the expressions for facts about them. */
interface Operands {
  readonly ctx: FunctionContext;
  readonly dtype: DType;
  readonly type: string;
  readonly a: Value;
  readonly b: Value;
  readonly exprA: Expr;
  readonly exprB: Expr;
}

const instruction = (o: Operands, name: string, a: Value, b: Value): Value =>
  o.ctx.writer.hoisted(`${name} ${o.type} ${a.ref}, ${b.ref}`, [a, b]);
const number = (o: Operands, value: number | bigint): Value =>
  literal(splatLiteral(registerType({ ...o.dtype, lanes: 1 }), scalarLiteral(o.dtype.scalar, value), o.dtype.lanes));
const condition = (o: Operands, predicate: string, a: Value, b: Value): Value =>
  o.ctx.writer.hoisted(`icmp ${predicate} ${o.type} ${a.ref}, ${b.ref}`, [a, b]);
const choose = (o: Operands, c: Value, a: Value, b: Value): Value =>
  o.ctx.writer.hoisted(`select ${vectorOf("i1", o.dtype.lanes)} ${c.ref}, ${o.type} ${a.ref}, ${o.type} ${b.ref}`, [
    c,
    a,
    b,
  ]);

/** Writes a binary operator on integers or bools. */
export function integerBinary(ctx: FunctionContext, op: BinaryOp, exprA: Expr, exprB: Expr): Value {
  const dtype = exprA.dtype;
  const o: Operands = { ctx, dtype, type: registerType(dtype), a: ctx.emit(exprA), b: ctx.emit(exprB), exprA, exprB };
  return dtype.scalar === "bool" ? boolBinary(op, o) : wordBinary(op, o);
}

function boolBinary(op: BinaryOp, o: Operands): Value {
  const names: Partial<Record<BinaryOp, string>> = {
    and: "and",
    mul: "and",
    min: "and",
    or: "or",
    add: "or",
    max: "or",
    xor: "xor",
  };
  const name = names[op];
  invariant(name, `${op} is not defined on bool`);
  return instruction(o, name, o.a, o.b);
}

function wordBinary(op: BinaryOp, o: Operands): Value {
  const signed = isSigned(o.dtype.scalar);
  switch (op) {
    case "add":
    case "sub":
    case "mul":
    case "and":
    case "or":
    case "xor":
      return instruction(o, op, o.a, o.b);
    case "min":
      return choose(o, condition(o, signed ? "slt" : "ult", o.a, o.b), o.a, o.b);
    case "max":
      return choose(o, condition(o, signed ? "sgt" : "ugt", o.a, o.b), o.a, o.b);
    case "div":
      return signed ? quotient(o) : instruction(o, "udiv", o.a, safeDivisor(o));
    case "mod":
      return signed ? remainder(o) : instruction(o, "urem", o.a, safeDivisor(o));
    case "floordiv":
      return signed ? floorQuotient(o) : instruction(o, "udiv", o.a, safeDivisor(o));
    case "floormod":
      return signed ? floorRemainder(o) : instruction(o, "urem", o.a, safeDivisor(o));
    case "shl":
      return choose(o, condition(o, "ult", o.b, number(o, bitsOf(o.dtype.scalar))), shifted(o, "shl"), number(o, 0));
    case "shr":
      return signed ? arithmeticShift(o) : logicalShift(o);
    case "pow":
      return power(o);
  }
}

/** The amount of a shift must stay in range even where the result is not chosen. */
function shifted(o: Operands, name: string): Value {
  const amount = instruction(o, "and", o.b, number(o, bitsOf(o.dtype.scalar) - 1));
  return instruction(o, name, o.a, amount);
}
function arithmeticShift(o: Operands): Value {
  const last = number(o, bitsOf(o.dtype.scalar) - 1);
  const amount = choose(o, condition(o, "ult", o.b, last), o.b, last);
  return instruction(o, "ashr", o.a, amount);
}
function logicalShift(o: Operands): Value {
  const inside = condition(o, "ult", o.b, number(o, bitsOf(o.dtype.scalar)));
  return choose(o, inside, shifted(o, "lshr"), number(o, 0));
}

/** The divisor when it is a constant (also broadcast). */
function constantDivisor(e: Expr): number | undefined {
  return e.kind === "broadcast" ? constantValue(e.value) : constantValue(e);
}
function safeDivisor(o: Operands): Value {
  const c = constantDivisor(o.exprB);
  if (c !== undefined && c !== 0) return o.b;
  return choose(o, condition(o, "eq", o.b, number(o, 0)), number(o, 1), o.b);
}
const isPowerOfTwo = (c: number): boolean => c > 0 && Number.isInteger(Math.log2(c)) && 2 ** Math.log2(c) === c;

/** minInt / -1 traps in hardware: a divisor of -1 becomes 1 and the sign is turned afterwards. */
function quotient(o: Operands): Value {
  const c = constantDivisor(o.exprB);
  if (c !== undefined && c !== 0 && c !== -1) return instruction(o, "sdiv", o.a, o.b);
  const minus = condition(o, "eq", o.b, number(o, -1));
  const q = instruction(o, "sdiv", o.a, choose(o, minus, number(o, 1), safeDivisor(o)));
  return choose(o, minus, instruction(o, "sub", number(o, 0), o.a), q);
}
function remainder(o: Operands): Value {
  const c = constantDivisor(o.exprB);
  if (c !== undefined && c !== 0 && c !== -1) return instruction(o, "srem", o.a, o.b);
  const minus = condition(o, "eq", o.b, number(o, -1));
  const r = instruction(o, "srem", o.a, choose(o, minus, number(o, 1), safeDivisor(o)));
  return choose(o, minus, number(o, 0), r);
}
function floorQuotient(o: Operands): Value {
  const c = constantDivisor(o.exprB);
  if (c !== undefined && isPowerOfTwo(c)) return instruction(o, "ashr", o.a, number(o, Math.log2(c)));
  if (c !== undefined && c > 0) {
    if (isNonNegative(o.ctx, o.exprA)) return instruction(o, "udiv", o.a, o.b);
    const q = instruction(o, "sdiv", o.a, o.b);
    const r = instruction(o, "srem", o.a, o.b);
    return choose(o, condition(o, "slt", r, number(o, 0)), instruction(o, "sub", q, number(o, 1)), q);
  }
  const q = quotient(o);
  return choose(o, roundsUp(o, remainder(o)), instruction(o, "sub", q, number(o, 1)), q);
}
function floorRemainder(o: Operands): Value {
  const c = constantDivisor(o.exprB);
  if (c !== undefined && isPowerOfTwo(c)) return instruction(o, "and", o.a, number(o, c - 1));
  if (c !== undefined && c > 0) {
    if (isNonNegative(o.ctx, o.exprA)) return instruction(o, "urem", o.a, o.b);
    const r = instruction(o, "srem", o.a, o.b);
    return choose(o, condition(o, "slt", r, number(o, 0)), instruction(o, "add", r, o.b), r);
  }
  const r = remainder(o);
  return choose(o, roundsUp(o, r), instruction(o, "add", r, o.b), r);
}
/** Whether truncation rounded towards +inf: the remainder is not zero and differs in sign from the divisor. */
function roundsUp(o: Operands, r: Value): Value {
  const inexact = condition(o, "ne", r, number(o, 0));
  const differs = condition(o, "slt", instruction(o, "xor", r, o.b), number(o, 0));
  return o.ctx.writer.hoisted(`and ${vectorOf("i1", o.dtype.lanes)} ${inexact.ref}, ${differs.ref}`, [
    inexact,
    differs,
  ]);
}

/** Powers by squaring, one lane at a time. */
function power(o: Operands): Value {
  const { scalar, lanes } = o.dtype;
  const element = registerType({ ...o.dtype, lanes: 1 });
  const callee = o.ctx.module.define(`tw.pow.${scalar}`, () => powerFunction(scalar, element, isSigned(scalar)));
  const one = (a: Value, b: Value): Value =>
    o.ctx.writer.pure(`call ${element} ${callee}(${element} ${a.ref}, ${element} ${b.ref})`);
  if (lanes === 1) return one(o.a, o.b);
  let result = literal("poison");
  for (let k = 0; k < lanes; k++) {
    const x = o.ctx.writer.pure(`extractelement ${o.type} ${o.a.ref}, i64 ${k}`);
    const y = o.ctx.writer.pure(`extractelement ${o.type} ${o.b.ref}, i64 ${k}`);
    result = o.ctx.writer.pure(`insertelement ${o.type} ${result.ref}, ${element} ${one(x, y).ref}, i64 ${k}`);
  }
  return result;
}
/** a^b modulo 2^bits; a negative power truncates towards zero (1, ±1 or 0). */
function powerFunction(scalar: string, t: string, signed: boolean): string {
  const negative = signed ? `icmp slt ${t} %b, 0` : `icmp ult ${t} %b, 0`;
  return `define internal ${t} @tw.pow.${scalar}(${t} %a, ${t} %b) #0 {
entry:
  %negative = ${negative}
  br i1 %negative, label %inverse, label %loop
inverse:
  %isone = icmp eq ${t} %a, 1
  %isminus = icmp eq ${t} %a, -1
  %low = and ${t} %b, 1
  %odd = icmp ne ${t} %low, 0
  %sign = select i1 %odd, ${t} -1, ${t} 1
  %other = select i1 %isminus, ${t} %sign, ${t} 0
  %inv = select i1 %isone, ${t} 1, ${t} %other
  ret ${t} %inv
loop:
  %n = phi ${t} [ %b, %entry ], [ %half, %step ]
  %base = phi ${t} [ %a, %entry ], [ %square, %step ]
  %acc = phi ${t} [ 1, %entry ], [ %next, %step ]
  %done = icmp eq ${t} %n, 0
  br i1 %done, label %exit, label %step
step:
  %bit = and ${t} %n, 1
  %use = icmp ne ${t} %bit, 0
  %product = mul ${t} %acc, %base
  %next = select i1 %use, ${t} %product, ${t} %acc
  %square = mul ${t} %base, %base
  %half = lshr ${t} %n, 1
  br label %loop
exit:
  ret ${t} %acc
}`;
}

const predicates: Record<CompareOp, readonly [signed: string, unsigned: string]> = {
  eq: ["eq", "eq"],
  ne: ["ne", "ne"],
  lt: ["slt", "ult"],
  le: ["sle", "ule"],
  gt: ["sgt", "ugt"],
  ge: ["sge", "uge"],
};
/** Writes a comparison of integers or bools. */
export function integerCompare(ctx: FunctionContext, op: CompareOp, exprA: Expr, exprB: Expr): Value {
  const [a, b] = [ctx.emit(exprA), ctx.emit(exprB)];
  const predicate = predicates[op][isSigned(exprA.dtype.scalar) ? 0 : 1];
  return ctx.writer.hoisted(`icmp ${predicate} ${registerType(exprA.dtype)} ${a.ref}, ${b.ref}`, [a, b]);
}
