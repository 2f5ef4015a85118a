/** Walks a program with what is in scope at each node: what every rule needs to know. */
import type { Buffer, Expr, Var } from "../expr/expr.ts";
import { children } from "../expr/traverse.ts";
import type { Block, PrimFunc, Program, Stmt } from "../loop/program.ts";
import { childExprs, childStmts } from "../loop/traverse.ts";
import type { BufferId, VarId } from "../support/ids.ts";

/** What is visible at a node. */
export interface Scope {
  readonly vars: ReadonlyMap<VarId, Var>;
  /** Variables around the innermost block, which its inside must not use. */
  readonly hidden: ReadonlyMap<VarId, Var>;
  readonly buffers: ReadonlyMap<BufferId, Buffer>;
  /** The blocks around, outermost first. */
  readonly blocks: readonly Block[];
}
/** Where a node stands. */
export interface Place {
  readonly func: PrimFunc;
  /** The statement that holds the node; undefined in a function's parameters. */
  readonly stmt: Stmt | undefined;
  readonly scope: Scope;
  /** Whether the node is evaluated only where some condition holds. */
  readonly guarded: boolean;
  /** The expression that is visited; absent at a statement. */
  readonly expr?: Expr;
}
export interface Visitor {
  readonly stmt?: (s: Stmt, place: Place) => void;
  /** Called for every expression node, parents first. */
  readonly expr?: (e: Expr, place: Place) => void;
}

/** Calls `visitor` on every node of every function. */
export function walkProgram(p: Program, visitor: Visitor): void {
  for (const f of p.functions) new Walker(f, visitor).function();
}

class Walker {
  readonly #func: PrimFunc;
  readonly #visitor: Visitor;
  #vars = new Map<VarId, Var>();
  #hidden = new Map<VarId, Var>();
  readonly #buffers = new Map<BufferId, Buffer>();
  #blocks: readonly Block[] = [];
  constructor(func: PrimFunc, visitor: Visitor) {
    this.#func = func;
    this.#visitor = visitor;
  }
  function(): void {
    const f = this.#func;
    for (const v of f.scalars) this.#vars.set(v.id, v);
    for (const p of f.params) for (const n of p.buffer.shape) this.#expr(n, undefined, false);
    for (const p of f.params) this.#buffers.set(p.buffer.id, p.buffer);
    if (f.chunk) for (const v of [f.chunk.begin, f.chunk.end]) this.#vars.set(v.id, v);
    this.#stmt(f.body, false);
  }
  #place(stmt: Stmt | undefined, guarded: boolean): Place {
    const scope = { vars: this.#vars, hidden: this.#hidden, buffers: this.#buffers, blocks: this.#blocks };
    return { func: this.#func, stmt, scope, guarded };
  }
  #expr(e: Expr, stmt: Stmt | undefined, guarded: boolean): void {
    this.#visitor.expr?.(e, { ...this.#place(stmt, guarded), expr: e });
    for (const c of children(e)) {
      const chosen = e.kind === "select" && c !== e.condition;
      const masked = e.kind === "load" && e.predicate !== undefined && c !== e.predicate;
      this.#expr(c, stmt, guarded || chosen || masked);
    }
  }
  #stmt(s: Stmt, guarded: boolean): void {
    const masked = guarded || (s.kind === "store" && s.predicate !== undefined);
    this.#visitor.stmt?.(s, this.#place(s, masked));
    if (s.kind === "block") {
      this.#block(s, guarded);
      return;
    }
    for (const e of childExprs(s)) this.#expr(e, s, masked);
    if (s.kind === "allocate") for (const n of s.buffer.shape) this.#expr(n, s, guarded);
    const inner = guarded || s.kind === "if";
    const undo = this.#bind(s);
    for (const c of childStmts(s)) this.#stmt(c, inner);
    undo();
  }
  #bind(s: Stmt): () => void {
    if (s.kind === "for" || s.kind === "let") return bound(this.#vars, s.var);
    return s.kind === "allocate" ? bound(this.#buffers, s.buffer) : () => {};
  }
  #block(s: Block, guarded: boolean): void {
    const masked = guarded || s.predicate !== undefined;
    for (const e of [...s.iterVars.map((v) => v.extent), ...s.bindings, ...(s.predicate ? [s.predicate] : [])]) {
      this.#expr(e, s, guarded);
    }
    const outer = { vars: this.#vars, hidden: this.#hidden, blocks: this.#blocks };
    this.#vars = new Map(this.#func.scalars.map((v) => [v.id, v]));
    for (const v of s.iterVars) this.#vars.set(v.var.id, v.var);
    this.#hidden = new Map([...outer.hidden, ...outer.vars]);
    this.#blocks = [...outer.blocks, s];
    for (const r of [...s.reads, ...s.writes])
      for (const q of r.ranges) {
        this.#expr(q.min, s, masked);
        this.#expr(q.extent, s, masked);
      }
    for (const c of childStmts(s)) this.#stmt(c, masked);
    this.#vars = outer.vars;
    this.#hidden = outer.hidden;
    this.#blocks = outer.blocks;
  }
}
function bound<K, T extends { readonly id: K }>(map: Map<K, T>, item: T): () => void {
  const outer = map.get(item.id);
  map.set(item.id, item);
  return () => {
    if (outer === undefined) map.delete(item.id);
    else map.set(item.id, outer);
  };
}
