/** storageFold: a dimension of an intermediate buffer becomes circular. */
import { constantValue, floormod, index } from "../../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import { range } from "../../../ir/loop/build.ts";
import type { Block, For, IterKind, Program, Region, Stmt } from "../../../ir/loop/program.ts";
import { childStmts, mapBodies, rewriteStmt } from "../../../ir/loop/traverse.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { carries } from "../../lower/compact-buffers.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { blockRef, blocksIn, loopRef } from "../tree.ts";
import { accessBox, blockAccesses, collectAccesses, rangesOf } from "./support-access.ts";
import { remapBuffer } from "./support-buffer.ts";
import { addLinear, type Linear } from "./support-linear.ts";
import { type Intermediate, intermediateOf, intermediateRules } from "./support-storage.ts";

export interface StorageFoldArgs {
  readonly block: BlockRef;
  /** Name of an intermediate buffer that the block uses. */
  readonly buffer: string;
  readonly dim: number;
  /** How many elements of the dimension are kept. */
  readonly factor: number;
}
const rules = {
  ...intermediateRules,
  "dim-range": "the dimension is one of the buffer's, and longer than the factor, which is at least 2",
  "one-loop": "one serial loop holds every use of the buffer, under serial loops that carry no value in it",
  "moving-window": "what an iteration of that loop uses of the dimension is a window that moves on by constant steps",
  "window-fits": "the window is no longer than the factor",
  "spatial-writes": "only spatial iteration variables choose what is written along the dimension",
};
type Rule = keyof typeof rules;

// Note [Circular buffers]
// An iteration t of the loop uses elements [c·t + lo, c·t + hi) along the dimension, c > 0, hi - lo ≤ factor. Let an
// element e be used at t1 and at t2 ≥ t1, and another e' at t' between them. Since e lies in the windows of t1 and t2,
// and these only move on, e lies in the window of t' too; so does e', and two elements of one window that are equal
// modulo the factor are the same. Hence nothing overwrites e while it is needed.
// Blocks that write a circular buffer write one element several times, in order: their variables say so afterwards.
function plan(program: Program, args: StorageFoldArgs): Intermediate | Violation<Rule> {
  const found = intermediateOf(program, args.block, args.buffer);
  if ("rule" in found) return found;
  const { buffer, allocation, outside } = found;
  const { dim, factor, block: at } = args;
  const length = buffer.shape[dim] && constantValue(buffer.shape[dim]);
  if (length === undefined || !Number.isSafeInteger(factor) || factor < 2 || factor >= length)
    return { rule: "dim-range", because: `dimension ${dim} of ${buffer.name} has ${length ?? "no"} elements`, at };
  const loop = windowLoop(allocation.body, buffer, [...outside], (l, around) => !!windowOf(l, around, buffer, dim));
  if (!loop)
    return { rule: "one-loop", because: `no serial loop holds every use of ${buffer.name} with a moving window`, at };
  const width = windowOf(loop.loop, loop.around, buffer, dim);
  if (width === undefined)
    return {
      rule: "moving-window",
      because: `what ${loop.loop.var.name} uses of ${buffer.name} does not move on by constant steps`,
      at: loopRef(loop.loop),
    };
  if (width > factor)
    return {
      rule: "window-fits",
      because: `an iteration of ${loop.loop.var.name} uses ${width} elements`,
      instead: `a factor of at least ${width}`,
      at: loopRef(loop.loop),
    };
  const odd = blocksIn(loop.loop).find((b) => driving(b, buffer, dim).some((k) => k !== "spatial" && k !== "ordered"));
  if (odd)
    return {
      rule: "spatial-writes",
      because: `${odd.name} writes ${buffer.name} at places that a reduction chooses`,
      at: blockRef(odd),
    };
  return found;
}
interface Place {
  readonly loop: For;
  readonly around: readonly For[];
}
/** The outermost serial loop that holds every use and for which `fits`; the outermost when none does. */
function windowLoop(
  s: Stmt,
  buffer: Buffer,
  around: readonly For[],
  fits: (l: For, around: readonly For[]) => boolean,
): Place | undefined {
  const uses = (n: Stmt): boolean => collectAccesses(n, (id) => id === buffer.id).length > 0;
  if (s.kind === "for") {
    if (s.loopKind !== "serial") return undefined;
    if (fits(s, around)) return { loop: s, around };
    const deeper = carries(s, buffer.id, around) ? undefined : windowLoop(s.body, buffer, [...around, s], fits);
    return deeper && fits(deeper.loop, deeper.around) ? deeper : { loop: s, around };
  }
  if (s.kind !== "seq" && s.kind !== "allocate") return undefined;
  const users = childStmts(s).filter(uses);
  return users.length === 1 ? windowLoop(users[0]!, buffer, around, fits) : undefined;
}
/** The length of the window that an iteration uses along a dimension; undefined when it does not move as the loop does. */
function windowOf(loop: For, around: readonly For[], buffer: Buffer, dim: number): number | undefined {
  const outer = rangesOf([...around, loop]);
  if (!outer.has(loop.var.id)) return undefined;
  let first: Linear | undefined;
  let [lo, hi] = [0, 0];
  for (const a of collectAccesses(loop.body, (id) => id === buffer.id)) {
    const span = accessBox(a, outer).spans[dim];
    if (!span) return undefined;
    first ??= span.min;
    const apart = addLinear(span.min, first, -1);
    if (apart.terms.size > 0) return undefined;
    lo = Math.min(lo, apart.constant);
    hi = Math.max(hi, apart.constant + span.extent);
  }
  const moving = [...(first?.terms.values() ?? [])].filter((t) => freeVars(t.atom).has(loop.var.id));
  const one = moving[0];
  if (moving.length !== 1 || one?.atom.kind !== "var" || one.coefficient < 1) return undefined;
  return hi - lo;
}
/** The kinds of the iteration variables that choose what a block writes along a dimension. */
function driving(b: Block, buffer: Buffer, dim: number): IterKind[] {
  const used = writtenBy(b, buffer, dim);
  return b.iterVars.filter((v) => used.has(v.var.id)).map((v) => v.kind);
}
function writtenBy(b: Block, buffer: Buffer, dim: number): ReadonlySet<number> {
  const used = new Set<number>();
  for (const a of blockAccesses(b, (id) => id === buffer.id))
    if (a.kind === "store") for (const v of freeVars(a.indices[dim]!)) used.add(v);
  return used;
}

function rewrite(program: Program, args: StorageFoldArgs) {
  const p = plan(program, args);
  invariant(!("rule" in p), "storageFold was checked");
  const { buffer } = p;
  const { dim, factor } = args;
  const at = <T>(list: readonly T[], f: (e: T) => T): T[] => list.map((e, d) => (d === dim ? f(e) : e));
  const to: Buffer = { ...withoutStrides(buffer), shape: at<Expr>(buffer.shape, () => index(factor)) };
  const indices = (old: readonly Expr[]): Expr[] => at(old, (e) => floormod(e, factor));
  const region = (r: Region): Region => ({
    buffer: to,
    ranges: at(r.ranges, (q) => (constantValue(q.extent) === 1 ? range(floormod(q.min, factor), 1) : range(0, factor))),
  });
  const ordered = (s: Stmt): Stmt => {
    if (s.kind !== "block") return s;
    const used = writtenBy(s, buffer, dim);
    if (used.size === 0) return s;
    return { ...s, iterVars: s.iterVars.map((v) => (used.has(v.var.id) ? { ...v, kind: "ordered" as const } : v)) };
  };
  return {
    program: mapBodies(program, (body) =>
      remapBuffer(rewriteStmt(body, ordered), { from: buffer.id, to, indices, region }),
    ),
    result: undefined,
  };
}
function withoutStrides(b: Buffer): Buffer {
  const { strides: _, ...rest } = b;
  return rest;
}

/** The primitive. */
export const storageFold = definePrimitive({
  name: "storageFold",
  doc: "Keeps only the last elements of a dimension of an intermediate buffer, at indices modulo their number.",
  before: "allocate B: float32[64]\nfor i in 0..62:\n  B[i + 2] = …\n  C[i] = B[i] + B[i + 2]",
  after: "allocate B: float32[4]\nfor i in 0..62:\n  B[(i + 2) % 4] = …\n  C[i] = B[i % 4] + B[(i + 2) % 4]",
  rules,
  check: (program: Program, args: StorageFoldArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite,
});
