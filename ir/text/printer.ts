/** Programs and statements as text that `parseProgram` reads back. */
import { indexType } from "../expr/dtype.ts";
import type { Buffer, Var } from "../expr/expr.ts";
import type {
  Annotations,
  AnnotationValue,
  Block,
  For,
  If,
  ParallelCall,
  PrimFunc,
  Program,
  Region,
  Stmt,
  Store,
} from "../loop/program.ts";
import type { BlockId, VarId } from "../support/ids.ts";
import { assertNever } from "../support/invariant.ts";
import { colorize } from "./color.ts";
import { NameScope, quoteName } from "./names.ts";
import { printExpr, printRange, printRegionRange, typeText } from "./print-expr.ts";

export interface PrintOptions {
  /** Marks words and numbers with ANSI colours. Default false. */
  readonly colors?: boolean;
  /** Prints annotations. Default true; without them the text loses facts. */
  readonly annotations?: boolean;
}
/** Where a statement's first line stands: 0-based line, columns [begin, end) without the colon. */
export interface Span {
  readonly line: number;
  readonly begin: number;
  readonly end: number;
}
/** A printed program with the place of each of its parts. */
export interface PrintedProgram {
  readonly lines: readonly string[];
  readonly statements: ReadonlyMap<Stmt, Span>;
  readonly loops: ReadonlyMap<VarId, Span>;
  readonly blocks: ReadonlyMap<BlockId, Span>;
  readonly functions: ReadonlyMap<string, Span>;
}

/** A program as text, ending in a line break. */
export function printProgram(p: Program, options: PrintOptions = {}): string {
  const text = printWithPlaces(p, options)
    .lines.map((l) => `${l}\n`)
    .join("");
  return options.colors ? colorize(text) : text;
}
/** A statement as text without a final line break; what is free in it goes by its own name. */
export function printStmt(s: Stmt, options: PrintOptions = {}): string {
  const printer = new Printer(options);
  printer.stmt(s, 0, true);
  const text = printer.lines.join("\n");
  return options.colors ? colorize(text) : text;
}
/** A program as lines, and where its parts stand in them. */
export function printWithPlaces(p: Program, options: PrintOptions = {}): PrintedProgram {
  const printer = new Printer(options);
  p.functions.forEach((f, k) => {
    if (k > 0) printer.lines.push("");
    printer.function(f);
  });
  return printer;
}

const annotationValue = (v: AnnotationValue): string =>
  Array.isArray(v) ? `[${v.map((x) => JSON.stringify(x)).join(", ")}]` : JSON.stringify(v);

class Printer implements PrintedProgram {
  readonly lines: string[] = [];
  readonly statements = new Map<Stmt, Span>();
  readonly loops = new Map<VarId, Span>();
  readonly blocks = new Map<BlockId, Span>();
  readonly functions = new Map<string, Span>();
  readonly #annotated: boolean;
  #names = new NameScope();
  constructor(options: PrintOptions) {
    this.#annotated = options.annotations ?? true;
  }

  function(f: PrimFunc): void {
    this.#names = new NameScope();
    const chunk = f.chunk ? [f.chunk.begin, f.chunk.end] : [];
    this.#names.within({ buffers: f.params.map((p) => p.buffer), vars: [...f.scalars, ...chunk] }, () => {
      const scalars = f.scalars.map((v) => `${this.#names.var(v)}: ${typeText(v.dtype)}`);
      const params = f.params.map((p) => this.#declaration(p.buffer, p.role === "input" ? "" : `${p.role} `));
      const over = f.chunk ? ` over ${chunk.map((v) => this.#bound(v)).join("..")}` : "";
      const math = f.math === "default" ? "" : ` math ${f.math}`;
      const head = `${f.chunk ? "task" : "program"} ${quoteName(f.name)}(${[...scalars, ...params].join(", ")})`;
      this.functions.set(f.name, this.#line(0, `${head}${over}${math}${this.#notes(f.annotations)}`, ":"));
      this.stmt(f.body, 1, true);
    });
  }
  /** Adds a line; `tail` stands outside the span. */
  #line(depth: number, text: string, tail = ""): Span {
    const indent = "  ".repeat(depth);
    this.lines.push(indent + text + tail);
    return { line: this.lines.length - 1, begin: indent.length, end: indent.length + text.length };
  }
  #notes(a: Annotations | undefined): string {
    const keys = Object.keys(a ?? {});
    if (!this.#annotated || keys.length === 0) return "";
    return ` @{${keys.map((k) => `${JSON.stringify(k)}: ${annotationValue(a![k]!)}`).join(", ")}}`;
  }
  #bound(v: Var): string {
    return v.dtype === indexType ? this.#names.var(v) : `${typeText(v.dtype)} ${this.#names.var(v)}`;
  }
  #typedVar(v: Var): string {
    return v.dtype === indexType ? this.#names.var(v) : `${this.#names.var(v)}: ${typeText(v.dtype)}`;
  }
  #declaration(b: Buffer, role = ""): string {
    const shape = b.shape.map((n) => printExpr(n, this.#names)).join(", ");
    const scope = b.scope === "global" ? "" : ` in ${b.scope}`;
    const strides = b.strides ? ` strides [${b.strides.join(", ")}]` : "";
    const offset = b.offset ? ` offset ${b.offset}` : "";
    const align = b.alignment === 64 ? "" : ` align ${b.alignment}`;
    return `${this.#names.buffer(b)}: ${role}${b.dtype.scalar}[${shape}]${scope}${strides}${offset}${align}`;
  }

  /** Prints `s`; `last`: nothing follows in the same list, so an allocation or let needs no indented body. */
  stmt(s: Stmt, depth: number, last: boolean): void {
    switch (s.kind) {
      case "for":
        this.#for(s, depth);
        break;
      case "block":
        this.#block(s, depth);
        break;
      case "seq":
        if (s.body.length === 0) this.#mark(s, this.#line(depth, "pass"));
        for (const [k, c] of s.body.entries()) this.stmt(c, depth, last && k === s.body.length - 1);
        break;
      case "store":
        this.#store(s, depth);
        break;
      case "if":
        this.#if(s, depth);
        break;
      case "let": {
        const value = this.#expr(s.value);
        const type = s.var.dtype === s.value.dtype ? "" : `: ${typeText(s.var.dtype)}`;
        this.#names.within({ vars: [s.var] }, () =>
          this.#scoped(s, `let ${this.#names.var(s.var)}${type} = ${value}`, depth, last),
        );
        break;
      }
      case "allocate":
        this.#names.within({ buffers: [s.buffer] }, () =>
          this.#scoped(s, `allocate ${this.#declaration(s.buffer)}`, depth, last),
        );
        break;
      case "evaluate":
        this.#mark(s, this.#line(depth, `evaluate ${this.#expr(s.value)}`));
        break;
      case "parallelCall":
        this.#parallelCall(s, depth);
        break;
      default:
        assertNever(s);
    }
  }
  #store(s: Store, depth: number): void {
    const mask = s.predicate ? ` where ${this.#expr(s.predicate)}` : "";
    const target = `${this.#names.buffer(s.buffer)}[${s.indices.map((i) => this.#expr(i)).join(", ")}]`;
    const hint = `${s.nontemporal ? " nontemporal" : ""}${s.atomic ? " atomic" : ""}`;
    this.#mark(s, this.#line(depth, `${target} = ${this.#expr(s.value)}${mask}${hint}`));
  }
  #if(s: If, depth: number): void {
    this.#mark(s, this.#line(depth, `if ${this.#expr(s.condition)}`, ":"));
    this.stmt(s.then, depth + 1, true);
    if (!s.otherwise) return;
    this.#line(depth, "else:");
    this.stmt(s.otherwise, depth + 1, true);
  }
  #parallelCall(s: ParallelCall, depth: number): void {
    const args = [...s.buffers.map((b) => this.#names.buffer(b)), ...s.scalars.map((v) => this.#names.var(v))];
    const text = `parallel call ${quoteName(s.callee)}(${args.join(", ")}) over ${this.#expr(s.extent)}`;
    this.#mark(s, this.#line(depth, text));
  }
  #mark(s: Stmt, span: Span): void {
    if (!this.statements.has(s)) this.statements.set(s, span);
  }
  #expr(e: Parameters<typeof printExpr>[0]): string {
    return printExpr(e, this.#names);
  }
  #scoped(s: Stmt & { body: Stmt }, head: string, depth: number, last: boolean): void {
    this.#mark(s, this.#line(depth, head, last ? "" : ":"));
    this.stmt(s.body, last ? depth : depth + 1, true);
  }
  #for(s: For, depth: number): void {
    const kinds = {
      serial: "",
      parallel: "parallel ",
      vectorized: "vectorized ",
      unrolled: "unrolled ",
      tensorized: "tensorized ",
    };
    const kind = s.loopKind === "thread" ? `bind(${s.axis}) ` : kinds[s.loopKind];
    const bounds = printRange(s, this.#names);
    this.#names.within({ vars: [s.var] }, () => {
      const head = `${kind}for ${this.#typedVar(s.var)} in ${bounds}${this.#notes(s.annotations)}`;
      const span = this.#line(depth, head, ":");
      this.#mark(s, span);
      if (!this.loops.has(s.var.id)) this.loops.set(s.var.id, span);
      this.stmt(s.body, depth + 1, true);
    });
  }
  #block(s: Block, depth: number): void {
    const bindings = s.bindings.map((e) => this.#expr(e));
    const extents = s.iterVars.map((v) => this.#expr(v.extent));
    const where = s.predicate ? ` where ${this.#expr(s.predicate)}` : "";
    this.#names.within({ vars: s.iterVars.map((v) => v.var), prefix: "v" }, () => {
      const vars = s.iterVars.map((v, k) => {
        const type = v.var.dtype === indexType ? "" : `${typeText(v.var.dtype)} `;
        return `${this.#names.var(v.var)}: ${type}${v.kind} ${extents[k]} = ${bindings[k]}`;
      });
      const head = `block ${quoteName(s.name)}(${vars.join(", ")})${where}${this.#notes(s.annotations)}`;
      const span = this.#line(depth, head, ":");
      this.#mark(s, span);
      if (!this.blocks.has(s.id)) this.blocks.set(s.id, span);
      this.#regions("reads", s.reads, depth + 1);
      this.#regions("writes", s.writes, depth + 1);
      if (s.init) {
        this.#line(depth + 1, "init:");
        this.stmt(s.init, depth + 2, true);
      }
      this.stmt(s.body, depth + 1, true);
    });
  }
  #regions(word: string, regions: readonly Region[], depth: number): void {
    if (regions.length === 0) return;
    const text = regions.map(
      (r) => `${this.#names.buffer(r.buffer)}[${r.ranges.map((q) => printRegionRange(q, this.#names)).join(", ")}]`,
    );
    this.#line(depth, `${word} ${text.join(", ")}`);
  }
}
