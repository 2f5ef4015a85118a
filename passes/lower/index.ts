/** Lowering: from a scheduled program to a flat one, which `codegen` writes down as it stands. */
import type { PrimFunc, Program } from "../../ir/loop/program.ts";
import { mapBodies } from "../../ir/loop/traverse.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { definePass, type PassContext, plainContext } from "../core/pass.ts";
import { insertPass, type Pipeline, pipeline } from "../core/pipeline.ts";
import { simplifyStmt } from "../simplify/statement.ts";
import { checkBounds } from "./check-bounds.ts";
import { compactBuffers } from "./compact-buffers.ts";
import { flattenStorage } from "./flatten-storage.ts";
import { hoistConditions } from "./hoist-conditions.ts";
import { locateAccesses } from "./locate-accesses.ts";
import { outlineParallel } from "./outline-parallel.ts";
import { placeAllocations } from "./place-allocations.ts";
import { predicateLoads } from "./predicate-loads.ts";
import { serializeThreads } from "./serialize-threads.ts";
import { shortenLoops } from "./shorten-loops.ts";
import { unmaskLoads } from "./unmask-loads.ts";
import { unmaskStores } from "./unmask-stores.ts";
import { unrollLoops } from "./unroll-loops.ts";
import { vectorizeLoops } from "./vectorize-loops.ts";

/** What lowering reads of a target. */
export interface LoweringTarget {
  /** Bits of the widest vectors. */
  readonly vectorBits: number;
}

const serialize = definePass<"loops", "loops">({
  name: "serialize-threads",
  doc: "Turns loops bound to GPU axes into serial ones, and GPU scopes into the stack.",
  run: serializeThreads,
});
const compact = definePass<"loops", "loops">({
  name: "compact-buffers",
  doc: "Shrinks buffers to what is accessed while blocks still tell regions; lowers blocks on the way.",
  ensures: ["no-blocks"],
  run: compactBuffers,
});
const flatten = definePass<"loops", "flat">({
  name: "flatten-storage",
  doc: "Turns n-d buffer accesses into 1-d loads and stores.",
  requires: ["no-blocks"],
  ensures: ["no-multi-dim-access"],
  run: (p) => mapFunctions(p, (f) => [flattenStorage(f)]),
});
const simplify = definePass<"flat", "flat">({
  name: "simplify-statements",
  doc: "Ends loops where only conditions that fail are left, and drops conditions that the loops around decide.",
  run: (p) => mapBodies(p, (s) => simplifyStmt(shortenLoops(s))),
});
const hoist = definePass<"flat", "flat">({
  name: "hoist-conditions",
  doc: "Tests conditions outside of the loops that they do not depend on.",
  run: (p) => mapBodies(p, hoistConditions),
});
const predicate = definePass<"flat", "flat">({
  name: "predicate-loads",
  doc: "Makes selects eager: their conditions become masks of the loads inside.",
  requires: ["no-multi-dim-access"],
  run: (p) => mapBodies(p, predicateLoads),
});
const vectorize = (target: LoweringTarget) =>
  definePass<"flat", "flat">({
    name: "vectorize-loops",
    doc: "Turns vectorized loops into vector expressions, tails into masks.",
    requires: ["no-multi-dim-access"],
    ensures: ["explicit-vectors"],
    run: (p) => withIds(p, (ids) => mapBodies(p, (s) => vectorizeLoops(s, target.vectorBits, ids))),
  });
const unroll = definePass<"flat", "flat">({
  name: "unroll-loops",
  doc: "Writes out unrolled loops, and those whose extents became constant.",
  requires: ["explicit-vectors"],
  run: (p) => withIds(p, (ids) => mapBodies(p, (s) => unrollLoops(s, ids))),
});
const unmaskRows = definePass<"flat", "flat">({
  name: "unmask-stores",
  doc: "Drops masks of stores to registers whose other lanes nobody uses.",
  requires: ["explicit-vectors"],
  run: (p) => mapBodies(p, unmaskStores),
});
const unmask = definePass<"flat", "flat">({
  name: "unmask-loads",
  doc: "Drops masks of loads from local buffers where the store around has the same mask.",
  requires: ["explicit-vectors"],
  run: (p) => mapBodies(p, unmaskLoads),
});
const place = definePass<"flat", "flat">({
  name: "place-allocations",
  doc: "Decides which intermediates live on the stack and which in the workspace.",
  requires: ["no-multi-dim-access"],
  ensures: ["allocations-placed"],
  run: (p) => withIds(p, (ids) => mapFunctions(p, (f) => [placeAllocations(f, ids)])),
});
const outline = definePass<"flat", "tasks">({
  name: "outline-parallel",
  doc: "Turns parallel loops into functions of their own and calls of them.",
  requires: ["explicit-vectors", "allocations-placed"],
  run: (p) => withIds(p, (ids) => mapFunctions(p, (f) => outlineParallel(f, ids))),
});

const locate = definePass<"loops", "loops">({
  name: "locate-accesses",
  doc: "Notes on every store the block and line that it comes from.",
  run: locateAccesses,
});
const check = definePass<"loops", "loops">({
  name: "check-bounds",
  doc: "Puts a check in front of every access that is not provably inside of its buffer.",
  requires: ["no-blocks"],
  run: (p) => withIds(p, (ids) => mapFunctions(p, (f) => [checkBounds(f, ids)])),
});

/**
 * A lowering pipeline that also makes every access check its bounds. Lines are those of the program that comes in; the
 * checks stand after buffers are compacted, so indices and extents are those of the buffers that exist at run time.
 * @throws UsageError `usage/unknown-pass` when the pipeline has no pass `compact-buffers`
 */
export const withBoundsChecks = <To extends "tasks">(passes: Pipeline<"loops", To>): Pipeline<"loops", To> =>
  insertPass(insertPass(passes, locate, { before: passes.passes[0]!.name }), check, { after: "compact-buffers" });

/** The passes that lower a scheduled program for a target, in their order. */
export function loweringPipeline(target: LoweringTarget): Pipeline<"loops", "tasks"> {
  return pipeline(
    // First: buffers sink into serial loops, not into those of threads.
    serialize,
    compact,
    flatten,
    // While loops still bound their variables: conditions that always hold vanish.
    simplify,
    // Before loops become vectors or are written out, with a condition in each element.
    hoist,
    // Before lanes are looked at, because a lane cannot skip a load.
    predicate,
    vectorize(target),
    // After vectorization, so that a vector body is made once and copied.
    unroll,
    // When indices are as constant as they get; before buffers are merged, while their bounds are known. Stores first:
    // a load without a mask uses all elements of its vector.
    unmaskRows,
    unmask,
    place,
    // Tasks are made last: captures are what is left.
    outline,
  );
}

/**
 * Lowers every function: no blocks, 1-d buffers, explicit vectors, no unrolled loops, parallel loops as tasks, and a
 * workspace parameter (the last one) where intermediates need memory.
 */
export function lowerProgram(program: Program, target: LoweringTarget, context: PassContext = plainContext): Program {
  return loweringPipeline(target).run(program, context);
}

/** The program with the ids that `make` took counted. */
function withIds(p: Program, make: (ids: IdSource) => Program): Program {
  const ids = new IdSource(p.nextId);
  const made = make(ids);
  return ids.next === made.nextId ? made : { ...made, nextId: ids.next };
}
/** The same program when no function changed. */
function mapFunctions(p: Program, f: (func: PrimFunc) => readonly PrimFunc[]): Program {
  const functions = p.functions.flatMap(f);
  const same = functions.length === p.functions.length && functions.every((fn, i) => fn === p.functions[i]);
  return same ? p : { ...p, functions };
}
