/** The rule that every program has: blocks are what their iteration variables say. */
import type { Program } from "../../ir/loop/program.ts";
import { overlappingBlock } from "./contracts.ts";
import { describeDependence } from "./legality.ts";
import type { Violation } from "./primitive.ts";
import { blockRef } from "./tree.ts";

export const spatialWritesOverlap = "spatial-writes-overlap";
/** A block that is not what its iteration variables say: whatever primitives conclude from them would be wrong. */
export function overlapViolation(program: Program): Violation | undefined {
  const found = overlappingBlock(program);
  if (!found) return undefined;
  const { block, by } = found;
  return {
    rule: spatialWritesOverlap,
    because: `iterations of ${block.name} share elements of ${by.source.buffer.name}${describeDependence(by)}`,
    instead: "declare the variables they differ in as ordered (or as reduction, where they accumulate)",
    at: blockRef(block),
  };
}
