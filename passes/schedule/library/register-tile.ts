/** The heart of matrix products and convolutions: a tile of results that accumulates in vector registers. */
import type { BlockRef, LoopRef } from "../primitive.ts";
import type { Schedule } from "../schedule.ts";
import { copyOut } from "./common.ts";
import { largestDivisor, type RegisterTile } from "./plan.ts";
import { ownLoops } from "./reduction.ts";

/** Where a tile is cut from its stage, and how large it is. */
export interface TilePlan extends RegisterTile {
  /** The loops of the stage along which a tile has `points` results, and `vectors` vectors of them. */
  readonly point: LoopRef;
  readonly lane: LoopRef;
  readonly lanes: number;
  /** Reduction steps that are written out; fewer where this does not divide the reduction. */
  readonly steps: number;
  /** Whether the tiles of one strip of lanes come one after the other, or the strips of one row of points; default strips. */
  readonly inner?: "points" | "lanes";
  /** How many loops around the stage hold more than it and stay as they are; default none. */
  readonly depth?: number;
}

/** The element-wise block that alone reads a block's results, else a copy of them that `cacheWrite` makes. */
export const epilogueOf = (s: Schedule, block: BlockRef): BlockRef => soleReader(s, block) ?? copyOut(s, block);

/** The element-wise block that alone reads a block's results, element by element. */
function soleReader(s: Schedule, block: BlockRef): BlockRef | undefined {
  const [reader, ...others] = s.consumers(block);
  const sole = reader && others.length === 0 && s.describe(reader).iterVars.every((v) => v.kind === "spatial");
  return sole && s.loops(reader).length === ownLoops(s, block, "spatial", 0).length ? reader : undefined;
}

/**
 * Cuts the stage into tiles and lets each tile sum up its reduction first: `points` × `vectors` accumulators stay in
 * registers while the reduction runs, so that each loaded vector serves `points` multiply-adds and each loaded scalar
 * `vectors` of them. Gives the loops over tiles, outermost first.
 */
export function registerTile(s: Schedule, stage: BlockRef, block: BlockRef, plan: TilePlan): LoopRef[] {
  const { lanes, points, vectors, depth = 0 } = plan;
  const around = s.loops(stage).slice(0, depth);
  const others = s.loops(stage).filter((l, i) => i >= depth && l.id !== plan.point.id && l.id !== plan.lane.id);
  const [tiles, point] = cut(s, plan.point, points, "shift-inwards");
  const [strips, strip] = cut(s, plan.lane, vectors * lanes, "guard");
  const [vector, lane] = vectorsOf(s, strip, lanes);
  const outer = [...others, ...(plan.inner === "lanes" ? [tiles, strips] : [strips, tiles])].filter(
    (l) => l !== undefined,
  );
  const inside = [point, vector, lane].filter((l) => l !== undefined);
  s.reorder(...outer, ...inside);
  const at = outer.at(-1) ?? around.at(-1);
  if (at) {
    s.computeAt(block, at);
    s.setScope(block, s.describe(block).writes[0]!.buffer.name, "register");
  }
  accumulate(s, block, at ? s.loops(block).findIndex((l) => l.id === at.id) + 1 : 0, plan);
  vectorizeLast(s, inside);
  return outer;
}
/** The part of a loop over pieces (absent when there is one) and that within a piece. */
function cut(
  s: Schedule,
  loop: LoopRef,
  factor: number,
  tail: "guard" | "shift-inwards",
): [LoopRef | undefined, LoopRef] {
  const extent = s.extent(loop)!;
  if (extent <= factor) return [undefined, loop];
  return s.split(loop, { factor, tail: extent % factor === 0 ? "exact" : tail });
}

/** Whole vectors; what is none becomes lanes as it is, which are lowered to whole vectors and a narrower rest. */
const vectorsOf = (s: Schedule, loop: LoopRef, lanes: number): [LoopRef | undefined, LoopRef] =>
  s.extent(loop)! % lanes === 0 ? cut(s, loop, lanes, "guard") : [undefined, loop];

/** Below depth `from`: reductions outside, the last of them partly written out; the tile inside, its lanes innermost. */
function accumulate(s: Schedule, block: BlockRef, from: number, { lanes, steps }: TilePlan): void {
  const spatial = ownLoops(s, block, "spatial", from);
  const reduced = ownLoops(s, block, "reduction", from);
  const last = spatial.pop();
  const [vector, lane] = last ? vectorsOf(s, last, lanes) : [];
  const tile = [...spatial, vector, lane].filter((l) => l !== undefined);
  const k = reduced.pop();
  // A reduction written out whole would be moved ahead of the tiles' loop as far as it does not depend on it.
  const written = k ? largestDivisor(s.extent(k)!, Math.min(steps, s.extent(k)! - 1)) : 1;
  const inOrder = [...reduced, ...(k && written > 1 ? s.split(k, { factor: written, tail: "exact" }) : k ? [k] : [])];
  if (inOrder.length + tile.length > 1) s.reorder(...inOrder, ...tile);
  const [first] = inOrder;
  const zero = first && s.decomposeReduction(block, first);
  if (written > 1) {
    s.unroll(inOrder.at(-1)!);
    // Keeps the back end from moving loads ahead until they no longer fit into the registers.
    s.annotate(inOrder.at(-1)!, "schedule_barrier", true);
  }
  vectorizeLast(s, tile);
  if (zero) vectorizeLast(s, s.loops(zero).slice(from));
}
/** The innermost loop becomes lanes, those around it are written out. */
function vectorizeLast(s: Schedule, loops: readonly LoopRef[]): void {
  const lane = loops.at(-1);
  if (lane && s.extent(lane)! > 1) s.vectorize(lane);
  for (const l of loops.slice(0, -1).reverse()) s.unroll(l);
}
