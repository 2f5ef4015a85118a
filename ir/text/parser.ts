/** Reads programs as `printProgram` writes them. */
import { buffer as makeBuffer, variable } from "../expr/build.ts";
import { type DType, indexType } from "../expr/dtype.ts";
import type { Buffer, Expr, Scope, Var } from "../expr/expr.ts";
import {
  allocate,
  block,
  emptyStmt,
  evaluate,
  forLoop,
  iterVar,
  letIn,
  parallelCall,
  primFunc,
  program,
  region,
  seq,
  store,
} from "../loop/build.ts";
import type {
  Annotations,
  Block,
  For,
  IterKind,
  LoopKind,
  MathPolicy,
  Param,
  ParamRole,
  PrimFunc,
  Program,
  Region,
  Stmt,
  ThreadAxis,
} from "../loop/program.ts";
import { IdSource } from "../support/ids.ts";
import { type Line, lexLines, type Token } from "./lexer.ts";
import { rawIf } from "./nodes.ts";
import { parseExpr, parseIndices, parseRange, parseRegionRange } from "./parse-expr.ts";
import { Names, Reader } from "./reader.ts";

/**
 * The program that `text` says: `parseProgram(printProgram(p))` is structurally equal to p. Ids are fresh.
 * @throws InputError `parse/…` with line, column and the line marked
 */
export function parseProgram(text: string): Program {
  return new Parser(lexLines(text)).program();
}

const axes: readonly ThreadAxis[] = [
  "blockIdx.x",
  "blockIdx.y",
  "blockIdx.z",
  "threadIdx.x",
  "threadIdx.y",
  "threadIdx.z",
  "vthread",
];
const loopWords: readonly LoopKind[] = ["parallel", "vectorized", "unrolled", "tensorized"];
const roles: readonly ParamRole[] = ["input", "output", "constant", "workspace"];
const iterKinds: readonly IterKind[] = ["spatial", "reduction", "ordered"];
const scopes: readonly Scope[] = ["global", "stack", "register", "shared", "local"];
const policies: readonly MathPolicy[] = ["strict", "default", "fast"];

class Parser {
  readonly #lines: readonly Line[];
  readonly #ids = new IdSource();
  #at = 0;
  #names = new Names();
  constructor(lines: readonly Line[]) {
    this.#lines = lines;
  }

  program(): Program {
    const functions: PrimFunc[] = [];
    while (this.#at < this.#lines.length) functions.push(this.#function());
    return program(functions, this.#ids);
  }
  /** A reader over the current line, which is then behind us. */
  #take(): Reader {
    return new Reader(this.#lines[this.#at++]!, this.#names);
  }
  #function(): PrimFunc {
    this.#names = new Names();
    const r = this.#take();
    if (r.line.indent > 0) r.fail("indentation", "a function starts at the first column");
    const task = r.is("task");
    if (!task && !r.is("program")) r.fail("unexpected-token", `expected "program" or "task", found ${r.found()}`);
    r.next();
    const name = r.name();
    const scalars: Var[] = [];
    const params: Param[] = [];
    r.expect("(");
    r.list(")", () => this.#param(r, scalars, params));
    const chunk = task ? this.#chunk(r) : undefined;
    const math = r.take("math") ? this.#word(r, policies, "math policy") : "default";
    const annotations = this.#annotations(r);
    const body = this.#body(r);
    return primFunc({ name, params, scalars, math, body, chunk, annotations });
  }
  #param(r: Reader, scalars: Var[], params: Param[]): void {
    const token = r.token;
    const name = r.name();
    if (this.#names.get(name)) r.fail("duplicate-name", `${name} is declared twice`, token);
    r.expect(":");
    const role = roles.some((w) => r.is(w)) ? this.#word(r, roles, "role") : undefined;
    const type = r.type();
    if (!role && !r.is("[")) {
      scalars.push(this.#define(name, type).var);
      return;
    }
    const declared = this.#declared(r, name, type);
    this.#names.define(name, { buffer: declared });
    params.push({ buffer: declared, role: role ?? "input" });
  }
  #define(name: string, type: DType): { var: Var; undo: () => void } {
    const v = variable(this.#ids, name, type);
    return { var: v, undo: this.#names.define(name, { var: v }) };
  }
  #chunk(r: Reader): { begin: Var; end: Var } {
    r.expect("over");
    const bound = (): Var => {
      const type = r.isType() && r.peek(1).kind === "name" ? r.type() : indexType;
      return this.#define(r.name(), type).var;
    };
    const begin = bound();
    r.expect("..");
    const end = bound();
    return { begin, end };
  }
  #word<T extends string>(r: Reader, words: readonly T[], what: string): T {
    const word = words.find((w) => r.is(w));
    if (!word) return r.fail("unexpected-token", `expected a ${what} (${words.join(", ")}), found ${r.found()}`);
    r.next();
    return word;
  }
  /** What follows a buffer's name and type: `[shape] in scope strides [..] offset n align n`. */
  #declared(r: Reader, name: string, type: DType): Buffer {
    const shape = parseIndices(r);
    const scope = r.take("in") ? this.#word(r, scopes, "scope") : "global";
    const strides = r.take("strides") ? this.#wholes(r) : undefined;
    const offset = r.take("offset") ? r.whole() : undefined;
    const alignment = r.take("align") ? r.whole() : undefined;
    return makeBuffer(this.#ids, name, type.scalar, shape, { scope, strides, offset, alignment });
  }
  #wholes(r: Reader): number[] {
    r.expect("[");
    return r.list("]", () => r.whole());
  }
  #annotations(r: Reader): Annotations | undefined {
    return r.token.kind === "annotation" ? (JSON.parse(r.next().text) as Annotations) : undefined;
  }

  /** The colon of `head` and the deeper lines below it. */
  #body(head: Reader): Stmt {
    return this.#rest(this.#open(head));
  }
  /** Takes the colon of `head` and gives the indentation of what follows. */
  #open(head: Reader): number {
    head.expect(":");
    head.end();
    const next = this.#lines[this.#at];
    if (next && next.indent > head.line.indent) return next.indent;
    return head.fail("indentation", "an indented body must follow");
  }
  /** The statements from here to the end of the list at this indentation. */
  #rest(indent: number): Stmt {
    const list: Stmt[] = [];
    for (let line = this.#lines[this.#at]; line && line.indent >= indent; line = this.#lines[this.#at]) {
      const r = this.#take();
      if (line.indent > indent) r.fail("indentation", "this line is indented more than the one before it");
      list.push(this.#statement(r, indent));
    }
    return seq(list);
  }
  #statement(r: Reader, indent: number): Stmt {
    const { token } = r;
    const follower = r.peek(1);
    const access = token.quoted || (follower.kind === "symbol" && follower.text === "[");
    if (access) return this.#store(r);
    if (token.text === "parallel" && follower.text === "call") return this.#parallelCall(r);
    if (token.text === "for" || token.text === "bind" || loopWords.some((w) => w === token.text)) return this.#for(r);
    if (r.take("block")) return this.#block(r);
    if (r.take("if")) return this.#if(r, indent);
    if (r.take("let")) return this.#let(r, indent);
    if (r.take("allocate")) return this.#allocate(r, indent);
    if (r.take("evaluate")) return this.#ended(r, evaluate(parseExpr(r)));
    if (r.take("pass")) return this.#ended(r, emptyStmt);
    return r.fail("unexpected-token", `expected a statement, found ${r.found()}`);
  }
  #ended<T>(r: Reader, result: T): T {
    r.end();
    return result;
  }
  #store(r: Reader): Stmt {
    const token = r.token;
    const target = r.buffer();
    const indices = parseIndices(r);
    if (indices.length !== target.shape.length) {
      r.fail(
        "index-count",
        `${token.text} has ${target.shape.length} dimensions, got ${indices.length} indices`,
        token,
      );
    }
    const equals = r.expect("=");
    const value = parseExpr(r);
    if (value.dtype.scalar !== target.dtype.scalar) {
      r.fail("type-mismatch", `${token.text} holds ${target.dtype.scalar}, the value is ${value.dtype.scalar}`, equals);
    }
    const predicate = r.take("where") ? parseExpr(r) : undefined;
    const stored = store(target, indices, value, predicate);
    const past = r.take("nontemporal") ? { ...stored, nontemporal: true as const } : stored;
    return this.#ended(r, r.take("atomic") ? { ...past, atomic: true } : past);
  }
  #for(r: Reader): For {
    const { loopKind, axis } = this.#loopKind(r);
    r.expect("for");
    const name = r.name();
    const type = r.optionalType();
    r.expect("in");
    const { min, extent } = parseRange(r);
    const annotations = this.#annotations(r);
    const defined = this.#define(name, type);
    const body = this.#body(r);
    defined.undo();
    return forLoop(defined.var, extent, body, { min, loopKind, axis, annotations });
  }
  #loopKind(r: Reader): { loopKind: LoopKind; axis?: ThreadAxis } {
    if (r.is("for")) return { loopKind: "serial" };
    if (!r.take("bind")) return { loopKind: this.#word(r, loopWords, "loop kind") };
    r.expect("(");
    const axis = this.#word(r, axes, "thread axis");
    r.expect(")");
    return { loopKind: "thread", axis };
  }
  #if(r: Reader, indent: number): Stmt {
    const condition = parseExpr(r);
    const then = this.#body(r);
    const next = this.#lines[this.#at];
    const hasElse = next?.indent === indent && next.tokens[0]?.text === "else" && next.tokens[1]?.text === ":";
    if (!hasElse) return rawIf(condition, then);
    const head = this.#take();
    head.expect("else");
    return rawIf(condition, then, this.#body(head));
  }
  /** The body of an allocation or let: deeper lines after a colon, else the rest of the list. */
  #scoped(r: Reader, indent: number): Stmt {
    if (r.is(":")) return this.#body(r);
    r.end();
    return this.#rest(indent);
  }
  #let(r: Reader, indent: number): Stmt {
    const name = r.name();
    const type = r.take(":") ? r.type() : undefined;
    r.expect("=");
    const value = parseExpr(r);
    const defined = this.#define(name, type ?? value.dtype);
    const body = this.#scoped(r, indent);
    defined.undo();
    return letIn(defined.var, value, body);
  }
  #allocate(r: Reader, indent: number): Stmt {
    const name = r.name();
    r.expect(":");
    const declared = this.#declared(r, name, r.type());
    const undo = this.#names.define(name, { buffer: declared });
    const body = this.#scoped(r, indent);
    undo();
    return allocate(declared, body);
  }
  #parallelCall(r: Reader): Stmt {
    r.next();
    r.next();
    const callee = r.name();
    const buffers: Buffer[] = [];
    const scalars: Var[] = [];
    r.expect("(");
    r.list(")", () => this.#argument(r, buffers, scalars));
    r.expect("over");
    return this.#ended(r, parallelCall({ callee, extent: parseExpr(r), buffers, scalars }));
  }
  #argument(r: Reader, buffers: Buffer[], scalars: Var[]): void {
    const token: Token = r.token;
    const meaning = this.#names.get(r.name());
    if (!meaning) r.fail("unknown-name", `nothing is called ${token.text} here`, token);
    else if ("buffer" in meaning) buffers.push(meaning.buffer);
    else scalars.push(meaning.var);
  }
  #block(r: Reader): Block {
    const name = r.name();
    const bindings: Expr[] = [];
    r.expect("(");
    const pending = r.list(")", () => {
      const varName = r.name();
      r.expect(":");
      const type = r.isType() ? r.type() : undefined;
      const kind = this.#word(r, iterKinds, "kind of iteration variable");
      const extent = parseExpr(r);
      r.expect("=");
      bindings.push(parseExpr(r));
      return { varName, type, kind, extent };
    });
    const predicate = r.take("where") ? parseExpr(r) : undefined;
    const annotations = this.#annotations(r);
    const indent = this.#open(r);
    const defined = pending.map((p) => this.#define(p.varName, p.type ?? p.extent.dtype));
    const iterVars = pending.map((p, k) => iterVar(defined[k]!.var, p.extent, p.kind));
    const reads = this.#regions("reads");
    const writes = this.#regions("writes");
    const init = this.#init();
    const body = this.#rest(indent);
    for (const d of defined.reverse()) d.undo();
    return block(this.#ids, { name, iterVars, bindings, predicate, annotations, reads, writes, init, body });
  }
  #regions(word: "reads" | "writes"): Region[] {
    const line = this.#lines[this.#at];
    if (line?.tokens[0]?.text !== word || line.tokens[1]?.kind !== "name") return [];
    const r = this.#take();
    r.next();
    const regions: Region[] = [];
    do {
      const token = r.token;
      const b = r.buffer();
      r.expect("[");
      const ranges = r.list("]", () => parseRegionRange(r));
      if (ranges.length !== b.shape.length) {
        r.fail("index-count", `${token.text} has ${b.shape.length} dimensions, got ${ranges.length} ranges`, token);
      }
      regions.push(region(b, ranges));
    } while (r.take(","));
    return this.#ended(r, regions);
  }
  #init(): Stmt | undefined {
    const line = this.#lines[this.#at];
    if (line?.tokens[0]?.text !== "init" || line.tokens[1]?.text !== ":") return undefined;
    const r = this.#take();
    r.expect("init");
    return this.#body(r);
  }
}
