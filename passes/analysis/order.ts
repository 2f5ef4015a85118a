/** Identity-based equality and a total order on expressions: variables and buffers compare by id, never by name. */
import { indexType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { children } from "../../ir/expr/traverse.ts";

/** Whether two expressions are the same tree over the same variables and buffers. */
export function sameExpr(a: Expr, b: Expr): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || a.dtype !== b.dtype) return false;
  if (a.kind === "var") return a.id === (b as typeof a).id;
  if (a.kind === "const") return Object.is(a.value, (b as typeof a).value);
  if (a.kind === "binary") {
    const other = b as typeof a;
    return a.op === other.op && sameExpr(a.a, other.a) && sameExpr(a.b, other.b);
  }
  return compareExprs(a, b) === 0;
}

const kindRank: Readonly<Record<Expr["kind"], number>> = {
  var: 0,
  binary: 1,
  unary: 2,
  compare: 3,
  select: 4,
  cast: 5,
  load: 6,
  ramp: 7,
  broadcast: 8,
  shuffle: 9,
  vectorReduce: 10,
  call: 11,
  const: 12,
};

/** A total order: variables by id first, constants last, otherwise by kind, operator, then operands. */
export function compareExprs(a: Expr, b: Expr): number {
  if (a === b) return 0;
  if (a.kind !== b.kind) return kindRank[a.kind] - kindRank[b.kind];
  if (a.kind === "var") return a.id - (b as typeof a).id;
  if (a.dtype !== b.dtype) return compareText(`${a.dtype.scalar}${a.dtype.lanes}`, `${b.dtype.scalar}${b.dtype.lanes}`);
  const own = compareOwn(a, b);
  if (own !== 0) return own;
  const x = children(a);
  const y = children(b);
  if (x.length !== y.length) return x.length - y.length;
  for (let i = 0; i < x.length; i++) {
    const c = compareExprs(x[i]!, y[i]!);
    if (c !== 0) return c;
  }
  return 0;
}

/** Compares what nodes of one kind hold beside their children. */
function compareOwn(a: Expr, b: Expr): number {
  switch (a.kind) {
    case "const": {
      const other = b as typeof a;
      if (Object.is(a.value, other.value)) return 0;
      if (a.value < other.value) return -1;
      if (a.value > other.value) return 1;
      return compareText(describe(a.value), describe(other.value));
    }
    case "unary":
    case "binary":
    case "compare":
    case "vectorReduce":
      return compareText(a.op, (b as typeof a).op);
    case "load":
      return a.buffer.id - (b as typeof a).buffer.id;
    case "shuffle":
      return compareText(a.lanes.join(), (b as typeof a).lanes.join());
    case "call":
      return compareText(a.callee, (b as typeof a).callee);
    default:
      return 0;
  }
}
const compareText = (x: string, y: string): number => (x === y ? 0 : x < y ? -1 : 1);
/** Tells -0 from 0 and NaN from numbers. */
const describe = (v: number | bigint): string => (Object.is(v, -0) ? "-0" : String(v));

const keys = new WeakMap<Expr, string>();
/** A text that is equal for structurally equal expressions, and for no others. */
export function keyOf(e: Expr): string {
  if (e.kind === "var") return `v${e.id}`;
  if (e.dtype === indexType) {
    if (e.kind === "const" && typeof e.value === "number") return String(e.value);
    if (e.kind === "binary") return `(${keyOf(e.a)} ${e.op} ${keyOf(e.b)})`;
  }
  let key = keys.get(e);
  if (key === undefined) {
    key = spelled(e);
    keys.set(e, key);
  }
  return key;
}
/** All fields of a node but names; a buffer's id stands for it. */
function spelled(e: object): string {
  let text = "(";
  for (const [field, value] of Object.entries(e)) {
    if (field === "name" || value === undefined) continue;
    text += `${field}:${field === "buffer" ? (value as { id: number }).id : spelledValue(value)} `;
  }
  return `${text})`;
}
function spelledValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return describe(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(spelledValue).join()}]`;
  return "kind" in value ? keyOf(value as Expr) : spelled(value);
}
