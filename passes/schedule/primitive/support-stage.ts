/** Staging what one iteration of a loop uses of a buffer: what cacheReadAt and cacheWriteAt share. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Scope } from "../../../ir/expr/expr.ts";
import { allocate } from "../../../ir/loop/build.ts";
import type { Block, For, Program, Stmt } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import type { BlockRef, LoopRef, Violation } from "../primitive.ts";
import { blockRef, loopRef, type Path, pathToBlock } from "../tree.ts";
import { type Access, accessBox, collectAccesses, rangesOf } from "./support-access.ts";
import { type Box, type Span, spanCovers, unionSpan } from "./support-box.ts";
import { bufferNamed, cacheOf, copyNest, freshBufferName } from "./support-buffer.ts";
import { addLinear, type Ranges } from "./support-linear.ts";
import { axisOver, freshName, loopsOf, regenerate, rewriteAt } from "./support-nest.ts";

/** Arguments of cacheReadAt and cacheWriteAt. */
export interface CacheAtArgs {
  /** The loop in each of whose iterations there is a copy. */
  readonly loop: LoopRef;
  readonly block: BlockRef;
  /** Name of a buffer that the block reads, or writes. */
  readonly buffer: string;
  readonly scope: Scope;
}
export const stageRules = {
  "loop-around-block": "the loop is around the block",
  "scalar-loop": "neither the loop nor one around it is vectorized or tensorized",
  "uses-buffer": "the block reads (cacheReadAt) or writes (cacheWriteAt) a buffer of that name",
  "static-shape": "the buffer's shape is constant",
  "lives-outside": "the buffer is not allocated under the loop",
};
/** Where a buffer is staged. */
export interface StageSite {
  readonly path: Path;
  readonly block: Block;
  readonly loop: For;
  readonly around: readonly For[];
  /** Bounds of the loop and those around it. */
  readonly outer: Ranges;
  readonly buffer: Buffer;
  readonly extents: readonly number[];
  /** All accesses of the buffer under the loop. */
  readonly accesses: readonly Access[];
}

/** The place that the arguments mean, or the rule that fails. */
export function stageSite(
  program: Program,
  args: CacheAtArgs,
  kind: Access["kind"],
): StageSite | Violation<keyof typeof stageRules> {
  const path = pathToBlock(program, args.block.id);
  const block = path?.stmts.at(-1);
  invariant(path && block?.kind === "block", `block ${args.block.name} is alive`);
  const loops = loopsOf(path.stmts);
  const place = loops.findIndex((l) => l.var.id === args.loop.id);
  const loop = loops[place];
  if (!loop)
    return { rule: "loop-around-block", because: `${args.loop.name} is not around ${block.name}`, at: args.loop };
  const around = loops.slice(0, place);
  const lanes = [...around, loop].find((l) => l.loopKind === "vectorized" || l.loopKind === "tensorized");
  if (lanes)
    return {
      rule: "scalar-loop",
      because: `${lanes.var.name} is ${lanes.loopKind}`,
      instead: `stage before making it ${lanes.loopKind}`,
      at: loopRef(lanes),
    };
  const buffer = bufferNamed(block, args.buffer, kind);
  const at = args.block;
  if (!buffer) return { rule: "uses-buffer", because: `${block.name} does not ${kind} ${args.buffer}`, at };
  const extents = buffer.shape.map(constantValue);
  if (!extents.every((n) => n !== undefined))
    return { rule: "static-shape", because: `the shape of ${buffer.name} is not constant`, at };
  const allocation = path.stmts.findIndex((s) => s.kind === "allocate" && s.buffer.id === buffer.id);
  if (allocation > path.stmts.indexOf(loop))
    return {
      rule: "lives-outside",
      because: `${buffer.name} is allocated under ${loop.var.name}`,
      instead: "use a loop inside of its allocation",
      at: args.loop,
    };
  const accesses = collectAccesses(loop.body, (id) => id === buffer.id);
  return { path, block, loop, around, outer: rangesOf([...around, loop]), buffer, extents, accesses };
}

/** The least box around those that accesses touch in one iteration, and whether one of them meets all of it. */
export function stagedBox(site: StageSite, accesses: readonly Access[]): Box {
  const boxes = accesses.map((a) => accessBox(a, site.outer));
  const spans = site.extents.map((_, d) =>
    boxes.map((b) => b.spans[d]).reduce((a, b): Span | undefined => a && b && unionSpan(a, b, site.outer)),
  );
  const covers = (b: Box): boolean => spans.every((s, d) => s && b.spans[d] && spanCovers(b.spans[d], s, site.outer));
  return { spans, exact: boxes.some((b) => b.exact && covers(b)) };
}
/** Whether a box provably holds another. */
export const holdsBox = (outer: Box, inner: Box, ranges: Ranges): boolean =>
  outer.spans.every((s, d) => s && inner.spans[d] && spanCovers(s, inner.spans[d], ranges));

/** What is copied, between the buffer and its cache. */
interface Staging {
  readonly site: StageSite;
  /** What one iteration copies; all of a dimension where the span is unknown. */
  readonly box: Box;
  /** What may be copied at all, with constant bounds; the buffer by default. */
  readonly limit: readonly Span[];
  readonly scope: Scope;
  /** The loop's body with a cache in place of the buffer, and where the copy stands. */
  readonly body: (cache: Buffer, copy: Stmt) => Stmt;
  readonly writesBack: boolean;
}
/** Allocates a cache in the loop's body and copies the part of the box within the limit. */
export function stage(program: Program, { site, box, limit, scope, body, writesBack }: Staging) {
  const { buffer, loop } = site;
  const ids = new IdSource(program.nextId);
  const cache = cacheOf(ids, buffer, scope, freshBufferName(program, `${buffer.name}_${scope}`));
  const [to, from] = writesBack ? [buffer, cache] : [cache, buffer];
  const copy = copyNest(ids, freshName(program, `${cache.name}_copy`), to, from, { spans: limit, exact: false }).block;
  const axes = copy.iterVars.map((v, d) => {
    const span = box.spans[d];
    const shifted = span && { ...span, min: addLinear(span.min, limit[d]!.min, -1) };
    // What is written back must be what was written; what is read may be more.
    if (writesBack && shifted) return { iter: v, min: shifted.min, extent: shifted.extent };
    const axis = axisOver(v, shifted);
    invariant(axis, "the limit is constant");
    return axis;
  });
  const nest = regenerate(ids, copy, axes, site.outer);
  const next: For = { ...loop, body: allocate(cache, body(cache, nest)) };
  const placed = rewriteAt(program, new Map<Stmt, Stmt>([[loop, next]]));
  return { program: { ...placed, nextId: ids.next }, result: blockRef(copy) };
}
