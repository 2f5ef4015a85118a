/**
 * Dependences between accesses under common loops, with direction and distance vectors.
 *
 * Two instances of the common loops are compared: the source's variables s and the sink's s + d. Equal subscripts, loop
 * bounds and conditions make an integer system (`constraints.ts`); its equalities are eliminated once, then each way of
 * being later is tried (`integer-system.ts`). Wrong only on the safe side: what cannot be excluded is reported, with
 * `exact: false`.
 */
import { indexType } from "../../ir/expr/dtype.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import { some } from "../../ir/expr/traverse.ts";
import type { For, MathPolicy, Stmt } from "../../ir/loop/program.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import type { Access } from "./access.ts";
import { accessesIn } from "./accesses.ts";
import { ConstraintBuilder, combine, Instance } from "./constraints.ts";
import { type DirectionVector, enumerateDirections, unionOf } from "./directions.ts";
import { eliminateEqualities, type Row } from "./integer-system.ts";
import { rangesOfLoops } from "./interval.ts";
import { sameExpr } from "./order.ts";

/** `sink` must stay after `source`; one direction and distance a common loop, outermost first. */
export interface Dependence extends DirectionVector {
  readonly source: Access;
  readonly sink: Access;
  readonly kind: "flow" | "anti" | "output";
  readonly commonLoops: readonly For[];
  /** Both are the same associative update of the same element by the same block: any order gives the same sum. */
  readonly reduction: boolean;
  /** False when the dependence could not be excluded, though it may not exist. */
  readonly exact: boolean;
}
export interface DependenceOptions {
  /** Loops around the statement, outermost first; their variables are the same for source and sink. */
  readonly around?: readonly For[];
  /** Only dependences carried by this loop. */
  readonly carriedBy?: VarId;
}

/** Every dependence within a statement. */
export function dependences(s: Stmt, options: DependenceOptions = {}): Dependence[] {
  return dependencesAmong(accessesIn(s), options);
}
/** Every dependence among accesses collected from one statement. */
export function dependencesAmong(accesses: readonly Access[], options: DependenceOptions = {}): Dependence[] {
  const byBuffer = new Map<BufferId, Access[]>();
  for (const a of accesses) {
    const list = byBuffer.get(a.buffer.id);
    if (list) list.push(a);
    else byBuffer.set(a.buffer.id, [a]);
  }
  const found: Dependence[] = [];
  for (const list of byBuffer.values()) {
    if (list.every((a) => a.kind === "read")) continue;
    for (let i = 0; i < list.length; i++)
      for (let j = i; j < list.length; j++) {
        const [x, y] = [list[i]!, list[j]!];
        if (x.kind !== "read" || y.kind !== "read") found.push(...dependencesBetween(x, y, options));
      }
  }
  return found;
}

/** The dependences between two accesses to one buffer, in both orders; `x` stands first in the text. */
export function dependencesBetween(x: Access, y: Access, options: DependenceOptions = {}): Dependence[] {
  const common = commonLoops(x, y);
  const carrier = options.carriedBy === undefined ? undefined : common.findIndex((l) => l.var.id === options.carriedBy);
  if (carrier === -1) return [];
  const { systems, exact } = pairSystems(x, y, common, options.around ?? []);
  const search = { loops: common, symmetric: x === y, carrier };
  const vectors = unionOf(systems.map((reduced) => enumerateDirections(reduced, search)));
  return vectors.map(({ backward, vector, certain }): Dependence => {
    const [source, sink] = backward ? [y, x] : [x, y];
    return {
      ...vector,
      source,
      sink,
      kind: kindOf(source, sink),
      commonLoops: common,
      reduction: isReduction(x, y),
      exact: exact && certain,
    };
  });
}
function commonLoops(x: Access, y: Access): For[] {
  const n = x.loops.findIndex((l, i) => l !== y.loops[i]);
  return x.loops.slice(0, n < 0 ? Math.min(x.loops.length, y.loops.length) : n);
}
function kindOf(source: Access, sink: Access): Dependence["kind"] {
  if (sink.kind === "read" || (sink.kind === "update" && source.kind !== "read")) return "flow";
  return source.kind === "read" ? "anti" : "output";
}

/**
 * One block's body updating the same elements: by the same operator, or by a tuple reduction, which the block declares
 * through its reduction variables.
 */
function isReduction(x: Access, y: Access): boolean {
  if (x.init || y.init || x.block !== y.block) return false;
  const rank = x.indices.length;
  const sameElement = rank > 0 && rank === y.indices.length && x.indices.every((e, k) => sameExpr(e, y.indices[k]!));
  if (!sameElement) return false;
  if (x.kind === "update" && y.kind === "update") return x.op === y.op;
  return x.block?.iterVars.some((v) => v.kind === "reduction") ?? false;
}

/** The systems of two instances that touch the same element; tracked rows are the differences of the common loops. */
function pairSystems(x: Access, y: Access, common: readonly For[], around: readonly For[]) {
  const builder = new ConstraintBuilder();
  const outer = rangesOfLoops(around);
  const first = new Instance(builder, rangesOfLoops(x.loops, outer));
  const second = new Instance(builder, rangesOfLoops(y.loops, outer));
  for (const l of around) first.within(l);
  const differences: Row[] = [];
  common.forEach((l, k) => {
    const own = builder.column();
    const difference = builder.column();
    first.bind(l.var.id, own);
    second.bind(l.var.id, combine(own, difference, 1));
    differences.push(difference);
    const isPrivate = k < Math.min(x.privateLoops, y.privateLoops);
    if (isPrivate || (l.extent.kind === "const" && l.extent.value === 1 && l.min.kind === "const"))
      builder.isZero(difference);
  });
  for (const [instance, access] of [
    [first, x],
    [second, y],
  ] as const) {
    for (const l of access.loops.slice(common.length)) instance.bind(l.var.id, builder.column());
    for (const l of access.loops) instance.within(l);
    for (const c of access.conditions) instance.holds(c);
  }
  sameElement(builder, [first, x], [second, y]);
  const systems = builder.systems().flatMap((s) => eliminateEqualities({ ...s, tracked: differences }) ?? []);
  return { systems, exact: builder.exact };
}
type Placed = readonly [Instance, Access];

function sameElement(builder: ConstraintBuilder, [first, x]: Placed, [second, y]: Placed): void {
  if (x.indices.length !== y.indices.length || x.indices.length === 0) {
    builder.exact = false;
    return;
  }
  x.indices.forEach((e, k) => {
    const f = y.indices[k]!;
    if (e.dtype === indexType && f.dtype === indexType) builder.isZero(combine(first.expr(e), second.expr(f), -1));
    else builder.exact = false;
  });
  // A block declares that each of its spatial iterations writes its own elements; where the element depends on data,
  // that is all that is known.
  if (x.block === undefined || x.block !== y.block || x.kind === "read" || y.kind === "read") return;
  if (!x.indices.some(readsData) && !y.indices.some(readsData)) return;
  x.block.iterVars.forEach((v, k) => {
    if (v.kind !== "spatial" || x.block?.iterVars.some((o) => o.kind === "ordered")) return;
    const binding = x.block!.bindings[k]!;
    if (binding.dtype === indexType) builder.isZero(combine(first.expr(binding), second.expr(binding), -1));
  });
}
const readsData = (e: Expr): boolean => some(e, (n) => n.kind === "load");

/**
 * The dependences that make iterations of a loop depend on each other, reductions marked. `body` defaults to the loop's;
 * `around` are the loops around it, outermost first.
 */
export function carriedBy(loop: For, body: Stmt = loop.body, around: readonly For[] = []): Dependence[] {
  const root = body === loop.body ? loop : { ...loop, body };
  return dependences(root, { around, carriedBy: loop.var.id });
}

/**
 * Whether running a perfect nest (outermost first) in another order of its loops keeps every dependence. Reductions may
 * be reassociated unless math is strict.
 */
export function permutationLegal(
  nest: readonly For[],
  order: readonly VarId[],
  options: { readonly math?: MathPolicy; readonly around?: readonly For[] } = {},
): boolean {
  return brokenByPermutation(nest, order, options) === undefined;
}
/** The first dependence that the new order would turn around. */
export function brokenByPermutation(
  nest: readonly For[],
  order: readonly VarId[],
  options: { readonly math?: MathPolicy; readonly around?: readonly For[] } = {},
): Dependence | undefined {
  const root = nest[0];
  if (!root) return undefined;
  const places = order.map((id) => nest.findIndex((l) => l.var.id === id));
  return dependences(root, { around: options.around }).find((d) => {
    if (d.reduction && options.math !== "strict") return false;
    return !staysForward(d, places);
  });
}
/**
 * Whether the permuted direction vector cannot be lexicographically negative; `places[k]` is the old place of the loop
 * that comes to stand at place k.
 */
export function staysForward(d: Dependence, places: readonly number[]): boolean {
  const wasEqual = d.directions.slice(0, places.length).every((x) => x === "=");
  if (wasEqual) return true;
  for (const p of places) {
    const direction = d.directions[p];
    if (direction === "<") return true;
    if (direction === ">" || direction === "*") return false;
  }
  return true;
}
