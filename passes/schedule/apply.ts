/**
 * The table of primitives: adding one is one file in `primitive/` and one row here. A row gives the primitive and the
 * face of its Schedule method: how positional arguments become the one plain object that a trace records.
 */
import type { Scope } from "../../ir/expr/expr.ts";
import type { AnnotationValue, Program } from "../../ir/loop/program.ts";
import { annotate } from "./primitive/annotate.ts";
import { type CacheReadArgs, cacheRead } from "./primitive/cache-read.ts";
import { type CacheWriteArgs, cacheWrite } from "./primitive/cache-write.ts";
import { type ComputeAtArgs, computeAt } from "./primitive/compute-at.ts";
import { computeInline } from "./primitive/compute-inline.ts";
import { type DecomposeReductionArgs, decomposeReduction } from "./primitive/decompose-reduction.ts";
import { type FuseArgs, fuse } from "./primitive/fuse.ts";
import { parallel } from "./primitive/parallel.ts";
import { reorder } from "./primitive/reorder.ts";
import { reverseComputeAt } from "./primitive/reverse-compute-at.ts";
import { reverseComputeInline } from "./primitive/reverse-compute-inline.ts";
import { type RfactorArgs, rfactor } from "./primitive/rfactor.ts";
import { setScope } from "./primitive/set-scope.ts";
import { type SplitArgs, type SplitOptions, split } from "./primitive/split.ts";
import { type TransformLayoutArgs, transformLayout } from "./primitive/transform-layout.ts";
import { unroll } from "./primitive/unroll.ts";
import { vectorize } from "./primitive/vectorize.ts";
import type { BlockRef, LoopRef, Primitive, Violation } from "./primitive.ts";

/** A primitive with the face of its method. */
interface Row<Face extends readonly unknown[], Args extends object, Result> {
  readonly primitive: Primitive<string, Args, Result, string>;
  readonly face: (...args: Face) => Args;
}
function row<Face extends readonly unknown[], Args extends object, Result, Rule extends string>(
  primitive: Primitive<string, Args, Result, Rule>,
  face: (...args: Face) => Args,
): Row<Face, Args, Result> {
  return { primitive, face };
}

const splitArgs = (loop: LoopRef, options: SplitOptions): SplitArgs => ({ loop, ...options });
const blockArg = (block: BlockRef): { readonly block: BlockRef } => ({ block });
const atArgs = (block: BlockRef, loop: LoopRef): ComputeAtArgs => ({ block, loop });
const cacheArgs = (block: BlockRef, buffer: string, scope: Scope): CacheReadArgs & CacheWriteArgs => ({
  block,
  buffer,
  scope,
});
const loopArg = (loop: LoopRef): { readonly loop: LoopRef } => ({ loop });

/** Every primitive by name. */
export const primitives = {
  split: row(split, splitArgs),
  fuse: row(fuse, (...loops: LoopRef[]): FuseArgs => ({ loops })),
  reorder: row(reorder, (...loops: LoopRef[]) => ({ loops })),
  vectorize: row(vectorize, loopArg),
  unroll: row(unroll, loopArg),
  parallel: row(parallel, loopArg),
  decomposeReduction: row(
    decomposeReduction,
    (block: BlockRef, loop: LoopRef): DecomposeReductionArgs => ({ block, loop }),
  ),
  computeAt: row(computeAt, atArgs),
  reverseComputeAt: row(reverseComputeAt, atArgs),
  computeInline: row(computeInline, blockArg),
  reverseComputeInline: row(reverseComputeInline, blockArg),
  cacheRead: row(cacheRead, cacheArgs),
  cacheWrite: row(cacheWrite, cacheArgs),
  setScope: row(setScope, cacheArgs),
  transformLayout: row(
    transformLayout,
    (block: BlockRef, buffer: string, dims: TransformLayoutArgs["dims"]): TransformLayoutArgs => ({
      block,
      buffer,
      dims,
    }),
  ),
  rfactor: row(rfactor, (loop: LoopRef, factorAxis: number): RfactorArgs => ({ loop, factorAxis })),
  annotate: row(annotate, (target: LoopRef | BlockRef, key: string, value: AnnotationValue) => ({
    target,
    key,
    value,
  })),
} as const;

/** Primitives that keep what each iteration of the loops around does; all others may move accesses between iterations. */
export const keepIterations: ReadonlySet<string> = new Set<keyof typeof primitives>([
  "split",
  "fuse",
  "reorder",
  "vectorize",
  "unroll",
  "parallel",
  "decomposeReduction",
  "setScope",
  "annotate",
]);

export type PrimitiveName = keyof typeof primitives;
/** The positional arguments of a primitive's method. */
export type FaceOf<N extends PrimitiveName> = Parameters<(typeof primitives)[N]["face"]>;
/** The plain argument object that a trace records. */
export type ArgsOf<N extends PrimitiveName> = ReturnType<(typeof primitives)[N]["face"]>;
/** What a primitive's method gives back. */
export type ResultOf<N extends PrimitiveName> = ReturnType<(typeof primitives)[N]["primitive"]["rewrite"]>["result"];
/** One method for each primitive. */
export type PrimitiveMethods = { [N in PrimitiveName]: (...args: FaceOf<N>) => ResultOf<N> };

/** A primitive without its argument types, for code that treats all alike; arguments were made by the row's face. */
export interface AnyPrimitive {
  readonly name: string;
  readonly doc: string;
  readonly rules: Readonly<Record<string, string>>;
  readonly check: (program: Program, args: object) => Violation | undefined;
  readonly rewrite: (program: Program, args: object) => { readonly program: Program; readonly result: unknown };
}
/** The primitive of this name; undefined when there is none. */
export function primitiveNamed(name: string): AnyPrimitive | undefined {
  if (!Object.hasOwn(primitives, name)) return undefined;
  return primitives[name as PrimitiveName].primitive as unknown as AnyPrimitive;
}
/** The argument object for a method's positional arguments. */
export function argsFor(name: PrimitiveName, positional: readonly unknown[]): object {
  const face = primitives[name].face as unknown as (...args: readonly unknown[]) => object;
  return face(...positional);
}

export const isHandle = (v: unknown): v is LoopRef | BlockRef =>
  typeof v === "object" && v !== null && "kind" in v && "id" in v && (v.kind === "loop" || v.kind === "block");
/** The loops and blocks within arguments or a result, in order. */
export function handlesIn(v: unknown): (LoopRef | BlockRef)[] {
  if (isHandle(v)) return [v];
  if (Array.isArray(v)) return v.flatMap(handlesIn);
  return typeof v === "object" && v !== null ? Object.values(v).flatMap(handlesIn) : [];
}
/** Rebuilds arguments with `f` applied to every handle in them. */
export function mapHandles(v: unknown, f: (h: LoopRef | BlockRef) => unknown): unknown {
  if (isHandle(v)) return f(v);
  if (Array.isArray(v)) return v.map((x) => mapHandles(x, f));
  if (typeof v !== "object" || v === null) return v;
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, mapHandles(x, f)]));
}
