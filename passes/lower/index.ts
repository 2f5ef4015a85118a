/** Lowering: from a scheduled program to a flat one, which `codegen` writes down as it stands. */
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { mapBodies } from "../../ir/loop/traverse.ts";
import { IdSource } from "../../ir/support/ids.ts";
import { simplifyStmt } from "../simplify/statement.ts";
import { compactBuffers } from "./compact-buffers.ts";
import { flattenStorage } from "./flatten-storage.ts";
import { outlineParallel } from "./outline-parallel.ts";
import { placeAllocations } from "./place-allocations.ts";
import { predicateLoads } from "./predicate-loads.ts";
import { unrollLoops } from "./unroll-loops.ts";
import { vectorizeLoops } from "./vectorize-loops.ts";

/** What lowering reads of a target. */
export interface LoweringTarget {
  /** Bits of the widest vectors. */
  readonly vectorBits: number;
}

/**
 * Lowers every function: no blocks, 1-d buffers, explicit vectors, no unrolled loops, parallel loops as tasks, and a
 * workspace parameter (the last one) where intermediates need memory.
 */
export function lowerProgram(program: Program, target: LoweringTarget): Program {
  const ids = new IdSource(program.nextId);
  const stage = (p: Program, f: (s: Stmt) => Stmt): Program => mapBodies(p, f);
  // Buffers shrink to what is accessed while blocks still tell regions; blocks are lowered on the way.
  let p = compactBuffers(program);
  p = { ...p, functions: p.functions.map(flattenStorage) };
  // While loops still bound their variables: conditions that always hold vanish.
  p = stage(p, (s) => simplifyStmt(s));
  // Selects become eager before lanes are looked at: their conditions become masks.
  p = stage(p, predicateLoads);
  p = stage(p, (s) => vectorizeLoops(s, target.vectorBits, ids));
  // After vectorization, so that a vector body is made once and copied; then loops whose extents became constant.
  p = stage(p, (s) => unrollLoops(s, ids));
  // Tasks are made last: captures are what is left.
  p = { ...p, functions: p.functions.map((f) => placeAllocations(f, ids)) };
  p = { ...p, functions: p.functions.flatMap((f) => outlineParallel(f, ids)) };
  return { ...p, nextId: ids.next };
}
