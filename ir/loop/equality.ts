/**
 * Structural equality of programs, statements and expressions. Bound variables, buffers and blocks are equal up to
 * renaming; names of functions, the order of parameters and everything else count. Free variables and buffers are equal
 * only when they are the same. Shared subtrees are skipped while nothing around them is renamed.
 */
import { isFloat } from "../expr/dtype.ts";
import type { Buffer, Expr, Var } from "../expr/expr.ts";
import { children } from "../expr/traverse.ts";
import type { Annotations, Block, PrimFunc, Program, Region, Stmt } from "./program.ts";
import { childExprs, childStmts } from "./traverse.ts";

type Item = Program | Stmt | Expr;

/** Whether `a` and `b` mean the same text, bound names aside. */
export function structurallyEqual(a: Item, b: Item): boolean {
  if (a === b) return true;
  const e = new Equality();
  if (a.kind === "program") return b.kind === "program" && e.programs(a, b);
  if (b.kind === "program") return false;
  if ("dtype" in a) return "dtype" in b && e.exprs(a, b);
  return !("dtype" in b) && e.stmts(a, b);
}

/** Renamings from one side to the other and back; ids of variables and buffers share one counter but not one map. */
class Renaming {
  readonly #forth = new Map<number, number>();
  readonly #back = new Map<number, number>();
  #changed = 0;
  /** No binding in force renames anything. */
  get identity(): boolean {
    return this.#changed === 0;
  }
  same(a: number, b: number): boolean {
    const to = this.#forth.get(a);
    return to === undefined ? a === b && !this.#back.has(b) : to === b && this.#back.get(b) === a;
  }
  /** Binds `a` and `b` to each other and gives what undoes it. */
  bind(a: number, b: number): () => void {
    const [forth, back] = [this.#forth.get(a), this.#back.get(b)];
    this.#forth.set(a, b);
    this.#back.set(b, a);
    if (a !== b) this.#changed++;
    return () => {
      if (a !== b) this.#changed--;
      restore(this.#forth, a, forth);
      restore(this.#back, b, back);
    };
  }
}
function restore<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

type Undo = () => void;
function release(undo: Undo[]): void {
  for (const f of undo.reverse()) f();
}

class Equality {
  readonly #vars = new Renaming();
  readonly #buffers = new Renaming();

  programs(a: Program, b: Program): boolean {
    return each(a.functions, b.functions, (f, g) => f === g || this.#functions(f, g));
  }
  #functions(f: PrimFunc, g: PrimFunc): boolean {
    if (f.name !== g.name || f.math !== g.math || !sameAnnotations(f.annotations, g.annotations)) return false;
    if ((f.chunk === undefined) !== (g.chunk === undefined)) return false;
    if (!each(f.params, g.params, (p, q) => p.role === q.role)) return false;
    const vars = (h: PrimFunc): Var[] => [...h.scalars, ...(h.chunk ? [h.chunk.begin, h.chunk.end] : [])];
    const buffers = (h: PrimFunc): Buffer[] => h.params.map((p) => p.buffer);
    const undo: Undo[] = [];
    const same =
      this.#bindVars(vars(f), vars(g), undo) &&
      this.#bindBuffers(buffers(f), buffers(g), undo) &&
      this.stmts(f.body, g.body);
    release(undo);
    return same;
  }
  /** Binds pairs of variables if their types agree; `undo` gets what unbinds them. */
  #bindVars(a: readonly Var[], b: readonly Var[], undo: Undo[]): boolean {
    return each(a, b, (x, y) => x.dtype === y.dtype && undo.push(this.#vars.bind(x.id, y.id)) > 0);
  }
  #bindBuffers(a: readonly Buffer[], b: readonly Buffer[], undo: Undo[]): boolean {
    return each(a, b, (x, y) => this.#declarations(x, y) && undo.push(this.#buffers.bind(x.id, y.id)) > 0);
  }
  #declarations(a: Buffer, b: Buffer): boolean {
    return (
      a.dtype === b.dtype &&
      a.scope === b.scope &&
      a.alignment === b.alignment &&
      (a.offset ?? 0) === (b.offset ?? 0) &&
      JSON.stringify(a.strides) === JSON.stringify(b.strides) &&
      this.#lists(a.shape, b.shape)
    );
  }
  #lists(a: readonly Expr[], b: readonly Expr[]): boolean {
    return each(a, b, (x, y) => this.exprs(x, y));
  }

  exprs(a: Expr, b: Expr): boolean {
    if (a === b && this.#vars.identity && this.#buffers.identity) return true;
    if (a.kind !== b.kind || a.dtype !== b.dtype || !this.#sameNode(a, b)) return false;
    return this.#lists(children(a), children(b));
  }
  /** Compares what is not a subexpression. */
  #sameNode(a: Expr, b: Expr): boolean {
    if (a.kind === "const" && b.kind === "const") return Object.is(a.value, b.value);
    if (a.kind === "var" && b.kind === "var") return this.#vars.same(a.id, b.id);
    if (a.kind === "load" && b.kind === "load") {
      return this.#buffers.same(a.buffer.id, b.buffer.id) && !a.predicate === !b.predicate;
    }
    if (a.kind === "shuffle" && b.kind === "shuffle") return each(a.lanes, b.lanes, (x, y) => x === y);
    if (a.kind === "call" && b.kind === "call") return a.callee === b.callee;
    return !("op" in a) || ("op" in b && a.op === b.op);
  }

  stmts(a: Stmt, b: Stmt): boolean {
    const undo: Undo[] = [];
    const same = this.#chain(a, b, undo);
    release(undo);
    return same;
  }
  /** Goes down nested bindings in a loop, not by recursion: a long list of allocations is a deep tree. */
  #chain(first: Stmt, second: Stmt, undo: Undo[]): boolean {
    let [a, b] = [first, second];
    for (;;) {
      if (a === b && this.#vars.identity && this.#buffers.identity) return true;
      if (a.kind === "block") return b.kind === "block" && this.#blocks(a, b);
      if (a.kind !== b.kind) return false;
      if (!this.#lists(childExprs(a), childExprs(b)) || !this.#sameStatement(a, b)) return false;
      if ((a.kind === "for" && b.kind === "for") || (a.kind === "let" && b.kind === "let")) {
        if (!this.#bindVars([a.var], [b.var], undo)) return false;
        [a, b] = [a.body, b.body];
      } else if (a.kind === "allocate" && b.kind === "allocate") {
        if (!this.#bindBuffers([a.buffer], [b.buffer], undo)) return false;
        [a, b] = [a.body, b.body];
      } else return each(childStmts(a), childStmts(b), (x, y) => this.stmts(x, y));
    }
  }
  /** Compares what is neither an expression nor a substatement. */
  #sameStatement(a: Stmt, b: Stmt): boolean {
    if (a.kind === "for" && b.kind === "for") {
      return a.loopKind === b.loopKind && a.axis === b.axis && sameAnnotations(a.annotations, b.annotations);
    }
    if (a.kind === "store" && b.kind === "store") {
      const same = !a.predicate === !b.predicate && a.nontemporal === b.nontemporal && a.atomic === b.atomic;
      return this.#buffers.same(a.buffer.id, b.buffer.id) && same;
    }
    if (a.kind === "if" && b.kind === "if") return !a.otherwise === !b.otherwise;
    if (a.kind === "parallelCall" && b.kind === "parallelCall") {
      return (
        a.callee === b.callee &&
        each(a.buffers, b.buffers, (x, y) => this.#buffers.same(x.id, y.id)) &&
        each(a.scalars, b.scalars, (x, y) => this.#vars.same(x.id, y.id))
      );
    }
    return true;
  }
  #blocks(a: Block, b: Block): boolean {
    if (!sameAnnotations(a.annotations, b.annotations) || !this.#lists(a.bindings, b.bindings)) return false;
    if (!each(a.iterVars, b.iterVars, (x, y) => x.kind === y.kind && this.exprs(x.extent, y.extent))) return false;
    if (!this.#lists(a.predicate ? [a.predicate] : [], b.predicate ? [b.predicate] : [])) return false;
    const vars = (s: Block): Var[] => s.iterVars.map((v) => v.var);
    const undo: Undo[] = [];
    const same =
      !a.init === !b.init &&
      this.#bindVars(vars(a), vars(b), undo) &&
      each(a.reads, b.reads, (x, y) => this.#regions(x, y)) &&
      each(a.writes, b.writes, (x, y) => this.#regions(x, y)) &&
      each(childStmts(a), childStmts(b), (x, y) => this.stmts(x, y));
    release(undo);
    return same;
  }
  #regions(a: Region, b: Region): boolean {
    return (
      this.#buffers.same(a.buffer.id, b.buffer.id) &&
      each(a.ranges, b.ranges, (x, y) => this.exprs(x.min, y.min) && this.exprs(x.extent, y.extent))
    );
  }
}
function each<T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean {
  return a === b || a.length === b.length ? a.every((x, k) => same(x, b[k]!)) : false;
}
function sameAnnotations(a: Annotations | undefined, b: Annotations | undefined): boolean {
  return a === b || annotationText(a) === annotationText(b);
}
/** Annotations as text in the order of their keys; empty ones count as absent. */
export function annotationText(a: Annotations | undefined): string {
  const keys = Object.keys(a ?? {}).sort();
  return keys.map((k) => `${JSON.stringify(k)}:${JSON.stringify(a?.[k])}`).join(",");
}
/** A constant's value as text that tells -0, NaN and the infinities apart. */
export const constantText = (e: Expr & { kind: "const" }): string =>
  isFloat(e.dtype.scalar) && Object.is(e.value, -0) ? "-0" : String(e.value);
