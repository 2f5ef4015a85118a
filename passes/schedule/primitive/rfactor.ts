/** rfactor: a reduction loop becomes a spatial axis of partial results, which a second reduction combines. */
import { binary, constantValue, identityOf, index, load, variable } from "../../../ir/expr/build.ts";
import { isFloat } from "../../../ir/expr/dtype.ts";
import type { Buffer, Expr, Var } from "../../../ir/expr/expr.ts";
import { freeVars, substitute } from "../../../ir/expr/traverse.ts";
import { forLoop, iterVar, block as makeBlock, pointRegion, seq, store } from "../../../ir/loop/build.ts";
import type { Block, For, IterVar, Program, Stmt, Store } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { blockRef, blocksIn, type Path, pathToLoop } from "../tree.ts";
import { rangesOf } from "./support-access.ts";
import { allocateIn, cacheOf, freshBufferName, readRegionsOf } from "./support-buffer.ts";
import { strayGuard } from "./support-guard.ts";
import { conjuncts, decide, keyOf } from "./support-linear.ts";
import { freshName, rewriteAt, rewriteWithin, soleNest } from "./support-nest.ts";

export interface RfactorArgs {
  readonly loop: LoopRef;
  /** Where the new dimension stands in the partial results, 0 … rank. */
  readonly factorAxis: number;
}
const rules = {
  found: "the loop is part of the program",
  alone: "the loop's nest holds one block and nothing else",
  "reduction-loop":
    "the loop starts at 0 and appears in the bindings of reduction iteration variables only, as do the loops bound with it",
  "has-init": "the block has an init that sets the element it updates",
  associative: "the block updates one element by add, mul, min, max, and or or",
  "reassociation-allowed": "the function's math policy allows reassociation, or the type is not floating-point",
  guard: "the block's predicate is a tail guard that holds for the first iteration of each partial result",
  "axis-range": "the new dimension stands within the rank of the written buffer",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;
const reduceOps = ["add", "mul", "min", "max", "and", "or"] as const;
type ReduceOp = (typeof reduceOps)[number];

interface Plan {
  readonly path: Path;
  readonly top: Stmt;
  readonly loops: readonly For[];
  readonly loop: For;
  readonly extent: number;
  readonly block: Block;
  readonly update: Store;
  readonly op: ReduceOp;
  readonly term: Expr;
}

function plan(program: Program, args: RfactorArgs): Plan | Refusal {
  const at = args.loop;
  const path = pathToLoop(program, at.id);
  const loop = path?.stmts.at(-1);
  if (!path || loop?.kind !== "for") return { rule: "found", because: `there is no loop ${at.name}`, at };
  const top = path.stmts.find((s) => s.kind === "for")!;
  const nest = soleNest(top);
  if (!nest) return { rule: "alone", because: `${at.name} holds several blocks`, at };
  const { block, loops } = nest;
  const extent = constantValue(loop.extent);
  const bound = reductionLoops(block, loop.var.id);
  if (!bound || extent === undefined || loops.some((l) => bound.has(l.var.id) && constantValue(l.min) !== 0))
    return { rule: "reduction-loop", because: `${at.name} is not a loop of reductions alone`, at };
  const where = blockRef(block);
  if (block.init?.kind !== "store") return { rule: "has-init", because: `${block.name} has no init`, at: where };
  const split = updateOf(block);
  if (!split || block.init.indices.some((e, d) => keyOf(e) !== keyOf(split.update.indices[d]!)))
    return { rule: "associative", because: `the body of ${block.name} is not one associative update`, at: where };
  if (path.func.math === "strict" && isFloat(split.update.buffer.dtype.scalar))
    return { rule: "reassociation-allowed", because: `${path.func.name} is compiled with strict math`, at: where };
  if (!startsInside(block, loops, loop.var.id, bound))
    return { rule: "guard", because: `some partial results of ${block.name} would have no first iteration`, at: where };
  const rank = split.update.indices.length;
  if (!Number.isInteger(args.factorAxis) || args.factorAxis < 0 || args.factorAxis > rank)
    return { rule: "axis-range", because: `${split.update.buffer.name} has ${rank} dimensions`, at };
  return { path, top, loops, loop, extent, block, ...split };
}
/** The loops in the reduction bindings that use `id`; undefined when one of them also moves something else. */
function reductionLoops(b: Block, id: VarId): Set<VarId> | undefined {
  const bound = new Set<VarId>();
  for (const [i, v] of b.iterVars.entries()) {
    const used = freeVars(b.bindings[i]!);
    if (v.kind === "reduction" && used.has(id)) for (const u of used) bound.add(u);
  }
  const elsewhere = b.iterVars.some((v, i) => {
    const used = freeVars(b.bindings[i]!);
    return !(v.kind === "reduction" && used.has(id)) && [...used].some((u) => bound.has(u));
  });
  return bound.has(id) && !elsewhere ? bound : undefined;
}
function updateOf(b: Block): { update: Store; op: ReduceOp; term: Expr } | undefined {
  const s = b.body;
  if (s.kind !== "store" || s.predicate || s.value.kind !== "binary") return undefined;
  const { a, b: term } = s.value;
  const op = reduceOps.find((o) => s.value.kind === "binary" && s.value.op === o);
  const isOwn = (e: Expr): boolean =>
    e.kind === "load" && e.buffer.id === s.buffer.id && e.indices.every((x, d) => keyOf(x) === keyOf(s.indices[d]!));
  const kinds = b.iterVars.every((v) => v.kind !== "ordered");
  return op && kinds && isOwn(a) ? { update: s, op, term } : undefined;
}
/** Whether every guard is a tail, and holds where the other reduction loops are at their first iteration. */
function startsInside(b: Block, loops: readonly For[], id: VarId, bound: ReadonlySet<VarId>): boolean {
  if (strayGuard(b, loops, { outer: new Map() })) return false;
  const first = new Map<VarId, Expr>([...bound].filter((v) => v !== id).map((v) => [v, index(0)]));
  return conjuncts(b.predicate).every((c) => {
    const touched = [...freeVars(c)].some((v) => bound.has(v));
    return !touched || decide(substitute(c, first), rangesOf(loops)) === 1;
  });
}

/** The block of partial results: the loop's own iteration variable is spatial, the loops bound with it reduce. */
function partialBlock(p: Plan, ids: IdSource, partial: Buffer, factorAxis: number, name: string): Block {
  const own = new Map<VarId, IterVar>();
  const fresh = (l: For, kind: IterVar["kind"]): void => {
    own.set(l.var.id, iterVar(variable(ids, l.var.name), l.extent, kind));
  };
  fresh(p.loop, "spatial");
  const map = new Map<VarId, Expr>();
  const iterVars: IterVar[] = [];
  const bindings: Expr[] = [];
  for (const [i, v] of p.block.iterVars.entries()) {
    const binding = p.block.bindings[i]!;
    const used = freeVars(binding);
    if (!used.has(p.loop.var.id)) {
      const renamed = variable(ids, v.var.name);
      map.set(v.var.id, renamed);
      iterVars.push({ ...v, var: renamed });
      bindings.push(binding);
      continue;
    }
    for (const l of p.loops) if (used.has(l.var.id) && !own.has(l.var.id)) fresh(l, "reduction");
    map.set(v.var.id, substitute(binding, new Map([...own].map(([id, o]) => [id, o.var]))));
  }
  for (const l of p.loops) {
    const v = own.get(l.var.id);
    if (!v) continue;
    iterVars.push(v);
    bindings.push(l.var);
  }
  const axis = own.get(p.loop.var.id)!.var;
  const place = inserted(
    p.update.indices.map((e) => substitute(e, map)),
    factorAxis,
    axis,
  );
  const value = binary(p.op, load(partial, place), substitute(p.term, map));
  const made = makeBlock(ids, {
    name,
    iterVars,
    bindings,
    body: store(partial, place, value),
    init: store(partial, place, identityOf(p.op, partial.dtype.scalar)),
    writes: [pointRegion(partial, place)],
    ...(p.block.predicate ? { predicate: p.block.predicate } : {}),
    ...(p.block.annotations ? { annotations: p.block.annotations } : {}),
  });
  return { ...made, reads: readRegionsOf(made) };
}
const inserted = (list: readonly Expr[], at: number, e: Expr): Expr[] => [...list.slice(0, at), e, ...list.slice(at)];

/** The block, with its id and name, combining partial results over its whole spatial domain. */
function combiningNest(p: Plan, ids: IdSource, partial: Buffer, factorAxis: number): Stmt {
  const axis: IterVar = iterVar(variable(ids, p.loop.var.name), p.extent, "reduction");
  const spatial = p.block.iterVars.filter((v) => v.kind === "spatial");
  const iterVars = [...spatial, axis];
  const loops = iterVars.map((v): { var: Var; extent: Expr } => ({ var: variable(ids, v.var.name), extent: v.extent }));
  const { buffer, indices } = p.update;
  const value = binary(p.op, load(buffer, indices), load(partial, inserted(indices, factorAxis, axis.var)));
  const { predicate: _, ...rest } = p.block;
  const combine: Block = { ...rest, iterVars, bindings: loops.map((l) => l.var), body: store(buffer, indices, value) };
  const nest: Stmt = { ...combine, reads: readRegionsOf(combine) };
  return loops.reduceRight<Stmt>((inner, l) => forLoop(l.var, l.extent, inner), nest);
}

export const rfactor = definePrimitive({
  name: "rfactor",
  doc: "Turns a reduction loop into an axis of a buffer of partial results, and reduces that in a second nest.",
  before: "for i, k_o, k_i: C[i] += A[i, k_o * 8 + k_i]",
  after: "for i, k_o, k_i: C_rf[i, k_o] += A[i, k_o * 8 + k_i]\nfor i, k_o: C[i] += C_rf[i, k_o]",
  rules,
  check: (program: Program, args: RfactorArgs): Refusal | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: RfactorArgs) => {
    const p = plan(program, args);
    invariant(!("rule" in p), "rfactor was checked");
    const ids = new IdSource(program.nextId);
    const like = cacheOf(ids, p.update.buffer, "global", freshBufferName(program, `${p.update.buffer.name}_rf`));
    const partial: Buffer = { ...like, shape: inserted(like.shape, args.factorAxis, index(p.extent)) };
    const rf = partialBlock(p, ids, partial, args.factorAxis, freshName(program, `${p.block.name}_rf`));
    const first = rewriteWithin(p.top, new Map([[p.block, rf]]));
    invariant(blocksIn(first).length === 1, "the nest holds one block");
    const second = combiningNest(p, ids, partial, args.factorAxis);
    const placed = rewriteAt(program, new Map([[p.top, seq([first, second])]]));
    return { program: { ...allocateIn(placed, p.path.func, partial), nextId: ids.next }, result: blockRef(rf) };
  },
});
