/** Runs of steps that random draws hardly ever find: what brings a program to an intrinsic's meaning. */
import type { ArgsOf, PrimitiveName } from "../../../passes/schedule/apply.ts";
import { bf16Dot, fmaOuterProduct, vnniDot } from "../../../passes/schedule/library/intrinsics.ts";
import type { LoopRef } from "../../../passes/schedule/primitive.ts";
import type { Schedule } from "../../../passes/schedule/schedule.ts";
import type { Random } from "./random.ts";

/** A primitive and its arguments. */
export type Proposal = { [N in PrimitiveName]: readonly [N, ArgsOf<N>] }[PrimitiveName];
/** The next step, given what the step before gave; undefined at the end. */
export type Script = Generator<Proposal, void, unknown>;

/** Columns in tiles of 16 lanes around the words of a dot product. */
function* dotTiles(s: Schedule): Script {
  const [i, j, k, q] = s.loops("C");
  const [outer, lanes] = (yield ["split", { loop: j!, factor: 16, tail: "exact" }]) as LoopRef[];
  yield ["reorder", { loops: [i!, outer!, k!, lanes!, q!] }];
  yield ["decomposeReduction", { block: s.block("C"), loop: k! }];
  const bytes = s.describe(s.block("C")).writes[0]!.buffer.dtype.scalar === "int32";
  yield ["tensorize", { loop: lanes!, intrinsic: bytes ? vnniDot : bf16Dot }];
}
/** Tiles of rows and columns, one term of the sum at a time. */
function* outerTiles(r: Random, s: Schedule): Script {
  const [rows, lanes] = [r.pick([1, 2, 4]), r.pick([2, 4])];
  const [i, j, k] = s.loops("C");
  const [io, ii] = (yield ["split", { loop: i!, factor: rows, tail: "exact" }]) as LoopRef[];
  const [jo, ji] = (yield ["split", { loop: j!, factor: lanes, tail: "exact" }]) as LoopRef[];
  yield ["reorder", { loops: [io!, jo!, k!, ii!, ji!] }];
  yield ["decomposeReduction", { block: s.block("C"), loop: k! }];
  yield ["tensorize", { loop: ii!, intrinsic: fmaOuterProduct(rows, lanes) }];
}

/** A script for a kind of program, now and then. */
export function scriptFor(r: Random, kind: string, s: Schedule): Script | undefined {
  if (kind === "dotTiles" && r.chance(0.7)) return dotTiles(s);
  return kind === "outerTiles" && r.chance(0.7) ? outerTiles(r, s) : undefined;
}
