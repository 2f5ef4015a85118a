/** Cuts program text into lines of tokens. */
import { InputError } from "../support/errors.ts";

export type TokenKind = "name" | "number" | "symbol" | "annotation" | "end";
export interface Token {
  readonly kind: TokenKind;
  /** The text; of a quoted name, what stands inside. */
  readonly text: string;
  readonly quoted?: boolean;
  /** 0-based column. */
  readonly column: number;
}
export interface Line {
  readonly number: number;
  readonly source: string;
  readonly indent: number;
  readonly tokens: readonly Token[];
}

/** An InputError that shows the line with a caret under the column. Lines and columns count from 1. */
export function parseError(
  rule: string,
  message: string,
  line: Pick<Line, "number" | "source">,
  column: number,
): never {
  const number = String(line.number);
  const text = [
    `${message} (line ${number}, column ${column + 1})`,
    `  ${number} │ ${line.source}`,
    `  ${" ".repeat(number.length)} │ ${" ".repeat(column)}^`,
  ];
  throw new InputError(`parse/${rule}`, text.join("\n"), { line: line.number, column: column + 1 });
}

const patterns: readonly { kind: TokenKind; pattern: RegExp }[] = [
  { kind: "number", pattern: /\d+(\.\d+)?([eE][+-]?\d+)?(bf|[iuf])?\d*/y },
  { kind: "name", pattern: /[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z0-9_$]+)*/y },
  { kind: "symbol", pattern: /\.\.|<<|>>|<=|>=|==|!=|\/\/|[-+*/%&|^~<>=()[\],:]/y },
];

/** The lines of `text` that hold tokens. @throws InputError `parse/bad-character`, `parse/bad-annotation`, `parse/indentation` */
export function lexLines(text: string): Line[] {
  const lines: Line[] = [];
  text.split(/\r?\n/).forEach((source, k) => {
    const indent = /^ */.exec(source)![0].length;
    const tokens = lexLine(source, k + 1, indent);
    if (tokens.length > 1) lines.push({ number: k + 1, source, indent, tokens });
  });
  return lines;
}
function lexLine(source: string, number: number, start: number): Token[] {
  const tokens: Token[] = [];
  let at = start;
  while (at < source.length && source[at] !== "#") {
    if (source[at] === " ") {
      at++;
      continue;
    }
    const token = lexToken(source, number, at);
    tokens.push(token.token);
    at = token.end;
  }
  tokens.push({ kind: "end", text: "end of line", column: at });
  return tokens;
}
function lexToken(source: string, number: number, at: number): { token: Token; end: number } {
  if (source[at] === "`") return quotedName(source, number, at);
  if (source[at] === "@") return annotation(source, number, at);
  for (const { kind, pattern } of patterns) {
    pattern.lastIndex = at;
    const text = pattern.exec(source)?.[0];
    if (text !== undefined) return { token: { kind, text, column: at }, end: at + text.length };
  }
  return parseError("bad-character", `unexpected character ${JSON.stringify(source[at])}`, { number, source }, at);
}
function quotedName(source: string, number: number, at: number): { token: Token; end: number } {
  const end = source.indexOf("`", at + 1);
  const inner = end < 0 ? undefined : json(`"${source.slice(at + 1, end)}"`);
  if (typeof inner !== "string")
    return parseError("bad-name", "this quoted name does not end well", { number, source }, at);
  return { token: { kind: "name", text: inner, quoted: true, column: at }, end: end + 1 };
}
/** `@{…}`: a JSON object to its matching brace. */
function annotation(source: string, number: number, at: number): { token: Token; end: number } {
  for (let end = source.indexOf("}", at); end >= 0; end = source.indexOf("}", end + 1)) {
    const text = source.slice(at + 1, end + 1);
    if (json(text) !== undefined) return { token: { kind: "annotation", text, column: at }, end: end + 1 };
  }
  return parseError("bad-annotation", "an annotation is @ and a JSON object", { number, source }, at);
}
/** The value of a JSON text, or undefined when it is none. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
