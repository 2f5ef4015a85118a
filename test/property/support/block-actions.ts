/** Random arguments of the primitives that make blocks of blocks, stage tiles, bind loops and accumulate at once. */
import type { ArgsOf } from "../../../passes/schedule/apply.ts";
import { threadAxes } from "../../../passes/schedule/kernels.ts";
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

function bind(r: Random, s: Schedule): ArgsOf<"bind"> | undefined {
  const loops = s.loops(r.pick(s.blocks()));
  return loops.length > 0 ? { loop: r.pick(loops), axis: r.pick(threadAxes) } : undefined;
}
/** Blocks without an init are what atomic is for. */
function atomic(r: Random, s: Schedule): ArgsOf<"atomic"> {
  const open = s.blocks().filter((b) => !s.describe(b).init);
  return { block: r.pick(open.length > 0 && r.chance(0.8) ? open : s.blocks()) };
}

/** Rows of `proposers`. */
export const blockProposers = {
  blockize,
  bind,
  atomic,
  cacheReadAt: cacheAt("reads"),
  cacheWriteAt: cacheAt("writes"),
};
