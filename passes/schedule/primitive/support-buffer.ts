/** Redirecting and remapping the accesses of a buffer; the copy blocks of caches. */
import { add, load, variable } from "../../../ir/expr/build.ts";
import type { Buffer, Expr, Scope } from "../../../ir/expr/expr.ts";
import { freeVars, rewrite, some } from "../../../ir/expr/traverse.ts";
import { allocate, block, forLoop, iterVar, pointRegion, store } from "../../../ir/loop/build.ts";
import { wholeRegion } from "../../../ir/loop/compute.ts";
import type { Block, PrimFunc, Program, Region, Stmt } from "../../../ir/loop/program.ts";
import { mapBodies, mapRegion, rewriteExprs, rewriteStmt, visitStmt } from "../../../ir/loop/traverse.ts";
import type { BufferId, IdSource } from "../../../ir/support/ids.ts";
import { keyOf } from "../../analysis/order.ts";
import { outermostBlocksIn } from "../tree.ts";
import { type Access, blockAccesses, iterRanges, limitsOf, merged, rangesOf } from "./support-access.ts";
import { type Box, boxOf, unionSpan } from "./support-box.ts";

/** How accesses of one buffer become accesses of another. */
interface Remap {
  readonly from: BufferId;
  readonly to: Buffer;
  /** New indices; the same by default. */
  readonly indices?: (old: readonly Expr[]) => readonly Expr[];
  /** New region; mapped as a point access by default when all its extents are 1. */
  readonly region?: (old: Region) => Region;
}
/** Redirects every load, store, region and allocation of a buffer within `s`. */
export function remapBuffer(s: Stmt, m: Remap): Stmt {
  const indices = m.indices ?? ((old) => old);
  const expr = (e: Expr): Expr =>
    rewrite(e, (n) => {
      if (n.kind !== "load" || n.buffer.id !== m.from) return n;
      return { ...load(m.to, indices(n.indices)), dtype: n.dtype, ...(n.predicate ? { predicate: n.predicate } : {}) };
    });
  const region = (r: Region): Region => {
    const mapped = mapRegion(r, expr);
    if (r.buffer.id !== m.from) return mapped;
    return m.region ? m.region(mapped) : { ...mapped, buffer: m.to };
  };
  return rewriteStmt(rewriteExprs(s, expr), (n) => {
    if (n.kind === "store" && n.buffer.id === m.from) return { ...n, buffer: m.to, indices: indices(n.indices) };
    if (n.kind === "allocate" && n.buffer.id === m.from) return { ...n, buffer: m.to };
    if (n.kind === "block") return { ...n, reads: n.reads.map(region), writes: n.writes.map(region) };
    if (n.kind === "parallelCall") return { ...n, buffers: n.buffers.map((b) => (b.id === m.from ? m.to : b)) };
    return n;
  });
}
/** Redirects within every function. */
export const remapProgram = (p: Program, m: Remap): Program => mapBodies(p, (body) => remapBuffer(body, m));

/** The buffer of this name that a block loads or stores. */
export function bufferNamed(b: Block, name: string, kind: Access["kind"]): Buffer | undefined {
  return blockAccesses(b).find((a) => a.kind === kind && a.buffer.name === name)?.buffer;
}
/** The role of a buffer as a parameter of its function. */
export const roleOf = (f: PrimFunc, id: BufferId) => f.params.find((p) => p.buffer.id === id)?.role;

/** The box of constant bounds that a block's accesses of one kind touch, over its whole domain; undefined if unknown. */
export function blockBox(b: Block, buffer: BufferId, kind: Access["kind"]): Box | undefined {
  const ranges = iterRanges(b);
  let union: Box | undefined;
  for (const a of blockAccesses(b, (id) => id === buffer)) {
    if (a.kind !== kind) continue;
    const inner = rangesOf(a.loops);
    if (a.loops.some((l) => !inner.has(l.var.id))) return undefined;
    const all = merged(ranges, inner);
    const box = boxOf(a.indices, all, all, limitsOf(a.conditions, all, all));
    const whole: Box = { spans: box.spans, exact: box.exact && !a.guarded };
    union = union ? unionBox(union, whole) : whole;
  }
  const constant = union?.spans.every((s) => s !== undefined && s.min.terms.size === 0);
  return constant ? union : undefined;
}
/** The least box that holds both; exact when they are the same. */
function unionBox(a: Box, b: Box): Box {
  const spans = a.spans.map((s, d) => {
    const t = b.spans[d];
    return s && t ? unionSpan(s, t, new Map()) : undefined;
  });
  const same = a.spans.every((s, d) => {
    const t = b.spans[d];
    return (
      s && t && s.extent === t.extent && s.min.constant === t.min.constant && s.min.terms.size + t.min.terms.size === 0
    );
  });
  return { spans, exact: a.exact && b.exact && same };
}

/** A nest `to[i] = from[i]` over a constant box. */
export function copyNest(
  ids: IdSource,
  name: string,
  to: Buffer,
  from: Buffer,
  box: Box,
): { nest: Stmt; block: Block } {
  const iters = box.spans.map((s, d) => iterVar(variable(ids, `d${d}`), s!.extent));
  const place = iters.map((v, d) => add(v.var, box.spans[d]!.min.constant));
  const loops = iters.map((v) => ({ var: variable(ids, v.var.name), extent: v.extent }));
  const copy = block(ids, {
    name,
    iterVars: iters,
    bindings: loops.map((l) => l.var),
    reads: [pointRegion(from, place)],
    writes: [pointRegion(to, place)],
    body: store(to, place, load(from, place)),
  });
  return { nest: loops.reduceRight<Stmt>((inner, l) => forLoop(l.var, l.extent, inner), copy), block: copy };
}
/** A buffer like `b` in another scope, with compact strides. */
export function cacheOf(ids: IdSource, b: Buffer, scope: Scope, name = `${b.name}_${scope}`): Buffer {
  const { strides: _s, offset: _o, ...rest } = b;
  return { ...rest, id: ids.fresh(), name, scope, alignment: 64 };
}
/** Allocates around the whole body of the function that satisfies `f`. */
export function allocateIn(p: Program, func: PrimFunc, b: Buffer): Program {
  const functions = p.functions.map((f) => (f.name === func.name ? { ...f, body: allocate(b, f.body) } : f));
  return { ...p, functions };
}
/** The constant boxes that blocks other than `except` store to a buffer; undefined when one is unknown. */
export function otherWriters(p: Program, buffer: BufferId, except: Block): { block: Block; box: Box | undefined }[] {
  return outermostBlocksIn(p)
    .filter((b) => b !== except && blockAccesses(b, (id) => id === buffer).some((a) => a.kind === "store"))
    .map((b) => ({ block: b, box: blockBox(b, buffer, "store") }));
}
/** A buffer name that no allocation or parameter has. */
export function freshBufferName(program: Program, wanted: string): string {
  const taken = new Set(program.functions.flatMap((f) => f.params.map((p) => p.buffer.name)));
  for (const f of program.functions)
    visitStmt(f.body, (s) => {
      if (s.kind === "allocate") taken.add(s.buffer.name);
    });
  let name = wanted;
  for (let k = 1; taken.has(name); k++) name = `${wanted}_${k}`;
  return name;
}

/** The read regions of a block, from its loads: points, or the whole buffer where an index depends on data. */
export function readRegionsOf(b: Block): Region[] {
  const known = new Set(b.iterVars.map((v) => v.var.id));
  const regions = new Map<string, Region>();
  for (const a of blockAccesses(b)) {
    if (a.kind !== "load") continue;
    const exact = a.indices.every(
      (e) => [...freeVars(e)].every((v) => known.has(v)) && !some(e, (n) => n.kind === "load"),
    );
    const key = `${a.buffer.id}:${exact ? a.indices.map(keyOf).join() : "*"}`;
    regions.set(key, exact ? pointRegion(a.buffer, a.indices) : wholeRegion(a.buffer));
  }
  return [...regions.values()];
}
