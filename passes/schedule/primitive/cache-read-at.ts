/** cacheReadAt: each iteration of a loop copies what a block reads in it to a cache of its own. */
import { freeVars } from "../../../ir/expr/traverse.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { blockAccesses as conditionalAccesses } from "../../analysis/accesses.ts";
import { definePrimitive, remembered, type Violation } from "../primitive.ts";
import { blockRef } from "../tree.ts";
import { copiedBox, isDefinedBefore, wholeSpans } from "./cache-read.ts";
import { accessBox, collectAccesses, rangesOf } from "./support-access.ts";
import type { Box, Span } from "./support-box.ts";
import { blockBox, remapBuffer, roleOf } from "./support-buffer.ts";
import { reducesOver, strayGuard } from "./support-guard.ts";
import { loopsOf, rewriteWithin } from "./support-nest.ts";
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
  "not-written-inside": "nothing under the loop writes the buffer",
  "read-defined": "every element that is copied has a value",
};
type Rule = keyof typeof rules;
interface Plan {
  readonly site: StageSite;
  readonly box: Box;
  /** What has a value and may be copied. */
  readonly limit: readonly Span[];
}

const plan = remembered((program: Program, args: CacheAtArgs): Plan | Violation<Rule> => {
  const site = stageSite(program, args, "load");
  if ("rule" in site) return site;
  const { accesses, block, buffer, loop } = site;
  const writer = accesses.find((a) => a.kind === "store");
  if (writer)
    return {
      rule: "not-written-inside",
      because: `${writer.block?.name ?? "a statement"} writes ${buffer.name} under ${loop.var.name}`,
      instead: "use a loop inside, behind what writes it",
      at: writer.block ? blockRef(writer.block) : args.block,
    };
  const box = stagedBox(
    site,
    accesses.filter((a) => a.block === block),
  );
  const limit = definedPart(program, site, box);
  if (!limit)
    return {
      rule: "read-defined",
      because: `part of the box that ${block.name} reads of ${buffer.name} under ${loop.var.name} may have no value yet`,
      at: args.block,
    };
  return { site, box, limit };
});
/**
 * The part of the buffer that has values, as far as the box goes: all of a parameter, of what every iteration reads all
 * of anyway, and of what writers outside of the nest cover; what a writer before the loop covers, as far as it writes.
 */
function definedPart(program: Program, site: StageSite, box: Box): readonly Span[] | undefined {
  const { block, buffer, path } = site;
  const role = roleOf(path.func, buffer.id);
  const reads = conditionalAccesses(block).filter((a) => a.buffer.id === buffer.id && a.kind !== "write");
  const always = block.predicate === undefined && reads.every((a) => a.conditions.length === 0);
  const filled = role === "input" || role === "constant" || (always && box.exact);
  if (filled || isDefinedBefore(program, path, block, buffer, copiedBox(block, buffer)!)) return wholeSpans(buffer);
  return writtenBefore(site, box);
}
/** All that a block writes which stands before the loop, within loops around it, and writes the box there. */
function writtenBefore({ path, loop, buffer, outer }: StageSite, box: Box): readonly Span[] | undefined {
  for (const [k, s] of path.stmts.entries()) {
    if (s === loop) return undefined;
    if (s.kind !== "seq") continue;
    const around = rangesOf(loopsOf(path.stmts.slice(0, k)));
    const before = s.body.slice(0, s.body.indexOf(path.stmts[k + 1]!));
    for (const a of before.flatMap((c) => collectAccesses(c, (id) => id === buffer.id))) {
      if (a.kind !== "store" || !a.block || reducesOver(a.block, new Set(around.keys()), freeVars)) continue;
      const [here, all] = [accessBox(a, around), blockBox(a.block, buffer.id, "store")];
      if (!here.exact || !all?.exact || strayGuard(a.block, a.loops, { outer: around })) continue;
      if (holdsBox(here, box, outer)) return all.spans as readonly Span[];
    }
  }
  return undefined;
}

/** The primitive. */
export const cacheReadAt = definePrimitive({
  name: "cacheReadAt",
  doc: "Copies what a block reads of a buffer within one iteration of a loop to a buffer of the given scope, at the start of the iteration.",
  before: "for i_o, j, k, i_i: C[i_o * 8 + i_i, j] += A[i_o * 8 + i_i, k] * …",
  after:
    "for i_o:\n  for d0 in 0..8, d1: A_stack[i_o * 8 + d0, d1] = A[i_o * 8 + d0, d1]\n  for j, k, i_i: C[i_o * 8 + i_i, j] += A_stack[i_o * 8 + i_i, k] * …",
  rules,
  check: (program: Program, args: CacheAtArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: CacheAtArgs) => {
    const p = plan(program, args);
    invariant(!("rule" in p), "cacheReadAt was checked");
    const { site, box, limit } = p;
    return stage(program, {
      site,
      box,
      limit,
      scope: args.scope,
      writesBack: false,
      body: (cache, copy) => {
        const redirected = remapBuffer(site.block, { from: site.buffer.id, to: cache });
        return seq([copy, rewriteWithin(site.loop.body, new Map([[site.block, redirected]]))]);
      },
    });
  },
});
