/**
 * Recipes: schedules of common computations, each built of public primitives alone, so that reading one teaches to write
 * one. They take a schedule and the block to schedule, and go on from there like any other step: what they did stands in
 * the trace, and steps may follow. `machine` and `threads` default to one thread with 16 lanes; `machineOf` describes a
 * target.
 */
export { conv2d, depthwise, matmul } from "../passes/schedule/library/contraction.ts";
export { dotProducts } from "../passes/schedule/library/dot-products.ts";
export { fused } from "../passes/schedule/library/fused.ts";
export { scan, topK } from "../passes/schedule/library/ordered.ts";
export { reduction } from "../passes/schedule/library/reduction.ts";
export { softmax } from "../passes/schedule/library/rows.ts";
export { stencil } from "../passes/schedule/library/stencil.ts";
export { tile } from "../passes/schedule/library/tile.ts";
export { transpose } from "../passes/schedule/library/transpose.ts";
