/** Random schedule steps: a row proposes the arguments of one primitive; the schedule's own check decides. */
import type { ArgsOf, PrimitiveName } from "../../../passes/schedule/apply.ts";
import { fmaOuterProduct } from "../../../passes/schedule/library/intrinsics.ts";
import type { BlockRef, LoopRef } from "../../../passes/schedule/primitive.ts";
import type { Schedule } from "../../../passes/schedule/schedule.ts";
import { blockProposers } from "./block-actions.ts";
import type { Random } from "./random.ts";

type Proposers = { readonly [N in PrimitiveName]: (r: Random, s: Schedule) => ArgsOf<N> | undefined };

const factors = [1, 2, 3, 4, 5, 8];
const anyBlock = (r: Random, s: Schedule): BlockRef => r.pick(s.blocks());
function anyLoop(r: Random, s: Schedule): LoopRef | undefined {
  const loops = s.loops(anyBlock(r, s));
  return loops.length > 0 ? r.pick(loops) : undefined;
}
function loopArgs(r: Random, s: Schedule): { loop: LoopRef } | undefined {
  const loop = anyLoop(r, s);
  return loop && { loop };
}
/** A loop of another block, where a block may be computed. */
function placeArgs(r: Random, s: Schedule, near: (b: BlockRef) => BlockRef[]) {
  const block = anyBlock(r, s);
  const others = near(block);
  if (others.length === 0) return undefined;
  const loops = s.loops(r.pick(others));
  return loops.length > 0 ? { block, loop: r.pick(loops) } : undefined;
}
function bufferArgs(r: Random, s: Schedule, of: "reads" | "writes") {
  const block = anyBlock(r, s);
  const regions = s.describe(block)[of];
  if (regions.length === 0) return undefined;
  return { block, buffer: r.pick(regions).buffer.name, scope: r.pick(["global", "stack", "register"] as const) };
}

/** One row a primitive: a new one does not compile until it has a row. */
export const proposers: Proposers = {
  ...blockProposers,
  split: (r, s) => {
    const loop = anyLoop(r, s);
    if (!loop) return undefined;
    const tail = r.pick(["guard", "guard", "exact", "shift-inwards", "peel", undefined] as const);
    const rest = tail ? { tail } : {};
    if (r.chance(0.8)) return { loop, factor: r.pick(factors), ...rest };
    const list = [null, r.pick(factors), r.pick(factors)];
    return { loop, factors: r.chance(0.7) ? list : r.shuffle(list), ...rest };
  },
  fuse: (r, s) => {
    const loops = s.loops(anyBlock(r, s));
    if (loops.length < 2) return undefined;
    const from = r.int(0, loops.length - 2);
    return { loops: loops.slice(from, r.int(from + 2, loops.length)) };
  },
  reorder: (r, s) => {
    const loops = r.shuffle(s.loops(anyBlock(r, s)));
    return loops.length < 2 ? undefined : { loops: loops.slice(0, r.int(2, loops.length)) };
  },
  vectorize: loopArgs,
  unroll: loopArgs,
  parallel: loopArgs,
  decomposeReduction: (r, s) => {
    const reductions = s.blocks().filter((b) => s.describe(b).init);
    if (reductions.length === 0) return undefined;
    const block = r.pick(reductions);
    const loops = s.loops(block);
    return loops.length > 0 ? { block, loop: r.pick(loops) } : undefined;
  },
  computeAt: (r, s) => placeArgs(r, s, (b) => s.consumers(b)),
  slideAt: (r, s) => {
    const args = placeArgs(r, s, (b) => s.consumers(b));
    if (!args || r.chance(0.7)) return args;
    const loops = s.loops(r.pick(s.consumers(args.block)));
    return loops.length > 0 ? { ...args, over: r.pick(loops) } : args;
  },
  reverseComputeAt: (r, s) => placeArgs(r, s, (b) => s.producers(b)),
  computeInline: (r, s) => ({ block: anyBlock(r, s) }),
  reverseComputeInline: (r, s) => ({ block: anyBlock(r, s) }),
  cacheRead: (r, s) => bufferArgs(r, s, "reads"),
  cacheWrite: (r, s) => bufferArgs(r, s, "writes"),
  setScope: (r, s) => bufferArgs(r, s, r.pick(["reads", "writes"] as const)),
  transformLayout: (r, s) => {
    const block = anyBlock(r, s);
    const region = r.pick(s.describe(block).writes);
    const axes = region.ranges.map((_, axis) => axis);
    const plain = r.shuffle(axes).map((axis) => ({ axis, divisor: 1 }));
    if (r.chance(0.5)) return { block, buffer: region.buffer.name, dims: plain };
    const cut = r.pick(axes);
    const by = r.pick([2, 3, 4]);
    const dims = plain.map((d) => (d.axis === cut ? { axis: cut, divisor: by } : d));
    return { block, buffer: region.buffer.name, dims: [...dims, { axis: cut, divisor: 1, modulus: by }] };
  },
  rfactor: (r, s) => {
    const loop = anyLoop(r, s);
    return loop && { loop, factorAxis: r.int(0, 2) };
  },
  annotate: (r, s) => {
    const loop = anyLoop(r, s);
    return loop && { target: loop, key: "hint", value: r.int(0, 9) };
  },
  fission: (r, s) => {
    const block = anyBlock(r, s);
    const loops = s.loops(block);
    return loops.length > 0 ? { loop: r.pick(loops), after: block } : undefined;
  },
  cutLoop: (r, s) => {
    const loop = anyLoop(r, s);
    return loop && { loop, at: r.int(1, Math.max(1, (s.extent(loop) ?? 2) - 1)) };
  },
  peel: (r, s) => {
    const loop = anyLoop(r, s);
    return loop && { loop, first: r.int(0, 2), last: r.int(0, 2) };
  },
  loopPartition: loopArgs,
  skew: (r, s) => {
    const loops = s.loops(anyBlock(r, s));
    if (loops.length < 2) return undefined;
    const at = r.int(0, loops.length - 2);
    return { outer: loops[at]!, inner: loops[r.int(at + 1, loops.length - 1)]!, factor: r.pick([1, 2, -1, 3]) };
  },
  hoistStorage: (r, s) => {
    const args = bufferArgs(r, s, r.pick(["reads", "writes"] as const));
    if (!args) return undefined;
    const loops = s.loops(r.pick([args.block, anyBlock(r, s)]));
    const { scope: _, ...rest } = args;
    return loops.length > 0 && r.chance(0.7) ? { ...rest, loop: r.pick(loops) } : rest;
  },
  storageAlign: (r, s) => {
    const args = bufferArgs(r, s, r.pick(["reads", "writes"] as const));
    if (!args) return undefined;
    const { block, buffer } = args;
    const factor = r.pick([2, 4, 16]);
    return { block, buffer, dim: r.int(0, 1), factor, offset: r.int(0, factor - 1) };
  },
  storageFold: (r, s) => {
    const args = bufferArgs(r, s, r.pick(["reads", "writes"] as const));
    return args && { block: args.block, buffer: args.buffer, dim: r.int(0, 1), factor: r.pick([1, 2, 3, 4, 8]) };
  },
  prefetch: (r, s) => {
    const args = bufferArgs(r, s, "reads");
    if (!args) return undefined;
    const loops = s.loops(args.block);
    return loops.length > 0
      ? { block: args.block, buffer: args.buffer, loop: r.pick(loops), distance: r.int(1, 4) }
      : undefined;
  },
  nontemporal: (r, s) => ({ block: anyBlock(r, s) }),
  sampleTile: (r, s) => {
    const loop = anyLoop(r, s);
    const extent = loop && s.extent(loop);
    return loop && extent ? { loop, n: 2, maxInner: 64, decision: r.chance(0.9) ? [extent, 1] : [1, 2] } : undefined;
  },
  sampleCategorical: (r) => ({ values: [1, 2, 4], probabilities: [1, 1, 2], decision: r.int(0, 2) }),
  sampleComputeLocation: (r, s) => ({ block: anyBlock(r, s), decision: r.int(-1, 1) }),
  reindex: (r, s) => {
    const args = bufferArgs(r, s, r.pick(["reads", "writes"] as const));
    return args && { block: args.block, buffer: args.buffer };
  },
  decomposePadding: (r, s) => ({ block: anyBlock(r, s) }),
  padEinsum: (r, s) => {
    const block = anyBlock(r, s);
    return { block, multiples: s.describe(block).iterVars.map(() => r.pick([1, 2, 3, 4])) };
  },
  tensorize: (r, s) => {
    const loop = anyLoop(r, s);
    return loop && { loop, intrinsic: fmaOuterProduct(r.pick([1, 2, 4]), r.pick([2, 4])) };
  },
  softwarePipeline: (r, s) => {
    const loop = anyLoop(r, s);
    return loop && { loop, stages: [0, r.int(0, 2)], mode: r.pick(["peeled", "guarded"] as const) };
  },
  doubleBuffer: (r, s) => {
    const args = bufferArgs(r, s, "writes");
    const loop = anyLoop(r, s);
    return args && loop && { block: args.block, buffer: args.buffer, loop, dim: 0, tile: r.int(1, 4) };
  },
};
/** How often each primitive is tried, relative to 1. */
const weights: Partial<Record<PrimitiveName, number>> = {
  split: 4,
  reorder: 3,
  computeAt: 3,
  slideAt: 2,
  reverseComputeAt: 2,
  fuse: 2,
  decomposeReduction: 2,
  annotate: 0.2,
  sampleTile: 0.1,
  sampleCategorical: 0.1,
  sampleComputeLocation: 0.1,
  prefetch: 0.3,
  nontemporal: 0.3,
  cutLoop: 0.5,
  peel: 0.5,
};
const names = Object.keys(proposers) as PrimitiveName[];

/** Draws a primitive by weight, among those allowed. */
export function drawPrimitive(r: Random, allowed: readonly PrimitiveName[] = names): PrimitiveName {
  const total = allowed.reduce((t, n) => t + (weights[n] ?? 1), 0);
  let left = r.unit() * total;
  for (const n of allowed) {
    left -= weights[n] ?? 1;
    if (left < 0) return n;
  }
  return allowed[0]!;
}
