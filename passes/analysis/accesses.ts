/** Which elements statements read and write, in terms of the loops around, and the boxes that contain them. */
import { compare, unary } from "../../ir/expr/build.ts";
import type { BinaryOp, Expr, Load } from "../../ir/expr/expr.ts";
import { children, some, substitute } from "../../ir/expr/traverse.ts";
import type { Block, For, Let, Stmt, Store } from "../../ir/loop/program.ts";
import { childExprs, childStmts } from "../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import type { Access } from "./access.ts";
import { negate } from "./interval.ts";
import { sameExpr } from "./order.ts";

export type { Access } from "./access.ts";
export { regionCovers, regionOf, unionRegions } from "./regions.ts";

/** Every access within a statement, in execution order. */
export function accessesIn(s: Stmt): Access[] {
  const collector = new Collector();
  collector.stmt(s, rootContext);
  return collector.accesses;
}
/** The accesses of a block in terms of its own iteration variables (its bindings are not applied). */
export function blockAccesses(b: Block): Access[] {
  const collector = new Collector();
  collector.blockInside(b, { ...rootContext, block: b, path: [b] });
  return collector.accesses;
}

interface Context {
  readonly path: readonly Stmt[];
  readonly loops: readonly For[];
  readonly block?: Block;
  readonly init: boolean;
  readonly conditions: readonly Expr[];
  readonly masked: boolean;
  readonly bindings: ReadonlyMap<VarId, Expr>;
  readonly allocated: ReadonlyMap<BufferId, number>;
}
const rootContext: Context = {
  path: [],
  loops: [],
  init: false,
  conditions: [],
  masked: false,
  bindings: new Map(),
  allocated: new Map(),
};

class Collector {
  readonly accesses: Access[] = [];

  stmt(s: Stmt, around: Context): void {
    const c: Context = { ...around, path: [...around.path, s] };
    switch (s.kind) {
      case "store":
        this.#store(s, c);
        break;
      case "block":
        this.#block(s, c);
        break;
      case "let":
        this.#let(s, c);
        break;
      case "for":
        this.#reads([s.min, s.extent], c);
        this.stmt(s.body, { ...c, loops: [...c.loops, s] });
        break;
      case "if": {
        this.#reads([s.condition], c);
        const condition = substitute(s.condition, c.bindings);
        this.stmt(s.then, { ...c, conditions: [...c.conditions, condition] });
        if (s.otherwise) this.stmt(s.otherwise, { ...c, conditions: [...c.conditions, opposite(condition)] });
        break;
      }
      case "allocate":
        this.stmt(s.body, { ...c, allocated: new Map(c.allocated).set(s.buffer.id, c.loops.length) });
        break;
      case "parallelCall":
        for (const b of s.buffers) {
          this.#add({ buffer: b, kind: "read", indices: [], stmt: s }, c);
          this.#add({ buffer: b, kind: "write", indices: [], stmt: s }, c);
        }
        break;
      default:
        this.#reads(childExprs(s), c);
        for (const child of childStmts(s)) this.stmt(child, c);
    }
  }
  #let(s: Let, c: Context): void {
    this.#reads([s.value], c);
    const bindings = new Map(c.bindings).set(s.var.id, substitute(s.value, c.bindings));
    this.stmt(s.body, { ...c, bindings });
  }
  #block(b: Block, c: Context): void {
    this.#reads(b.bindings, c);
    const bindings = new Map(c.bindings);
    b.iterVars.forEach((v, i) => {
      bindings.set(v.var.id, substitute(b.bindings[i]!, c.bindings));
    });
    const conditions = b.predicate ? [...c.conditions, substitute(b.predicate, c.bindings)] : c.conditions;
    if (b.predicate) this.#reads([b.predicate], c);
    this.blockInside(b, { ...c, block: b, bindings, conditions });
  }
  blockInside(b: Block, c: Context): void {
    if (b.init) {
      const first = b.iterVars
        .filter((v) => v.kind === "reduction")
        .map((v): Expr => substitute(isZero(v.var), c.bindings));
      this.stmt(b.init, { ...c, init: true, conditions: [...c.conditions, ...first] });
    }
    this.stmt(b.body, c);
  }
  #store(s: Store, c: Context): void {
    const op = updateOperator(s, c.bindings);
    this.#reads(s.indices, c);
    const isSelf = (l: Load): boolean => op !== undefined && l.buffer.id === s.buffer.id;
    this.#reads(s.predicate ? [s.value, s.predicate] : [s.value], c, isSelf);
    const indices = s.indices.map((e) => substitute(e, c.bindings));
    const kind = op === undefined ? "write" : "update";
    this.#add({ buffer: s.buffer, kind, indices, stmt: s, ...(op ? { op } : {}) }, withPredicate(c, s.predicate));
  }

  /** Adds every load within the expressions, but those that `skip` names. */
  #reads(list: readonly Expr[], c: Context, skip: (l: Load) => boolean = () => false): void {
    for (const e of list) if (e.kind !== "const" && e.kind !== "var") this.#read(e, c, skip);
  }
  #read(e: Expr, c: Context, skip: (l: Load) => boolean): void {
    if (e.kind === "select" && e.dtype.lanes === 1) {
      const condition = substitute(e.condition, c.bindings);
      this.#reads([e.condition], c, skip);
      this.#reads([e.then], { ...c, conditions: [...c.conditions, condition] }, skip);
      this.#reads([e.otherwise], { ...c, conditions: [...c.conditions, opposite(condition)] }, skip);
      return;
    }
    // A prefetch has no effect on values: what it names is not read.
    const hint = e.kind === "call" && e.callee === "prefetch";
    this.#reads(hint ? e.args.flatMap((a) => children(a)) : children(e), c, skip);
    if (e.kind !== "load" || skip(e)) return;
    const indices = e.indices.map((i) => substitute(i, c.bindings));
    this.#add({ buffer: e.buffer, kind: "read", indices, stmt: c.path.at(-1)! }, withPredicate(c, e.predicate));
  }
  #add(a: Pick<Access, "buffer" | "kind" | "op" | "indices" | "stmt">, c: Context): void {
    this.accesses.push({
      ...a,
      path: c.path,
      loops: c.loops,
      init: c.init,
      conditions: c.conditions,
      masked: c.masked,
      position: this.accesses.length,
      privateLoops: c.allocated.get(a.buffer.id) ?? 0,
      ...(c.block ? { block: c.block } : {}),
    });
  }
}
const isZero = (v: Expr): Expr => compare("eq", v, 0);
const opposite = (condition: Expr): Expr => negate(condition) ?? unary("not", condition);
function withPredicate(c: Context, predicate: Expr | undefined): Context {
  if (!predicate) return c;
  if (predicate.dtype.lanes > 1) return { ...c, masked: true };
  return { ...c, conditions: [...c.conditions, substitute(predicate, c.bindings)] };
}

const associative: ReadonlySet<BinaryOp> = new Set(["add", "mul", "min", "max", "and", "or"]);
/** The operator of `b[i] = b[i] op v` (either side; fma is add), where v does not read b. */
function updateOperator(s: Store, bindings: ReadonlyMap<VarId, Expr>): BinaryOp | undefined {
  const self = (e: Expr): boolean =>
    e.kind === "load" &&
    e.buffer.id === s.buffer.id &&
    e.predicate === undefined &&
    e.indices.every((x, i) => sameExpr(x, s.indices[i]!));
  const free = (e: Expr): boolean =>
    !some(substitute(e, bindings), (n) => n.kind === "load" && n.buffer.id === s.buffer.id);
  if (s.indices.some((e) => !free(e))) return undefined;
  const { value } = s;
  if (value.kind === "binary" && associative.has(value.op)) {
    const ok = (self(value.a) && free(value.b)) || (self(value.b) && free(value.a));
    return ok ? value.op : undefined;
  }
  if (value.kind === "call" && value.callee === "fma") {
    const [x, y, z] = value.args;
    return x && y && z && self(z) && free(x) && free(y) ? "add" : undefined;
  }
  return undefined;
}
