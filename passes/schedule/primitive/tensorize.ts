/** tensorize: a loop nest is computed by an intrinsic that means the same. */
import { constantValue } from "../../../ir/expr/build.ts";
import { isFloat } from "../../../ir/expr/dtype.ts";
import type { For, PrimFunc, Program, Stmt } from "../../../ir/loop/program.ts";
import { childStmts, visitStmt } from "../../../ir/loop/traverse.ts";
import { InputError } from "../../../ir/support/errors.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { matchIntrinsic, storeNest } from "../../analysis/tensor-match.ts";
import { loopsIn } from "../legality.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { funcOfLoop, loopOf, loopsOutside } from "../rebuild.ts";
import { findBlock, loopRef, replaceStmt } from "../tree.ts";
import { rangesOf } from "./support-access.ts";
import { simplifyIndex } from "./support-linear.ts";

/**
 * A pair: what it means, and how a machine does it. The meaning is the text of a program whose body is one nest around
 * one store. The body is LLVM IR of a function that takes a pointer for every parameter of the meaning (`%A`), then for
 * every dimension of it but the last the step in elements (`%A_s0`); it need not be aligned, and returns nothing.
 */
export interface TensorIntrinsic {
  readonly name: string;
  readonly meaning: string;
  readonly body: string;
  /** Declarations of LLVM intrinsics that the body calls. */
  readonly declarations: readonly string[];
  /** Whether a reduction of floats is done in another order than the meaning's. */
  readonly reassociates: boolean;
  /** Features that a target must have, by LLVM's names; none when absent. */
  readonly features?: readonly string[];
}
export interface TensorizeArgs {
  /** The outermost loop of the nest, or a block whose body is one. */
  readonly loop: LoopRef | BlockRef;
  readonly intrinsic: TensorIntrinsic;
}
type Rule =
  | "serial-loops"
  | "scalar-around"
  | "store-nest"
  | "valid-meaning"
  | "matches-meaning"
  | "reassociation-allowed"
  | "target-features";

/** The function that an intrinsic means; undefined when the text is none of one nest around one store. */
export function meaningOf(intrinsic: TensorIntrinsic): PrimFunc | undefined {
  try {
    const func = parseProgram(intrinsic.meaning).functions[0];
    return func && storeNest(func.body) ? func : undefined;
  } catch (e) {
    if (e instanceof InputError) return undefined;
    throw e;
  }
}
/** The outermost loop of the nest that a handle means; undefined for a block whose body is none. */
function nestMeant(program: Program, target: LoopRef | BlockRef): For | undefined {
  if (target.kind === "loop") return loopOf(program, target);
  const body = findBlock(program, target.id)?.body;
  return body?.kind === "for" ? body : undefined;
}
function check(program: Program, { loop: target, intrinsic }: TensorizeArgs): Violation<Rule> | undefined {
  const loop = nestMeant(program, target);
  if (!loop)
    return {
      rule: "store-nest",
      because: `the body of ${target.name} is no loop nest`,
      instead: "blockize first",
      at: target,
    };
  const at = loopRef(loop);
  const other = loopsIn(loop).find((l) => l.loopKind !== "serial");
  if (other) return { rule: "serial-loops", because: `${other.var.name} is ${other.loopKind}`, at: loopRef(other) };
  const around = loopsOutside(program, at).find((l) => l.loopKind === "vectorized" || l.loopKind === "tensorized");
  if (around)
    return { rule: "scalar-around", because: `${around.var.name} is ${around.loopKind}`, at: loopRef(around) };
  const nest = storeNest(loop);
  if (!nest)
    return {
      rule: "store-nest",
      because: `${at.name} is no nest from 0 with constant extents around one unconditional store`,
      instead: "decompose the reduction outside, and split so that no guard is needed",
      at,
    };
  const meaning = meaningOf(intrinsic);
  if (!meaning) return { rule: "valid-meaning", because: `the meaning of ${intrinsic.name} is no such program`, at };
  if (!means(loop, loopsOutside(program, at), meaning))
    return {
      rule: "matches-meaning",
      because: `the nest at ${at.name} (${extentsOf(nest.loops)}) is not what ${intrinsic.name} means (${extentsOf(storeNest(meaning.body)!.loops)})`,
      instead: "split and reorder to its extents; its last dimensions lie element by element in memory",
      at,
    };
  if (intrinsic.reassociates && isFloat(nest.store.buffer.dtype.scalar) && funcOfLoop(program, at).math === "strict")
    return { rule: "reassociation-allowed", because: `${intrinsic.name} adds in another order`, at };
  const known = funcOfLoop(program, at).annotations?.[featuresKey];
  const missing = intrinsic.features?.find((f) => Array.isArray(known) && !known.includes(f));
  return missing === undefined
    ? undefined
    : { rule: "target-features", because: `the target has no ${missing}, which ${intrinsic.name} needs`, at };
}
const featuresKey = "target.features";
/** The program, said to be for targets with these features: `tensorize` then asks for those that an intrinsic needs. */
export const forFeatures = (program: Program, features: Iterable<string>): Program => ({
  ...program,
  functions: program.functions.map((f) => ({ ...f, annotations: { ...f.annotations, [featuresKey]: [...features] } })),
});
/** A feature that tensorized nests of a program need and that is not among these, and the intrinsic that needs it. */
export function missingFeature(
  program: Program,
  features: ReadonlySet<string>,
): { readonly feature: string; readonly intrinsic: string } | undefined {
  let missing: { feature: string; intrinsic: string } | undefined;
  for (const f of program.functions)
    visitStmt(f.body, (s) => {
      const needed = s.kind === "for" ? s.annotations?.["intrinsic.features"] : undefined;
      const feature = Array.isArray(needed) ? needed.map(String).find((n) => !features.has(n)) : undefined;
      if (s.kind === "for" && feature !== undefined)
        missing ??= { feature, intrinsic: String(s.annotations?.["intrinsic.name"]) };
    });
  return missing;
}
/** Whether a nest, under loops around it, is what the function means. */
function means(loop: For, around: readonly For[], meaning: PrimFunc): boolean {
  const nest = storeNest(loop);
  const ranges = rangesOf([...around, ...(nest?.loops ?? [])]);
  return matchIntrinsic(loop, meaning, (e) => simplifyIndex(e, ranges)) !== undefined;
}
/** Whether an intrinsic computes a nest. */
export function hasTensorized(program: Program): boolean {
  let found = false;
  for (const f of program.functions)
    visitStmt(f.body, (s) => {
      found ||= s.kind === "for" && s.loopKind === "tensorized";
    });
  return found;
}
/** A tensorized nest that is no longer what its intrinsic means. */
export function brokenIntrinsic(program: Program): { readonly loop: For; readonly intrinsic: string } | undefined {
  const search = (s: Stmt, around: readonly For[]): For | undefined => {
    if (s.kind !== "for") return firstOf(childStmts(s), (c) => search(c, around));
    if (s.loopKind !== "tensorized") return search(s.body, [...around, s]);
    const meaning = parseProgram(String(s.annotations?.["intrinsic.meaning"])).functions[0];
    const inner = loopsIn(s).filter((l) => l !== s);
    const whole = meaning && inner.every((l) => l.loopKind === "serial") && means(s, around, meaning);
    return whole ? undefined : s;
  };
  const loop = firstOf(program.functions, (f) => search(f.body, []));
  return loop && { loop, intrinsic: String(loop.annotations?.["intrinsic.name"]) };
}
function firstOf<T>(list: readonly T[], f: (item: T) => For | undefined): For | undefined {
  for (const item of list) {
    const found = f(item);
    if (found) return found;
  }
  return undefined;
}
const extentsOf = (loops: readonly For[]): string => loops.map((l) => constantValue(l.extent)).join("×");

/** The primitive. */
export const tensorize = definePrimitive({
  name: "tensorize",
  doc: "Lets an intrinsic compute a loop nest; the nest stays as its meaning, in kind tensorized.",
  before: "for i in 0..16:\n  for k in 0..4:\n    C[i] += int32(A[k]) * int32(B[i * 4 + k])",
  after: "tensorized for i in 0..16:\n  for k in 0..4:\n    C[i] += int32(A[k]) * int32(B[i * 4 + k])",
  rules: {
    "serial-loops": "the loops of the nest are serial",
    "scalar-around": "no loop around is vectorized or tensorized",
    "store-nest": "the nest starts at 0, has constant extents, and holds one store without init, guard or mask",
    "valid-meaning": "the meaning is the text of a program whose body is such a nest",
    "matches-meaning":
      "the nest is the meaning up to names: extents, operators, types, and rows of memory, each buffer once",
    "reassociation-allowed": "an intrinsic that adds floats in another order is not used where math is strict",
    "target-features": "where the target is known, it has the features that the intrinsic needs",
  },
  check,
  rewrite: (program: Program, { loop: target, intrinsic }: TensorizeArgs) => {
    const loop = nestMeant(program, target);
    invariant(loop, "tensorize was checked");
    const annotations = {
      ...loop.annotations,
      "intrinsic.name": intrinsic.name,
      "intrinsic.meaning": intrinsic.meaning,
      "intrinsic.body": intrinsic.body,
      "intrinsic.declarations": intrinsic.declarations,
      ...(intrinsic.features ? { "intrinsic.features": intrinsic.features } : {}),
    };
    const next: For = { ...loop, loopKind: "tensorized", annotations };
    return { program: replaceStmt(program, loop, next), result: undefined };
  },
});
