/**
 * Shrinks allocated buffers to what is live at a time. Each allocation sinks to the innermost place that holds all its
 * accesses and carries no value from one iteration of the loops around to the next; there the buffer becomes the
 * bounding box of the accesses, with indices relative to the box. Blocks are lowered on the way, because indices then
 * depend on the loops around. Dimensions without a constant bound stay whole.
 */
import { constantValue, index } from "../../ir/expr/build.ts";
import { bytesOf } from "../../ir/expr/dtype.ts";
import type { Buffer, Expr } from "../../ir/expr/expr.ts";
import { freeVars } from "../../ir/expr/traverse.ts";
import { allocate, seq } from "../../ir/loop/build.ts";
import type { For, Program, Stmt } from "../../ir/loop/program.ts";
import { childStmts, mapBodies, mapChildStmts } from "../../ir/loop/traverse.ts";
import type { BufferId, VarId } from "../../ir/support/ids.ts";
import {
  type Access,
  accessBox,
  blockAccesses,
  buffersOf,
  collectAccesses,
  iterRanges,
  merged,
  rangesOf,
} from "../schedule/primitive/support-access.ts";
import { type Span, spanCovers, spanOf, unionSpan } from "../schedule/primitive/support-box.ts";
import { remapBuffer } from "../schedule/primitive/support-buffer.ts";
import { elementDomain, reducesOver, strayGuard } from "../schedule/primitive/support-guard.ts";
import { addLinear, constantLinear, exprOf, linearOf, type Ranges } from "../schedule/primitive/support-linear.ts";
import { recurrenceOf } from "../schedule/primitive/support-recurrence.ts";
import { lowerBlocks } from "./lower-blocks.ts";

/** The most bytes that a buffer in scope `register` may have. */
export const registerBytes = 16 * 1024;

/** Sinks and shrinks every allocation; the result has no blocks. */
export function compactBuffers(program: Program): Program {
  const sunk = mapBodies(program, (body) => sinkAll(body, [], () => true));
  const lowered: Program = { ...sunk, functions: sunk.functions.map(lowerBlocks) };
  return mapBodies(lowered, (body) => shrinkAll(body, []));
}
/** The shape that a buffer would have after `compactBuffers`; undefined when it has no allocation. */
export function compactShape(program: Program, id: BufferId): readonly Expr[] | undefined {
  let shape: readonly Expr[] | undefined;
  const look = (s: Stmt, loops: readonly For[]): Stmt => {
    if (s.kind === "allocate" && s.buffer.id === id) shape = shrunk(s.buffer, s.body, loops)?.shape ?? s.buffer.shape;
    else if (s.kind !== "block") mapChildStmts(s, (c) => look(c, s.kind === "for" ? [...loops, s] : loops));
    return s;
  };
  for (const f of program.functions)
    look(
      sinkAll(f.body, [], (b) => b.id === id),
      [],
    );
  return shape;
}
type Wanted = (b: Buffer) => boolean;

function sinkAll(s: Stmt, loops: readonly For[], wanted: Wanted): Stmt {
  if (s.kind === "for") return mapChildStmts(s, (c) => sinkAll(c, [...loops, s], wanted));
  if (s.kind !== "allocate" || !wanted(s.buffer)) return mapChildStmts(s, (c) => sinkAll(c, loops, wanted));
  return place(s.buffer, sinkAll(s.body, loops, wanted), loops);
}
/** `s` with the allocation of `b` as deep as it may stand. */
function place(b: Buffer, s: Stmt, loops: readonly For[]): Stmt {
  switch (s.kind) {
    case "seq": {
      const used = s.body.map((c) => touches(c, b.id));
      const first = used.indexOf(true);
      const last = used.lastIndexOf(true);
      if (first < 0) return s;
      const middle = s.body.slice(first, last + 1);
      const placed = first === last ? place(b, middle[0]!, loops) : allocate(b, seq(middle));
      return seq([...s.body.slice(0, first), placed, ...s.body.slice(last + 1)]);
    }
    case "for":
      if (
        s.loopKind === "vectorized" ||
        s.loopKind === "tensorized" ||
        s.loopKind === "thread" ||
        carries(s, b.id, loops)
      )
        return allocate(b, s);
      return { ...s, body: place(b, s.body, [...loops, s]) };
    case "allocate":
      return { ...s, body: place(b, s.body, loops) };
    default:
      return touches(s, b.id) ? allocate(b, s) : s;
  }
}
const touches = (s: Stmt, id: BufferId): boolean => buffersOf(s).has(id);
const usesInCall = (s: Stmt, id: BufferId): boolean =>
  touches(s, id) && (s.kind === "parallelCall" || childStmts(s).some((c) => usesInCall(c, id)));
/** Whether an iteration of `loop` (inside `loops`) may read what an earlier one wrote to a buffer. */
export function carries(loop: For, id: BufferId, loops: readonly For[]): boolean {
  if (usesInCall(loop, id)) return true;
  const around = [...loops, loop];
  const outer = rangesOf(around);
  const accesses = collectAccesses(loop.body, (x) => x === id);
  if (accesses.every((a, k) => a.kind !== "load" || isSetBefore(a, accesses.slice(0, k), loop, outer))) return false;
  // What each iteration of a loop within sets for itself may leave gaps, which no box of all of them shows.
  const inner = soleLoop(loop.body, id);
  return !inner || carries(inner, id, around);
}
/** The loop that holds all accesses of a buffer within `s`, where there is one. */
function soleLoop(s: Stmt, id: BufferId): For | undefined {
  if (s.kind === "for") return s;
  const [first, ...others] =
    s.kind === "seq" || s.kind === "allocate" ? childStmts(s).filter((c) => touches(c, id)) : [];
  return first && others.length === 0 ? soleLoop(first, id) : undefined;
}
function isSetBefore(read: Access, before: readonly Access[], loop: For, outer: Ranges): boolean {
  const { block } = read;
  if (!block) return false;
  // An init may also read the buffer, for what it starts from.
  const updates = blockAccesses(block, (x) => x === read.buffer.id).some((a) => a.init && a.kind === "store");
  if (updates && !reducesOver(block, new Set([loop.var.id, ...outer.keys()]), freeVars)) return true;
  if (continues(read, outer)) return true;
  const needed = withinShape(accessBox(read, outer).spans, read.buffer);
  const covers = (spans: readonly Span[]) => spans.every((s, d) => needed[d] && spanCovers(s, needed[d], outer));
  const written: (readonly Span[])[] = [];
  for (const w of before.toReversed()) {
    const spans = writtenWhole(w, read, outer);
    if (!spans) continue;
    if (covers(spans)) return true;
    written.unshift(spans);
  }
  return joined(written, outer).some(covers);
}
/** The box of elements that a writer sets before `read`; undefined where it may leave some of them out. */
function writtenWhole(w: Access, read: Access, outer: Ranges): readonly Span[] | undefined {
  if (w.kind !== "store" || !w.block || w.block === read.block) return undefined;
  if (w.init && w.block.body.kind === "store" && reducesOver(w.block, new Set(outer.keys()), freeVars))
    return undefined;
  const box = accessBox(w, outer);
  if (!box.exact || strayGuard(w.block, w.loops, { outer, domain: readDomain(w, read) })) return undefined;
  return box.spans.every((s) => s !== undefined) ? box.spans : undefined;
}
/** What a state reads of itself: earlier instances have set it where all of them run, in order, in each iteration. */
function continues(read: Access, outer: Ranges): boolean {
  const block = read.block!;
  const state = recurrenceOf(block);
  if (state?.buffer.id !== read.buffer.id || strayGuard(block, read.loops, { outer })) return false;
  const inner = rangesOf(read.loops);
  const ranges = merged(outer, inner);
  const own = block.bindings[block.iterVars.indexOf(state.ordered)]!;
  const span = spanOf(linearOf(own, ranges), inner, ranges);
  const drives = (e: Expr): VarId[] => [...freeVars(e)].filter((v) => inner.has(v));
  const shared = block.bindings.some((e) => e !== own && drives(e).some((v) => freeVars(own).has(v)));
  return !shared && span?.exact === true && span.min.terms.size === 0 && span.min.constant <= 0;
}
/** No element outside of a buffer is ever touched: spans end where its dimensions do. */
const withinShape = (spans: readonly (Span | undefined)[], b: Buffer): (Span | undefined)[] =>
  spans.map((s, d) => {
    const whole = constantValue(b.shape[d]!);
    if (!s || s.min.terms.size > 0 || whole === undefined) return s;
    const min = Math.max(0, s.min.constant);
    return { ...s, min: constantLinear(min), extent: Math.max(1, Math.min(s.min.constant + s.extent, whole) - min) };
  });
/** The boxes, and those that several of them make side by side: rows of them first, then rows of rows. */
function joined(boxes: readonly (readonly Span[])[], ranges: Ranges): (readonly Span[])[] {
  let whole = [...boxes];
  for (let before = 0; before !== whole.length; ) {
    before = whole.length;
    for (let d = (boxes[0]?.length ?? 0) - 1; d >= 0; d--) whole = joinedAlong(d, whole, ranges);
  }
  return [...boxes, ...whole];
}
function joinedAlong(d: number, boxes: readonly (readonly Span[])[], ranges: Ranges): (readonly Span[])[] {
  const result: (readonly Span[])[] = [];
  for (const box of boxes) {
    let whole = box;
    for (let k = result.length - 1; k >= 0; k--) {
      const union = sideBySide(result[k]!, whole, d, ranges);
      if (!union) continue;
      whole = union;
      result.splice(k, 1);
    }
    result.push(whole);
  }
  return result;
}
/** One box for two that differ in dimension `d` at most and touch there. */
function sideBySide(a: readonly Span[], b: readonly Span[], d: number, ranges: Ranges): readonly Span[] | undefined {
  const same = (s: Span, t: Span): boolean => spanCovers(s, t, ranges) && spanCovers(t, s, ranges);
  if (a.some((s, k) => k !== d && !same(s, b[k]!))) return undefined;
  const union = unionSpan(a[d]!, b[d]!, ranges);
  return union?.exact ? a.map((s, k) => (k === d ? union : s)) : undefined;
}
/** Bounds of the writer's iteration variables over the elements that the reader's block reads. */
function readDomain(w: Access, read: Access): Ranges {
  const block = read.block!;
  const reads = blockAccesses(block, (x) => x === read.buffer.id).filter((a) => a.kind === "load");
  const domains = reads.map((r) => elementDomain(w.block!, read.buffer.id, r, iterRanges(block)));
  const joined = new Map(domains[0]);
  for (const d of domains.slice(1))
    for (const [v, b] of d) {
      const a = joined.get(v);
      joined.set(v, a ? { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) } : b);
    }
  return joined;
}

function shrinkAll(s: Stmt, loops: readonly For[]): Stmt {
  if (s.kind === "for") return mapChildStmts(s, (c) => shrinkAll(c, [...loops, s]));
  if (s.kind !== "allocate") return mapChildStmts(s, (c) => shrinkAll(c, loops));
  const body = shrinkAll(s.body, loops);
  return shrink(s.buffer, body, loops);
}
function shrink(b: Buffer, body: Stmt, loops: readonly For[]): Stmt {
  if (!touches(body, b.id)) return body;
  const box = shrunk(b, body, loops);
  if (!box) return allocate(b, body);
  const small = inRegisters(
    b,
    box.shape,
    runsThroughRows(
      collectAccesses(body, (id) => id === b.id),
      box.dims,
    ),
  );
  return allocate(small, rebase(body, b, small, box.dims, box.spans, loops));
}
/** The bounding box of the accesses within `body`: the dimensions that are kept, their spans and extents. */
function shrunk(b: Buffer, body: Stmt, loops: readonly For[]) {
  if (usesInCall(body, b.id) || b.strides || b.shape.length === 0) return undefined;
  const outer = rangesOf(loops);
  const boxes = collectAccesses(body, (id) => id === b.id).map((a) => accessBox(a, outer));
  const spans = b.shape.map((n, d) => {
    const whole = constantValue(n);
    const span = boxes.map((box) => box.spans[d]).reduce((x, y): Span | undefined => x && y && unionSpan(x, y, outer));
    return span && (whole === undefined || span.extent < whole) ? span : undefined;
  });
  const kept = b.shape.flatMap((n, d) => ((spans[d]?.extent ?? constantValue(n)) === 1 ? [] : [d]));
  const dims = kept.length > 0 ? kept : [b.shape.length - 1];
  const shape = dims.map((d) => (spans[d] ? index(spans[d].extent) : b.shape[d]!));
  return { dims, spans, shape };
}
/** Redirects accesses to the shrunk buffer; indices are simplified with the ranges of the loops around each access. */
function rebase(
  s: Stmt,
  from: Buffer,
  to: Buffer,
  dims: readonly number[],
  spans: readonly (Span | undefined)[],
  loops: readonly For[],
): Stmt {
  if (s.kind === "for") return mapChildStmts(s, (c) => rebase(c, from, to, dims, spans, [...loops, s]));
  if (s.kind === "seq" || s.kind === "allocate")
    return mapChildStmts(s, (c) => rebase(c, from, to, dims, spans, loops));
  const ranges = rangesOf(loops);
  const indices = (old: readonly Expr[]): Expr[] =>
    dims.map((d) => {
      const l = linearOf(old[d]!, ranges);
      const span = spans[d];
      return exprOf(span ? addLinear(l, span.min, -1) : l);
    });
  return remapBuffer(s, { from: from.id, to, indices });
}
/** Whether lanes of an access go on from one row to the next. */
const runsThroughRows = (accesses: readonly Access[], dims: readonly number[]): boolean =>
  accesses.some((a) => {
    const lanes = a.loops.filter((l) => l.loopKind === "vectorized");
    return dims.slice(0, -1).some((d) => lanes.some((l) => freeVars(a.indices[d]!).has(l.var.id)));
  });
/** The shrunk buffer; what is too large for registers lives on the stack. */
function inRegisters(b: Buffer, shape: readonly Expr[], rowsInLine: boolean): Buffer {
  if (b.scope !== "register") return { ...b, shape };
  const padded = rowsInLine ? shape : wholeRows(b, shape);
  const extents = padded.map(constantValue);
  const bytes = extents.reduce<number>((a, n) => a * (n ?? Number.POSITIVE_INFINITY), bytesOf(b.dtype.scalar));
  return bytes > registerBytes ? { ...b, shape, scope: "stack" } : { ...b, shape: padded };
}
/** Rows of float32 as long as a power of two: then each begins where a register does, whatever its lanes. */
function wholeRows(b: Buffer, shape: readonly Expr[]): readonly Expr[] {
  const length = constantValue(shape.at(-1)!);
  if (b.dtype.scalar !== "float32" || length === undefined || length < 3) return shape;
  return [...shape.slice(0, -1), index(2 ** Math.ceil(Math.log2(length)))];
}
