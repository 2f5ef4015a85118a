/**
 * Whether a loop nest computes what a tensor intrinsic means: equal up to renaming, with equal extents and types. Works on
 * scheduled nests (with a block) and on lowered ones (flat buffers) alike, so that codegen finds the operands again.
 */
import { add, constantValue, index, mul } from "../../ir/expr/build.ts";
import { indexType } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr } from "../../ir/expr/expr.ts";
import { children, freeVars, rewrite, substitute } from "../../ir/expr/traverse.ts";
import type { For, PrimFunc, Stmt, Store } from "../../ir/loop/program.ts";
import { rewriteExprs } from "../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import { linearForm } from "../lower/linear.ts";

/** What one parameter of the meaning stands for: elements of a buffer from `base` on. */
export interface Operand {
  readonly buffer: Buffer;
  /** Element of the first iteration, in elements from the buffer's start. */
  readonly base: Expr;
  /** Elements from one index to the next, for every dimension of the parameter but the last, whose step is 1. */
  readonly strides: readonly number[];
}
interface Nest {
  readonly loops: readonly For[];
  readonly store: Store;
}
/** A perfect nest of serial loops from 0 with constant extents around one store. */
export function storeNest(s: Stmt, simplify: (index: Expr) => Expr = (e) => e): Nest | undefined {
  const loops: For[] = [];
  let at = s;
  for (;;) {
    if (at.kind === "seq" && at.body.length === 1) at = at.body[0]!;
    else if (at.kind === "for") {
      if (constantValue(at.min) !== 0 || constantValue(at.extent) === undefined) return undefined;
      loops.push(at);
      at = at.body;
    } else break;
  }
  if (at.kind === "block") {
    if (at.init || at.predicate) return undefined;
    const map = new Map(at.iterVars.map((v, k) => [v.var.id, (at as typeof at & { kind: "block" }).bindings[k]!]));
    const within = (e: Expr): Expr =>
      rewrite(substitute(e, map), (n) => (n.kind === "load" ? { ...n, indices: n.indices.map(simplify) } : n));
    at = rewriteExprs(at.body, within);
    if (at.kind === "store") at = { ...at, indices: at.indices.map(simplify) };
  }
  return at.kind === "store" && !at.predicate && loops.length > 0 ? { loops, store: at } : undefined;
}

/**
 * The operands in the order of the meaning's parameters; undefined when the nest means something else. `simplify` brings
 * the indices of a block's accesses, its bindings put in, into normal form.
 */
export function matchIntrinsic(s: Stmt, meaning: PrimFunc, simplify?: (index: Expr) => Expr): Operand[] | undefined {
  const own = storeNest(s, simplify);
  const wanted = storeNest(meaning.body);
  if (!own || !wanted || own.loops.length !== wanted.loops.length) return undefined;
  if (own.loops.some((l, k) => constantValue(l.extent) !== constantValue(wanted.loops[k]!.extent))) return undefined;
  const pairs = pairStores(wanted, own);
  if (!pairs) return undefined;
  const found: Operand[] = [];
  for (const p of meaning.params) {
    const pair = pairs.get(p.buffer.id);
    const operand = pair && operandOf(pair, wanted.loops, own.loops);
    if (!operand) return undefined;
    found.push(operand);
  }
  const distinct = new Set(found.map((o) => o.buffer.id)).size === found.length;
  return distinct ? found : undefined;
}

interface Pair {
  readonly buffer: Buffer;
  readonly wanted: readonly Expr[];
  readonly own: readonly Expr[];
  readonly shape: Buffer;
}
type Pairs = Map<BufferId, Pair>;
function pairStores(wanted: Nest, own: Nest): Pairs | undefined {
  const loops = new Map<VarId, VarId>(wanted.loops.map((l, k) => [l.var.id, own.loops[k]!.var.id]));
  const pairs: Pairs = new Map();
  const [a, b] = [wanted.store, own.store];
  const first: Pair = { buffer: b.buffer, wanted: a.indices, own: b.indices, shape: a.buffer };
  if (a.buffer.dtype !== b.buffer.dtype || !pairUp(pairs, a.buffer.id, first)) return undefined;
  return pairExprs(a.value, b.value, loops, pairs);
}
/** Records a pair unless it contradicts one before; an element of one buffer is always at the same place. */
function pairUp(pairs: Pairs, id: BufferId, p: Pair): boolean {
  const old = pairs.get(id);
  if (!old) {
    pairs.set(id, p);
    return true;
  }
  const same = (x: readonly Expr[], y: readonly Expr[]): boolean =>
    x.length === y.length && x.every((e, k) => sameForm(e, y[k]!));
  return old.buffer.id === p.buffer.id && same(old.wanted, p.wanted) && same(old.own, p.own);
}
function sameForm(a: Expr, b: Expr): boolean {
  const [x, y] = [linearForm(a), linearForm(b)];
  const of = new Map(y.terms.map((t) => [t.key, t.coefficient]));
  return (
    x.constant === y.constant && x.terms.length === of.size && x.terms.every((t) => of.get(t.key) === t.coefficient)
  );
}
const commutative: ReadonlySet<string> = new Set(["add", "mul", "and", "or", "xor"]);
/** The pairs of `pairs` and those of two expressions; undefined when they differ. */
function pairExprs(a: Expr, b: Expr, loops: ReadonlyMap<VarId, VarId>, pairs: Pairs): Pairs | undefined {
  if (a.kind !== b.kind || a.dtype !== b.dtype) return undefined;
  if (a.kind === "load" && b.kind === "load") {
    const next = new Map(pairs);
    const pair: Pair = { buffer: b.buffer, wanted: a.indices, own: b.indices, shape: a.buffer };
    const plain = !a.predicate && !b.predicate && a.buffer.dtype === b.buffer.dtype;
    return plain && pairUp(next, a.buffer.id, pair) ? next : undefined;
  }
  if (a.kind === "const" && b.kind === "const") return Object.is(a.value, b.value) ? pairs : undefined;
  if (a.kind === "var" && b.kind === "var") return loops.get(a.id) === b.id ? pairs : undefined;
  if ("op" in a && "op" in b && a.op !== b.op) return undefined;
  if (a.kind === "call" && b.kind === "call" && a.callee !== b.callee) return undefined;
  const [xs, ys] = [children(a), children(b)];
  const straight = pairLists(xs, ys, loops, pairs);
  if (straight || a.kind !== "binary" || !commutative.has(a.op)) return straight;
  return pairLists(xs, [...ys].reverse(), loops, pairs);
}
function pairLists(
  xs: readonly Expr[],
  ys: readonly Expr[],
  loops: ReadonlyMap<VarId, VarId>,
  pairs: Pairs,
): Pairs | undefined {
  if (xs.length !== ys.length) return undefined;
  let found: Pairs | undefined = pairs;
  for (const [k, x] of xs.entries()) found = found && pairExprs(x, ys[k]!, loops, found);
  return found;
}

/** How much each loop adds to an index; undefined when it is not a sum of loops, and of what does not change in them. */
function stepsOf(e: Expr, loops: readonly For[]): number[] | undefined {
  const steps = loops.map(() => 0);
  for (const t of linearForm(e).terms) {
    const k = loops.findIndex((l) => t.atom.kind === "var" && l.var.id === t.atom.id);
    if (k >= 0) steps[k] = t.coefficient;
    else if (loops.some((l) => freeVars(t.atom).has(l.var.id))) return undefined;
  }
  return steps;
}
/** The index of an element from the buffer's start. */
function flatIndex(b: Buffer, indices: readonly Expr[]): Expr | undefined {
  let stride = 1;
  let sum: Expr = index(b.offset ?? 0);
  for (let k = indices.length - 1; k >= 0; k--) {
    sum = add(sum, mul(indices[k]!, b.strides?.[k] ?? stride));
    const extent = constantValue(b.shape[k]!);
    if (extent === undefined && k > 0 && !b.strides) return undefined;
    stride *= extent ?? 1;
  }
  return sum;
}
function operandOf(p: Pair, wanted: readonly For[], own: readonly For[]): Operand | undefined {
  const flat = flatIndex(p.buffer, p.own);
  const steps = flat && stepsOf(flat, own);
  const dims = p.wanted.map((e) => stepsOf(e, wanted));
  const starts = p.wanted.every((e) => linearForm(e).constant === 0 && e.dtype === indexType);
  if (!flat || !steps || !starts || dims.some((d) => d === undefined)) return undefined;
  const strides: number[] = [];
  for (const [d, mine] of dims.entries()) {
    if (d === dims.length - 1) break;
    const k = mine!.findIndex((c, l) => c === 1 && dims.every((o, x) => x === d || o![l] === 0));
    if (k < 0) return undefined;
    strides.push(steps[k]!);
  }
  const all = [...strides, 1];
  const fits = steps.every((s, l) => s === dims.reduce((sum, d, x) => sum + all[x]! * d![l]!, 0));
  const zero = new Map<VarId, Expr>(own.map((l) => [l.var.id, index(0)]));
  return fits ? { buffer: p.buffer, base: substitute(flat, zero), strides } : undefined;
}
