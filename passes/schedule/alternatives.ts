/** The values that an argument of a primitive could have instead: what `why` and `choices` try. */
import { constantValue } from "../../ir/expr/build.ts";
import type { Block, For, PrimFunc, Region } from "../../ir/loop/program.ts";
import { rowNamed } from "./apply.ts";
import type { Shape } from "./arguments.ts";
import { threadAxes } from "./kernels.ts";
import { around, type Entry, type Outline, outlineOf } from "./outline.ts";
import type { BlockRef, LoopRef } from "./primitive.ts";
import { divisorsOf } from "./sampling.ts";
import { blockRef, loopRef } from "./tree.ts";

/** A value of one argument: a handle, a number, a word, or a list of these. */
export type Choice =
  | LoopRef
  | BlockRef
  | number
  | string
  | null
  | readonly Choice[]
  | { readonly [key: string]: number };

/** What the search knows of a schedule. */
export interface Prober {
  readonly legal: (args: object) => boolean;
  readonly outline: Outline;
  readonly loops: readonly LoopRef[];
  readonly blocks: readonly BlockRef[];
  /** The loops around each block, outermost first. */
  readonly nests: readonly (readonly LoopRef[])[];
}
/** The prober of a function's present state. */
export function proberOf(func: PrimFunc, legal: Prober["legal"]): Prober {
  const outline = outlineOf(func);
  const loopsOf = (list: readonly Entry[]): LoopRef[] =>
    list.flatMap((e) => (e.stmt.kind === "for" ? [loopRef(e.stmt)] : []));
  const blocks = outline.entries.flatMap((e) => (e.stmt.kind === "block" ? [blockRef(e.stmt)] : []));
  const nests = blocks.map((b) => loopsOf(around(outline.blocks.get(b.id)!)));
  return { legal, outline, loops: loopsOf(outline.entries), blocks, nests };
}
const loopOf = (p: Prober, v: unknown): For | undefined =>
  isLoop(v) ? (p.outline.loops.get(v.id)?.stmt as For | undefined) : undefined;
const blockOf = (p: Prober, v: unknown): Block | undefined =>
  isBlock(v) ? (p.outline.blocks.get(v.id)?.stmt as Block | undefined) : undefined;
const extentOf = (p: Prober, loop: unknown): number | undefined => {
  const found = loopOf(p, loop);
  return found && constantValue(found.extent);
};
const regionsOf = (b: Block | undefined): readonly Region[] => (b ? [...b.reads, ...b.writes] : []);
/** The rank of a buffer of a block; 4 where there is none of that name. */
const rankOf = (p: Prober, { block, buffer }: Arguments): number =>
  regionsOf(blockOf(p, block)).find((r) => r.buffer.name === buffer)?.ranges.length ?? 4;
type Arguments = Readonly<Record<string, unknown>>;

/** The names of a primitive's arguments and their kinds. */
export const shapeOf = (name: string): Shape => rowNamed(name)?.shape ?? {};

/** Values worth a try for one argument, the others as given. */
export function candidates(primitive: string, argument: string, args: Arguments, p: Prober): readonly Choice[] {
  const kind = shapeOf(primitive)[argument]?.replace("?", "");
  switch (kind) {
    case "loop":
      return p.loops;
    case "block":
      return p.blocks;
    case "loop or block":
      return [...p.loops, ...p.blocks];
    case "loops":
      return loopLists(primitive, args, p);
    case "scope":
      return ["global", "stack", "register"];
    case "tail":
      return ["guard", "peel", "shift-inwards", "exact"];
    case "alignment":
      return ["start", "end"];
    case "pipeline mode":
      return ["peeled", "guarded"];
    case "thread axis":
      return threadAxes;
    case "string":
      return argument === "buffer" ? [...new Set(regionsOf(blockOf(p, args.block)).map((r) => r.buffer.name))] : [];
    case "integer":
      return integers(primitive, argument, args, p);
    case "integer list":
    case "integer or null list":
      return integerLists(primitive, argument, args, p);
    case "layout dimensions":
      return layouts(args, p);
    default:
      return [];
  }
}
const isLoop = (v: unknown): v is LoopRef => typeof v === "object" && v !== null && "kind" in v && v.kind === "loop";
const isBlock = (v: unknown): v is BlockRef => typeof v === "object" && v !== null && "kind" in v && v.kind === "block";

/** For reorder every order of the loops given, at most four; for others every run of loops that stand in each other. */
function loopLists(primitive: string, args: Arguments, p: Prober): readonly (readonly LoopRef[])[] {
  const given = Array.isArray(args.loops) ? args.loops.filter(isLoop) : [];
  const nest = p.nests.find((n) => given.length > 0 && given.every((g) => n.some((l) => l.id === g.id)));
  if (primitive === "reorder") {
    const wanted = given.length > 1 ? given : (nest ?? p.nests.toSorted((a, b) => b.length - a.length)[0] ?? []);
    return permutations(wanted.slice(0, 4));
  }
  const around = nest ? [nest] : p.nests;
  const runs = around.flatMap((n) =>
    n.flatMap((_, from) => n.slice(from).map((__, k) => n.slice(from, from + k + 1))).filter((r) => r.length > 1),
  );
  return [...new Map(runs.map((r) => [r.map((l) => l.id).join(), r])).values()];
}
function permutations<T>(list: readonly T[]): readonly (readonly T[])[] {
  if (list.length < 2) return [list];
  return list.flatMap((x, k) => permutations(list.toSpliced(k, 1)).map((rest) => [x, ...rest]));
}
const upTo = (n: number, from = 0): number[] => Array.from({ length: Math.max(0, n - from) }, (_, k) => from + k);
const powers = [1, 2, 4, 8, 16, 32, 64];

/** Numbers by what the argument means. */
function integers(primitive: string, argument: string, args: Arguments, p: Prober): readonly number[] {
  const extent = extentOf(p, args.loop);
  switch (`${primitive}.${argument}`) {
    case "split.factor":
      return extent === undefined ? powers : divisorsOf(extent);
    case "cutLoop.at":
      return upTo(extent ?? 8, 1);
    case "peel.first":
    case "peel.last":
      return upTo(Math.min(extent ?? 4, 16));
    case "sampleTile.n":
      return upTo(5, 1);
    case "sampleTile.maxInner":
      return powers;
    case "skew.factor":
      return [-3, -2, -1, 1, 2, 3];
    case "prefetch.distance":
      return [1, 2, 4, 8, 16];
    case "storageAlign.offset":
      return upTo(typeof args.factor === "number" ? args.factor : 1);
    case "sampleComputeLocation.decision":
      return upTo(p.loops.length, -1);
    case "sampleCategorical.decision":
      return upTo(Array.isArray(args.values) ? args.values.length : 0);
    case "doubleBuffer.tile":
    case "storageFold.factor":
    case "storageAlign.factor":
      return [...new Set([...upTo(9, 1), ...powers])];
    default:
      return argument === "dim" ? upTo(rankOf(p, args)) : upTo(4);
  }
}
function integerLists(primitive: string, argument: string, args: Arguments, p: Prober): readonly Choice[] {
  const extent = extentOf(p, args.loop);
  switch (`${primitive}.${argument}`) {
    case "split.factors": {
      const given = Array.isArray(args.factors) ? (args.factors as unknown[]).length : 0;
      return extent === undefined || given < 2 ? [] : tilings(extent, given).map(([, ...inner]) => [null, ...inner]);
    }
    case "sampleTile.decision":
      return extent === undefined ? [] : tilings(extent, typeof args.n === "number" ? args.n : 2);
    case "padEinsum.multiples":
      return [4, 8, 16].map((m) => blockOf(p, args.block)?.iterVars.map(() => m) ?? []);
    case "softwarePipeline.stages": {
      const body = loopOf(p, args.loop)?.body;
      const n = body?.kind === "seq" ? body.body.length : 0;
      return n < 2 || n > 6
        ? []
        : upTo(n - 1, 1)
            .concat(n)
            .map((from) => upTo(n).map((k) => (k < from ? 0 : 1)));
    }
    default:
      return [];
  }
}
/** Every way to write an extent as a product of `n` factors, the outermost first. */
function tilings(extent: number, n: number): readonly number[][] {
  if (n <= 1) return [[extent]];
  return divisorsOf(extent).flatMap((inner) => tilings(extent / inner, n - 1).map((outer) => [...outer, inner]));
}
/** The dimensions of a buffer in another order. */
function layouts(args: Arguments, p: Prober): readonly Choice[] {
  return permutations(upTo(Math.min(rankOf(p, args), 4))).map((order) => order.map((axis) => ({ axis, divisor: 1 })));
}
