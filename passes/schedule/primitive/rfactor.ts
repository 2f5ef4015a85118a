/** rfactor: a reduction loop becomes a spatial axis of partial results, which a second reduction combines. */
import { binary, constantValue, identityOf, index, load, variable } from "../../../ir/expr/build.ts";
import { isFloat } from "../../../ir/expr/dtype.ts";
import type { Buffer, Expr, Var } from "../../../ir/expr/expr.ts";
import { freeVars, some, substitute } from "../../../ir/expr/traverse.ts";
import { forLoop, iterVar, block as makeBlock, pointRegion, seq, store } from "../../../ir/loop/build.ts";
import {
  type Combination,
  combinationOf,
  combinedUpdate,
  declaredCombiner,
  type Results,
  startOf,
} from "../../../ir/loop/combine.ts";
import type { Block, For, IterVar, Program, Stmt } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { sameExpr } from "../../analysis/order.ts";
import { bindingsOf, dependsOn } from "../legality.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { blockRef, blocksIn, type Path, pathToLoop } from "../tree.ts";
import { rangesOf } from "./support-access.ts";
import { allocateIn, cacheOf, freshBufferName, readRegionsOf } from "./support-buffer.ts";
import { runsWhole } from "./support-domain.ts";
import { strayGuard } from "./support-guard.ts";
import { conjuncts, decide } from "./support-linear.ts";
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
  associative: "the block updates one element by add, mul, min, max, and or or, or its results by a stated combiner",
  "keeps-order":
    "the combiner is stated to be commutative, or the loop is the outermost of its reduction, so that results stay in order",
  "reassociation-allowed": "the function's math policy allows reassociation, or the type is not floating-point",
  "whole-domains":
    "the block's spatial variables run over their whole domains, which its results are put together over",
  guard: "the block's predicate is a tail guard that holds for the first iteration of each partial result",
  "axis-range": "the new dimension stands within the rank of the written buffer",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;
interface Plan {
  readonly path: Path;
  readonly top: Stmt;
  readonly loops: readonly For[];
  readonly loop: For;
  readonly extent: number;
  readonly block: Block;
  readonly reduction: Combination;
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
  if (block.init === undefined) return { rule: "has-init", because: `${block.name} has no init`, at: where };
  const reduction = updateOf(block) ?? combinationOf(block, sameExpr);
  if (!reduction || block.iterVars.some((v) => v.kind === "ordered"))
    return {
      rule: "associative",
      because: `the body of ${block.name} is not one associative update`,
      instead: "state the reduction by a combiner",
      at: where,
    };
  const before = loops.slice(0, loops.indexOf(loop)).find((l) => dependsOn(bindingsOf(block, ["reduction"]), l.var.id));
  if (!reduction.commutative && before)
    return {
      rule: "keeps-order",
      because: `the combiner of ${block.name} is not stated to be commutative, and ${before.var.name} is outside of ${at.name}`,
      instead: `factor ${before.var.name}, or state a commutative combiner (break ties by the index)`,
      at,
    };
  const { buffers, place } = reduction;
  if (path.func.math === "strict" && buffers.some((b) => isFloat(b.dtype.scalar)))
    return { rule: "reassociation-allowed", because: `${path.func.name} is compiled with strict math`, at: where };
  const spatial = block.iterVars.flatMap((v, k) => (v.kind === "spatial" ? [k] : []));
  const part = {
    ...block,
    iterVars: spatial.map((k) => block.iterVars[k]!),
    bindings: spatial.map((k) => block.bindings[k]!),
  };
  if (!runsWhole(part, loops))
    return { rule: "whole-domains", because: `${block.name} runs over a part of its domain`, at: where };
  if (!startsInside(block, loops, loop.var.id, bound))
    return { rule: "guard", because: `some partial results of ${block.name} would have no first iteration`, at: where };
  const rank = place.length;
  if (!Number.isInteger(args.factorAxis) || args.factorAxis < 0 || args.factorAxis > rank)
    return { rule: "axis-range", because: `${buffers[0]!.name} has ${rank} dimensions`, at };
  return { path, top, loops, loop, extent, block, reduction };
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
/** One store that combines its own element with a term by a known operator. */
function updateOf(b: Block): Combination | undefined {
  const s = b.body;
  if (b.init?.kind !== "store" || s.kind !== "store" || s.predicate || s.value.kind !== "binary") return undefined;
  const { a, b: term } = s.value;
  const op = reduceOps.find((o) => s.value.kind === "binary" && s.value.op === o);
  const isPlace = (list: readonly Expr[]): boolean => list.every((x, d) => sameExpr(x, s.indices[d]!));
  const isOwn = a.kind === "load" && a.buffer.id === s.buffer.id && isPlace(a.indices);
  const readsResult = some(term, (n) => n.kind === "load" && n.buffer.id === s.buffer.id);
  if (!op || !isOwn || readsResult || !isPlace(b.init.indices)) return undefined;
  return {
    buffers: [s.buffer],
    place: s.indices,
    identity: [identityOf(op, s.buffer.dtype.scalar)],
    values: [term],
    combine: ([x], [y]) => [binary(op, x!, y!)],
    commutative: true,
  };
}
const reduceOps = ["add", "mul", "min", "max", "and", "or"] as const;
/** An update of results, as one store where there is one result. */
function update(ids: IdSource, p: Plan, results: Results, values: readonly Expr[]): Stmt {
  const { combine } = p.reduction;
  if (declaredCombiner(p.block)) return combinedUpdate(ids, results, values, combine);
  const [buffer] = results.buffers;
  return store(buffer!, results.place, combine([load(buffer!, results.place)], values)[0]!);
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
function partialBlock(p: Plan, ids: IdSource, partials: readonly Buffer[], factorAxis: number, name: string): Block {
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
  const at = (list: readonly Expr[]): Expr[] => list.map((e) => substitute(e, map));
  const results: Results = { buffers: partials, place: inserted(at(p.reduction.place), factorAxis, axis) };
  const made = makeBlock(ids, {
    name,
    iterVars,
    bindings,
    body: update(ids, p, results, at(p.reduction.values)),
    init: startOf(results, p.reduction.identity),
    writes: partials.map((b) => pointRegion(b, results.place)),
    ...(p.block.predicate ? { predicate: p.block.predicate } : {}),
    ...(p.block.annotations ? { annotations: p.block.annotations } : {}),
  });
  return { ...made, reads: readRegionsOf(made) };
}
const inserted = (list: readonly Expr[], at: number, e: Expr): Expr[] => [...list.slice(0, at), e, ...list.slice(at)];

/** The block, with its id and name, combining partial results over its whole spatial domain. */
function combiningNest(p: Plan, ids: IdSource, partials: readonly Buffer[], factorAxis: number): Stmt {
  const axis: IterVar = iterVar(variable(ids, p.loop.var.name), p.extent, "reduction");
  const spatial = p.block.iterVars.filter((v) => v.kind === "spatial");
  const iterVars = [...spatial, axis];
  const loops = iterVars.map((v): { var: Var; extent: Expr } => ({ var: variable(ids, v.var.name), extent: v.extent }));
  const { buffers, place } = p.reduction;
  const parts = partials.map((b) => load(b, inserted(place, factorAxis, axis.var)));
  const { predicate: _, ...rest } = p.block;
  const body = update(ids, p, { buffers, place }, parts);
  const combine: Block = { ...rest, iterVars, bindings: loops.map((l) => l.var), body };
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
    const partials = p.reduction.buffers.map((b): Buffer => {
      const like = cacheOf(ids, b, "global", freshBufferName(program, `${b.name}_rf`));
      return { ...like, shape: inserted(like.shape, args.factorAxis, index(p.extent)) };
    });
    const rf = partialBlock(p, ids, partials, args.factorAxis, freshName(program, `${p.block.name}_rf`));
    const first = rewriteWithin(p.top, new Map([[p.block, rf]]));
    invariant(blocksIn(first).length === 1, "the nest holds one block");
    const second = combiningNest(p, ids, partials, args.factorAxis);
    const placed = rewriteAt(program, new Map([[p.top, seq([first, second])]]));
    const allocated = partials.reduceRight((q, b) => allocateIn(q, p.path.func, b), placed);
    return { program: { ...allocated, nextId: ids.next }, result: blockRef(rf) };
  },
});
