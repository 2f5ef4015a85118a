/** reverseComputeInline: a sole element-wise consumer is folded into the store of its producer. */
import { and, bool, compare, constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { rewrite } from "../../../ir/expr/traverse.ts";
import { ifThen, pointRegion, store as storeAt } from "../../../ir/loop/build.ts";
import type { Block, Program, Stmt, Store } from "../../../ir/loop/program.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { keyOf } from "../../analysis/order.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { blockRef, loopsAround, outermostBlocksIn, pathToBlock } from "../tree.ts";
import { dropAllocation, meets, storeOf, substituteIndices } from "./compute-inline.ts";
import { blockAccesses, collectAccesses, iterRanges } from "./support-access.ts";
import { boxesDisjoint, spanCovers } from "./support-box.ts";
import { blockBox, readRegionsOf, roleOf } from "./support-buffer.ts";
import { runsWhole } from "./support-domain.ts";
import { strayGuard } from "./support-guard.ts";
import { exprOf, type Ranges, simplifyCondition, simplifyIndex } from "./support-linear.ts";
import { rewriteAt, type Solution, solveAccess, valueAt } from "./support-nest.ts";
import { companions } from "./support-order.ts";

export interface ReverseComputeInlineArgs {
  readonly block: BlockRef;
}
const rules = {
  found: "the block is part of the program",
  spatial: "the block is one store without reduction or init",
  "single-producer":
    "the block reads exactly one buffer that exactly one block before it writes, and that is no parameter",
  "producer-spatial": "the producer is one store without reduction or init",
  "sole-consumer": "no other block reads the producer's buffer",
  "point-access":
    "the block reads the buffer at one point, each coordinate one iteration variable plus a constant, and all its variables occur",
  covered: "the producer writes every element that the block reads",
  guard: "the predicates of the block and its producer are tail guards",
  "inputs-ready":
    "nothing from the producer on, nor in iterations around either, writes what the block reads, nor touches what it writes before the block",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;
const isRefusal = (x: object): x is Refusal => "rule" in x;

interface Plan {
  readonly consumer: Block;
  readonly consumerStore: Store;
  readonly producer: Block;
  readonly producerStore: Store;
  readonly buffer: Buffer;
  readonly solution: ReadonlyMap<VarId, Solution>;
  /** The element of `buffer` that the consumer reads. */
  readonly place: readonly Expr[];
}

function plan(program: Program, args: ReverseComputeInlineArgs): Plan | Refusal {
  const at = args.block;
  const path = pathToBlock(program, at.id);
  const consumer = path?.stmts.at(-1);
  if (!path || consumer?.kind !== "block") return { rule: "found", because: `there is no block ${at.name}`, at };
  const consumerStore = storeOf(consumer);
  const loads = blockAccesses(consumer).filter((a) => a.kind === "load");
  if (!consumerStore || loads.some((a) => a.buffer.id === consumerStore.buffer.id))
    return { rule: "spatial", because: `${consumer.name} reduces, or is more than one store`, at };
  const blocks = outermostBlocksIn(path.func.body);
  const found = producerOf(blocks, consumer, (b) => roleOf(path.func, b.id) === undefined);
  if (!found) return { rule: "single-producer", because: `the producer of ${consumer.name} is not unique`, at };
  const { buffer, producer } = found;
  const producerStore = storeOf(producer);
  if (!producerStore)
    return {
      rule: "producer-spatial",
      because: `${producer.name} reduces, or is more than one store`,
      instead: "use reverseComputeAt",
      at: blockRef(producer),
    };
  const reader = collectAccesses(path.func.body, (id) => id === buffer.id).find(
    (a) => a.kind === "load" && a.block !== consumer,
  );
  if (reader)
    return {
      rule: "sole-consumer",
      because: `${reader.block?.name ?? "a statement"} also reads ${buffer.name}`,
      at: reader.block ? blockRef(reader.block) : at,
    };
  const reads = loads.filter((a) => a.buffer.id === buffer.id);
  const ranges = iterRanges(consumer);
  const solution = solveAccess(reads[0]!.indices, consumer.iterVars, ranges);
  const open = consumer.iterVars.some((v) => solution?.get(v.var.id)?.kind === "free" && constantValue(v.extent) !== 1);
  const points = new Set(reads.map((a) => a.indices.map((e) => keyOf(simplifyIndex(e, ranges))).join()));
  if (!solution || open || points.size !== 1)
    return { rule: "point-access", because: `the read of ${buffer.name} cannot be inverted`, at };
  const p: Plan = { consumer, consumerStore, producer, producerStore, buffer, solution, place: reads[0]!.indices };
  return checkRest(program, blocks, p) ?? p;
}
/** The only buffer, among those that are no parameters, with exactly one other writer before the block. */
function producerOf(blocks: readonly Block[], consumer: Block, isLocal: (b: Buffer) => boolean) {
  const read = new Map(blockAccesses(consumer).flatMap((a) => (a.kind === "load" ? [[a.buffer.id, a.buffer]] : [])));
  const found = [...read.values()].filter(isLocal).flatMap((buffer) => {
    const writers = blocks.filter((b) => blockAccesses(b, (id) => id === buffer.id).some((a) => a.kind === "store"));
    const [producer] = writers;
    const isBefore = producer && blocks.indexOf(producer) < blocks.indexOf(consumer);
    return writers.length === 1 && producer && isBefore ? [{ buffer, producer }] : [];
  });
  return found.length === 1 ? found[0] : undefined;
}
function checkRest(program: Program, blocks: readonly Block[], p: Plan): Refusal | undefined {
  const { consumer, producer, buffer } = p;
  const at = blockRef(consumer);
  const [needed, written] = [blockBox(consumer, buffer.id, "load"), blockBox(producer, buffer.id, "store")];
  const whole = runsWhole(producer, loopsAround(program, producer.id));
  const isCovered =
    whole && written?.exact && needed?.spans.every((s, d) => spanCovers(written.spans[d]!, s!, new Map()));
  if (!isCovered)
    return { rule: "covered", because: `${producer.name} may not write all of ${buffer.name} that is read`, at };
  for (const b of [consumer, producer])
    if (strayGuard(b, loopsAround(program, b.id), { outer: new Map() }))
      return { rule: "guard", because: `the predicate of ${b.name} is not the tail guard of a split`, at: blockRef(b) };
  const between = blocks.slice(blocks.indexOf(producer), blocks.indexOf(consumer));
  const around = [
    ...companions(program, blocks.slice(0, blocks.indexOf(producer)), producer, consumer),
    ...companions(program, blocks.slice(blocks.indexOf(consumer) + 1), consumer, producer),
  ];
  for (const a of blockAccesses(consumer)) {
    if (a.buffer.id === buffer.id) continue;
    const box = blockBox(consumer, a.buffer.id, a.kind);
    for (const b of [...between, ...around])
      for (const other of blockAccesses(b, (id) => id === a.buffer.id)) {
        if (a.kind === "load" && other.kind === "load") continue;
        const theirs = blockBox(b, a.buffer.id, other.kind);
        if (!(box && theirs && boxesDisjoint(box, theirs, new Map())))
          return {
            rule: "inputs-ready",
            because: `${b.name} ${other.kind}s ${a.buffer.name} ${around.includes(b) ? "in other iterations" : `before ${consumer.name}`}`,
            at: blockRef(b),
          };
      }
  }
  return undefined;
}

/** The producer, storing what the consumer makes of its value. */
function fold(p: Plan): Block {
  const ranges: Ranges = iterRanges(p.producer);
  const map = new Map<VarId, Expr>();
  let condition: Expr = bool(true);
  for (const v of p.consumer.iterVars) {
    const value = exprOf(valueAt(p.solution.get(v.var.id)!, p.producerStore.indices, ranges));
    map.set(v.var.id, value);
    condition = and(condition, and(compare("ge", value, 0), compare("lt", value, v.extent)));
  }
  condition = and(condition, meets(p.place, p.producerStore.indices, map));
  const indices = p.consumerStore.indices.map((e) => simplifyIndex(substituteIndices(e, map, ranges), ranges));
  const value = rewrite(substituteIndices(p.consumerStore.value, map, ranges), (n) =>
    n.kind === "load" && n.buffer.id === p.buffer.id ? p.producerStore.value : n,
  );
  const target = p.consumerStore.buffer;
  const body = ifThen(simplifyCondition(condition, ranges), storeAt(target, indices, value));
  const next: Block = { ...p.producer, body, writes: [pointRegion(target, indices)] };
  return { ...next, reads: readRegionsOf(next) };
}

export const reverseComputeInline = definePrimitive({
  name: "reverseComputeInline",
  doc: "Folds the only consumer of an element-wise block into that block's store, and removes the consumer and the buffer.",
  before: "for i: B[i] = A[i] * 2\nfor i: C[i] = B[i] + 1",
  after: "for i: C[i] = A[i] * 2 + 1    # in the loops of B",
  rules,
  check: (program: Program, args: ReverseComputeInlineArgs): Refusal | undefined => {
    const p = plan(program, args);
    return isRefusal(p) ? p : undefined;
  },
  rewrite: (program: Program, args: ReverseComputeInlineArgs) => {
    const p = plan(program, args);
    invariant(!isRefusal(p), "reverseComputeInline was checked");
    const changes = new Map<Stmt, Stmt | undefined>([
      [p.consumer, undefined],
      [p.producer, fold(p)],
    ]);
    return { program: dropAllocation(rewriteAt(program, changes), p.buffer), result: undefined };
  },
});
