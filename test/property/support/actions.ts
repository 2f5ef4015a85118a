/** Random schedule steps: a row proposes the arguments of one primitive; the schedule's own check decides. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Buffer } from "../../../ir/expr/expr.ts";
import { some } from "../../../ir/expr/traverse.ts";
import type { For, Stmt } from "../../../ir/loop/program.ts";
import type { ArgsOf, PrimitiveName } from "../../../passes/schedule/apply.ts";
import { bf16Dot, fmaOuterProduct, vnniDot } from "../../../passes/schedule/library/intrinsics.ts";
import type { BlockRef } from "../../../passes/schedule/primitive.ts";
import { divisorsOf } from "../../../passes/schedule/sampling.ts";
import type { Schedule } from "../../../passes/schedule/schedule.ts";
import { blockRef, blocksIn, loopRef } from "../../../passes/schedule/tree.ts";
import { blockProposers } from "./block-actions.ts";
import {
  buffersOf,
  commonLoops,
  drives,
  extentOf,
  isGuarded,
  isInnermost,
  isIntermediate,
  isOutermost,
  isSerial,
  isSpatial,
  mostly,
  type Place,
  perfectRuns,
  places,
  someBlock,
  someLoop,
  writtenOut,
} from "./nest.ts";
import type { Random } from "./random.ts";

type Proposers = { readonly [N in PrimitiveName]: (r: Random, s: Schedule) => ArgsOf<N> | undefined };

const factors = [1, 2, 3, 4, 5, 8, 16];
const scopes = ["global", "stack", "register"] as const;
const anyBlock = (r: Random, s: Schedule): BlockRef => r.pick(s.blocks());
const writesIntermediate = (s: Schedule, p: Place): boolean =>
  p.block.writes.length > 0 && p.block.writes.every((w) => isIntermediate(s, w.buffer));
const isPure = (p: Place): boolean => !p.block.init && p.block.iterVars.every((v) => v.kind === "spatial");

/** A serial loop of several iterations. */
const longLoop = (r: Random, s: Schedule) => someLoop(r, s, (l) => isSerial(l) && extentOf(l) > 1);
/** A loop of another block, where a block may be computed. */
function placeArgs(r: Random, s: Schedule, f: (p: Place) => boolean, near: (b: BlockRef) => BlockRef[]) {
  const block = someBlock(r, s, (p) => f(p) && near(blockRef(p.block)).length > 0)?.ref;
  const others = block ? near(block) : [];
  if (!block || others.length === 0) return undefined;
  const loops = s.loops(r.pick(others));
  return loops.length > 0 ? { block, loop: r.pick(loops.slice(0, r.int(1, loops.length))) } : undefined;
}
/** A block with a buffer that it reads or writes. */
function bufferOf(r: Random, s: Schedule, of: "reads" | "writes", f: (b: Buffer) => boolean) {
  const found = someBlock(r, s, (p) => buffersOf(p.block, of).some(f));
  const buffer = found && mostly(r, buffersOf(found.place.block, of), f);
  return (
    buffer && {
      block: found.ref,
      place: found.place,
      buffer: buffer.name,
      rank: buffer.shape.length,
      shape: buffer.shape,
    }
  );
}
const intermediateOf = (r: Random, s: Schedule) =>
  bufferOf(r, s, r.pick(["reads", "writes"] as const), (b) => isIntermediate(s, b));
/** Whether a block reads several elements of a buffer at once. */
const hasWindow = ({ block }: Place, b: Buffer): boolean => block.reads.filter((x) => x.buffer.id === b.id).length > 1;
/** Statements of a loop's body. */
const statementsOf = (l: For): readonly Stmt[] => (l.body.kind === "seq" ? l.body.body : [l.body]);

/** One row a primitive: a new one does not compile until it has a row. */
export const proposers: Proposers = {
  ...blockProposers,
  split: (r, s) => {
    const found = longLoop(r, s);
    if (!found) return undefined;
    const n = extentOf(found.loop);
    const loop = found.ref;
    const tail = r.pick(["guard", "guard", "exact", "shift-inwards", "peel", undefined] as const);
    const rest = tail ? { tail } : {};
    const fits = tail === "exact" || tail === undefined ? divisorsOf(Math.max(1, n)) : factors.filter((f) => f <= n);
    const factor = (): number => mostly(r, factors, (f) => fits.includes(f)) ?? 1;
    if (r.chance(0.8)) return { loop, factor: factor(), ...rest };
    const list = [null, r.pick(fits.length > 0 ? fits : factors), 1];
    return { loop, factors: r.chance(0.7) ? list : r.shuffle([null, factor(), factor()]), ...rest };
  },
  fuse: (r, s) => {
    const runs = perfectRuns(s);
    const wild = r.chance(0.1) || runs.length === 0;
    const loops = wild ? s.loops(anyBlock(r, s)) : r.pick(runs).map(loopRef);
    if (loops.length < 2) return undefined;
    const from = r.int(0, loops.length - 2);
    return { loops: loops.slice(from, r.int(from + 2, loops.length)) };
  },
  reorder: (r, s) => {
    const runs = perfectRuns(s);
    const wild = r.chance(0.1) || runs.length === 0;
    const loops = r.shuffle(wild ? s.loops(anyBlock(r, s)) : r.pick(runs).map(loopRef));
    return loops.length < 2 ? undefined : { loops: loops.slice(0, r.int(2, loops.length)) };
  },
  vectorize: (r, s) => {
    const fits = (l: For, under: readonly Place[]): boolean =>
      isSerial(l) && isInnermost(l, under) && (isSpatial(l, under) || under.every((p) => !p.block.init));
    const found = someLoop(r, s, fits);
    return found && writtenOut(found.loop) < 512 ? { loop: found.ref } : undefined;
  },
  unroll: (r, s) => {
    const found = someLoop(r, s, (l) => isSerial(l) && extentOf(l) <= 8);
    return found && extentOf(found.loop) * writtenOut(found.loop) <= 128 ? { loop: found.ref } : undefined;
  },
  parallel: (r, s) => {
    const found = someLoop(r, s, (l, under) => isSerial(l) && isOutermost(l, under) && isSpatial(l, under));
    return found && { loop: found.ref };
  },
  decomposeReduction: (r, s) => {
    const found = mostly(r, places(s), (p) => p.block.init !== undefined);
    if (!found || found.loops.length === 0) return undefined;
    const first = found.loops.findIndex((l) => drives(l, found.block, "reduction"));
    const outside = first < 0 ? found.loops : found.loops.slice(0, first + 1);
    const loop = r.chance(0.9) ? r.pick(outside) : r.pick(found.loops);
    return { block: blockRef(found.block), loop: loopRef(loop) };
  },
  computeAt: (r, s) =>
    placeArgs(
      r,
      s,
      (p) => writesIntermediate(s, p),
      (b) => s.consumers(b),
    ),
  slideAt: (r, s) => {
    const slides = (p: Place): boolean =>
      p.block.writes.some((w) => isIntermediate(s, w.buffer) && places(s).some((q) => hasWindow(q, w.buffer)));
    const args = placeArgs(r, s, slides, (b) => s.consumers(b));
    if (!args || r.chance(0.7)) return args;
    const loops = s.loops(r.pick(s.consumers(args.block)));
    return loops.length > 0 ? { ...args, over: r.pick(loops) } : args;
  },
  reverseComputeAt: (r, s) => placeArgs(r, s, isPure, (b) => s.producers(b)),
  computeWith: (r, s) => {
    const args = placeArgs(
      r,
      s,
      () => true,
      (b) =>
        places(s)
          .map((p) => blockRef(p.block))
          .filter((o) => o.id !== b.id),
    );
    return args && { ...args, align: r.pick(["start", "end"] as const) };
  },
  computeInline: (r, s) => {
    const found = someBlock(r, s, (p) => isPure(p) && writesIntermediate(s, p));
    return found && { block: found.ref };
  },
  reverseComputeInline: (r, s) => {
    const isStaged = (b: BlockRef): boolean => {
      const from = s.producers(b);
      return from.length > 0 && from.every((p) => isPure({ block: s.describe(p), loops: [] }));
    };
    const found = someBlock(r, s, (p) => isPure(p) && isStaged(blockRef(p.block)));
    return found && { block: found.ref };
  },
  cacheRead: (r, s) => {
    const found = bufferOf(r, s, "reads", () => true);
    return found && { block: found.block, buffer: found.buffer, scope: r.pick(scopes) };
  },
  cacheWrite: (r, s) => {
    const found = bufferOf(r, s, "writes", () => true);
    return found && { block: found.block, buffer: found.buffer, scope: r.pick(scopes) };
  },
  setScope: (r, s) => {
    const found = intermediateOf(r, s);
    return found && { block: found.block, buffer: found.buffer, scope: r.pick(scopes) };
  },
  transformLayout: (r, s) => {
    const found = intermediateOf(r, s);
    if (!found) return undefined;
    const { block, buffer } = found;
    const axes = Array.from({ length: found.rank }, (_, axis) => axis);
    const plain = r.shuffle(axes).map((axis) => ({ axis, divisor: 1 }));
    if (r.chance(0.5)) return { block, buffer, dims: plain };
    const cut = r.pick(axes);
    const by = r.pick([2, 3, 4]);
    const dims = plain.map((d) => (d.axis === cut ? { axis: cut, divisor: by } : d));
    return { block, buffer, dims: [...dims, { axis: cut, divisor: 1, modulus: by }] };
  },
  rfactor: (r, s) => {
    const found = someLoop(
      r,
      s,
      (l, under) =>
        under.length === 1 && under.every((p) => p.block.init !== undefined && drives(l, p.block, "reduction")),
    );
    const block = found && places(s).find((p) => p.loops.includes(found.loop))?.block;
    return block && { loop: found.ref, factorAxis: r.int(0, block.writes[0]?.ranges.length ?? 0) };
  },
  annotate: (r, s) => {
    const found = longLoop(r, s);
    return found && { target: found.ref, key: "hint", value: r.int(0, 9) };
  },
  fission: (r, s) => {
    const found = someLoop(r, s, (l) => statementsOf(l).length > 1);
    if (!found) return undefined;
    const list = statementsOf(found.loop);
    const blocks = blocksIn(list[r.int(0, Math.max(0, list.length - 2))]!);
    return blocks.length > 0 ? { loop: found.ref, after: blockRef(r.pick(blocks)) } : undefined;
  },
  cutLoop: (r, s) => {
    const found = longLoop(r, s);
    return found && { loop: found.ref, at: r.int(1, Math.max(1, extentOf(found.loop) - 1)) };
  },
  peel: (r, s) => {
    const found = longLoop(r, s);
    return found && { loop: found.ref, first: r.int(0, 2), last: r.int(0, 2) };
  },
  loopPartition: (r, s) => {
    const found = someLoop(r, s, (l, under) => isSerial(l) && under.some(isGuarded));
    return found && { loop: found.ref };
  },
  skew: (r, s) => {
    const runs = perfectRuns(s);
    const loops = runs.length > 0 && r.chance(0.9) ? r.pick(runs).map(loopRef) : s.loops(anyBlock(r, s));
    if (loops.length < 2) return undefined;
    const at = r.int(0, loops.length - 2);
    return { outer: loops[at]!, inner: loops[r.int(at + 1, loops.length - 1)]!, factor: r.pick([1, 2, -1, 3]) };
  },
  hoistStorage: (r, s) => {
    const found = intermediateOf(r, s);
    if (!found) return undefined;
    const { block, buffer } = found;
    const loops = s.loops(r.chance(0.9) ? block : anyBlock(r, s));
    return loops.length > 0 && r.chance(0.5) ? { block, buffer, loop: r.pick(loops) } : { block, buffer };
  },
  storageAlign: (r, s) => {
    const found = intermediateOf(r, s);
    if (!found) return undefined;
    const { block, buffer } = found;
    const factor = r.pick([2, 4, 16]);
    return { block, buffer, dim: r.int(0, found.rank - (r.chance(0.9) ? 1 : 0)), factor, offset: r.int(0, factor - 1) };
  },
  storageFold: (r, s) => {
    const found = bufferOf(r, s, "writes", (b) => isIntermediate(s, b) && commonLoops(s, b).some(isSerial));
    if (!found) return undefined;
    const dim = r.int(0, found.rank - 1);
    const length = constantValue(found.shape[dim]!) ?? 1;
    const factor = mostly(r, [2, 3, 4, 6, 8], (f) => f < length) ?? 2;
    return { block: found.block, buffer: found.buffer, dim, factor };
  },
  prefetch: (r, s) => {
    const found = bufferOf(r, s, "reads", () => true);
    const loop = found && mostly(r, found.place.loops, (l) => l.loopKind !== "vectorized");
    if (!loop) return undefined;
    const outside = found.place.loops.slice(0, found.place.loops.indexOf(loop));
    const ahead = r.int(0, 1) ? mostly(r, outside, () => true) : undefined;
    const args = { block: found.block, buffer: found.buffer, loop: loopRef(loop), distance: r.int(1, 4) };
    return ahead ? { ...args, ahead: loopRef(ahead) } : args;
  },
  nontemporal: (r, s) => {
    const found = someBlock(r, s, isPure);
    return found && { block: found.ref };
  },
  sampleTile: (r, s) => {
    const found = longLoop(r, s);
    const n = found ? extentOf(found.loop) : 0;
    if (!found || n < 1) return undefined;
    const inner = r.pick(divisorsOf(n));
    return { loop: found.ref, n: 2, maxInner: 64, decision: r.chance(0.9) ? [n / inner, inner] : [1, 2] };
  },
  sampleCategorical: (r) => ({ values: [1, 2, 4], probabilities: [1, 1, 2], decision: r.int(0, 2) }),
  sampleComputeLocation: (r, s) => ({ block: anyBlock(r, s), decision: r.int(-1, 0) }),
  reindex: (r, s) => {
    const of = r.pick(["reads", "writes"] as const);
    const found = someBlock(r, s, (p) => p.loops.every(isSerial) && !p.block.predicate && p.block[of].length > 0);
    const buffer = found && mostly(r, buffersOf(found.place.block, of), () => true);
    return buffer && { block: found.ref, buffer: buffer.name };
  },
  decomposePadding: (r, s) => {
    const isPadding = ({ block }: Place): boolean =>
      block.body.kind === "store" && block.body.value.kind === "select" && block.body.value.otherwise.kind === "const";
    const found = someBlock(r, s, (p) => isPadding(p) && isPure(p));
    return found && { block: found.ref };
  },
  padEinsum: (r, s) => {
    const isProduct = ({ block: { body, init } }: Place): boolean =>
      init !== undefined && body.kind === "store" && some(body.value, (e) => e.kind === "binary" && e.op === "mul");
    const found = someBlock(r, s, isProduct);
    return found && { block: found.ref, multiples: found.place.block.iterVars.map(() => r.pick([1, 2, 3, 4])) };
  },
  tensorize: (r, s) => {
    const found = someLoop(r, s, (l, under) => under.length === 1 && isSerial(l) && !under[0]!.block.init);
    const intrinsic = r.pick([vnniDot, bf16Dot, fmaOuterProduct(r.pick([1, 2, 4]), r.pick([2, 4]))]);
    return found && { loop: found.ref, intrinsic };
  },
  softwarePipeline: (r, s) => {
    const found = someLoop(r, s, (l) => isSerial(l) && extentOf(l) > 1 && statementsOf(l).length > 1);
    if (!found) return undefined;
    const stages = statementsOf(found.loop).map(() => 0);
    for (let k = r.int(1, Math.max(1, stages.length - 1)); k < stages.length; k++) stages[k] = r.int(1, 2);
    return { loop: found.ref, stages: stages.sort(), mode: r.pick(["peeled", "guarded"] as const) };
  },
  doubleBuffer: (r, s) => {
    const staged = (b: Buffer): For[] =>
      commonLoops(s, b).filter((l) => isSerial(l) && extentOf(l) > 1 && statementsOf(l).length > 1);
    const found = bufferOf(r, s, "writes", (b) => isIntermediate(s, b) && staged(b).length > 0);
    const written = found?.place.block.writes.find((w) => w.buffer.name === found.buffer)?.buffer;
    const loop = found && mostly(r, found.place.loops, (l) => staged(written!).includes(l));
    const dim = r.int(0, Math.max(0, (found?.rank ?? 1) - 1));
    return loop && { block: found.block, buffer: found.buffer, loop: loopRef(loop), dim, tile: r.int(1, 4) };
  },
};
/** How often each primitive is tried, relative to 1. */
const weights: Partial<Record<PrimitiveName, number>> = {
  split: 4,
  reorder: 3,
  computeAt: 3,
  slideAt: 1.5,
  tensorize: 0.3,
  loopPartition: 0.5,
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

/** What often follows a step. */
const next: Partial<Record<PrimitiveName, readonly PrimitiveName[]>> = {
  computeAt: ["storageFold", "doubleBuffer", "softwarePipeline", "setScope", "fission", "vectorize"],
  slideAt: ["storageFold", "storageFold", "computeAt", "setScope"],
  cacheReadAt: ["doubleBuffer", "softwarePipeline", "vectorize"],
  cacheRead: ["computeAt", "transformLayout"],
  storageFold: ["softwarePipeline", "vectorize", "parallel", "unroll"],
  split: ["vectorize", "reorder", "loopPartition", "rfactor"],
  padEinsum: ["computeInline", "split", "computeAt"],
  decomposeReduction: ["vectorize", "unroll"],
};

/** Draws a primitive by weight, among those allowed; `after` is the step before. */
export function drawPrimitive(
  r: Random,
  allowed: readonly PrimitiveName[] = names,
  after?: PrimitiveName,
): PrimitiveName {
  const likely = after && next[after];
  if (likely && r.chance(0.3)) return r.pick(likely);
  const total = allowed.reduce((t, n) => t + (weights[n] ?? 1), 0);
  let left = r.unit() * total;
  for (const n of allowed) {
    left -= weights[n] ?? 1;
    if (left < 0) return n;
  }
  return allowed[0]!;
}
