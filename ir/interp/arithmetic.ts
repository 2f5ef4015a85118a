/** Binary operators and comparisons on scalars, one function a type, chosen once when a program is compiled. */
import { bitsOf, isFloat, isSigned, type ScalarType } from "../expr/dtype.ts";
import type { BinaryOp, CompareOp } from "../expr/expr.ts";
import { divisionByZero, InterpreterError } from "./error.ts";
import { isWide, normalizer, type Scalar, wrapWide } from "./scalar.ts";

export type BinaryFunction = (a: Scalar, b: Scalar) => Scalar;
type NumberFunction = (a: number, b: number) => number;

/** The meaning of `op` on two values of type `scalar`. @throws InterpreterError where the type has no such operator. */
export function binaryFunction(op: BinaryOp, scalar: ScalarType): BinaryFunction {
  // Math.min and Math.max differ on NaN and on signed zeros.
  // biome-ignore lint/complexity/useMathMinMax: the meaning of min is this comparison
  if (op === "min") return (a, b) => (a < b ? a : b);
  // biome-ignore lint/complexity/useMathMinMax: the meaning of max is this comparison
  if (op === "max") return (a, b) => (a > b ? a : b);
  if (scalar === "bool") return boolFunction(op);
  if (isFloat(scalar)) return floatFunction(op, scalar) as BinaryFunction;
  return isWide(scalar) ? wideFunction(op, scalar) : (narrowFunction(op, scalar) as BinaryFunction);
}
function noOperator(op: string, scalar: ScalarType): never {
  throw new InterpreterError("interp/no-operator", `${op} is not defined on ${scalar}`, { op, scalar });
}

function boolFunction(op: BinaryOp): BinaryFunction {
  switch (op) {
    case "and":
    case "mul":
      return (a, b) => (a !== 0 && b !== 0 ? 1 : 0);
    case "or":
    case "add":
      return (a, b) => (a !== 0 || b !== 0 ? 1 : 0);
    case "xor":
      return (a, b) => (a !== b ? 1 : 0);
    default:
      return noOperator(op, "bool");
  }
}

function floatFunction(op: BinaryOp, scalar: ScalarType): NumberFunction {
  const round = normalizer(scalar) as (v: number) => number;
  if (scalar === "float32") {
    if (op === "add") return (a, b) => Math.fround(a + b);
    if (op === "mul") return (a, b) => Math.fround(a * b);
  }
  switch (op) {
    case "add":
      return (a, b) => round(a + b);
    case "sub":
      return (a, b) => round(a - b);
    case "mul":
      return (a, b) => round(a * b);
    case "div":
      return (a, b) => round(a / b);
    case "mod":
      return (a, b) => a % b;
    case "floordiv":
      return (a, b) => Math.floor(round(a / b));
    case "floormod":
      return (a, b) => round(floorRemainder(a, b));
    case "pow":
      return (a, b) => round(power(a, b));
    default:
      return noOperator(op, scalar);
  }
}
const floorRemainder: NumberFunction = (a, b) => {
  const r = a % b;
  return r !== 0 && r < 0 !== b < 0 ? r + b : r;
};
/** As in C: 1^NaN = 1, x^0 = 1, (-1)^±inf = 1. */
const power: NumberFunction = (a, b) => (a === 1 || b === 0 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b);
/** The exact truncated quotient of safe integers. */
const quotient: NumberFunction = (a, b) => (b === 0 ? divisionByZero() : (a - (a % b)) / b);
const floorQuotient: NumberFunction = (a, b) => {
  if (b === 0) divisionByZero();
  const r = a % b;
  const q = (a - r) / b;
  return r !== 0 && r < 0 !== b < 0 ? q - 1 : q;
};
const remainder: NumberFunction = (a, b) => (b === 0 ? divisionByZero() : a % b);
const floorModulo: NumberFunction = (a, b) => (b === 0 ? divisionByZero() : floorRemainder(a, b));

/** Integers of at most 32 bits. */
function narrowFunction(op: BinaryOp, scalar: ScalarType): NumberFunction {
  const wrap = normalizer(scalar) as (v: number) => number;
  switch (op) {
    case "add":
      return (a, b) => wrap(a + b);
    case "sub":
      return (a, b) => wrap(a - b);
    case "mul":
      return (a, b) => wrap(Math.imul(a, b));
    case "div":
      return (a, b) => wrap(quotient(a, b));
    case "mod":
      return (a, b) => wrap(remainder(a, b));
    case "floordiv":
      return (a, b) => wrap(floorQuotient(a, b));
    case "floormod":
      return (a, b) => wrap(floorModulo(a, b));
    case "pow":
      return (a, b) => wrap(Number(BigInt.asIntN(32, integerPower(BigInt(a), BigInt(b)))));
    case "and":
      return (a, b) => wrap(a & b);
    case "or":
      return (a, b) => wrap(a | b);
    case "xor":
      return (a, b) => wrap(a ^ b);
    case "shl":
    case "shr":
      return narrowShift(op, scalar, wrap);
    default:
      return noOperator(op, scalar);
  }
}
function narrowShift(op: "shl" | "shr", scalar: ScalarType, wrap: (v: number) => number): NumberFunction {
  const width = bitsOf(scalar);
  const outside = (amount: number): boolean => amount < 0 || amount >= width;
  if (op === "shl") return (a, b) => (outside(b) ? 0 : wrap(a << b));
  if (isSigned(scalar)) return (a, b) => (outside(b) ? (a < 0 ? -1 : 0) : a >> b);
  return (a, b) => (outside(b) ? 0 : a >>> b);
}

/** 64-bit integers: on safe numbers while the result is safe, else on bigints. */
function wideFunction(op: BinaryOp, scalar: ScalarType): BinaryFunction {
  const exact = exactFunction(op, scalar);
  const fast = fastFunction(op);
  const slow: BinaryFunction = (a, b) => wrapWide(scalar, exact(BigInt(a), BigInt(b)));
  if (!fast) return slow;
  const low = scalar === "uint64" ? 0 : Number.MIN_SAFE_INTEGER;
  return (a, b) => {
    if (typeof a === "number" && typeof b === "number") {
      const r = fast(a, b);
      if (r >= low && r <= Number.MAX_SAFE_INTEGER) return r + 0;
    }
    return slow(a, b);
  };
}
function fastFunction(op: BinaryOp): NumberFunction | undefined {
  switch (op) {
    case "add":
      return (a, b) => a + b;
    case "sub":
      return (a, b) => a - b;
    case "mul":
      return (a, b) => a * b;
    case "div":
      return quotient;
    case "mod":
      return remainder;
    case "floordiv":
      return floorQuotient;
    case "floormod":
      return floorModulo;
    default:
      return undefined;
  }
}
function exactFunction(op: BinaryOp, scalar: ScalarType): (a: bigint, b: bigint) => bigint {
  const signed = scalar === "int64";
  switch (op) {
    case "add":
      return (a, b) => a + b;
    case "sub":
      return (a, b) => a - b;
    case "mul":
      return (a, b) => a * b;
    case "div":
      return (a, b) => (b === 0n ? divisionByZero() : a / b);
    case "mod":
      return (a, b) => (b === 0n ? divisionByZero() : a % b);
    case "floordiv":
      return (a, b) => (b === 0n ? divisionByZero() : (a - floorModuloExact(a, b)) / b);
    case "floormod":
      return (a, b) => (b === 0n ? divisionByZero() : floorModuloExact(a, b));
    case "pow":
      return integerPower;
    case "and":
      return (a, b) => a & b;
    case "or":
      return (a, b) => a | b;
    case "xor":
      return (a, b) => a ^ b;
    case "shl":
      return (a, b) => (b < 0n || b > 63n ? 0n : a << b);
    case "shr":
      return (a, b) => (b < 0n || b > 63n ? (signed && a < 0n ? -1n : 0n) : a >> b);
    default:
      return noOperator(op, scalar);
  }
}
function floorModuloExact(a: bigint, b: bigint): bigint {
  const r = a % b;
  return r !== 0n && r < 0n !== b < 0n ? r + b : r;
}
/** a^b modulo 2^64 (any narrower width follows); negative powers truncate towards zero. */
function integerPower(a: bigint, b: bigint): bigint {
  if (b < 0n) {
    if (a === 0n) divisionByZero();
    if (a === 1n) return 1n;
    return a === -1n ? (b & 1n ? -1n : 1n) : 0n;
  }
  let result = 1n;
  let base = a;
  for (let n = b; n > 0n; n >>= 1n) {
    if (n & 1n) result = BigInt.asIntN(64, result * base);
    base = BigInt.asIntN(64, base * base);
  }
  return result;
}

/** The meaning of a comparison: 1 or 0. Both operands are canonical for one type. */
export function compareFunction(op: CompareOp): (a: Scalar, b: Scalar) => number {
  switch (op) {
    case "eq":
      return (a, b) => (a === b ? 1 : 0);
    case "ne":
      return (a, b) => (a !== b ? 1 : 0);
    case "lt":
      return (a, b) => (a < b ? 1 : 0);
    case "le":
      return (a, b) => (a <= b ? 1 : 0);
    case "gt":
      return (a, b) => (a > b ? 1 : 0);
    case "ge":
      return (a, b) => (a >= b ? 1 : 0);
  }
}
