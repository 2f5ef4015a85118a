/** reverseComputeAt: a consumer moves under a loop of its producers. */
import { add, constantValue } from "../../../ir/expr/build.ts";
import { freeVars, substitute } from "../../../ir/expr/traverse.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { Block, For, Program, Stmt } from "../../../ir/loop/program.ts";
import { type BufferId, IdSource } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { blockRef } from "../tree.ts";
import {
  type Access,
  accessBox,
  blockAccesses,
  collectAccesses,
  iterRanges,
  merged,
  rangesOf,
} from "./support-access.ts";
import { type Box, spanCovers, spanOf } from "./support-box.ts";
import { elementDomain, reducesOver, strayGuard } from "./support-guard.ts";
import { type Bounds, constantLinear, exprOf, linearOf, type Ranges } from "./support-linear.ts";
import {
  axisOver,
  type DomainAxis,
  type Follower,
  findConflict,
  followerOf,
  regenerate,
  rewriteAt,
  type Solution,
  solveAccess,
  spanFor,
} from "./support-nest.ts";
import { holdsAll, instancesOf, instancesUnder, writtenUnder } from "./support-order.ts";

export interface ReverseComputeAtArgs {
  readonly block: BlockRef;
  readonly loop: LoopRef;
}
const rules = {
  found: "the block and the loop are part of the program",
  spatial: "the block has spatial iteration variables only, no init, and does not read what it writes",
  "after-loop": "the block stands after the loop's nest in the same sequence, alone in its own nest",
  producer: "the block reads a buffer that is written under the loop",
  "producer-in-loop": "every writer of that buffer in the loop's nest stands under the loop",
  complete: "every reduction of the producers runs within one iteration of the loop",
  "exact-tile": "one iteration of the loop writes a whole box of the buffer",
  "point-access":
    "each read coordinate of the buffer is one iteration variable plus a constant (or its quotient and remainder)",
  covered: "the producers write all that the block reads, each iteration what the block's instances there need",
  guard: "the predicates of the block and its producers are tail guards",
  "inputs-ready":
    "nothing between the loop's nest and the block writes what the block reads; loops around both keep their instances where they write it",
  "no-conflict": "nothing from the loop's nest to the block touches what the block writes",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;
const isRefusal = (x: object): x is Refusal => "rule" in x;

interface Site extends Pick<Follower, "loop" | "fork" | "above"> {
  readonly consumer: Block;
  readonly consumerLoops: readonly For[];
  /** Bounds of all loops around the loop's body. */
  readonly outer: Ranges;
  readonly shared: Ranges;
}
interface Plan extends Site {
  readonly axes: readonly DomainAxis[];
}

function locate(program: Program, args: ReverseComputeAtArgs): Site | Refusal {
  const follower = followerOf(program, args);
  if (isRefusal(follower)) return follower;
  const { block: consumer, own: consumerLoops, loop, fork, above } = follower;
  const shared = rangesOf(fork.shared);
  return { consumer, consumerLoops, loop, fork, above, outer: rangesOf([...fork.shared, ...above]), shared };
}

/** What one iteration of the loop writes of a buffer. */
interface Produced {
  readonly buffer: BufferId;
  readonly last: Access;
  /** One iteration of the loop; then all of the loop's nest. */
  readonly box: Box;
  readonly wholeBox: Box;
}
function producedBy(site: Site, buffer: BufferId): Produced | Refusal {
  const { loop, fork, outer, shared } = site;
  const isStore = (a: Access): boolean => a.kind === "store";
  const whole = collectAccesses(fork.seq.body[fork.first]!, (id) => id === buffer).filter(isStore);
  const inside = collectAccesses(loop.body, (id) => id === buffer).filter(isStore);
  const last = inside.at(-1);
  const name = whole[0]!.buffer.name;
  if (!last || inside.length !== whole.length)
    return {
      rule: "producer-in-loop",
      because: `${name} is also written outside ${loop.var.name}`,
      at: refOf(whole[0]!),
    };
  const above = new Set(site.above.map((l) => l.var.id));
  for (const a of inside)
    if (!a.block || reducesOver(a.block, above, freeVars))
      return {
        rule: "complete",
        because: `${a.block?.name ?? name} still reduces over ${loop.var.name} or a loop around it`,
        at: refOf(a),
      };
  const box = accessBox(last, outer);
  if (!box.exact)
    return {
      rule: "exact-tile",
      because: `what one iteration of ${loop.var.name} writes of ${name} is not a box`,
      at: refOf(last),
    };
  for (const a of inside) {
    const other = accessBox(a, outer);
    if (!coversBox(box, other, outer))
      return {
        rule: "exact-tile",
        because: `${a.block!.name} writes more of ${name} than ${last.block!.name}`,
        at: refOf(a),
      };
  }
  return { buffer, last, box, wholeBox: accessBox(whole.at(-1)!, shared) };
}
const refOf = (a: Access): BlockRef | undefined => a.block && blockRef(a.block);
const coversBox = (a: Box, b: Box, ranges: Ranges): boolean =>
  a.spans.every((s, d) => s !== undefined && b.spans[d] !== undefined && spanCovers(s, b.spans[d], ranges));

function plan(program: Program, args: ReverseComputeAtArgs): Plan | Refusal {
  const site = locate(program, args);
  if (isRefusal(site)) return site;
  const { consumer, fork } = site;
  const at = args.block;
  const accesses = blockAccesses(consumer);
  const stored = new Set(accesses.filter((a) => a.kind === "store").map((a) => a.buffer.id));
  const loads = accesses.filter((a) => a.kind === "load");
  if (
    consumer.init ||
    consumer.iterVars.some((v) => v.kind !== "spatial") ||
    loads.some((a) => stored.has(a.buffer.id))
  )
    return { rule: "spatial", because: `${consumer.name} reduces, or reads what it writes`, at };
  const written = new Set(
    collectAccesses(fork.seq.body[fork.first]!).flatMap((a) => (a.kind === "store" ? [a.buffer.id] : [])),
  );
  const produced = new Map<BufferId, Produced>();
  for (const id of new Set(loads.map((a) => a.buffer.id)))
    if (written.has(id)) {
      const p = producedBy(site, id);
      if (isRefusal(p)) return p;
      produced.set(id, p);
    }
  if (produced.size === 0)
    return { rule: "producer", because: `${consumer.name} reads nothing that ${args.loop.name} computes`, at };
  const axes = solveDomain(site, loads, produced);
  if (isRefusal(axes)) return axes;
  return (
    checkGuards(site, loads, produced) ??
    checkCover(site, axes, loads, produced) ??
    checkInstances(site, axes) ??
    checkInputs(site, axes, loads, produced) ??
    checkOrder(site, produced) ?? { ...site, axes }
  );
}
/** The consumer's instances for one iteration, from the read that determines the most variables. */
function solveDomain(
  site: Site,
  loads: readonly Access[],
  produced: ReadonlyMap<BufferId, Produced>,
): DomainAxis[] | Refusal {
  const { consumer } = site;
  const ranges = iterRanges(consumer);
  let best: { solution: Map<number, Solution>; box: Box; count: number } | undefined;
  for (const a of loads) {
    const p = produced.get(a.buffer.id);
    const solution = p && solveAccess(a.indices, consumer.iterVars, ranges);
    if (!p || !solution) continue;
    const count = [...solution.values()].filter((s) => s.kind !== "free").length;
    if (!best || count > best.count) best = { solution, box: p.box, count };
  }
  const refused = (name: string): Refusal => ({
    rule: "point-access",
    because: `cannot tell which instances of ${name} read one tile`,
    at: blockRef(consumer),
  });
  if (!best) return refused(consumer.name);
  const axes: DomainAxis[] = [];
  for (const v of consumer.iterVars) {
    const solution = best.solution.get(v.var.id)!;
    const whole = ranges.get(v.var.id);
    const span = spanFor(solution, best.box, whole ? whole.max + 1 : 0);
    const axis = span?.exact ? axisOver(v, span) : undefined;
    if (!axis) return refused(consumer.name);
    axes.push(axis);
  }
  return axes;
}
/** Each instance reads within the tile of its iteration; all iterations together make all instances. */
function checkCover(
  site: Site,
  axes: readonly DomainAxis[],
  loads: readonly Access[],
  produced: ReadonlyMap<BufferId, Produced>,
): Refusal | undefined {
  const { consumer, outer, shared, fork } = site;
  const inner = new Map<(typeof axes)[number]["iter"]["var"]["id"], Bounds>(
    axes.map((a) => [a.iter.var.id, { min: 0, max: a.extent - 1 }]),
  );
  const shift = new Map(axes.map((a) => [a.iter.var.id, add(a.iter.var, exprOf(a.min))]));
  const ranges = merged(outer, inner);
  const refuse = (name: string): Refusal => ({
    rule: "covered",
    because: `${consumer.name} needs elements of ${name} that one iteration of ${site.loop.var.name} does not compute`,
    at: blockRef(consumer),
  });
  const before = collectAccesses(fork.seq.body[fork.second]!);
  const wholeLoads = before.filter((a) => a.kind === "load");
  for (const [k, a] of loads.entries()) {
    const p = produced.get(a.buffer.id);
    if (!p) continue;
    const top = wholeLoads[k]!;
    const topBox = accessBox(top, shared);
    for (const [d, e] of a.indices.entries()) {
      const read = spanOf(linearOf(substitute(e, shift), ranges), inner, ranges);
      const tile = p.box.spans[d]!;
      if (!read || !spanCovers(tile, read, ranges)) return refuse(a.buffer.name);
      const whole = p.wholeBox.spans[d];
      const domain = spanOf(linearOf(e, iterRanges(consumer)), iterRanges(consumer), iterRanges(consumer));
      const needed = [topBox.spans[d], domain];
      if (!whole || !needed.some((s) => s && spanCovers(whole, s, shared))) return refuse(a.buffer.name);
    }
  }
  return undefined;
}
/** All iterations of the loops above together run every instance: what they write may have gaps that boxes do not show. */
function checkInstances(site: Site, axes: readonly DomainAxis[]): Refusal | undefined {
  const { consumer, consumerLoops, shared, outer, above } = site;
  const met = instancesOf(axes, above, outer);
  const wanted = instancesUnder(consumer, consumerLoops, shared);
  const missed = axes.find(({ iter, extent }, d) => {
    const [span, before] = [met.spans[d], wanted.spans[d]];
    const whole = { min: constantLinear(0), extent: constantValue(iter.extent) ?? extent, exact: true };
    return !span || ![before, whole].some((w) => w && spanCovers(span, w, shared));
  });
  if (met.exact && !missed) return undefined;
  const what = missed ? `all of ${missed.iter.var.name}` : "all its instances";
  const because = `the iterations of ${site.loop.var.name} may not run ${what} of ${consumer.name}`;
  return { rule: "covered", because, at: blockRef(consumer) };
}
/** Other inputs that the loops around both compute bit by bit are there for the instances that ran in an iteration. */
function checkInputs(
  { consumer, consumerLoops, shared, outer, above, fork }: Site,
  axes: readonly DomainAxis[],
  loads: readonly Access[],
  produced: ReadonlyMap<BufferId, Produced>,
): Refusal | undefined {
  const inputs = new Set(loads.map((a) => a.buffer.id).filter((id) => !produced.has(id)));
  const late = writtenUnder(fork.shared, inputs);
  if (!late || holdsAll(instancesUnder(consumer, consumerLoops, shared), instancesOf(axes, above, outer), shared))
    return undefined;
  const because = `${consumer.name} would run other instances in an iteration that writes a part of ${late.buffer.name}`;
  return { rule: "inputs-ready", because, at: refOf(late) };
}
function checkGuards(
  site: Site,
  loads: readonly Access[],
  produced: ReadonlyMap<BufferId, Produced>,
): Refusal | undefined {
  const { consumer, shared } = site;
  const refuse = (b: Block): Refusal => ({
    rule: "guard",
    because: `the predicate of ${b.name} is not the tail guard of a split`,
    at: blockRef(b),
  });
  if (strayGuard(consumer, site.consumerLoops, { outer: shared })) return refuse(consumer);
  for (const a of loads) {
    const p = produced.get(a.buffer.id);
    const b = p?.last.block;
    if (!p || !b) continue;
    const loops = [...site.above, ...p.last.loops];
    const domain = elementDomain(b, p.buffer, a, iterRanges(consumer));
    if (strayGuard(b, loops, { outer: shared, domain, tile: p.last.loops })) return refuse(b);
  }
  return undefined;
}
function checkOrder(site: Site, produced: ReadonlyMap<BufferId, Produced>): Refusal | undefined {
  const { consumer, fork, shared } = site;
  const between: readonly Stmt[] = fork.seq.body.slice(fork.first + 1, fork.second);
  const nest = fork.seq.body[fork.first]!;
  for (const a of collectAccesses(fork.seq.body[fork.second]!)) {
    const box = accessBox(a, shared);
    const writes = a.kind === "store";
    const among = writes || !produced.has(a.buffer.id) ? [nest, ...between] : between;
    const conflict = findConflict(among, a.buffer.id, writes ? ["load", "store"] : ["store"], box, shared);
    if (conflict)
      return {
        rule: writes ? "no-conflict" : "inputs-ready",
        because: `${conflict.block?.name ?? "a statement"} ${conflict.kind}s ${a.buffer.name} before ${consumer.name}`,
        at: refOf(conflict),
      };
  }
  return undefined;
}

export const reverseComputeAt = definePrimitive({
  name: "reverseComputeAt",
  doc: "Moves a consumer under a loop of its producers: each iteration consumes what it has just produced.",
  before: "for i_o, i_i: B[…] = …\nfor i: C[i] = f(B[i])",
  after: "for i_o:\n  for i_i: B[…] = …\n  for i: C[i_o * 8 + i] = f(B[i_o * 8 + i])",
  rules,
  check: (program: Program, args: ReverseComputeAtArgs): Refusal | undefined => {
    const p = plan(program, args);
    return isRefusal(p) ? p : undefined;
  },
  rewrite: (program: Program, args: ReverseComputeAtArgs) => {
    const p = plan(program, args);
    invariant(!isRefusal(p), "reverseComputeAt was checked");
    const ids = new IdSource(program.nextId);
    const nest = regenerate(ids, p.consumer, p.axes, p.outer);
    const loop: For = { ...p.loop, body: seq([p.loop.body, nest]) };
    const changes = new Map<Stmt, Stmt | undefined>([
      [p.loop, loop],
      [p.fork.seq.body[p.fork.second]!, undefined],
    ]);
    return { program: { ...rewriteAt(program, changes), nextId: ids.next }, result: undefined };
  },
});
