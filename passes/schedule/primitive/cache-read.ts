/** cacheRead: a copy block fills a cache, the block reads the cache. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer, Scope } from "../../../ir/expr/expr.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { Block, Program, Stmt } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { blockRef, loopsAround, outermostBlocksIn, type Path, pathToBlock } from "../tree.ts";
import { blockAccesses } from "./support-access.ts";
import type { Box, Span } from "./support-box.ts";
import {
  allocateIn,
  blockBox,
  bufferNamed,
  cacheOf,
  copyNest,
  freshBufferName,
  otherWriters,
  remapBuffer,
  roleOf,
} from "./support-buffer.ts";
import { runsWhole } from "./support-domain.ts";
import { strayGuard } from "./support-guard.ts";
import { constantLinear } from "./support-linear.ts";
import { freshName, rewriteAt, rewriteWithin } from "./support-nest.ts";

export interface CacheReadArgs {
  readonly block: BlockRef;
  /** Name of a buffer the block reads. */
  readonly buffer: string;
  readonly scope: Scope;
}
type Rule = "found" | "reads-buffer" | "static-shape" | "written-before" | "read-defined";
interface Plan {
  readonly path: Path;
  readonly block: Block;
  readonly buffer: Buffer;
  readonly box: Box;
  readonly top: Stmt;
}

function plan(program: Program, args: CacheReadArgs): Plan | Violation<Rule> {
  const at = args.block;
  const path = pathToBlock(program, at.id);
  const block = path?.stmts.at(-1);
  if (!path || block?.kind !== "block") return { rule: "found", because: `there is no block ${at.name}`, at };
  const buffer = bufferNamed(block, args.buffer, "load");
  if (!buffer) return { rule: "reads-buffer", because: `${block.name} does not read ${args.buffer}`, at };
  const box = copiedBox(block, buffer);
  if (!box) return { rule: "static-shape", because: `the shape of ${buffer.name} is not constant`, at };
  const top = path.stmts.find((s) => s.kind === "for" || s.kind === "block")!;
  for (const b of outermostBlocksIn(top))
    if (blockAccesses(b, (id) => id === buffer.id).some((a) => a.kind === "store"))
      return {
        rule: "written-before",
        because: `${b.name} writes ${buffer.name} within the same outermost loop, after the copy`,
        at: blockRef(b),
      };
  if (!isDefinedBefore(program, path, block, buffer, box))
    return {
      rule: "read-defined",
      because: `part of the box that ${block.name} reads of ${buffer.name} may never be written`,
      at,
    };
  return { path, block, buffer, box, top };
}
/** The box with constant bounds that a block reads, all of a dimension where that is unknown; undefined without a shape. */
export function copiedBox(block: Block, buffer: Buffer): Box | undefined {
  const read = blockBox(block, buffer.id, "load");
  const spans = wholeSpans(buffer)?.map((s, d) => clip(read?.spans[d], s));
  return spans && { spans, exact: false };
}
/** All of a buffer; undefined where its shape is not constant. */
export function wholeSpans(b: Buffer): Span[] | undefined {
  const extents = b.shape.map(constantValue);
  return extents.every((n) => n !== undefined)
    ? extents.map((n) => ({ min: constantLinear(0), extent: n, exact: true }))
    : undefined;
}
/** The part of a constant span inside the buffer; all of the dimension when the span is unknown. */
function clip(s: Span | undefined, whole: Span): Span {
  if (!s || s.min.terms.size > 0) return whole;
  const lo = Math.max(0, s.min.constant);
  const hi = Math.min(whole.extent, s.min.constant + s.extent);
  return hi > lo ? { min: constantLinear(lo), extent: hi - lo, exact: true } : whole;
}
/** Whether every element of the box has a value: a parameter that comes filled, or writers outside the nest that cover it. */
export function isDefinedBefore(program: Program, path: Path, block: Block, buffer: Buffer, box: Box): boolean {
  const role = roleOf(path.func, buffer.id);
  if (role === "input" || role === "constant") return true;
  const within = new Set(outermostBlocksIn(path.stmts.find((s) => s.kind === "for" || s.kind === "block")!));
  const written = otherWriters(program, buffer.id, block).flatMap((w) => {
    const loops = loopsAround(program, w.block.id);
    const whole = !strayGuard(w.block, loops, { outer: new Map() }) && runsWhole(w.block, loops);
    return !within.has(w.block) && w.box?.exact && whole ? [boundsOfBox(w.box)] : [];
  });
  return isCovered(boundsOfBox(box), written);
}
type Bounds = readonly (readonly [number, number])[];
const boundsOfBox = (b: Box): Bounds => b.spans.map((s) => [s!.min.constant, s!.min.constant + s!.extent]);
/** Whether a union of boxes covers a box: what the first leaves over is cut into boxes for the others. */
function isCovered(box: Bounds, by: readonly Bounds[]): boolean {
  const [first, ...others] = by;
  if (!first) return false;
  if (box.some(([lo, hi], d) => first[d]![1] <= lo || hi <= first[d]![0])) return isCovered(box, others);
  const left: Bounds[] = [];
  const core = box.map(([lo, hi]) => [lo, hi] as [number, number]);
  for (const [d, [lo, hi]] of first.entries()) {
    const [a, b] = core[d]!;
    if (a < lo) left.push(core.map((r, k) => (k === d ? [a, lo] : r)));
    if (hi < b) left.push(core.map((r, k) => (k === d ? [hi, b] : r)));
    core[d] = [Math.max(a, lo), Math.min(b, hi)];
  }
  return left.every((piece) => isCovered(piece, others));
}

export const cacheRead = definePrimitive({
  name: "cacheRead",
  doc: "Copies what a block reads of a buffer to a new buffer of the given scope, before the block's outermost loop.",
  before: "for i, j, k: C[i, j] += A[i, k] * …",
  after: "for i, k: A_stack[i, k] = A[i, k]\nfor i, j, k: C[i, j] += A_stack[i, k] * …",
  rules: {
    found: "the block is part of the program",
    "reads-buffer": "the block reads a buffer of that name",
    "static-shape": "the buffer's shape is constant",
    "written-before": "nothing under the block's outermost loop writes the buffer",
    "read-defined": "every element of the copied box has a value",
  },
  check: (program: Program, args: CacheReadArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: CacheReadArgs) => {
    const p = plan(program, args);
    invariant(!("rule" in p), "cacheRead was checked");
    const ids = new IdSource(program.nextId);
    const cache = cacheOf(ids, p.buffer, args.scope, freshBufferName(program, `${p.buffer.name}_${args.scope}`));
    const copy = copyNest(ids, freshName(program, `${cache.name}_copy`), cache, p.buffer, p.box);
    const redirected = remapBuffer(p.block, { from: p.buffer.id, to: cache });
    const newTop = rewriteWithin(p.top, new Map([[p.block, redirected]]));
    const placed = rewriteAt(program, new Map([[p.top, seq([copy.nest, newTop])]]));
    return { program: { ...allocateIn(placed, p.path.func, cache), nextId: ids.next }, result: blockRef(copy.block) };
  },
});
