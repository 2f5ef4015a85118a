/**
 * Patterns over expressions and statements. A pattern either matches a node or does not, and remembers parts of it by
 * name; the names and their kinds are in its type, so that a replacement that asks for another name does not compile. A
 * name that stands twice matches equal parts only.
 */
import { constantValue } from "../../ir/expr/build.ts";
import type { ScalarType } from "../../ir/expr/dtype.ts";
import type { BinaryOp, Buffer, CompareOp, Const, Expr, Intrinsic, UnaryOp, Var } from "../../ir/expr/expr.ts";
import { structurallyEqual } from "../../ir/loop/equality.ts";
import type { For, LoopKind, Stmt } from "../../ir/loop/program.ts";

/** What a name can stand for. */
export type Captured = Expr | Stmt | Buffer;
/** Captured parts by name. */
export type Captures = Readonly<Record<string, Captured>>;

/** Only in types: what a pattern captures. */
declare const found: unique symbol;

/** A pattern for nodes of type `Node` (Expr or Stmt) that captures `Found`. */
export interface Pattern<Node extends Expr | Stmt, Found extends Captures> {
  /** The pattern as people write it, for errors and docs. */
  readonly text: string;
  /** What was captured, in addition to `known`; undefined where the node does not match. */
  readonly match: (node: Node, known: Captures) => Captures | undefined;
  readonly [found]?: Found;
}
/** A pattern of expressions. */
export type ExprPattern<Found extends Captures = Captures> = Pattern<Expr, Found>;
/** A pattern of statements. */
export type StmtPattern<Found extends Captures = Captures> = Pattern<Stmt, Found>;

type Named<Name extends string, Value extends Captured> = { readonly [K in Name]: Value };
type Nothing = Readonly<Record<never, never>>;
/** Written where a constant may stand for a pattern. */
type Operand<Found extends Captures> = ExprPattern<Found> | number;

/** Adds a part by name; a name that is taken must stand for an equal part. */
function capture(name: string, part: Captured, known: Captures): Captures | undefined {
  const before = known[name];
  if (before === undefined) return { ...known, [name]: part };
  return sameParts(before, part) ? known : undefined;
}
function sameParts(a: Captured, b: Captured): boolean {
  if (!("kind" in a) || !("kind" in b)) return !("kind" in a) && !("kind" in b) && a.id === b.id;
  return structurallyEqual(a, b);
}
const lift = <Found extends Captures>(p: Operand<Found>): ExprPattern<Found> =>
  typeof p === "number" ? (literal(p) as ExprPattern<Found>) : p;

/** Any expression. */
const any = <Name extends string>(name: Name): ExprPattern<Named<Name, Expr>> => ({
  text: name,
  match: (e, known) => capture(name, e, known),
});
/** Any constant; a constant in every lane counts. */
const constant = <Name extends string>(name: Name): ExprPattern<Named<Name, Const>> => ({
  text: name,
  match: (e, known) => {
    const c = e.kind === "broadcast" ? e.value : e;
    return c.kind === "const" ? capture(name, c, known) : undefined;
  },
});
/** Any variable. */
const variable = <Name extends string>(name: Name): ExprPattern<Named<Name, Var>> => ({
  text: name,
  match: (e, known) => (e.kind === "var" ? capture(name, e, known) : undefined),
});
/** The constant of this value, of any type, in every lane. */
const literal = (value: number): ExprPattern<Nothing> => ({
  text: String(value),
  match: (e, known) => (constantValue(e.kind === "broadcast" ? e.value : e) === value ? known : undefined),
});

/** An operation on two operands; numbers stand for constants. */
function binary<A extends Captures, B extends Captures>(
  op: BinaryOp | readonly BinaryOp[],
  a: Operand<A>,
  b: Operand<B>,
): ExprPattern<A & B> {
  const ops = new Set<BinaryOp>(typeof op === "string" ? [op] : op);
  const [left, right] = [lift(a), lift(b)];
  return {
    text: `${[...ops].join("|")}(${left.text}, ${right.text})`,
    match: (e, known) => {
      if (e.kind !== "binary" || !ops.has(e.op)) return undefined;
      const first = left.match(e.a, known);
      return first && right.match(e.b, first);
    },
  };
}
/** An operation whose operands may stand either way round. */
function commutative<A extends Captures, B extends Captures>(
  op: BinaryOp | readonly BinaryOp[],
  a: Operand<A>,
  b: Operand<B>,
): ExprPattern<A & B> {
  const [one, other] = [binary(op, a, b), binary(op, b, a)];
  return { text: one.text, match: (e, known) => one.match(e, known) ?? other.match(e, known) };
}
/** An operation on one operand. */
function unary<Found extends Captures>(op: UnaryOp, value: Operand<Found>): ExprPattern<Found> {
  const inner = lift(value);
  return {
    text: `${op}(${inner.text})`,
    match: (e, known) => (e.kind === "unary" && e.op === op ? inner.match(e.value, known) : undefined),
  };
}
/** A comparison. */
function compare<A extends Captures, B extends Captures>(
  op: CompareOp,
  a: Operand<A>,
  b: Operand<B>,
): ExprPattern<A & B> {
  const [left, right] = [lift(a), lift(b)];
  return {
    text: `${op}(${left.text}, ${right.text})`,
    match: (e, known) => {
      if (e.kind !== "compare" || e.op !== op) return undefined;
      const first = left.match(e.a, known);
      return first && right.match(e.b, first);
    },
  };
}
/** `condition ? then : otherwise`. */
function select<C extends Captures, A extends Captures, B extends Captures>(
  condition: ExprPattern<C>,
  then: Operand<A>,
  otherwise: Operand<B>,
): ExprPattern<C & A & B> {
  const parts = [condition, lift(then), lift(otherwise)] as const;
  return {
    text: `select(${parts.map((p) => p.text).join(", ")})`,
    match: (e, known) => (e.kind === "select" ? matchAll(parts, [e.condition, e.then, e.otherwise], known) : undefined),
  };
}
/** A conversion to a type. */
function cast<Found extends Captures>(to: ScalarType, value: Operand<Found>): ExprPattern<Found> {
  const inner = lift(value);
  return {
    text: `${to}(${inner.text})`,
    match: (e, known) => (e.kind === "cast" && e.dtype.scalar === to ? inner.match(e.value, known) : undefined),
  };
}
/** A call of an intrinsic with arguments that match one by one. */
function call<Found extends Captures>(callee: Intrinsic, ...args: readonly ExprPattern<Found>[]): ExprPattern<Found> {
  return {
    text: `${callee}(${args.map((a) => a.text).join(", ")})`,
    match: (e, known) =>
      e.kind === "call" && e.callee === callee && e.args.length === args.length
        ? matchAll(args, e.args, known)
        : undefined,
  };
}
/** A load without a mask; `indices` left out match any. */
function load<Name extends string, Found extends Captures = Nothing>(
  buffer: Name,
  ...indices: readonly Operand<Found>[]
): ExprPattern<Named<Name, Buffer> & Found> {
  const parts = indices.map(lift);
  return {
    text: `${buffer}[${parts.map((p) => p.text).join(", ")}]`,
    match: (e, known) => {
      if (e.kind !== "load" || e.predicate) return undefined;
      const first = capture(buffer, e.buffer, known);
      if (!first || parts.length === 0) return first;
      return parts.length === e.indices.length ? matchAll(parts, e.indices, first) : undefined;
    },
  };
}
/** An expression whose element type is one of these. */
function typed<Found extends Captures>(types: readonly ScalarType[], value: ExprPattern<Found>): ExprPattern<Found> {
  return {
    text: value.text,
    match: (e, known) => (types.includes(e.dtype.scalar) ? value.match(e, known) : undefined),
  };
}
/** What `value` matches, under a name as a whole. */
function as<Name extends string, Found extends Captures>(
  name: Name,
  value: ExprPattern<Found>,
): ExprPattern<Named<Name, Expr> & Found> {
  return {
    text: `${name}: ${value.text}`,
    match: (e, known) => {
      const inner = value.match(e, known);
      return inner && capture(name, e, inner);
    },
  };
}
/** What any of several patterns matches; they capture the same names. */
function oneOf<Found extends Captures>(...patterns: readonly ExprPattern<Found>[]): ExprPattern<Found> {
  return {
    text: patterns.map((p) => p.text).join(" | "),
    match: (e, known) => {
      for (const p of patterns) {
        const all = p.match(e, known);
        if (all) return all;
      }
      return undefined;
    },
  };
}
function matchAll(
  patterns: readonly Pattern<Expr, Captures>[],
  nodes: readonly Expr[],
  known: Captures,
): Captures | undefined {
  return patterns.reduce<Captures | undefined>((all, p, k) => all && p.match(nodes[k]!, all), known);
}

/** Any statement. */
const stmt = <Name extends string>(name: Name): StmtPattern<Named<Name, Stmt>> => ({
  text: name,
  match: (s, known) => capture(name, s, known),
});
/** A store without a mask: its buffer by name, its value. Its indices are in the statement: `asStmt` captures that. */
function store<Name extends string, Found extends Captures>(
  buffer: Name,
  value: Operand<Found>,
): StmtPattern<Named<Name, Buffer> & Found> {
  const inner = lift(value);
  return {
    text: `${buffer}[…] = ${inner.text}`,
    match: (s, known) => {
      if (s.kind !== "store" || s.predicate) return undefined;
      const first = capture(buffer, s.buffer, known);
      return first && inner.match(s.value, first);
    },
  };
}
/** A loop: its kind, its extent, its body. The loop itself is captured as `name`. */
function loop<Name extends string, Extent extends Captures = Nothing, Body extends Captures = Nothing>(
  name: Name,
  parts: { readonly loopKind?: LoopKind; readonly extent?: Operand<Extent>; readonly body?: StmtPattern<Body> } = {},
): StmtPattern<Named<Name, For> & Extent & Body> {
  const extent = parts.extent === undefined ? undefined : lift(parts.extent);
  return {
    text: `${parts.loopKind ?? ""} for ${name} in 0..${extent?.text ?? "…"}: ${parts.body?.text ?? "…"}`.trim(),
    match: (s, known) => {
      if (s.kind !== "for" || (parts.loopKind !== undefined && s.loopKind !== parts.loopKind)) return undefined;
      const first = capture(name, s, known);
      const second = first && extent ? extent.match(s.extent, first) : first;
      return second && parts.body ? parts.body.match(s.body, second) : second;
    },
  };
}
/** `if condition: then`, without an else. */
function ifThen<C extends Captures, Then extends Captures>(
  condition: ExprPattern<C>,
  then: StmtPattern<Then>,
): StmtPattern<C & Then> {
  return {
    text: `if ${condition.text}: ${then.text}`,
    match: (s, known) => {
      if (s.kind !== "if" || s.otherwise) return undefined;
      const first = condition.match(s.condition, known);
      return first && then.match(s.then, first);
    },
  };
}
/** What `inner` matches, under a name as a whole. */
function asStmt<Name extends string, Found extends Captures>(
  name: Name,
  inner: StmtPattern<Found>,
): StmtPattern<Named<Name, Stmt> & Found> {
  return {
    text: `${name}: ${inner.text}`,
    match: (s, known) => {
      const all = inner.match(s, known);
      return all && capture(name, s, all);
    },
  };
}

/** Makers of patterns, as `pattern.binary("mul", pattern.any("x"), 1)`. */
export const pattern = {
  any,
  as,
  asStmt,
  binary,
  call,
  cast,
  commutative,
  compare,
  constant,
  ifThen,
  literal,
  load,
  loop,
  oneOf,
  select,
  stmt,
  store,
  typed,
  unary,
  variable,
};
