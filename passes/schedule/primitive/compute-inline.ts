/** computeInline: a producer's expression takes the place of the loads of its buffer. */
import { and, bool, compare, constantValue, scalarLike, select } from "../../../ir/expr/build.ts";
import type { Buffer, Expr, Load } from "../../../ir/expr/expr.ts";
import { rewrite, substitute } from "../../../ir/expr/traverse.ts";
import type { Block, Program, Stmt, Store } from "../../../ir/loop/program.ts";
import { rewriteExprs, visitExprs, visitStmt } from "../../../ir/loop/traverse.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { sameExpr } from "../../analysis/order.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { blockRef, loopsAround, outermostBlocksIn, pathToBlock } from "../tree.ts";
import { blockAccesses, collectAccesses, iterRanges } from "./support-access.ts";
import { boxesDisjoint } from "./support-box.ts";
import { blockBox, readRegionsOf, roleOf } from "./support-buffer.ts";
import { runsWhole } from "./support-domain.ts";
import { strayGuard } from "./support-guard.ts";
import { exprOf, type Ranges, simplifyCondition, simplifyIndex } from "./support-linear.ts";
import { pathToAllocation, rewriteAt, type Solution, solveAccess, valueAt } from "./support-nest.ts";
import { overwrittenLater, writingInTurn } from "./support-order.ts";

export interface ComputeInlineArgs {
  readonly block: BlockRef;
}
const rules = {
  found: "the block is part of the program",
  spatial:
    "the block, and every other writer of its buffer, is one store without reduction or init, and reads other buffers",
  intermediate: "the buffer that the block writes is no parameter of the function",
  "point-write":
    "each written coordinate is a constant, or one iteration variable plus a constant (or its quotient and remainder)",
  guard: "the predicate of the block is a tail guard",
  "whole-domains": "where several blocks write the buffer, each runs over the whole domains of its variables",
  "ordered-writers": "blocks that write the buffer in one loop write different elements",
  consumed: "a block reads the buffer, and every reader is a block after the writers",
  "not-prefetched": "nothing prefetches the buffer, which is gone afterwards",
  "inputs-unchanged": "nothing that runs after the block writes what it reads, textually or in a later iteration",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;
const isRefusal = (x: object): x is Refusal => "rule" in x;

/** One writer of the inlined buffer. */
interface Writer {
  readonly block: Block;
  readonly store: Store;
  readonly solution: ReadonlyMap<VarId, Solution>;
}
interface Plan {
  readonly buffer: Buffer;
  /** Each before those that it overwrites. */
  readonly writers: readonly Writer[];
  readonly consumers: readonly Block[];
}

function plan(program: Program, args: ComputeInlineArgs): Plan | Refusal {
  const path = pathToBlock(program, args.block.id);
  const block = path?.stmts.at(-1);
  if (!path || block?.kind !== "block")
    return { rule: "found", because: `there is no block ${args.block.name}`, at: args.block };
  const buffer = storeOf(block)?.buffer;
  if (!buffer)
    return { rule: "spatial", because: `${block.name} reduces, or its body is more than one store`, at: args.block };
  if (roleOf(path.func, buffer.id))
    return { rule: "intermediate", because: `${buffer.name} is a parameter`, at: args.block };
  const blocks = outermostBlocksIn(path.func.body);
  const writing = blocks.filter((b) => blockAccesses(b, (id) => id === buffer.id).some((a) => a.kind === "store"));
  const writers: Writer[] = [];
  for (const b of [block, ...writing.filter((w) => w !== block)]) {
    const w = writerOf(program, b, buffer);
    if (isRefusal(w)) return w;
    writers.push(w);
  }
  // Which of them writes an element is told by their domains.
  const partial = writers.length > 1 && writers.find((w) => !runsWhole(w.block, loopsAround(program, w.block.id)));
  if (partial)
    return {
      rule: "whole-domains",
      because: `${partial.block.name} runs over a part of its domain, and others write ${buffer.name} too`,
      at: blockRef(partial.block),
    };
  const mixed = writingInTurn(program, writing, buffer);
  if (mixed)
    return {
      rule: "ordered-writers",
      because: `${mixed.map((b) => b.name).join(" and ")} may write one element of ${buffer.name} in turn`,
      at: blockRef(mixed[1]),
    };
  const loads = collectAccesses(path.func.body, (id) => id === buffer.id).filter((a) => a.kind === "load");
  const consumers = [...new Set(loads.map((a) => a.block))].filter((b) => b !== undefined);
  const lastWriter = Math.max(...writing.map((w) => blocks.indexOf(w)));
  const early = consumers.find((b) => blocks.indexOf(b) < lastWriter);
  if (consumers.length === 0 || early || loads.some((a) => a.block === undefined))
    return {
      rule: "consumed",
      because: early ? `${early.name} reads ${buffer.name} before its writers end` : `no block reads ${buffer.name}`,
      at: early ? blockRef(early) : args.block,
    };
  if (isPrefetched(path.func.body, buffer))
    return {
      rule: "not-prefetched",
      because: `a prefetch fetches ${buffer.name}`,
      instead: "inline before prefetching",
      at: args.block,
    };
  const changes = (b: Block): Block | undefined => {
    const before = blocks.slice(0, blocks.indexOf(b));
    const early = consumers.map((c) => overwrittenLater(program, before, b, c)).find((x) => x !== undefined);
    return changedInput(blocks, b) ?? early;
  };
  const changed = writers.map((w) => changes(w.block)).find((b) => b !== undefined);
  if (changed)
    return {
      rule: "inputs-unchanged",
      because: `${changed.name} overwrites an input of ${block.name}`,
      at: blockRef(changed),
    };
  const order = inPrecedence(writing, block, buffer);
  return { buffer, writers: order.map((b) => writers.find((w) => w.block === b)!), consumers };
}
/** The writers so that of two that write an element the later one stands first; the main one before all if that may be. */
function inPrecedence(writing: readonly Block[], main: Block, buffer: Buffer): Block[] {
  const latestFirst = [...writing].reverse();
  const box = blockBox(main, buffer.id, "store");
  const overwrites = (b: Block): boolean => {
    const other = blockBox(b, buffer.id, "store");
    return !(box && other && boxesDisjoint(box, other, new Map()));
  };
  if (writing.slice(writing.indexOf(main) + 1).some(overwrites)) return latestFirst;
  return [main, ...latestFirst.filter((b) => b !== main)];
}
function isPrefetched(s: Stmt, buffer: Buffer): boolean {
  let found = false;
  visitExprs(s, (e) => {
    if (e.kind === "call" && e.callee === "prefetch")
      found ||= e.args.some((a) => a.kind === "load" && a.buffer.id === buffer.id);
  });
  return found;
}
/** The single unconditional store of a block without reductions. */
export function storeOf(b: Block): Store | undefined {
  const plain = b.iterVars.every((v) => v.kind === "spatial") && !b.init;
  return plain && b.body.kind === "store" && !b.body.predicate ? b.body : undefined;
}
function writerOf(program: Program, b: Block, buffer: Buffer): Writer | Refusal {
  const at = blockRef(b);
  const store = storeOf(b);
  if (!store || blockAccesses(b, (id) => id === buffer.id).some((a) => a.kind === "load"))
    return { rule: "spatial", because: `${b.name} reduces, reads ${buffer.name}, or is more than one store`, at };
  const ranges = iterRanges(b);
  const solution = solveAccess(store.indices, b.iterVars, ranges);
  const open = b.iterVars.some((v) => solution?.get(v.var.id)?.kind === "free" && constantValue(v.extent) !== 1);
  if (!solution || open)
    return { rule: "point-write", because: `the coordinates that ${b.name} writes cannot be inverted`, at };
  if (strayGuard(b, loopsAround(program, b.id), { outer: new Map() }))
    return { rule: "guard", because: `the predicate of ${b.name} is not the tail guard of a split`, at };
  return { block: b, store, solution };
}
/** A block after `b` that may overwrite what `b` reads. */
export function changedInput(blocks: readonly Block[], b: Block): Block | undefined {
  const inputs = new Set(blockAccesses(b).flatMap((a) => (a.kind === "load" ? [a.buffer.id] : [])));
  return blocks.slice(blocks.indexOf(b) + 1).find((later) =>
    [...inputs].some((id) => {
      if (!blockAccesses(later, (x) => x === id).some((a) => a.kind === "store")) return false;
      const [read, written] = [blockBox(b, id, "load"), blockBox(later, id, "store")];
      return !(read && written && boxesDisjoint(read, written, new Map()));
    }),
  );
}

/** What the writers store at `indices`. */
function valueFor(p: Plan, indices: readonly Expr[], ranges: Ranges): Expr {
  const cases = p.writers.map((w) => caseOf(w, indices, ranges)).filter((c) => constantValue(c.condition) !== 0);
  const last = cases.at(-1) ?? caseOf(p.writers[0]!, indices, ranges);
  return cases
    .slice(0, -1)
    .reduceRight((rest, c) => (sameExpr(c.value, rest) ? rest : select(c.condition, c.value, rest)), last.value);
}
function caseOf(w: Writer, indices: readonly Expr[], ranges: Ranges): { condition: Expr; value: Expr } {
  const map = new Map<VarId, Expr>();
  let condition: Expr = bool(true);
  for (const v of w.block.iterVars) {
    const s = w.solution.get(v.var.id)!;
    const value = exprOf(valueAt(s, indices, ranges));
    map.set(v.var.id, value);
    if (s.kind !== "free") condition = and(condition, and(compare("ge", value, 0), compare("lt", value, v.extent)));
  }
  condition = and(condition, meets(w.store.indices, indices, map));
  return { condition: simplifyCondition(condition, ranges), value: substituteIndices(w.store.value, map, ranges) };
}
/** Whether `place`, with these values of its variables, is where `indices` point: what no variable solves may differ. */
export function meets(place: readonly Expr[], indices: readonly Expr[], values: ReadonlyMap<VarId, Expr>): Expr {
  return place.reduce<Expr>((all, e, d) => and(all, compare("eq", indices[d]!, substitute(e, values))), bool(true));
}
/** Substitutes variables and simplifies the indices of loads. */
export function substituteIndices(e: Expr, map: ReadonlyMap<VarId, Expr>, ranges: Ranges): Expr {
  return rewrite(substitute(e, map), (n) =>
    n.kind === "load" ? { ...n, indices: n.indices.map((i) => simplifyIndex(i, ranges)) } : n,
  );
}
function inlineInto(p: Plan, b: Block): Block {
  const ranges = iterRanges(b);
  const replace = (n: Load): Expr => {
    const value = valueFor(p, n.indices, ranges);
    return n.predicate ? select(n.predicate, value, scalarLike(n.dtype, 0)) : value;
  };
  const expr = (e: Expr): Expr =>
    rewrite(e, (n) => (n.kind === "load" && n.buffer.id === p.buffer.id ? replace(n) : n));
  const next: Block = {
    ...b,
    body: rewriteExprs(b.body, expr),
    ...(b.init ? { init: rewriteExprs(b.init, expr) } : {}),
  };
  return { ...next, reads: readRegionsOf(next) };
}
/** Removes the allocation of a buffer that nothing uses any more. */
export function dropAllocation(program: Program, buffer: Buffer): Program {
  const path = pathToAllocation(program, buffer.id);
  const allocation = path?.stmts.at(-1);
  if (allocation?.kind !== "allocate") return program;
  let used = false;
  visitStmt(allocation.body, (s) => {
    if (s.kind === "block" && blockAccesses(s, (id) => id === buffer.id).length > 0) used = true;
  });
  return used ? program : rewriteAt(program, new Map([[allocation, allocation.body]]));
}

export const computeInline = definePrimitive({
  name: "computeInline",
  doc: "Substitutes an element-wise producer into every block that reads its buffer, and removes both producer and buffer.",
  before: "for i: B[i] = A[i] * 2\nfor i: C[i] = B[i] + 1",
  after: "for i: C[i] = A[i] * 2 + 1",
  rules,
  check: (program: Program, args: ComputeInlineArgs): Refusal | undefined => {
    const p = plan(program, args);
    return isRefusal(p) ? p : undefined;
  },
  rewrite: (program: Program, args: ComputeInlineArgs) => {
    const p = plan(program, args);
    invariant(!isRefusal(p), "computeInline was checked");
    const changes = new Map<Stmt, Stmt | undefined>();
    for (const w of p.writers) changes.set(w.block, undefined);
    for (const c of p.consumers) changes.set(c, inlineInto(p, c));
    return { program: dropAllocation(rewriteAt(program, changes), p.buffer), result: undefined };
  },
});
