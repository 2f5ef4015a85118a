/** A hash of programs that agrees with `structurallyEqual`: variables and buffers are numbered as they are bound. */
import type { Buffer, Expr, Var } from "../expr/expr.ts";
import { children } from "../expr/traverse.ts";
import { annotationText, constantText } from "./equality.ts";
import type { Block, PrimFunc, Program, Region, Stmt } from "./program.ts";
import { childExprs, childStmts } from "./traverse.ts";

/** 16 hexadecimal digits, equal for structurally equal programs, the same on every machine. */
export function structuralHash(p: Program): string {
  const h = new Hasher();
  for (const f of p.functions) h.function(f);
  return h.digest();
}

class Hasher {
  #low = 0xdeadbeef;
  #high = 0x41c6ce57;
  #bound = 0;
  readonly #vars = new Map<number, number>();
  readonly #buffers = new Map<number, number>();

  digest(): string {
    let [a, b] = [this.#low, this.#high];
    a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
    b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
    return [b, a].map((x) => (x >>> 0).toString(16).padStart(8, "0")).join("");
  }
  #add(text: string | number): void {
    const token = `${text};`;
    for (let i = 0; i < token.length; i++) {
      const c = token.charCodeAt(i);
      this.#low = Math.imul(this.#low ^ c, 2654435761);
      this.#high = Math.imul(this.#high ^ c, 1597334677);
      this.#low = (this.#low << 13) | (this.#low >>> 19);
    }
  }
  /** Runs `inner` with ids bound to the next numbers. */
  #within(map: Map<number, number>, ids: readonly number[], inner: () => void): void {
    const outer = ids.map((id) => map.get(id));
    for (const id of ids) map.set(id, this.#bound++);
    inner();
    ids.forEach((id, k) => {
      const before = outer[k];
      if (before === undefined) map.delete(id);
      else map.set(id, before);
    });
  }
  #bindVars(vars: readonly Var[], inner: () => void): void {
    for (const v of vars) this.#add(`${v.dtype.scalar}x${v.dtype.lanes}`);
    this.#within(
      this.#vars,
      vars.map((v) => v.id),
      inner,
    );
  }
  #bindBuffers(buffers: readonly Buffer[], inner: () => void): void {
    for (const b of buffers) {
      this.#add(`${b.dtype.scalar} ${b.scope} ${b.alignment} ${b.offset ?? 0} ${b.strides ?? ""} ${b.shape.length}`);
      for (const n of b.shape) this.expr(n);
    }
    this.#within(
      this.#buffers,
      buffers.map((b) => b.id),
      inner,
    );
  }
  function(f: PrimFunc): void {
    this.#add(`function ${f.name} ${f.math} ${annotationText(f.annotations)}`);
    for (const p of f.params) this.#add(p.role);
    this.#bindVars([...f.scalars, ...(f.chunk ? [f.chunk.begin, f.chunk.end] : [])], () =>
      this.#bindBuffers(
        f.params.map((p) => p.buffer),
        () => this.stmt(f.body),
      ),
    );
  }
  expr(e: Expr): void {
    this.#add(`${e.kind} ${e.dtype.scalar} ${e.dtype.lanes}`);
    if (e.kind === "const") this.#add(constantText(e));
    else if (e.kind === "var") this.#add(this.#vars.get(e.id) ?? `free ${e.id}`);
    else if (e.kind === "load") this.#add(`${this.#buffer(e.buffer)} ${e.predicate ? "masked" : ""}`);
    else if (e.kind === "shuffle") this.#add(e.lanes.join(","));
    else if (e.kind === "call") this.#add(e.callee);
    else if ("op" in e) this.#add(e.op);
    const list = children(e);
    this.#add(list.length);
    for (const c of list) this.expr(c);
  }
  #buffer(b: Buffer): string {
    return `${this.#buffers.get(b.id) ?? `free ${b.id}`}`;
  }
  stmt(s: Stmt): void {
    this.#add(s.kind);
    if (s.kind === "block") {
      this.#block(s);
      return;
    }
    for (const e of childExprs(s)) this.expr(e);
    const inner = (): void => this.#children(s);
    if (s.kind === "for") {
      this.#add(`${s.loopKind} ${s.axis ?? ""} ${annotationText(s.annotations)}`);
      this.#bindVars([s.var], inner);
    } else if (s.kind === "let") this.#bindVars([s.var], inner);
    else if (s.kind === "allocate") this.#bindBuffers([s.buffer], inner);
    else {
      if (s.kind === "store")
        this.#add(
          `${this.#buffer(s.buffer)} ${s.predicate ? "masked" : ""}${s.nontemporal ? "nontemporal" : ""}${s.atomic ? "atomic" : ""}`,
        );
      if (s.kind === "parallelCall") {
        this.#add(`${s.callee} ${s.buffers.map((b) => this.#buffer(b))} ${s.scalars.map((v) => this.#vars.get(v.id))}`);
      }
      inner();
    }
  }
  #children(s: Stmt): void {
    const list = childStmts(s);
    this.#add(list.length);
    for (const c of list) this.stmt(c);
  }
  #block(s: Block): void {
    this.#add(annotationText(s.annotations));
    for (const e of s.bindings) this.expr(e);
    for (const v of s.iterVars) {
      this.#add(v.kind);
      this.expr(v.extent);
    }
    if (s.predicate) this.expr(s.predicate);
    this.#bindVars(
      s.iterVars.map((v) => v.var),
      () => {
        this.#regions("reads", s.reads);
        this.#regions("writes", s.writes);
        this.#children(s);
      },
    );
  }
  #regions(what: string, regions: readonly Region[]): void {
    this.#add(`${what} ${regions.length}`);
    for (const r of regions) {
      this.#add(this.#buffer(r.buffer));
      for (const q of r.ranges) {
        this.expr(q.min);
        this.expr(q.extent);
      }
    }
  }
}
