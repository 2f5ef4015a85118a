/** The words and symbols of the text form, shared by printer and parser so that they cannot disagree. */
import type { ScalarType } from "../expr/dtype.ts";
import type { BinaryOp, CompareOp, Expr, UnaryOp } from "../expr/expr.ts";

/** Binding strength of infix and prefix forms, weakest first. */
export const precedence = {
  or: 1,
  and: 2,
  not: 3,
  compare: 4,
  bitOr: 5,
  xor: 6,
  bitAnd: 7,
  shift: 8,
  sum: 9,
  product: 10,
  prefix: 11,
  atom: 12,
} as const;

interface Infix {
  readonly symbol: string;
  readonly op: BinaryOp;
  readonly level: number;
}
/** Symbols of binary operators; all associate to the left. */
export const infixes: readonly Infix[] = [
  { symbol: "or", op: "or", level: precedence.or },
  { symbol: "and", op: "and", level: precedence.and },
  { symbol: "|", op: "or", level: precedence.bitOr },
  { symbol: "^", op: "xor", level: precedence.xor },
  { symbol: "&", op: "and", level: precedence.bitAnd },
  { symbol: "<<", op: "shl", level: precedence.shift },
  { symbol: ">>", op: "shr", level: precedence.shift },
  { symbol: "+", op: "add", level: precedence.sum },
  { symbol: "-", op: "sub", level: precedence.sum },
  { symbol: "*", op: "mul", level: precedence.product },
  { symbol: "/", op: "div", level: precedence.product },
  { symbol: "//", op: "floordiv", level: precedence.product },
  { symbol: "%", op: "floormod", level: precedence.product },
];
/** Binary operators written as calls. */
export const binaryCalls: readonly BinaryOp[] = ["mod", "min", "max", "pow"];
export const comparisons: Readonly<Record<CompareOp, string>> = {
  eq: "==",
  ne: "!=",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
};
/** The symbol of a binary node; bools have words for and/or. Undefined where the operator is written as a call. */
export function infixOf(op: BinaryOp, scalar: ScalarType): Infix | undefined {
  const words = scalar === "bool";
  return infixes.find((i) => i.op === op && (op === "and" || op === "or" ? (i.symbol === op) === words : true));
}
/** Unary operators written as calls (all but `neg` and `not`). */
export const unaryCalls: ReadonlySet<string> = new Set<UnaryOp>([
  "abs",
  "sign",
  "ceil",
  "floor",
  "round",
  "trunc",
  "sqrt",
  "exp",
  "log",
  "sin",
  "cos",
  "tan",
  "asin",
  "acos",
  "atan",
  "sinh",
  "cosh",
  "tanh",
  "asinh",
  "acosh",
  "atanh",
  "erf",
  "isnan",
  "isinf",
]);
export const reduceOps = ["add", "mul", "min", "max", "and", "or"] as const;

/** Words that no variable or buffer is printed as. */
export const reserved: ReadonlySet<string> = new Set([
  "program",
  "task",
  "over",
  "math",
  "for",
  "in",
  "parallel",
  "vectorized",
  "unrolled",
  "tensorized",
  "bind",
  "block",
  "where",
  "reads",
  "writes",
  "init",
  "if",
  "else",
  "let",
  "allocate",
  "evaluate",
  "pass",
  "call",
  "and",
  "or",
  "not",
  "true",
  "false",
  "inf",
  "nan",
  "spatial",
  "reduction",
  "ordered",
  "input",
  "output",
  "constant",
  "workspace",
  "strides",
  "offset",
  "align",
]); // prettier-ignore

/** Suffixes of typed constants. */
export const suffixes: Readonly<Record<Exclude<ScalarType, "bool">, string>> = {
  int8: "i8",
  int16: "i16",
  int32: "i32",
  int64: "i64",
  uint8: "u8",
  uint16: "u16",
  uint32: "u32",
  uint64: "u64",
  float16: "f16",
  bfloat16: "bf16",
  float32: "f32",
  float64: "f64",
};

/** A constant as text: whole numbers are int64 and decimal ones float32 unless a suffix says otherwise. */
export function constantLiteral(e: Expr & { kind: "const" }): string {
  const { scalar } = e.dtype;
  if (scalar === "bool") return e.value === 0 ? "false" : "true";
  const suffix = scalar === "int64" || scalar === "float32" ? "" : suffixes[scalar];
  if (typeof e.value === "bigint" || !/float/.test(scalar)) return `${e.value}${suffix}`;
  if (Number.isFinite(e.value)) return `${decimal(e.value, scalar)}${suffix}`;
  const word = Number.isNaN(e.value) ? "nan" : e.value > 0 ? "inf" : "-inf";
  return suffix === "" ? word : `${word}_${suffix}`;
}
/** The shortest decimal that reads back as the same value; it always holds a point or an exponent. */
function decimal(v: number, scalar: ScalarType): string {
  if (Object.is(v, -0)) return "-0.0";
  let text = String(v);
  for (let digits = 1; scalar === "float32" && digits <= 9; digits++) {
    const shorter = String(Number(v.toPrecision(digits)));
    if (Math.fround(Number(shorter)) !== v) continue;
    text = shorter;
    break;
  }
  return /[.e]/.test(text) ? text : `${text}.0`;
}
