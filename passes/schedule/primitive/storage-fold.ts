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
import { addLinear, constantLinear, type Linear, type Ranges } from "./support-linear.ts";
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
  "one-loop":
    "one serial loop, with what stands beside it, holds every use of the buffer, under serial loops that carry no value in it",
  "moving-window":
    "what an iteration of that loop uses of the dimension is a window that moves on by constant steps, and what is used before and after the loop fits to its ends",
  "window-fits": "the window, and what is used before or after the loop, is no longer than the factor",
  "spatial-writes": "only spatial iteration variables choose what is written along the dimension",
};
type Rule = keyof typeof rules;

// Note [Circular buffers]
// An iteration t of the loop uses elements [c·t + lo, c·t + hi) along the dimension, c > 0, hi - lo ≤ factor. Let an
// element e be used at t1 and at t2 ≥ t1, and another e' at t' between them. Since e lies in the windows of t1 and t2,
// and these only move on, e lies in the window of t' too; so does e', and two elements of one window that are equal
// modulo the factor are the same. Hence nothing overwrites e while it is needed. What stands before the loop counts as
// an iteration before the first, with a window of its own that is no longer than the factor and ends no later than the
// first: an element of it that is used later lies in all windows up to then. Likewise what stands after the loop uses a
// window that begins no earlier than the last.
// Blocks that write a circular buffer write one element several times, in order: their variables say so afterwards.
function plan(program: Program, args: StorageFoldArgs): Intermediate | Violation<Rule> {
  const found = intermediateOf(program, args.block, args.buffer);
  if ("rule" in found) return found;
  const { buffer, allocation, outside } = found;
  const { dim, factor, block: at } = args;
  const length = buffer.shape[dim] && constantValue(buffer.shape[dim]);
  if (length === undefined || !Number.isSafeInteger(factor) || factor < 2 || factor >= length)
    return { rule: "dim-range", because: `dimension ${dim} of ${buffer.name} has ${length ?? "no"} elements`, at };
  const widthOf = (p: Place): number | undefined => windowOf(p, buffer, dim);
  const loop =
    windowLoop(allocation.body, buffer, [...outside], (p) => (widthOf(p) ?? factor + 1) <= factor) ??
    windowLoop(allocation.body, buffer, [...outside], (p) => widthOf(p) !== undefined) ??
    windowLoop(allocation.body, buffer, [...outside], (p) => p.before.length + p.after.length === 0);
  if (!loop)
    return { rule: "one-loop", because: `no serial loop holds every use of ${buffer.name} with a moving window`, at };
  const width = widthOf(loop);
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
  const users = [...loop.before, loop.loop, ...loop.after].flatMap(blocksIn);
  const odd = users.find((b) => driving(b, buffer, dim).some((k) => k !== "spatial" && k !== "ordered"));
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
  /** What stands before and after the loop and uses the buffer. */
  readonly before: readonly Stmt[];
  readonly after: readonly Stmt[];
}
type Beside = Pick<Place, "before" | "after">;
/** The outermost serial loop for which `fits`, among those that hold every use but what stands beside them. */
function windowLoop(
  s: Stmt,
  buffer: Buffer,
  around: readonly For[],
  fits: (p: Place) => boolean,
  beside: Beside = { before: [], after: [] },
): Place | undefined {
  const uses = (n: Stmt): boolean => collectAccesses(n, (id) => id === buffer.id).length > 0;
  if (s.kind === "for") {
    if (s.loopKind !== "serial") return undefined;
    const here = { loop: s, around, ...beside };
    if (fits(here)) return here;
    const closed = beside.before.length + beside.after.length === 0 && !carries(s, buffer.id, around);
    return closed ? windowLoop(s.body, buffer, [...around, s], fits) : undefined;
  }
  if (s.kind !== "seq" && s.kind !== "allocate") return undefined;
  const users = childStmts(s).filter(uses);
  for (const [k, user] of users.entries()) {
    const before = [...beside.before, ...users.slice(0, k)];
    const found = windowLoop(user, buffer, around, fits, { before, after: [...users.slice(k + 1), ...beside.after] });
    if (found) return found;
  }
  return undefined;
}
/** The length of the longest window along a dimension; undefined when windows do not move on as the loop does. */
function windowOf({ loop, around, before, after }: Place, buffer: Buffer, dim: number): number | undefined {
  const outer = rangesOf([...around, loop]);
  const range = outer.get(loop.var.id);
  const window = range && usedBy([loop.body], buffer, dim, outer);
  const moving = [...(window?.min.terms.entries() ?? [])].filter(([, t]) => freeVars(t.atom).has(loop.var.id));
  const [key, one] = moving[0] ?? [];
  if (!window || moving.length !== 1 || one?.atom.kind !== "var" || one.coefficient < 1) return undefined;
  const terms = new Map([...window.min.terms].filter(([k]) => k !== key));
  /** Where what statements use begins and ends, from the start of the window at iteration `t`. */
  const apart = (stmts: readonly Stmt[], t: number): { readonly lo: number; readonly extent: number } | undefined => {
    const used = usedBy(stmts, buffer, dim, rangesOf(around));
    const at = { terms, constant: window.min.constant + one.coefficient * t };
    const distance = used && addLinear(used.min, at, -1);
    return distance?.terms.size === 0 ? { lo: distance.constant, extent: used!.extent } : undefined;
  };
  const head = before.length > 0 ? apart(before, range.min) : { lo: 0, extent: 0 };
  const tail = after.length > 0 ? apart(after, range.max) : { lo: 0, extent: 0 };
  if (!head || !tail || head.lo + head.extent > window.extent || tail.lo < 0) return undefined;
  return Math.max(window.extent, head.extent, tail.extent);
}
/** The span along a dimension that statements use; undefined when its length is not constant. */
function usedBy(
  stmts: readonly Stmt[],
  buffer: Buffer,
  dim: number,
  outer: Ranges,
): { readonly min: Linear; readonly extent: number } | undefined {
  let first: Linear | undefined;
  let [lo, hi] = [0, 0];
  for (const a of stmts.flatMap((s) => collectAccesses(s, (id) => id === buffer.id))) {
    const span = accessBox(a, outer).spans[dim];
    if (!span) return undefined;
    first ??= span.min;
    const apart = addLinear(span.min, first, -1);
    if (apart.terms.size > 0) return undefined;
    lo = Math.min(lo, apart.constant);
    hi = Math.max(hi, apart.constant + span.extent);
  }
  return first && { min: addLinear(first, constantLinear(lo)), extent: hi - lo };
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
