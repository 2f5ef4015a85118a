/** computeAt: a producer moves under a loop of its consumers. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import { allocate, seq } from "../../../ir/loop/build.ts";
import type { Block, For, PrimFunc, Program, Stmt } from "../../../ir/loop/program.ts";
import { type BufferId, IdSource } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type LoopRef, remembered, type Violation } from "../primitive.ts";
import { blockRef, pathToBlock, pathToLoop } from "../tree.ts";
import {
  type Access,
  accessBox,
  blockAccesses,
  collectAccesses,
  iterRanges,
  merged,
  rangesOf,
} from "./support-access.ts";
import { type Box, boxesDisjoint, type Span, spanOf, unionSpan } from "./support-box.ts";
import { roleOf } from "./support-buffer.ts";
import { strayGuard } from "./support-guard.ts";
import { addLinear, constantLinear, linearOf, type Ranges } from "./support-linear.ts";
import {
  axisOver,
  type DomainAxis,
  type Fork,
  findConflict,
  forkOf,
  loopsOf,
  regenerate,
  rewriteAt,
  rewriteWithin,
  soleNest,
  solveAccess,
  solveTiles,
  spanFor,
} from "./support-nest.ts";
import { holdsAll, instancesOf, instancesUnder, writtenUnder } from "./support-order.ts";
import { recurrenceOf } from "./support-recurrence.ts";

export interface ComputeAtArgs {
  readonly block: BlockRef;
  readonly loop: LoopRef;
}
/** What moving a producer under a loop demands; slideAt demands it too. */
export const producerRules = {
  found: "the block and the loop are part of the program",
  "before-loop": "the block stands before the loop's nest in the same sequence, alone in its own nest",
  pure: "the block writes one buffer, and reads that only to update what its own init set, or an earlier instance in order",
  complete: "the block's iteration variables run over their whole domains, and its predicate is a tail guard",
  "not-output": "the buffer that the block writes is no parameter of the function",
  consumer: "something under the loop reads what the block writes",
  "consumers-in-loop": "everything that reads what the block writes stands under the loop",
  "point-access":
    "each written coordinate is one spatial iteration variable plus a constant (or its quotient and remainder)",
  "in-order": "an ordered block runs whole, or its instances follow the loop, in order and from the first",
  "inputs-unchanged":
    "nothing between the block and the loop, or in the loop's nest, writes what the block reads; loops around both keep their instances where they write it",
  "no-conflict": "nothing else from the block to the loop's nest writes the same elements",
  "private-buffer":
    "where the loop, or one between it and the block, is parallel, all else that touches the buffer stands under that loop",
};
type Rule = keyof typeof producerRules;
type Refusal = Violation<Rule>;
const isRefusal = (x: object): x is Refusal => "rule" in x;

/** Where a producer stands and where it goes. */
export interface Site {
  readonly producer: Block;
  readonly producerLoops: readonly For[];
  readonly loop: For;
  readonly fork: Fork;
  readonly outer: Ranges;
  readonly shared: Ranges;
  /** The loops below the fork down to and with `loop`. */
  readonly below: readonly For[];
}
/** A legal move. */
export interface ProducerMove extends Site {
  /** What one iteration of the loop needs. */
  readonly axes: readonly DomainAxis[];
  readonly buffer: Buffer;
  /** The parallel loop whose iterations each need the buffer for themselves. */
  readonly parallel?: For;
}
const refOf = (a: Access): BlockRef | undefined => a.block && blockRef(a.block);

function locate(program: Program, args: ComputeAtArgs): Site | Refusal {
  const blockPath = pathToBlock(program, args.block.id);
  const loopPath = pathToLoop(program, args.loop.id);
  const producer = blockPath?.stmts.at(-1);
  const loop = loopPath?.stmts.at(-1);
  if (!blockPath || producer?.kind !== "block")
    return { rule: "found", because: `there is no block ${args.block.name}`, at: args.block };
  if (!loopPath || loop?.kind !== "for")
    return { rule: "found", because: `there is no loop ${args.loop.name}`, at: args.loop };
  const fork = blockPath.func === loopPath.func ? forkOf(blockPath, loopPath) : undefined;
  const nest = fork && soleNest(fork.seq.body[fork.first]!);
  if (!fork || fork.first >= fork.second || !nest)
    return {
      rule: "before-loop",
      because: `${producer.name} does not precede ${loop.var.name} in a nest of its own`,
      at: args.block,
    };
  const all = loopsOf(loopPath.stmts);
  return {
    producer,
    producerLoops: nest.loops,
    loop,
    fork,
    outer: rangesOf(all),
    shared: rangesOf(fork.shared),
    below: all.slice(fork.shared.length),
  };
}

/** How a producer moves under a loop; `early` names readers outside of the loop that something else provides for. */
export function planProducer(
  program: Program,
  args: ComputeAtArgs,
  early: (site: Site, buffer: BufferId) => readonly Access[] = () => [],
): ProducerMove | Refusal {
  const site = locate(program, args);
  if (isRefusal(site)) return site;
  const { producer, fork, loop } = site;
  const at = args.block;
  const buffer = pureOutput(producer);
  if (!buffer)
    return {
      rule: "pure",
      because: `${producer.name} writes several buffers, or reads elements it did not set itself`,
      instead: "apply computeAt before decomposeReduction",
      at,
    };
  const path = pathToBlock(program, args.block.id)!;
  if (roleOf(path.func, buffer.id)) return { rule: "not-output", because: `${buffer.name} is a parameter`, at };
  const incomplete = incompleteAxis(site);
  if (incomplete) return { rule: "complete", because: incomplete, at };
  const inside = collectAccesses(loop.body, (id) => id === buffer.id).filter((a) => a.kind === "load");
  const isRead = (a: Access): boolean => a.kind === "load" && a.block !== producer;
  const all = collectAccesses(path.func.body, (id) => id === buffer.id).filter(isRead);
  if (inside.length === 0)
    return { rule: "consumer", because: `nothing under ${loop.var.name} reads ${buffer.name}`, at: args.loop };
  const provided = new Set([...inside, ...early(site, buffer.id)].map((a) => a.block));
  const outsider = all.find((a) => !provided.has(a.block));
  if (outsider)
    return {
      rule: "consumers-in-loop",
      because: `${outsider.block?.name ?? "a statement"} also reads ${buffer.name}`,
      at: refOf(outsider) ?? at,
    };
  const axes = solveDomain(producer, buffer.id, inside, site.outer);
  if (!axes)
    return { rule: "point-access", because: `cannot tell which instances of ${producer.name} write a region`, at };
  const inOrder = orderedAxes(site, axes);
  if (!inOrder)
    return {
      rule: "in-order",
      because: `the instances of ${producer.name} that ${loop.var.name} needs do not begin with the first and follow it`,
      at,
    };
  const parallel = site.below.find((l) => l.loopKind !== "serial" && l.loopKind !== "unrolled");
  return (
    checkOrder(site, buffer.id, fork) ??
    checkInputs(site, inOrder, buffer) ??
    checkPrivate(path.func, site, buffer, parallel) ?? {
      ...site,
      axes: inOrder,
      buffer,
      ...(parallel ? { parallel } : {}),
    }
  );
}
const plan = remembered((program: Program, args: ComputeAtArgs) => planProducer(program, args));
/** Iterations that run at once may compute the same elements, so each needs its own buffer. */
function checkPrivate(func: PrimFunc, site: Site, buffer: Buffer, parallel: For | undefined): Refusal | undefined {
  if (!parallel) return undefined;
  const within = collectAccesses(parallel, (id) => id === buffer.id);
  const others = collectAccesses(func.body, (id) => id === buffer.id).filter((a) => a.block !== site.producer);
  const blocks = new Set(within.map((a) => a.block));
  const outsider = others.find((a) => !blocks.has(a.block));
  return (
    outsider && {
      rule: "private-buffer",
      because: `${outsider.block?.name ?? "a statement"} uses ${buffer.name} outside ${parallel.var.name}`,
      at: refOf(outsider) ?? blockRef(site.producer),
    }
  );
}
/** The one buffer of a block that only updates elements which its own init sets. */
function pureOutput(b: Block) {
  const accesses = blockAccesses(b);
  const stored = new Map(accesses.flatMap((a) => (a.kind === "store" ? [[a.buffer.id, a.buffer] as const] : [])));
  const [buffer] = stored.values();
  const reads = accesses.some((a) => a.kind === "load" && a.buffer.id === buffer?.id);
  if (b.iterVars.some((v) => v.kind === "ordered")) return recurrenceOf(b)?.buffer;
  const reduces = b.iterVars.some((v) => v.kind === "reduction");
  const starts = b.init !== undefined || (!reduces && accesses.some((a) => a.init));
  return stored.size === 1 && (starts ? true : !reads && !reduces) ? buffer : undefined;
}
function incompleteAxis(site: Site): string | undefined {
  const { producer, producerLoops, shared } = site;
  const inner = rangesOf(producerLoops);
  const ranges = merged(shared, inner);
  const domain = iterRanges(producer);
  for (const [i, v] of producer.iterVars.entries()) {
    const span = spanOf(linearOf(producer.bindings[i]!, ranges), inner, ranges);
    const known = domain.get(v.var.id);
    if (!known) return `the extent of ${v.var.name} is not constant`;
    if (!span) return `the values of ${v.var.name} are not known`;
    const isConstant = span.min.terms.size === 0;
    const whole = isConstant && span.min.constant <= 0 && span.min.constant + span.extent > known.max;
    if (v.kind !== "spatial" && !(whole && span.exact)) return `${v.var.name} does not run over its whole range`;
  }
  return strayGuard(producer, producerLoops, { outer: shared })
    ? `the predicate of ${producer.name} is not the tail guard of a split`
    : undefined;
}
/** The instances that write all that these reads touch while the loops within run; `outer` bounds the loops around. */
export function solveDomain(
  producer: Block,
  buffer: BufferId,
  reads: readonly Access[],
  outer: Ranges,
): DomainAxis[] | undefined {
  const domain = iterRanges(producer);
  const spatial = producer.iterVars.filter((v) => v.kind !== "reduction");
  const store = blockAccesses(producer, (id) => id === buffer).filter((a) => a.kind === "store");
  const solution = solveAccess(store[0]!.indices, spatial, domain) ?? solveTiles(store, spatial, domain);
  if (!solution || reads.length === 0) return undefined;
  const boxes = reads.map((a) => accessBox(a, outer));
  const box: Box = {
    exact: false,
    spans: boxes[0]!.spans.map((_, d) =>
      boxes.map((b) => b.spans[d]).reduce((a, b): Span | undefined => a && b && unionSpan(a, b, outer)),
    ),
  };
  const axes: DomainAxis[] = [];
  for (const v of producer.iterVars) {
    const s = solution.get(v.var.id);
    const extent = domain.get(v.var.id)!.max + 1;
    if (s?.kind === "free" && extent > 1) return undefined;
    const span = s && spanFor(s, box, extent, outer);
    // Of an ordered variable it matters where the need begins and ends, also beyond the domain.
    const axis = v.kind === "ordered" && span ? { ...span, iter: v } : axisOver(v, span);
    if (!axis) return undefined;
    axes.push(axis);
  }
  return axes;
}
/**
 * The axes with that of an ordered variable as its order demands: all instances, or, where the need moves on with the
 * loop and begins with the first instance, those that each iteration adds. Undefined when neither can be told.
 */
function orderedAxes(site: Site, axes: readonly DomainAxis[]): DomainAxis[] | undefined {
  const { loop } = site;
  const follows = (a: DomainAxis): boolean => [...a.min.terms.values()].some((t) => freeVars(t.atom).has(loop.var.id));
  const isOrdered = (a: DomainAxis): boolean => a.iter.kind === "ordered";
  if (!axes.some(isOrdered)) return [...axes];
  if (axes.some((a) => isOrdered(a) && follows(a)) && axes.some((a) => !isOrdered(a) && follows(a))) return undefined;
  const result: DomainAxis[] = [];
  for (const a of axes) {
    const placed = isOrdered(a) ? (follows(a) ? addedBy(loop, a) : wholeAxis(a)) : a;
    if (!placed) return undefined;
    result.push(placed);
  }
  return result;
}
const wholeAxis = (a: DomainAxis): DomainAxis | undefined => axisOver(a.iter, undefined);
/** The instances of an ordered variable that an iteration of a loop adds to those that earlier ones ran. */
function addedBy(loop: For, a: DomainAxis): DomainAxis | undefined {
  const [term, ...others] = [...a.min.terms.values()];
  const start = constantValue(loop.min);
  const inOrder = loop.loopKind === "serial" || loop.loopKind === "unrolled";
  if (!inOrder || start === undefined || term?.atom.kind !== "var" || others.length > 0) return undefined;
  const step = term.coefficient;
  const shift = a.extent - step;
  if (step < 1 || a.min.constant + step * start + shift > 0) return undefined;
  return { ...a, min: addLinear(a.min, constantLinear(shift)), extent: step };
}
function checkOrder(site: Site, buffer: BufferId, fork: Fork): Refusal | undefined {
  const { producer, shared } = site;
  const after: readonly Stmt[] = fork.seq.body.slice(fork.first + 1, fork.second + 1);
  for (const a of collectAccesses(fork.seq.body[fork.first]!)) {
    const own = a.buffer.id === buffer;
    if (own && a.kind === "load") continue;
    const box = accessBox(a, shared);
    const conflict = findConflict(after, a.buffer.id, ["store"], box, shared);
    if (conflict && !(own && disjointDomains(conflict, producer, buffer)))
      return {
        rule: own ? "no-conflict" : "inputs-unchanged",
        because: `${conflict.block?.name ?? "a statement"} writes ${a.buffer.name} after ${producer.name}`,
        at: refOf(conflict) ?? blockRef(producer),
      };
  }
  return undefined;
}
/** Inputs that the loops around both compute bit by bit are there for the instances that ran in an iteration. */
function checkInputs(
  { producer, producerLoops, below, outer, shared, fork }: Site,
  axes: readonly DomainAxis[],
  own: Buffer,
): Refusal | undefined {
  const loads = blockAccesses(producer).filter((a) => a.kind === "load" && a.buffer.id !== own.id);
  const part = writtenUnder(fork.shared, new Set(loads.map((a) => a.buffer.id)));
  if (!part || holdsAll(instancesUnder(producer, producerLoops, shared), instancesOf(axes, below, outer), shared))
    return undefined;
  const because = `${producer.name} would run other instances in an iteration that writes a part of ${part.buffer.name}`;
  return { rule: "inputs-unchanged", because, at: refOf(part) ?? blockRef(producer) };
}
/** Whether a writer and the producer never write the same element, whichever instances run. */
function disjointDomains(other: Access, producer: Block, buffer: BufferId): boolean {
  const b = other.block;
  if (!b) return false;
  const boxOfBlock = (x: Block): Box[] =>
    blockAccesses(x, (id) => id === buffer)
      .filter((a) => a.kind === "store")
      .map((a) => {
        const ranges = iterRanges(x);
        return { exact: false, spans: a.indices.map((e) => spanOf(linearOf(e, ranges), ranges, ranges)) };
      });
  return boxOfBlock(b).every((x) => boxOfBlock(producer).every((y) => boxesDisjoint(x, y, new Map())));
}

/** Moves the allocation of a buffer into the body of a loop, unless it is there already. */
export function allocateUnder(program: Program, buffer: Buffer, loop: For): Program {
  const path = pathToLoop(program, loop.var.id);
  const now = path?.stmts.at(-1);
  const allocation = path?.stmts.find((s) => s.kind === "allocate" && s.buffer.id === buffer.id);
  if (now?.kind !== "for" || allocation?.kind !== "allocate") return program;
  const inside = rewriteWithin(allocation.body, new Map([[now, { ...now, body: allocate(buffer, now.body) }]]));
  return rewriteAt(program, new Map([[allocation, inside]]));
}

export const computeAt = definePrimitive({
  name: "computeAt",
  doc: "Moves a producer under a loop of its consumers: each iteration computes the region that it reads.",
  before: "for i: B[i] = …\nfor i_o, i_i: C[…] = f(B[…])",
  after: "for i_o:\n  for i: B[i_o * 8 + i] = …\n  for i_i: C[…] = f(B[…])",
  rules: producerRules,
  check: (program: Program, args: ComputeAtArgs): Refusal | undefined => {
    const p = plan(program, args);
    return isRefusal(p) ? p : undefined;
  },
  rewrite: (program: Program, args: ComputeAtArgs) => {
    const p = plan(program, args);
    invariant(!isRefusal(p), "computeAt was checked");
    const ids = new IdSource(program.nextId);
    const nest = regenerate(ids, p.producer, p.axes, p.outer);
    const loop: For = { ...p.loop, body: seq([nest, p.loop.body]) };
    const changes = new Map<Stmt, Stmt | undefined>([
      [p.loop, loop],
      [p.fork.seq.body[p.fork.first]!, undefined],
    ]);
    const moved = { ...rewriteAt(program, changes), nextId: ids.next };
    return { program: p.parallel ? allocateUnder(moved, p.buffer, p.parallel) : moved, result: undefined };
  },
});
