/** The loads and stores within a statement, with their indices over the loops around, and the boxes they touch. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { freeVars, substitute, visit } from "../../../ir/expr/traverse.ts";
import type { Block, For, Let, Stmt } from "../../../ir/loop/program.ts";
import { childExprs, childStmts, visitStmt } from "../../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../../ir/support/ids.ts";
import { type Box, boxOf, type Limits } from "./support-box.ts";
import { asInequalities, type Bounds, conjuncts, type Ranges } from "./support-linear.ts";

/** One load or store. */
export interface Access {
  readonly kind: "load" | "store";
  readonly buffer: Buffer;
  /** Over loop variables: block iteration variables are replaced by their bindings. */
  readonly indices: readonly Expr[];
  /** The loops within the searched statement, outermost first. */
  readonly loops: readonly For[];
  /** Conditions (block predicates, ifs) under which it happens, over loop variables. */
  readonly conditions: readonly Expr[];
  readonly block?: Block;
  /** Whether it stands in the block's init. */
  readonly init: boolean;
  /** Whether an `if`, or the store's own predicate, may skip it; block predicates aside. */
  readonly guarded: boolean;
}
interface Walk {
  readonly map: ReadonlyMap<VarId, Expr>;
  readonly loops: readonly For[];
  readonly conditions: readonly Expr[];
  readonly block?: Block;
  readonly init: boolean;
  readonly guarded: boolean;
}

const touched = new WeakMap<Stmt, ReadonlySet<BufferId>>();
/** The buffers that a statement loads or stores, or hands to a call, anywhere within; found once for a statement. */
export function buffersOf(s: Stmt): ReadonlySet<BufferId> {
  const known = touched.get(s);
  if (known) return known;
  const found = new Set<BufferId>();
  if (s.kind === "store") found.add(s.buffer.id);
  if (s.kind === "parallelCall") for (const b of s.buffers) found.add(b.id);
  for (const e of childExprs(s))
    visit(e, (n) => {
      if (n.kind === "load") found.add(n.buffer.id);
    });
  for (const c of childStmts(s)) for (const id of buffersOf(c)) found.add(id);
  touched.set(s, found);
  return found;
}
function touchesAny(s: Stmt, wanted: (id: BufferId) => boolean): boolean {
  for (const id of buffersOf(s)) if (wanted(id)) return true;
  return false;
}

/** All accesses within `root` of the buffers that `wanted` holds (all, when absent), in program order. */
export function collectAccesses(root: Stmt, wanted?: (id: BufferId) => boolean): Access[] {
  const found: Access[] = [];
  const shaping = placeDeciding(root);
  const note = (kind: Access["kind"], buffer: Buffer, indices: readonly Expr[], at: Walk): void => {
    if (wanted && !wanted(buffer.id)) return;
    const { map, ...rest } = at;
    found.push({ kind, buffer, indices: indices.map((e) => substitute(e, map)), ...rest });
  };
  const expr = (e: Expr, at: Walk): void =>
    visit(e, (n) => {
      if (n.kind === "load") note("load", n.buffer, n.indices, at);
    });
  const walk = (s: Stmt, at: Walk): void => {
    if (wanted && !touchesAny(s, wanted)) return;
    if (s.kind === "block") {
      walkBlock(s, at);
      return;
    }
    for (const e of childExprs(s)) expr(e, at);
    if (s.kind === "store") note("store", s.buffer, s.indices, s.predicate ? { ...at, guarded: true } : at);
    if (s.kind === "for") walk(s.body, { ...at, loops: [...at.loops, s] });
    else if (s.kind === "let") {
      const map = shaping.has(s.var.id) ? new Map(at.map).set(s.var.id, substitute(s.value, at.map)) : at.map;
      walk(s.body, { ...at, map });
    } else if (s.kind === "if") {
      const conditions = [...at.conditions, ...conjuncts(substitute(s.condition, at.map))];
      walk(s.then, { ...at, conditions, guarded: true });
      if (s.otherwise) walk(s.otherwise, { ...at, guarded: true });
    } else for (const c of childStmts(s)) walk(c, at);
  };
  const walkBlock = (b: Block, at: Walk): void => {
    for (const e of b.bindings) expr(e, at);
    const predicate = b.predicate ? conjuncts(substitute(b.predicate, at.map)) : [];
    if (b.predicate) expr(b.predicate, at);
    const map = new Map(at.map);
    for (const [i, v] of b.iterVars.entries()) map.set(v.var.id, substitute(b.bindings[i]!, at.map));
    const conditions = [...at.conditions, ...predicate];
    for (const a of ownAccesses(b)) {
      if (wanted && !wanted(a.buffer.id)) continue;
      found.push({
        ...a,
        indices: a.indices.map((e) => substitute(e, map)),
        loops: [...at.loops, ...a.loops],
        conditions: [...conditions, ...a.conditions.map((c) => substitute(c, map))],
        guarded: at.guarded || a.guarded,
      });
    }
  };
  walk(root, { map: new Map(), loops: [], conditions: [], init: false, guarded: false });
  return found;
}

const placeDecidingVars = new WeakMap<Stmt, ReadonlySet<VarId>>();
/** The let variables that indices or conditions within `root` depend on; others only carry data and need no substitution. */
function placeDeciding(root: Stmt): ReadonlySet<VarId> {
  const known = placeDecidingVars.get(root);
  if (known) return known;
  const lets: Let[] = [];
  visitStmt(root, (s) => {
    if (s.kind === "let") lets.push(s);
  });
  const needed = new Set<VarId>();
  if (lets.length > 0) needUnder(root, lets, needed);
  placeDecidingVars.set(root, needed);
  return needed;
}
function needUnder(root: Stmt, lets: readonly Let[], needed: Set<VarId>): void {
  const need = (e: Expr): void => {
    for (const v of freeVars(e)) needed.add(v);
  };
  visitStmt(root, (s) => {
    if (s.kind === "if") need(s.condition);
    else if (s.kind === "block") {
      s.bindings.forEach(need);
      if (s.predicate) need(s.predicate);
    }
    if (s.kind === "store") s.indices.forEach(need);
    for (const e of childExprs(s))
      visit(e, (n) => {
        if (n.kind === "load") n.indices.forEach(need);
      });
  });
  // A value is bound before it is used: going backwards meets every user first.
  for (const l of lets.toReversed()) if (needed.has(l.var.id)) need(l.value);
}

/** The accesses of a block in terms of its own iteration variables. */
export function blockAccesses(b: Block, wanted?: (id: BufferId) => boolean): Access[] {
  return ownAccesses(b).filter((a) => !wanted || wanted(a.buffer.id));
}
const accessesOfBlock = new WeakMap<Block, readonly Access[]>();
/** Found once for each block: a schedule asks for them at every step. */
function ownAccesses(b: Block): readonly Access[] {
  let known = accessesOfBlock.get(b);
  if (!known) {
    // A predicate of a block inside may skip the access, and is none of this block's.
    const own = (a: Access): Access => ({ ...a, block: b, guarded: a.guarded || a.block?.predicate !== undefined });
    const init = b.init ? collectAccesses(b.init).map((a) => ({ ...own(a), init: true })) : [];
    known = [...init, ...collectAccesses(b.body).map(own)];
    accessesOfBlock.set(b, known);
  }
  return known;
}

/** Bounds of loop variables; loops with unknown extents are left out. */
export function rangesOf(loops: readonly For[]): Map<VarId, Bounds> {
  const ranges = new Map<VarId, Bounds>();
  for (const l of loops) {
    const lo = constantValue(l.min);
    const n = constantValue(l.extent);
    if (lo !== undefined && n !== undefined && n > 0) ranges.set(l.var.id, { min: lo, max: lo + n - 1 });
  }
  return ranges;
}
/** Bounds of a block's iteration variables. */
export function iterRanges(b: Block): Map<VarId, Bounds> {
  const ranges = new Map<VarId, Bounds>();
  for (const v of b.iterVars) {
    const n = constantValue(v.extent);
    if (n !== undefined && n > 0) ranges.set(v.var.id, { min: 0, max: n - 1 });
  }
  return ranges;
}
export function merged(...maps: Ranges[]): Map<VarId, Bounds> {
  const all = new Map(maps[0]);
  for (const m of maps.slice(1)) for (const [v, b] of m) all.set(v, b);
  return all;
}

/** The limits that conditions put on inner loop variables alone. */
export function limitsOf(conditions: readonly Expr[], inner: Ranges, ranges: Ranges): Limits {
  return conditions
    .flatMap((c) => asInequalities(c, ranges) ?? [])
    .filter((l) => [...l.terms.values()].every((t) => [...freeVars(t.atom)].every((v) => inner.has(v))));
}
/** The box that an access touches while its own loops (within the searched statement) run; `outer` bounds the others. */
export function accessBox(a: Access, outer: Ranges): Box {
  const inner = rangesOf(a.loops);
  const ranges = merged(outer, inner);
  const box = boxOf(a.indices, inner, ranges, limitsOf(a.conditions, inner, ranges));
  const known = a.loops.every((l) => inner.has(l.var.id));
  const fixed = (e: Expr): boolean => {
    for (const v of freeVars(e)) if (a.loops.some((l) => l.var.id === v) && !inner.has(v)) return false;
    let data = false;
    visit(e, (n) => {
      if (n.kind === "load") data = true;
    });
    return !data;
  };
  const spans = box.spans.map((s, d) => (fixed(a.indices[d]!) ? s : undefined));
  return { spans, exact: box.exact && known && !a.guarded && spans.every((s) => s !== undefined) };
}
