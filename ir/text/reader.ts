/** Reads the tokens of one line, with the names in scope. */
import { type DType, dtype, indexType, type ScalarType, scalarTypes } from "../expr/dtype.ts";
import type { Buffer, Var } from "../expr/expr.ts";
import { type Line, parseError, type Token } from "./lexer.ts";

/** What a name stands for. */
export type Meaning = { readonly var: Var } | { readonly buffer: Buffer };

/** Names in scope; inner ones hide outer ones. */
export class Names {
  readonly #map = new Map<string, Meaning>();
  get(name: string): Meaning | undefined {
    return this.#map.get(name);
  }
  /** Defines `name` and gives a function that undoes it. */
  define(name: string, meaning: Meaning): () => void {
    const outer = this.#map.get(name);
    this.#map.set(name, meaning);
    return () => {
      if (outer === undefined) this.#map.delete(name);
      else this.#map.set(name, outer);
    };
  }
}

/** A cursor over one line. */
export class Reader {
  readonly line: Line;
  readonly names: Names;
  #at = 0;
  constructor(line: Line, names: Names) {
    this.line = line;
    this.names = names;
  }
  get token(): Token {
    return this.line.tokens[Math.min(this.#at, this.line.tokens.length - 1)]!;
  }
  /** The token `ahead` places on. */
  peek(ahead: number): Token {
    return this.line.tokens[Math.min(this.#at + ahead, this.line.tokens.length - 1)]!;
  }
  next(): Token {
    const token = this.token;
    this.#at++;
    return token;
  }
  fail(rule: string, message: string, at: Token = this.token): never {
    return parseError(rule, message, this.line, at.column);
  }
  /** Whether the next token is this word or symbol. */
  is(text: string): boolean {
    const { kind, quoted } = this.token;
    return (kind === "name" || kind === "symbol") && !quoted && this.token.text === text;
  }
  /** Takes the next token if it is this word or symbol. */
  take(text: string): boolean {
    if (!this.is(text)) return false;
    this.#at++;
    return true;
  }
  expect(text: string): Token {
    if (!this.is(text)) this.fail("unexpected-token", `expected ${JSON.stringify(text)}, found ${this.found()}`);
    return this.next();
  }
  found(): string {
    return this.token.kind === "end" ? "the end of the line" : JSON.stringify(this.token.text);
  }
  name(): string {
    if (this.token.kind !== "name") this.fail("unexpected-token", `expected a name, found ${this.found()}`);
    return this.next().text;
  }
  /** A whole number without suffix. */
  whole(): number {
    const negative = this.take("-");
    const { kind, text } = this.token;
    if (kind !== "number" || !/^\d+$/.test(text) || !Number.isSafeInteger(Number(text))) {
      this.fail("unexpected-token", `expected a whole number, found ${this.found()}`);
    }
    this.next();
    return negative ? -Number(text) : Number(text);
  }
  /** `item, item, …` up to `close`, which is taken. */
  list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.take(close)) return items;
    do items.push(item());
    while (this.take(","));
    this.expect(close);
    return items;
  }
  end(): void {
    if (this.token.kind !== "end") this.fail("unexpected-token", `expected the end of the line, found ${this.found()}`);
  }
  /** Whether the next token is the name of a type. */
  isType(): boolean {
    return this.token.kind === "name" && typeNamed(this.token.text) !== undefined;
  }
  type(): DType {
    const type = this.token.kind === "name" ? typeNamed(this.token.text) : undefined;
    if (!type) return this.fail("unknown-type", `expected a type, found ${this.found()}`);
    this.next();
    return type;
  }
  /** `: type` where it stands, else the index type. */
  optionalType(): DType {
    return this.take(":") ? this.type() : indexType;
  }
  buffer(): Buffer {
    const token = this.token;
    const meaning = this.names.get(this.name());
    if (!meaning || !("buffer" in meaning))
      return this.fail("unknown-name", `no buffer is called ${token.text} here`, token);
    return meaning.buffer;
  }
}
function typeNamed(text: string): DType | undefined {
  const [, scalar, lanes] = /^([a-z]+\d*?)(?:x(\d+))?$/.exec(text) ?? [];
  const known = scalarTypes.find((t): t is ScalarType => t === scalar);
  if (known === undefined || (lanes !== undefined && Number(lanes) < 1)) return undefined;
  return dtype(known, lanes === undefined ? 1 : Number(lanes));
}
