/** Expressions as text: infix with the fewest parentheses. */
import { type DType, indexType } from "../expr/dtype.ts";
import type { Expr } from "../expr/expr.ts";
import type { Range } from "../loop/program.ts";
import { assertNever } from "../support/invariant.ts";
import { NameScope } from "./names.ts";
import { comparisons, constantLiteral, infixOf, precedence } from "./vocabulary.ts";

/** A type as text: `float32`, `float32x16`. */
export const typeText = (t: DType): string => (t.lanes === 1 ? t.scalar : `${t.scalar}x${t.lanes}`);

/** An expression as text; variables and buffers are named by `names`. */
export function printExpr(e: Expr, names: NameScope = new NameScope()): string {
  return new ExprPrinter(names).text(e);
}

class ExprPrinter {
  readonly #names: NameScope;
  constructor(names: NameScope) {
    this.#names = names;
  }
  text(e: Expr): string {
    return this.#print(e).text;
  }
  #list(list: readonly Expr[]): string {
    return list.map((e) => this.text(e)).join(", ");
  }
  /** The text, in parentheses where it binds weaker than `level`. */
  #at(e: Expr, level: number): string {
    const { text, binds } = this.#print(e);
    return binds < level ? `(${text})` : text;
  }
  #print(e: Expr): { text: string; binds: number } {
    switch (e.kind) {
      case "const":
        return atom(constantLiteral(e));
      case "var":
        return atom(this.#names.var(e));
      case "unary":
        return this.#unary(e);
      case "binary":
        return this.#binary(e);
      case "compare": {
        const level = precedence.compare;
        const text = `${this.#at(e.a, level + 1)} ${comparisons[e.op]} ${this.#at(e.b, level + 1)}`;
        return { text, binds: level };
      }
      case "select":
        return atom(`select(${this.#list([e.condition, e.then, e.otherwise])})`);
      case "cast":
        return atom(`${e.dtype.scalar}(${this.text(e.value)})`);
      case "load": {
        const access = `${this.#names.buffer(e.buffer)}[${this.#list(e.indices)}]`;
        return atom(e.predicate ? `masked(${access}, ${this.text(e.predicate)})` : access);
      }
      case "ramp":
        return atom(`ramp(${this.#list([e.base, e.stride])}, ${e.dtype.lanes})`);
      case "broadcast":
        return atom(`broadcast(${this.text(e.value)}, ${e.dtype.lanes})`);
      case "shuffle":
        return atom(`shuffle([${this.#list(e.vectors)}], [${e.lanes.join(", ")}])`);
      case "vectorReduce":
        return atom(`vectorReduce(${e.op}, ${this.text(e.value)})`);
      case "call":
        return atom(
          `${e.callee}(${[...(e.callee === "fma" ? [] : [typeText(e.dtype)]), ...(e.args.length > 0 ? [this.#list(e.args)] : [])].join(", ")})`,
        );
      default:
        return assertNever(e);
    }
  }
  #unary(e: Expr & { kind: "unary" }): { text: string; binds: number } {
    if (e.op === "not" && e.dtype.scalar === "bool") {
      return { text: `not ${this.#at(e.value, precedence.not)}`, binds: precedence.not };
    }
    if (e.op !== "neg" && e.op !== "not") return atom(`${e.op}(${this.text(e.value)})`);
    const inner =
      e.op === "neg" && e.value.kind === "const" ? `(${this.text(e.value)})` : this.#at(e.value, precedence.prefix);
    return { text: `${e.op === "neg" ? "-" : "~"}${inner}`, binds: precedence.prefix };
  }
  #binary(e: Expr & { kind: "binary" }): { text: string; binds: number } {
    const infix = infixOf(e.op, e.dtype.scalar);
    if (!infix) return atom(`${e.op}(${this.#list([e.a, e.b])})`);
    const { symbol, level } = infix;
    return { text: `${this.#at(e.a, level)} ${symbol} ${this.#at(e.b, level + 1)}`, binds: level };
  }
}
const atom = (text: string): { text: string; binds: number } => ({ text, binds: precedence.atom });

/** `0..n` and `2..10` for known bounds, else `min..+extent`. */
export function printRange(r: Range, names: NameScope): string {
  const { min, extent } = r;
  const first = wholeIndex(min);
  const count = wholeIndex(extent);
  if (first === 0) return `0..${printExpr(extent, names)}`;
  if (first !== undefined && count !== undefined) return `${first}..${first + count}`;
  return `${printExpr(min, names)}..+${printExpr(extent, names)}`;
}
/** The value of a constant of the index type that is a safe number. */
const wholeIndex = (e: Expr): number | undefined =>
  e.kind === "const" && e.dtype === indexType && typeof e.value === "number" ? e.value : undefined;
/** A dimension of a region: `i` for the single element i, else a range. */
export const printRegionRange = (r: Range, names: NameScope): string =>
  wholeIndex(r.extent) === 1 ? printExpr(r.min, names) : printRange(r, names);
