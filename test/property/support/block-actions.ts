/** Random arguments of the primitives that make blocks of blocks, stage tiles, bind loops and accumulate at once. */
import type { ArgsOf } from "../../../passes/schedule/apply.ts";
import type { Schedule } from "../../../passes/schedule/schedule.ts";
import type { Random } from "./random.ts";

/** A loop around several others of one block, more often than not. */
function blockize(r: Random, s: Schedule): ArgsOf<"blockize"> | undefined {
  const loops = s.loops(r.pick(s.blocks()));
  return loops.length > 0 ? { loop: loops[r.int(Math.floor(loops.length / 2), loops.length - 1)]! } : undefined;
}

const cacheAt = (of: "reads" | "writes") => (r: Random, s: Schedule) => {
  const block = r.pick(s.blocks());
  const loops = s.loops(block);
  const regions = s.describe(block)[of];
  if (loops.length === 0 || regions.length === 0) return undefined;
  const scope = r.pick(["global", "stack", "register"] as const);
  return { loop: r.pick(loops), block, buffer: r.pick(regions).buffer.name, scope };
};

/** Rows of `proposers`. */
export const blockProposers = { blockize, cacheReadAt: cacheAt("reads"), cacheWriteAt: cacheAt("writes") };
