/** doubleBuffer: what fills a buffer runs one iteration ahead of what uses it; the buffer holds two tiles. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { For, Program } from "../../../ir/loop/program.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopOf } from "../rebuild.ts";
import { findBlock } from "../tree.ts";
import { softwarePipeline } from "./software-pipeline.ts";
import { storageFold } from "./storage-fold.ts";
import { collectAccesses } from "./support-access.ts";

export interface DoubleBufferArgs {
  /** The block that fills the buffer. */
  readonly block: BlockRef;
  /** Name of an intermediate buffer. */
  readonly buffer: string;
  readonly loop: LoopRef;
  /** The dimension along which the loop's iterations use one tile after the other. */
  readonly dim: number;
  /** Elements of a tile along the dimension. */
  readonly tile: number;
}
type Rule = "fills-in-loop" | "pipelines" | "two-tiles";

/** Stage 0 for the statements that only fill the buffer, 1 for the others. */
function stagesOf(loop: For, name: string): number[] | undefined {
  const list = loop.body.kind === "seq" ? loop.body.body : [loop.body];
  const stages = list.map((s) => {
    const uses = collectAccesses(s).filter((a) => a.buffer.name === name);
    return uses.length > 0 && uses.every((a) => a.kind === "store") ? 0 : 1;
  });
  return stages.includes(0) && stages.includes(1) ? stages : undefined;
}
function check(program: Program, args: DoubleBufferArgs): Violation<Rule> | undefined {
  const { block, buffer, loop: at } = args;
  const loop = loopOf(program, at);
  const stages = stagesOf(loop, buffer);
  if (!stages)
    return { rule: "fills-in-loop", because: `no statement of ${at.name} fills ${buffer} for another one`, at };
  const pipeline = { loop: at, stages, mode: "guarded" } as const;
  const bad = softwarePipeline.check(program, pipeline);
  if (bad) return { ...bad, rule: "pipelines", because: `softwarePipeline/${bad.rule}: ${bad.because}` };
  if (fits(program, args)) return undefined;
  const after = softwarePipeline.rewrite(program, pipeline).program;
  const fold = storageFold.check(after, { block, buffer, dim: args.dim, factor: 2 * args.tile });
  return fold && { rule: "two-tiles", because: `storageFold/${fold.rule}: ${fold.because}`, at: block };
}
/** Whether the buffer is no longer than two tiles anyway. */
function fits(program: Program, { block, buffer, dim, tile }: DoubleBufferArgs): boolean {
  const found = findBlock(program, block.id)?.writes.find((w) => w.buffer.name === buffer)?.buffer;
  const length = found?.shape[dim] && constantValue(found.shape[dim]);
  return length !== undefined && length <= 2 * tile;
}
function rewrite(program: Program, args: DoubleBufferArgs) {
  const { block, buffer, dim, tile, loop } = args;
  const stages = stagesOf(loopOf(program, loop), buffer)!;
  const piped = softwarePipeline.rewrite(program, { loop, stages, mode: "guarded" });
  const folded = fits(program, args)
    ? piped.program
    : storageFold.rewrite(piped.program, { block, buffer, dim, factor: 2 * tile }).program;
  return { program: folded, result: piped.result };
}

/** The primitive. */
export const doubleBuffer = definePrimitive({
  name: "doubleBuffer",
  doc: "Fills a buffer for the next iteration of a loop while the other half of it is used; gives the loop.",
  before: "for i in 0..8:\n  B[i * 4 + j] = …\n  C[i] = … B[i * 4 + j]",
  after:
    "for i_p in 0..9:\n  if i_p < 8: B[(i_p * 4 + j) % 8] = …\n  if i_p >= 1: C[i_p - 1] = … B[((i_p - 1) * 4 + j) % 8]",
  rules: {
    "fills-in-loop": "some statements of the loop only fill the buffer, others do not",
    pipelines: "the loop can be pipelined with these in stage 0, those in stage 1",
    "two-tiles": "two tiles of the dimension hold what two iterations use",
  },
  check,
  rewrite,
});
