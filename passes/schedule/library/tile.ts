/** tile: several loops split at once, the tiles inside. */
import type { SplitOptions, Tail } from "../primitive/split.ts";
import type { LoopRef } from "../primitive.ts";

/** The primitives that tile is made of. */
export interface Tiles {
  split(loop: LoopRef, options: SplitOptions): LoopRef[];
  reorder(...loops: LoopRef[]): void;
}
/** The loops over tiles, and the loops within one, both outermost first. */
export interface TiledLoops {
  readonly outer: LoopRef[];
  readonly inner: LoopRef[];
}

/**
 * Splits each loop (of one nest, outermost first) by its factor and puts the inner loops inside of the outer ones:
 * i, j ⇒ i_o, j_o, i_i, j_i.
 * @throws ScheduleError with a rule of split or reorder
 */
export function tile(s: Tiles, loops: readonly LoopRef[], factors: readonly number[], tail?: Tail): TiledLoops {
  const pairs = loops.map((l, k) => s.split(l, { factor: factors[k] ?? 1, ...(tail ? { tail } : {}) }));
  const outer = pairs.map((p) => p[0]!);
  const inner = pairs.map((p) => p[1]!);
  s.reorder(...outer, ...inner);
  return { outer, inner };
}
