/** cacheWriteAt: each iteration of a loop computes into a cache of its own and copies it back at its end. */
import { seq } from "../../../ir/loop/build.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { carries } from "../../lower/compact-buffers.ts";
import { definePrimitive, remembered, type Violation } from "../primitive.ts";
import { blockRef } from "../tree.ts";
import { accessBox, blockAccesses, iterRanges } from "./support-access.ts";
import type { Box, Span } from "./support-box.ts";
import { blockBox, remapBuffer } from "./support-buffer.ts";
import { strayGuard } from "./support-guard.ts";
import { loopsOf, solveAccess } from "./support-nest.ts";
import {
  type CacheAtArgs,
  holdsBox,
  type StageSite,
  stage,
  stagedBox,
  stageRules,
  stageSite,
} from "./support-stage.ts";

const rules = {
  ...stageRules,
  "exact-writes": "what the block writes, within an iteration and altogether, is all of a box",
  "uses-within":
    "everything under the loop that touches the buffer touches only what the block writes in that iteration",
  "no-carried-values": "no iteration reads an element of the buffer before writing it",
};
type Rule = keyof typeof rules;
interface Plan {
  readonly site: StageSite;
  readonly box: Box;
  /** All that the block ever writes. */
  readonly limit: readonly Span[];
}

const plan = remembered((program: Program, args: CacheAtArgs): Plan | Violation<Rule> => {
  const site = stageSite(program, args, "store");
  if ("rule" in site) return site;
  const { accesses, block, buffer, loop, outer } = site;
  const at = args.block;
  const all = blockBox(block, buffer.id, "store");
  const box = stagedBox(
    site,
    accesses.filter((a) => a.block === block && a.kind === "store"),
  );
  if (!all?.exact || !box.exact || !isTail(site))
    return {
      rule: "exact-writes",
      because: `the elements of ${buffer.name} that ${block.name} writes under ${loop.var.name} are not known to be a box`,
      at,
    };
  const stray = accesses.find((a) => {
    if (a.block === block) return a.kind === "load" && !holdsBox(box, accessBox(a, outer), outer);
    const whole = a.block && blockBox(a.block, buffer.id, a.kind);
    return !whole || !holdsBox(all, whole, new Map()) || !holdsBox(box, accessBox(a, outer), outer);
  });
  if (stray)
    return {
      rule: "uses-within",
      because: `${stray.block?.name ?? "a statement"} may touch elements of ${buffer.name} that ${block.name} does not write in this iteration of ${loop.var.name}`,
      at: stray.block ? blockRef(stray.block) : at,
    };
  if (carries(loop, buffer.id, site.around))
    return {
      rule: "no-carried-values",
      because: `an iteration of ${loop.var.name} may read what an earlier one wrote to ${buffer.name}`,
      instead: "use a loop around the reduction",
      at: args.loop,
    };
  return { site, box, limit: all.spans as readonly Span[] };
});
/** Whether instances are skipped only where the domain ends, and elements there are the block's last ones. */
function isTail({ block, path, loop, around, outer, buffer }: StageSite): boolean {
  if (!block.predicate) return true;
  const loops = loopsOf(path.stmts);
  const inside = loops.slice(around.length + 1);
  if (strayGuard(block, loops, { outer: new Map() })) return false;
  if (strayGuard(block, inside, { outer, tile: inside })) return false;
  const domain = iterRanges(block);
  const spatial = block.iterVars.filter((v) => v.kind === "spatial");
  const stores = blockAccesses(block, (id) => id === buffer.id).filter((a) => a.kind === "store");
  return loop !== undefined && stores.every((a) => solveAccess(a.indices, spatial, domain) !== undefined);
}

/** The primitive. */
export const cacheWriteAt = definePrimitive({
  name: "cacheWriteAt",
  doc: "Lets everything within one iteration of a loop use a buffer of the given scope for what a block writes, and copies that back at the end of the iteration.",
  before: "for i_o, i_i, j, k: C[i_o * 8 + i_i, j] += …",
  after:
    "for i_o:\n  for i_i, j, k: C_stack[i_o * 8 + i_i, j] += …\n  for d0 in 0..8, d1: C[i_o * 8 + d0, d1] = C_stack[i_o * 8 + d0, d1]",
  rules,
  check: (program: Program, args: CacheAtArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: CacheAtArgs) => {
    const p = plan(program, args);
    invariant(!("rule" in p), "cacheWriteAt was checked");
    const { site, box, limit } = p;
    return stage(program, {
      site,
      box,
      limit,
      scope: args.scope,
      writesBack: true,
      body: (cache, copy) => seq([remapBuffer(site.loop.body, { from: site.buffer.id, to: cache }), copy]),
    });
  },
});
