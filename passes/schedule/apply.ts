/**
 * The table of primitives: adding one is one file in `primitive/` and one row here. A row gives the primitive and the
 * face of its Schedule method: how positional arguments become the one plain object that a trace records.
 */
import type { Scope } from "../../ir/expr/expr.ts";
import type { LayoutDim } from "../../ir/graph/layout.ts";
import type { AnnotationValue, Program, ThreadAxis } from "../../ir/loop/program.ts";
import type { Shape } from "./arguments.ts";
import { keepsCircular } from "./circular.ts";
import { withRegions } from "./nested.ts";
import { type AnnotateArgs, annotate } from "./primitive/annotate.ts";
import { atomic } from "./primitive/atomic.ts";
import { type BindArgs, bind } from "./primitive/bind.ts";
import { type BlockizeArgs, blockize } from "./primitive/blockize.ts";
import { type CacheReadArgs, cacheRead } from "./primitive/cache-read.ts";
import { cacheReadAt } from "./primitive/cache-read-at.ts";
import { cacheWrite } from "./primitive/cache-write.ts";
import { cacheWriteAt } from "./primitive/cache-write-at.ts";
import { type ComputeAtArgs, computeAt } from "./primitive/compute-at.ts";
import { computeInline } from "./primitive/compute-inline.ts";
import { type Alignment, type ComputeWithArgs, computeWith } from "./primitive/compute-with.ts";
import { type CutLoopArgs, cutLoop } from "./primitive/cut-loop.ts";
import { decomposePadding } from "./primitive/decompose-padding.ts";
import { decomposeReduction } from "./primitive/decompose-reduction.ts";
import { type DoubleBufferArgs, doubleBuffer } from "./primitive/double-buffer.ts";
import { type FissionArgs, fission } from "./primitive/fission.ts";
import { type FuseArgs, fuse } from "./primitive/fuse.ts";
import { type HoistStorageArgs, hoistStorage } from "./primitive/hoist-storage.ts";
import { loopPartition } from "./primitive/loop-partition.ts";
import { nontemporal } from "./primitive/nontemporal.ts";
import { type PadEinsumArgs, padEinsum } from "./primitive/pad-einsum.ts";
import { parallel } from "./primitive/parallel.ts";
import { type PeelArgs, peel } from "./primitive/peel.ts";
import { type PrefetchArgs, prefetch } from "./primitive/prefetch.ts";
import { type ReindexArgs, reindex } from "./primitive/reindex.ts";
import { reorder } from "./primitive/reorder.ts";
import { reverseComputeAt } from "./primitive/reverse-compute-at.ts";
import { reverseComputeInline } from "./primitive/reverse-compute-inline.ts";
import { type RfactorArgs, rfactor } from "./primitive/rfactor.ts";
import { type SampleCategoricalArgs, sampleCategorical } from "./primitive/sample-categorical.ts";
import { type SampleComputeLocationArgs, sampleComputeLocation } from "./primitive/sample-compute-location.ts";
import { type SampleTileArgs, sampleTile } from "./primitive/sample-tile.ts";
import { setScope } from "./primitive/set-scope.ts";
import { type SkewArgs, skew } from "./primitive/skew.ts";
import { type SlideAtArgs, slideAt } from "./primitive/slide-at.ts";
import { type PipelineMode, type SoftwarePipelineArgs, softwarePipeline } from "./primitive/software-pipeline.ts";
import { type SplitArgs, type SplitOptions, split } from "./primitive/split.ts";
import { type StorageAlignArgs, storageAlign } from "./primitive/storage-align.ts";
import { type StorageFoldArgs, storageFold } from "./primitive/storage-fold.ts";
import type { CacheAtArgs } from "./primitive/support-stage.ts";
import { type TensorIntrinsic, type TensorizeArgs, tensorize } from "./primitive/tensorize.ts";
import { type TransformLayoutArgs, transformLayout } from "./primitive/transform-layout.ts";
import { unroll } from "./primitive/unroll.ts";
import { vectorize } from "./primitive/vectorize.ts";
import type { BlockRef, LoopRef, Primitive, Violation } from "./primitive.ts";

/** A primitive with the face of its method, the shape of its arguments, and what it may do to loops around. */
interface Row<Face extends readonly unknown[], Args extends object, Result> {
  readonly primitive: Primitive<string, Args, Result, string>;
  readonly face: (...args: Face) => Args;
  readonly shape: Shape;
  /** Whether each iteration of the loops around may touch other elements than before. */
  readonly moves: boolean;
}
const row =
  (moves: boolean) =>
  <Face extends readonly unknown[], Args extends object, Result, Rule extends string>(
    primitive: Primitive<string, Args, Result, Rule>,
    face: (...args: Face) => Args,
    shape: Shape,
  ): Row<Face, Args, Result> => ({ primitive: settled(primitive), face, shape, moves });
/** The primitive, after which the regions of blocks around others say what these do. */
const settled = <Args extends object, Result, Rule extends string>(
  primitive: Primitive<string, Args, Result, Rule>,
): Primitive<string, Args, Result, Rule> => ({
  ...primitive,
  rewrite: (program, args) => {
    const made = primitive.rewrite(program, args);
    return { ...made, program: withRegions(made.program) };
  },
});
/** Primitives that keep what each iteration of the loops around does, and those that may not. */
const stays = row(false);
const moves = <Face extends readonly unknown[], Args extends object, Result, Rule extends string>(
  primitive: Primitive<string, Args, Result, Rule>,
  face: (...args: Face) => Args,
  shape: Shape,
): Row<Face, Args, Result> => row(true)(keepsCircular(primitive), face, shape);

const splitArgs = (loop: LoopRef, options: SplitOptions): SplitArgs => ({ loop, ...options });
const splitShape: Shape = { loop: "loop", factor: "integer?", factors: "integer or null list?", tail: "tail?" };
const blockArg = (block: BlockRef): { readonly block: BlockRef } => ({ block });
const blockShape: Shape = { block: "block" };
const loopArg = (loop: LoopRef): { readonly loop: LoopRef } => ({ loop });
const loopShape: Shape = { loop: "loop" };
const loopsArg = (...loops: LoopRef[]): FuseArgs => ({ loops });
const loopsShape: Shape = { loops: "loops" };
const bindArgs = (loop: LoopRef, axis: ThreadAxis): BindArgs => ({ loop, axis });
const blockizeArgs = (loop: LoopRef): BlockizeArgs => ({ loop });
const atArgs = (block: BlockRef, loop: LoopRef): ComputeAtArgs => ({ block, loop });
const atShape: Shape = { block: "block", loop: "loop" };
const slideArgs = (block: BlockRef, loop: LoopRef, over?: LoopRef | null): SlideAtArgs =>
  over ? { block, loop, over } : { block, loop };
const withArgs = (block: BlockRef, loop: LoopRef, align: Alignment = "start"): ComputeWithArgs => ({
  block,
  loop,
  align,
});
const cacheArgs = (block: BlockRef, buffer: string, scope: Scope): CacheReadArgs => ({ block, buffer, scope });
const cacheAtArgs = (loop: LoopRef, block: BlockRef, buffer: string, scope: Scope): CacheAtArgs => ({
  loop,
  block,
  buffer,
  scope,
});
const cacheAtShape: Shape = { loop: "loop", block: "block", buffer: "string", scope: "scope" };
const cacheShape: Shape = { block: "block", buffer: "string", scope: "scope" };
const layoutArgs = (block: BlockRef, buffer: string, dims: readonly LayoutDim[]): TransformLayoutArgs => ({
  block,
  buffer,
  dims,
});
const layoutShape: Shape = { block: "block", buffer: "string", dims: "layout dimensions" };
const rfactorArgs = (loop: LoopRef, factorAxis: number): RfactorArgs => ({ loop, factorAxis });
const annotateArgs = (target: LoopRef | BlockRef, key: string, value: AnnotationValue): AnnotateArgs => ({
  target,
  key,
  value,
});
const annotateShape: Shape = { target: "loop or block", key: "string", value: "annotation value" };

const cutLoopArgs = (loop: LoopRef, at: number): CutLoopArgs => ({ loop, at });
const peelArgs = (loop: LoopRef, first: number, last = 0): PeelArgs => ({ loop, first, last });
const fissionArgs = (loop: LoopRef, after: BlockRef): FissionArgs => ({ loop, after });
const skewArgs = (outer: LoopRef, inner: LoopRef, factor: number): SkewArgs => ({ outer, inner, factor });
const hoistArgs = (block: BlockRef, buffer: string, loop?: LoopRef | null): HoistStorageArgs =>
  loop ? { block, buffer, loop } : { block, buffer };
const alignArgs = (block: BlockRef, buffer: string, dim: number, factor: number, offset = 0): StorageAlignArgs => ({
  block,
  buffer,
  dim,
  factor,
  offset,
});
const foldArgs = (block: BlockRef, buffer: string, dim: number, factor: number): StorageFoldArgs => ({
  block,
  buffer,
  dim,
  factor,
});
const prefetchArgs = (
  block: BlockRef,
  buffer: string,
  loop: LoopRef,
  distance: number,
  ahead?: LoopRef | null,
): PrefetchArgs => (ahead ? { block, buffer, loop, distance, ahead } : { block, buffer, loop, distance });
const sampleTileArgs = (loop: LoopRef, n: number, maxInner: number, decision: readonly number[]): SampleTileArgs => ({
  loop,
  n,
  maxInner,
  decision,
});
const categoryArgs = (
  values: readonly (number | string)[],
  probabilities: readonly number[],
  decision: number,
): SampleCategoricalArgs => ({ values, probabilities, decision });
const locationArgs = (block: BlockRef, decision: number): SampleComputeLocationArgs => ({ block, decision });
const reindexArgs = (block: BlockRef, buffer: string): ReindexArgs => ({ block, buffer });
const padArgs = (block: BlockRef, multiples: readonly number[]): PadEinsumArgs => ({ block, multiples });
const tensorArgs = (loop: LoopRef | BlockRef, intrinsic: TensorIntrinsic): TensorizeArgs => ({ loop, intrinsic });
const pipelineArgs = (
  loop: LoopRef,
  stages: readonly number[],
  mode: PipelineMode = "peeled",
): SoftwarePipelineArgs => ({ loop, stages, mode });
const doubleArgs = (block: BlockRef, buffer: string, loop: LoopRef, dim: number, tile: number): DoubleBufferArgs => ({
  block,
  buffer,
  loop,
  dim,
  tile,
});

/** Every primitive by name. */
export const primitives = {
  split: stays(split, splitArgs, splitShape),
  fuse: stays(fuse, loopsArg, loopsShape),
  reorder: stays(reorder, loopsArg, loopsShape),
  vectorize: stays(vectorize, loopArg, loopShape),
  unroll: stays(unroll, loopArg, loopShape),
  parallel: stays(parallel, loopArg, loopShape),
  decomposeReduction: stays(decomposeReduction, atArgs, atShape),
  computeAt: moves(computeAt, atArgs, atShape),
  slideAt: moves(slideAt, slideArgs, { block: "block", loop: "loop", over: "loop?" }),
  reverseComputeAt: moves(reverseComputeAt, atArgs, atShape),
  computeWith: moves(computeWith, withArgs, { block: "block", loop: "loop", align: "alignment" }),
  computeInline: moves(computeInline, blockArg, blockShape),
  reverseComputeInline: moves(reverseComputeInline, blockArg, blockShape),
  cacheRead: moves(cacheRead, cacheArgs, cacheShape),
  cacheWrite: moves(cacheWrite, cacheArgs, cacheShape),
  cacheReadAt: moves(cacheReadAt, cacheAtArgs, cacheAtShape),
  cacheWriteAt: moves(cacheWriteAt, cacheAtArgs, cacheAtShape),
  setScope: stays(setScope, cacheArgs, cacheShape),
  transformLayout: moves(transformLayout, layoutArgs, layoutShape),
  rfactor: moves(rfactor, rfactorArgs, { loop: "loop", factorAxis: "integer" }),
  annotate: stays(annotate, annotateArgs, annotateShape),
  fission: stays(fission, fissionArgs, { loop: "loop", after: "block" }),
  cutLoop: stays(cutLoop, cutLoopArgs, { loop: "loop", at: "integer" }),
  peel: stays(peel, peelArgs, { loop: "loop", first: "integer", last: "integer" }),
  loopPartition: stays(loopPartition, loopArg, loopShape),
  hoistStorage: stays(hoistStorage, hoistArgs, { block: "block", buffer: "string", loop: "loop?" }),
  storageAlign: stays(storageAlign, alignArgs, {
    block: "block",
    buffer: "string",
    dim: "integer",
    factor: "integer",
    offset: "integer",
  }),
  // What its block does with other circular buffers stays as it is.
  storageFold: row(true)(storageFold, foldArgs, {
    block: "block",
    buffer: "string",
    dim: "integer",
    factor: "integer",
  }),
  prefetch: stays(prefetch, prefetchArgs, {
    block: "block",
    buffer: "string",
    loop: "loop",
    distance: "integer",
    ahead: "loop?",
  }),
  nontemporal: stays(nontemporal, blockArg, blockShape),
  sampleTile: stays(sampleTile, sampleTileArgs, {
    loop: "loop",
    n: "integer",
    maxInner: "integer",
    decision: "integer list",
  }),
  sampleCategorical: stays(sampleCategorical, categoryArgs, {
    values: "value list",
    probabilities: "number list",
    decision: "integer",
  }),
  sampleComputeLocation: stays(sampleComputeLocation, locationArgs, { block: "block", decision: "integer" }),
  reindex: moves(reindex, reindexArgs, { block: "block", buffer: "string" }),
  decomposePadding: moves(decomposePadding, blockArg, blockShape),
  padEinsum: moves(padEinsum, padArgs, { block: "block", multiples: "integer list" }),
  tensorize: stays(tensorize, tensorArgs, { loop: "loop or block", intrinsic: "intrinsic" }),
  softwarePipeline: stays(softwarePipeline, pipelineArgs, {
    loop: "loop",
    stages: "integer list",
    mode: "pipeline mode",
  }),
  doubleBuffer: moves(doubleBuffer, doubleArgs, {
    block: "block",
    buffer: "string",
    loop: "loop",
    dim: "integer",
    tile: "integer",
  }),
  bind: stays(bind, bindArgs, { loop: "loop", axis: "thread axis" }),
  atomic: stays(atomic, blockArg, blockShape),
  blockize: stays(blockize, blockizeArgs, loopShape),
  skew: stays(skew, skewArgs, { outer: "loop", inner: "loop", factor: "integer" }),
} as const;

export type PrimitiveName = keyof typeof primitives;
/** The positional arguments of a primitive's method. */
export type FaceOf<N extends PrimitiveName> = Parameters<(typeof primitives)[N]["face"]>;
/** The plain argument object that a trace records. */
export type ArgsOf<N extends PrimitiveName> = ReturnType<(typeof primitives)[N]["face"]>;
/** What a primitive's method gives back. */
export type ResultOf<N extends PrimitiveName> = ReturnType<(typeof primitives)[N]["primitive"]["rewrite"]>["result"];

/** A row without its argument types, for code that treats all alike; arguments have the row's shape. */
export interface AnyPrimitive {
  readonly name: string;
  readonly doc: string;
  readonly rules: Readonly<Record<string, string>>;
  readonly check: (program: Program, args: object) => Violation | undefined;
  readonly rewrite: (program: Program, args: object) => { readonly program: Program; readonly result: unknown };
}
interface AnyRow {
  readonly primitive: AnyPrimitive;
  readonly shape: Shape;
  readonly moves: boolean;
}
/** The row of this name; undefined when there is none. */
export function rowNamed(name: string): AnyRow | undefined {
  return Object.hasOwn(primitives, name) ? (primitives[name as PrimitiveName] as unknown as AnyRow) : undefined;
}
/** The argument object for a method's positional arguments. */
export function argsFor(name: PrimitiveName, positional: readonly unknown[]): object {
  const face = primitives[name].face as unknown as (...args: readonly unknown[]) => object;
  return face(...positional);
}
