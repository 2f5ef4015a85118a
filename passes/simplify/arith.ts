/**
 * Sums, products and bit operations. Sums and products of the index type are put into the canonical affine form before
 * these rules run (`../analysis/affine.ts`); here are the rules for every other type. Floats are never reordered.
 */
import { binary, constant, scalarLike } from "../../ir/expr/build.ts";
import { isFloat } from "../../ir/expr/dtype.ts";
import type { Binary, BinaryOp, Expr, Unary } from "../../ir/expr/expr.ts";
import { binaryFunction } from "../../ir/interp/arithmetic.ts";
import { negate } from "../analysis/interval.ts";
import { compareExprs, sameExpr } from "../analysis/order.ts";
import { foldBinary, foldUnary, isConstant } from "./fold.ts";
import type { Rule } from "./rule.ts";

const integral = (e: Expr): boolean => !isFloat(e.dtype.scalar);
const isBool = (e: Expr): boolean => e.dtype.scalar === "bool";
const commutative: ReadonlySet<BinaryOp> = new Set(["add", "mul", "min", "max", "and", "or", "xor"]);

export const arithRules: readonly Rule<Binary>[] = [
  foldBinary,
  {
    // Integers only: with floats the payload of a NaN, or the operand that min/max return, would change.
    name: "constant-right",
    apply: (e) =>
      integral(e) && commutative.has(e.op) && e.a.kind === "const" && e.b.kind !== "const"
        ? binary(e.op, e.b, e.a)
        : undefined,
  },
  {
    // x + 0 is not x for the float -0; x + (-0) is.
    name: "add-zero",
    apply: (e) => (e.op === "add" && isConstant(e.b, integral(e) ? 0 : -0) ? e.a : undefined),
  },
  { name: "sub-zero", apply: (e) => (e.op === "sub" && isConstant(e.b, 0) ? e.a : undefined) },
  {
    name: "sub-self",
    apply: (e) => (e.op === "sub" && integral(e) && sameExpr(e.a, e.b) ? scalarLike(e.dtype, 0) : undefined),
  },
  { name: "mul-one", apply: (e) => (e.op === "mul" && isConstant(e.b, 1) ? e.a : undefined) },
  { name: "one-mul", apply: (e) => (e.op === "mul" && isConstant(e.a, 1) ? e.b : undefined) },
  {
    name: "mul-zero",
    apply: (e) => (e.op === "mul" && integral(e) && isConstant(e.b, 0) ? scalarLike(e.dtype, 0) : undefined),
  },
  {
    // Sound modulo 2^bits for the integer ring and for bit operations.
    name: "join-constants",
    apply: (e) => {
      const inner = e.a;
      if (e.b.kind !== "const" || !integral(e) || !associative.has(e.op)) return undefined;
      if (inner.kind !== "binary" || inner.op !== e.op || inner.b.kind !== "const") return undefined;
      return binary(e.op, inner.a, constant(e.dtype, binaryFunction(e.op, e.dtype.scalar)(inner.b.value, e.b.value)));
    },
  },
  {
    name: "order-factors",
    apply: (e) =>
      e.op === "mul" && integral(e) && e.b.kind !== "const" && compareExprs(e.a, e.b) > 0
        ? binary("mul", e.b, e.a)
        : undefined,
  },
  { name: "and-true", apply: (e) => (e.op === "and" && isBool(e) && isConstant(e.b, 1) ? e.a : undefined) },
  { name: "and-zero", apply: (e) => (e.op === "and" && integral(e) && isConstant(e.b, 0) ? e.b : undefined) },
  { name: "or-zero", apply: (e) => (orLike.has(e.op) && isConstant(e.b, 0) ? e.a : undefined) },
  { name: "or-true", apply: (e) => (e.op === "or" && isBool(e) && isConstant(e.b, 1) ? e.b : undefined) },
  {
    name: "same-operands",
    apply: (e) => ((e.op === "and" || e.op === "or") && sameExpr(e.a, e.b) ? e.a : undefined),
  },
  {
    // a && (a && b), (a && b) && b: a conjunct that is there already adds nothing.
    name: "known-conjunct",
    apply: (e) =>
      (e.op !== "and" && e.op !== "or") || !isBool(e)
        ? undefined
        : has(e.a, e.op, e.b)
          ? e.a
          : has(e.b, e.op, e.a)
            ? e.b
            : undefined,
  },
  { name: "shift-zero", apply: (e) => (shifts.has(e.op) && isConstant(e.b, 0) ? e.a : undefined) },
];
const associative: ReadonlySet<BinaryOp> = new Set(["add", "mul", "min", "max", "and", "or", "xor"]);
const orLike: ReadonlySet<BinaryOp> = new Set(["or", "xor"]);
const shifts: ReadonlySet<BinaryOp> = new Set(["shl", "shr"]);
const has = (e: Expr, op: BinaryOp, part: Expr): boolean =>
  sameExpr(e, part) || (e.kind === "binary" && e.op === op && (has(e.a, op, part) || has(e.b, op, part)));

export const unaryRules: readonly Rule<Unary>[] = [
  foldUnary,
  {
    name: "double-negation",
    apply: (e) =>
      (e.op === "neg" || e.op === "not") && e.value.kind === "unary" && e.value.op === e.op ? e.value.value : undefined,
  },
  {
    name: "not-compare",
    apply: (e) => (e.op === "not" && e.value.kind === "compare" ? negate(e.value) : undefined),
  },
  {
    name: "neg-sub",
    apply: (e) =>
      e.op === "neg" && integral(e) && e.value.kind === "binary" && e.value.op === "sub"
        ? binary("sub", e.value.b, e.value.a)
        : undefined,
  },
];
