/** Random arguments of the primitives that make blocks of blocks, stage tiles, bind loops and accumulate at once. */
import type { ArgsOf } from "../../../passes/schedule/apply.ts";
import type { Schedule } from "../../../passes/schedule/schedule.ts";
import type { Random } from "./random.ts";

/** A loop around several others of one block, more often than not. */
function blockize(r: Random, s: Schedule): ArgsOf<"blockize"> | undefined {
  const loops = s.loops(r.pick(s.blocks()));
  return loops.length > 0 ? { loop: loops[r.int(Math.floor(loops.length / 2), loops.length - 1)]! } : undefined;
}

/** Rows of `proposers`. */
export const blockProposers = { blockize };
