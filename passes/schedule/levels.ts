/** What each loop of a nest costs: how often it runs, what it touches, what it computes, and where that fits. */
import { constantValue } from "../../ir/expr/build.ts";
import type { For, LoopKind, PrimFunc } from "../../ir/loop/program.ts";
import type { Caches } from "../../ir/target/target.ts";
import { type Footprint, footprintsOf } from "../analysis/footprint.ts";
import { operationsOf } from "../analysis/operations.ts";
import { around, type Entry, outlineOf } from "./outline.ts";
import type { LoopRef } from "./primitive.ts";
import { loopRef } from "./tree.ts";

/** A level of memory, from the nearest. */
export type MemoryLevel = "L1" | "L2" | "L3" | "memory";
/** One run of a loop, from its first to its last iteration, the loops around in the middle of theirs. */
export interface Level {
  readonly loop: LoopRef;
  readonly kind: LoopKind;
  /** Iterations of one run; undefined where that is no constant. */
  readonly extent: number | undefined;
  /** How many loops are around it. */
  readonly depth: number;
  /** What it touches of each buffer. Registers are no memory: they count in no sum. */
  readonly footprints: readonly Footprint[];
  /** Bytes that it touches in all. */
  readonly bytes: number;
  readonly operations: number;
  /** Operations for each byte that it touches: what it does with what it has to fetch at least once. */
  readonly intensity: number;
  /** Whether all of these numbers are what happens, not only bounds from above. */
  readonly exact: boolean;
  /** The nearest memory that holds all that it touches; only with `caches`. */
  readonly fits?: MemoryLevel;
}

/** Every loop of a function, those around before those inside. `caches` are a target's. */
export function levelsOf(func: PrimFunc, caches?: Caches): Level[] {
  return outlineOf(func).entries.flatMap((e) => (e.stmt.kind === "for" ? [levelOf(e, e.stmt, caches)] : []));
}
function levelOf(entry: Entry, loop: For, caches: Caches | undefined): Level {
  const outside = around(entry).flatMap((e) => (e.stmt.kind === "for" ? [e.stmt] : []));
  const footprints = footprintsOf(loop, outside);
  const bytes = footprints.reduce((n, f) => n + (f.buffer.scope === "register" ? 0 : f.bytes), 0);
  const operations = operationsOf(loop, outside);
  return {
    loop: loopRef(loop),
    kind: loop.loopKind,
    extent: constantValue(loop.extent),
    depth: outside.length,
    footprints,
    bytes,
    operations: operations.count,
    intensity: bytes === 0 ? 0 : operations.count / bytes,
    exact: operations.exact && footprints.every((f) => f.exact),
    ...(caches ? { fits: memoryFor(bytes, caches) } : {}),
  };
}
/** The nearest level that holds so many bytes. */
function memoryFor(bytes: number, c: Caches): MemoryLevel {
  if (bytes <= c.l1dBytes) return "L1";
  if (bytes <= c.l2Bytes) return "L2";
  return bytes <= c.l3Bytes ? "L3" : "memory";
}
