/** cacheWrite: a block computes into a cache, a copy block writes the result back. */
import type { Buffer, Scope } from "../../../ir/expr/expr.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { Block, Program, Stmt } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { blockRef, outermostBlocksIn, type Path, pathToBlock } from "../tree.ts";
import { blockAccesses } from "./support-access.ts";
import { type Box, boxesDisjoint } from "./support-box.ts";
import {
  allocateIn,
  blockBox,
  bufferNamed,
  cacheOf,
  copyNest,
  freshBufferName,
  otherWriters,
  remapBuffer,
} from "./support-buffer.ts";
import { runsWhole } from "./support-domain.ts";
import { strayGuard } from "./support-guard.ts";
import { freshName, loopsOf, rewriteAt, rewriteWithin } from "./support-nest.ts";

export interface CacheWriteArgs {
  readonly block: BlockRef;
  /** Name of a buffer the block writes. */
  readonly buffer: string;
  readonly scope: Scope;
}
type Rule = "found" | "writes-buffer" | "exact-writes" | "sole-writer" | "reads-own" | "readers-outside";
interface Plan {
  readonly path: Path;
  readonly block: Block;
  readonly buffer: Buffer;
  readonly box: Box;
  /** The outermost loop around the block (or the block). */
  readonly top: Stmt;
}

function plan(program: Program, args: CacheWriteArgs): Plan | Violation<Rule> {
  const path = pathToBlock(program, args.block.id);
  const block = path?.stmts.at(-1);
  const at = args.block;
  if (!path || block?.kind !== "block") return { rule: "found", because: `there is no block ${at.name}`, at };
  const buffer = bufferNamed(block, args.buffer, "store");
  if (!buffer) return { rule: "writes-buffer", because: `${block.name} does not write ${args.buffer}`, at };
  const box = blockBox(block, buffer.id, "store");
  const loops = loopsOf(path.stmts);
  if (!box?.exact || strayGuard(block, loops, { outer: new Map() }) || !runsWhole(block, loops))
    return {
      rule: "exact-writes",
      because: `the elements of ${buffer.name} that ${block.name} writes are not a box`,
      at,
    };
  const others = otherWriters(program, buffer.id, block);
  for (const w of others)
    if (!w.box || !boxesDisjoint(w.box, box, new Map()))
      return {
        rule: "sole-writer",
        because: `${w.block.name} may write the same elements of ${buffer.name}`,
        instead: "apply cacheWrite before decomposeReduction",
        at: blockRef(w.block),
      };
  if (others.length > 0 && !readsWithin(block, buffer, box))
    return {
      rule: "reads-own",
      because: `${block.name} may read elements of ${buffer.name} that ${others[0]!.block.name} wrote`,
      at,
    };
  const top = path.stmts.find((s) => s.kind === "for" || s.kind === "block")!;
  for (const b of outermostBlocksIn(top))
    if (b !== block && blockAccesses(b, (id) => id === buffer.id).some((a) => a.kind === "load"))
      return {
        rule: "readers-outside",
        because: `${b.name} reads ${buffer.name} within the same outermost loop, before the copy`,
        instead: `apply cacheWrite before moving ${b.name} into this nest`,
        at: blockRef(b),
      };
  return { path, block, buffer, box, top };
}
/** Whether what the block reads of the buffer lies within the box that it writes. */
function readsWithin(block: Block, buffer: Buffer, box: Box): boolean {
  if (!blockAccesses(block, (id) => id === buffer.id).some((a) => a.kind === "load")) return true;
  const read = blockBox(block, buffer.id, "load");
  return (
    read?.spans.every((s, d) => {
      const [from, own] = [s!.min.constant, box.spans[d]!];
      return from >= own.min.constant && from + s!.extent <= own.min.constant + own.extent;
    }) ?? false
  );
}

export const cacheWrite = definePrimitive({
  name: "cacheWrite",
  doc: "Lets a block write a new buffer of the given scope and copies that to the original after the block's outermost loop.",
  before: "for i, j, k: C[i, j] += …",
  after: "for i, j, k: C_register[i, j] += …\nfor i, j: C[i, j] = C_register[i, j]",
  rules: {
    found: "the block is part of the program",
    "writes-buffer": "the block writes a buffer of that name",
    "exact-writes": "the block writes every element of a box with constant bounds",
    "sole-writer": "no other block writes the same elements",
    "reads-own": "where other blocks write the buffer, the block reads of it only what it writes",
    "readers-outside": "no block under the same outermost loop reads the buffer",
  },
  check: (program: Program, args: CacheWriteArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: CacheWriteArgs) => {
    const p = plan(program, args);
    invariant(!("rule" in p), "cacheWrite was checked");
    const ids = new IdSource(program.nextId);
    const cache = cacheOf(ids, p.buffer, args.scope, freshBufferName(program, `${p.buffer.name}_${args.scope}`));
    const name = freshName(program, `${cache.name}_copy`);
    const copy = copyNest(ids, name, p.buffer, cache, p.box);
    const redirected = remapBuffer(p.block, { from: p.buffer.id, to: cache });
    const newTop = rewriteWithin(p.top, new Map([[p.block, redirected]]));
    const placed = rewriteAt(program, new Map([[p.top, seq([newTop, copy.nest])]]));
    return { program: { ...allocateIn(placed, p.path.func, cache), nextId: ids.next }, result: blockRef(copy.block) };
  },
});
