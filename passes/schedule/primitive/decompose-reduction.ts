/** decomposeReduction: a reduction's init becomes a block of its own, before a loop. */
import { and, compare, constantValue, index } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { substitute, visit } from "../../../ir/expr/traverse.ts";
import { forLoop, seq } from "../../../ir/loop/build.ts";
import type { Block, For, Program, Region, Stmt } from "../../../ir/loop/program.ts";
import { mapChildStmts, mapRegion, visitExprs } from "../../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { proveTrue, type Ranges, rangesOfLoops } from "../../analysis/interval.ts";
import { dependencesOf } from "../dependences.ts";
import { bindingsOf, dependsOn, meetings, type Nest, nameOf, nestOf, toldApart } from "../legality.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { conjuncts, freshVar, idsOf, loopOf, loopsOutside, substituteStmt, tidy, withLoop } from "../rebuild.ts";
import { blockRef, blocksIn, findBlock, loopRef, loopsAround, pathToBlock } from "../tree.ts";

export interface DecomposeReductionArgs {
  readonly block: BlockRef;
  /** The init block comes just before this loop. */
  readonly loop: LoopRef;
}
type Rule = "has-init" | "loop-around-block" | "reduction-inside" | "runs-once" | "others-keep-out";

function check(program: Program, { block: bref, loop: lref }: DecomposeReductionArgs): Violation<Rule> | undefined {
  const block = findBlock(program, bref.id);
  invariant(block, `block ${bref.name} is alive`);
  const refuse = (rule: Rule, because: string, at: LoopRef | BlockRef, instead?: string) => ({
    rule,
    because,
    at,
    instead,
  });
  if (!block.init) return refuse("has-init", `${block.name} has no init (any more)`, bref);
  const around = loopsAround(program, block.id);
  const at = around.findIndex((l) => l.var.id === lref.id);
  if (at < 0) return refuse("loop-around-block", `${lref.name} is not around ${block.name}`, lref);
  const between = pathToBlock(program, block.id)!.stmts;
  const odd = between.slice(between.indexOf(around[at]!), -1).find((s) => s.kind === "if" || s.kind === "let");
  if (odd) return refuse("loop-around-block", `${block.name} stands under a ${odd.kind}`, bref);
  const reductions = bindingsOf(block, ["reduction"]);
  const outer = around.slice(0, at).find((l) => dependsOn(reductions, l.var.id));
  if (outer)
    return refuse(
      "reduction-inside",
      `${block.name} also reduces over ${outer.var.name}`,
      loopRef(outer),
      `use ${outer.var.name}`,
    );
  const nest = nestOf(around[at]!, around.slice(0, at));
  const own = nest.instances.find((i) => i.stmt === block);
  invariant(own, `${block.name} stands under ${lref.name}`);
  const told = toldApart(nest, own, ["spatial", "reduction"]);
  const repeated = own.loops.find((l) => !told.has(l.var.id));
  if (repeated) return refuse("runs-once", `${repeated.var.name} may run an instance twice`, loopRef(repeated));
  return intruder(nest, block, around[at]!, refuse);
}
/** Another block under the loop that would see the init too early. */
function intruder(
  nest: Nest,
  block: Block,
  loop: For,
  refuse: (rule: Rule, because: string, at: BlockRef | LoopRef, instead?: string) => Violation<Rule>,
): Violation<Rule> | undefined {
  const written = new Set(block.writes.map((w) => w.buffer.id));
  if ([...written].some((id) => nest.own.has(id)))
    return refuse("others-keep-out", "the buffer it writes is allocated inside the loop", loopRef(loop));
  for (const m of meetings(nest)) {
    if (m.first === m.second || !written.has(m.buffer.id)) continue;
    if (m.first.stmt !== block && m.second.stmt !== block) continue;
    const other = m.first.stmt === block ? m.second : m.first;
    const common = m.first.loops.filter((l) => m.second.loops.includes(l));
    if (m.first.stmt === block && common.every((l) => m.same.has(l.var.id))) continue;
    if (dependencesOf(nest, [m.first, m.second], { buffer: m.buffer.id }).next().done) continue;
    return refuse(
      "others-keep-out",
      `${nameOf(other)} may touch ${m.buffer.name} before the init's old place`,
      loopRef(loop),
    );
  }
  const inputs = buffersRead(block.init!);
  const producer = nest.instances.find((i) => i.touches.some((t) => t.write && inputs.has(t.buffer.id)));
  return producer && refuse("others-keep-out", `${nameOf(producer)} writes what the init reads`, loopRef(loop));
}

function rewrite(program: Program, { block: bref, loop: lref }: DecomposeReductionArgs) {
  const block = findBlock(program, bref.id);
  invariant(block?.init, `block ${bref.name} has an init`);
  const loop = loopOf(program, lref);
  const ids = idsOf(program);
  const around = loopsAround(program, block.id);
  const inside = around.slice(around.indexOf(loop));
  const spatial = bindingsOf(block, ["spatial", "ordered"]);
  const copied = inside.filter((l) => dependsOn(spatial, l.var.id));
  const map = new Map<VarId, Expr>();
  for (const l of inside)
    map.set(l.var.id, copied.includes(l) ? freshVar(ids, l.var, l.var.name) : substitute(l.min, map));
  const kept = block.iterVars.filter((v) => v.kind !== "reduction");
  const fresh = kept.map((v) => ({ ...v, var: freshVar(ids, v.var, v.var.name) }));
  const rename = new Map(kept.map((v, i) => [v.var.id, fresh[i]!.var as Expr]));
  for (const v of block.iterVars) if (v.kind === "reduction") rename.set(v.var.id, index(0));
  const predicate = initPredicate(block, copied, map, rangesOfLoops([...loopsOutside(program, lref), ...inside]));
  const initBlock: Block = {
    kind: "block",
    id: ids.fresh(),
    name: freshName(program, `${block.name}_init`),
    iterVars: fresh,
    bindings: spatial.map((e) => substitute(e, map)),
    ...(predicate ? { predicate } : {}),
    reads: regionsOf(block.reads, buffersRead(block.init), rename),
    writes: regionsOf(block.writes, new Set(block.writes.map((w) => w.buffer.id)), rename),
    body: substituteStmt(block.init, rename),
  };
  const nest = copied.reduceRight<Stmt>((body, l) => copyLoop(l, map, body), initBlock);
  const { init: _, ...rest } = block;
  const replaced = seq([nest, replaceIn(loop, block, rest)]);
  const whole = withLoop(program, loop, tidy(replaced, loopsOutside(program, lref)), ids);
  return { program: whole, result: blockRef(initBlock) };
}

/** Where the init ran: the instance's own guard, with every reduction variable 0. */
function initPredicate(
  block: Block,
  copied: readonly For[],
  map: ReadonlyMap<VarId, Expr>,
  ranges: Ranges,
): Expr | undefined {
  const guards = block.predicate ? conjuncts(block.predicate).map((e) => substitute(e, map)) : [];
  const starts = bindingsOf(block, ["reduction"]).map((e) => compare("eq", substitute(e, map), 0));
  const all = [...guards, ...starts.filter((c) => !proveTrue(c, ranges))];
  const open = all.filter((c) => constantValue(c) !== 1);
  return copied.length + open.length === 0 || open.length === 0 ? undefined : open.reduce(and);
}
/** A copy of a loop over its variable's image in `map`. */
function copyLoop(l: For, map: ReadonlyMap<VarId, Expr>, body: Stmt): For {
  const image = map.get(l.var.id);
  invariant(image?.kind === "var", `${l.var.name} has a copy`);
  return forLoop(image, substitute(l.extent, map), body, { min: substitute(l.min, map) });
}
function replaceIn(root: Stmt, target: Stmt, replacement: Stmt): Stmt {
  return root === target ? replacement : mapChildStmts(root, (c) => replaceIn(c, target, replacement));
}
const regionsOf = (regions: readonly Region[], of: ReadonlySet<BufferId>, map: ReadonlyMap<VarId, Expr>): Region[] =>
  regions.filter((r) => of.has(r.buffer.id)).map((r) => mapRegion(r, (e) => substitute(e, map)));
function buffersRead(s: Stmt): Set<BufferId> {
  const ids = new Set<BufferId>();
  visitExprs(s, (e) =>
    visit(e, (n) => {
      if (n.kind === "load") ids.add(n.buffer.id);
    }),
  );
  return ids;
}
function freshName(program: Program, wanted: string): string {
  const taken = new Set(blocksIn(program).map((b) => b.name));
  let name = wanted;
  for (let k = 1; taken.has(name); k++) name = `${wanted}_${k}`;
  return name;
}

/** The primitive. */
export const decomposeReduction = definePrimitive({
  name: "decomposeReduction",
  doc: "Moves the init of a reduction into a block of its own, just before a loop around it.",
  before: "for i in 0..4:\n  for k in 0..8:\n    C[i] (init: 0) += A[i, k]",
  after: "for i in 0..4:\n  C_init[i] = 0\n  for k in 0..8:\n    C[i] += A[i, k]",
  rules: {
    "has-init": "the block has an init",
    "loop-around-block": "the loop is around the block, with nothing but loops, allocations and sequences between",
    "reduction-inside": "every loop that drives a reduction variable is this loop or inside it",
    "runs-once": "no instance of the block runs twice within one run of the loop",
    "others-keep-out": "no other block under the loop touches what the block writes before the init would have run",
  },
  check,
  rewrite,
});
