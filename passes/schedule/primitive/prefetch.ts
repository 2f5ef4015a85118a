/** prefetch: a loop asks for what a block will read some iterations later. */
import {
  add,
  call,
  constantValue,
  floordiv,
  floormod,
  index,
  load,
  max,
  min,
  mul,
  sub,
  variable,
} from "../../../ir/expr/build.ts";
import { bytesOf, dtype } from "../../../ir/expr/dtype.ts";
import type { Buffer, Expr, Var } from "../../../ir/expr/expr.ts";
import { freeVars, substitute } from "../../../ir/expr/traverse.ts";
import { evaluate, forLoop, seq } from "../../../ir/loop/build.ts";
import type { For, Program, Stmt } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopsOutside } from "../rebuild.ts";
import { findBlock, findLoop, loopsAround, replaceStmt } from "../tree.ts";
import { accessBox, collectAccesses, rangesOf } from "./support-access.ts";
import { type Span, unionSpan } from "./support-box.ts";
import { bufferNamed } from "./support-buffer.ts";
import { exprOf } from "./support-linear.ts";

export interface PrefetchArgs {
  readonly block: BlockRef;
  /** Name of a buffer the block reads. */
  readonly buffer: string;
  readonly loop: LoopRef;
  /** How many iterations of the loop ahead, or of `ahead` where it is given. */
  readonly distance: number;
  /** A loop around `loop`. What its later iteration reads goes to the second cache, and loops that read it again share it. */
  readonly ahead?: LoopRef;
}
type Rule =
  | "found"
  | "reads-buffer"
  | "loop-around-block"
  | "ahead-around-loop"
  | "positive-distance"
  | "scalar-loop"
  | "known-region"
  | "few-lines";

/** The most cache lines that an iteration asks for. */
export const maxLines = 64;
const lineBytes = 64;

interface Plan {
  readonly buffer: Buffer;
  readonly loop: For;
  readonly ahead: For;
  readonly spans: readonly Span[];
  /** Steps along each dimension: one each, but a cache line along the last. */
  readonly steps: readonly number[];
  /** Loops between `ahead` and `loop` whose iterations read the same: each asks for a part of it. Outermost first. */
  readonly sharing: readonly For[];
}
function plan(program: Program, args: PrefetchArgs): Plan | Violation<Rule> {
  const { block: at, loop: ref, distance } = args;
  const block = findBlock(program, at.id);
  const loop = findLoop(program, ref.id);
  if (!block || !loop) return { rule: "found", because: `there is no ${block ? ref.name : at.name}`, at };
  const buffer = bufferNamed(block, args.buffer, "load");
  if (!buffer) return { rule: "reads-buffer", because: `${block.name} does not read ${args.buffer}`, at };
  if (!loopsAround(program, block.id).includes(loop))
    return { rule: "loop-around-block", because: `${ref.name} is not around ${block.name}`, at: ref };
  if (!Number.isSafeInteger(distance) || distance < 1)
    return { rule: "positive-distance", because: `the distance is ${distance}`, at: ref };
  const outside = loopsOutside(program, ref);
  const ahead = args.ahead === undefined ? loop : outside.find((l) => l.var.id === args.ahead!.id);
  if (!ahead) return { rule: "ahead-around-loop", because: `${args.ahead!.name} is not around ${ref.name}`, at: ref };
  const vector = [...outside, loop].find((l) => l.loopKind === "vectorized");
  if (vector) return { rule: "scalar-loop", because: `${vector.var.name} is vectorized`, at: ref };
  const spans = regionOf(loop, outside, block.id, buffer);
  if (!spans) return { rule: "known-region", because: `what an iteration reads of ${buffer.name} is not known`, at };
  const perLine = Math.max(1, Math.floor(lineBytes / bytesOf(buffer.dtype.scalar)));
  const steps = spans.map((s, d) => (d === spans.length - 1 ? Math.ceil(s.extent / perLine) : s.extent));
  const between = args.ahead === undefined ? [] : outside.slice(outside.indexOf(ahead) + 1);
  const sharing = between.filter((l) => constantValue(l.extent) && !spans.some((s) => moves(s, l)));
  const lines = Math.ceil(product(steps) / product(sharing.map(extentOf)));
  if (lines > maxLines)
    return {
      rule: "few-lines",
      because: `an iteration of ${ref.name} reads ${lines} cache lines`,
      instead: "prefetch at a loop further inside",
      at: ref,
    };
  return { buffer, loop, ahead, spans, steps, sharing };
}
const moves = (s: Span, l: For): boolean => freeVars(exprOf(s.min)).has(l.var.id);
const extentOf = (l: For): number => constantValue(l.extent)!;
const product = (factors: readonly number[]): number => factors.reduce((n, k) => n * k, 1);

/** The box that an iteration of the loop reads. */
function regionOf(loop: For, outside: readonly For[], block: number, b: Buffer): Span[] | undefined {
  const outer = rangesOf([...outside, loop]);
  let union: (Span | undefined)[] | undefined;
  for (const a of collectAccesses(loop.body, (id) => id === b.id)) {
    if (a.kind !== "load" || a.block?.id !== block) continue;
    const { spans } = accessBox(a, outer);
    union = union?.map((s, d) => s && spans[d] && unionSpan(s, spans[d], outer)) ?? [...spans];
  }
  if (!union || union.length === 0) return undefined;
  return union.every((s) => s !== undefined) ? union : undefined;
}

function rewrite(program: Program, args: PrefetchArgs) {
  const p = plan(program, args);
  invariant(!("rule" in p), "prefetch was checked");
  const ids = new IdSource(program.nextId);
  const { buffer, loop, spans } = p;
  const later = new Map<VarId, Expr>([[p.ahead.var.id, add(p.ahead.var, args.distance)]]);
  const perLine = Math.max(1, Math.floor(lineBytes / bytesOf(buffer.dtype.scalar)));
  const { loops, at } = p.sharing.length > 0 ? sharedLines(p, ids) : allLines(p, ids);
  const place = spans.map((s, d): Expr => {
    const start = substitute(exprOf(s.min), later);
    const line = at[d];
    const element = line === undefined ? start : add(start, d === spans.length - 1 ? mul(line, perLine) : line);
    const last = constantValue(buffer.shape[d]!);
    return min(max(element, 0), last === undefined ? add(buffer.shape[d]!, -1) : index(last - 1));
  });
  const target = load(buffer, place);
  const hint: Stmt = evaluate(
    call("prefetch", args.ahead ? [target, index(0), secondCache] : [target], dtype("int32")),
  );
  // Written out between the steps of a reduction; by themselves they are many.
  const loopKind = p.sharing.length > 0 ? "unrolled" : "serial";
  const nest = loops.reduceRight<Stmt>((inner, l) => forLoop(l.var, l.extent, inner, { loopKind }), hint);
  const next: For = { ...loop, body: seq([nest, loop.body]) };
  return { program: { ...replaceStmt(program, loop, next), nextId: ids.next }, result: undefined };
}
/** The locality that the hint gives what is needed later than soon. */
const secondCache = index(2);

/** Loops over lines, and the line along each dimension; absent where there is one. */
interface Lines {
  readonly loops: readonly { readonly var: Var; readonly extent: number }[];
  readonly at: readonly (Expr | undefined)[];
}
/** Every line of the box. */
function allLines({ steps }: Plan, ids: IdSource): Lines {
  const vars = steps.map((extent, d) => (extent > 1 ? { var: variable(ids, `p${d}`), extent } : undefined));
  return { loops: vars.filter((v) => v !== undefined), at: vars.map((v) => v?.var) };
}
/** The lines of the box that fall to this iteration of the loops that share it; beyond its end, what follows. */
function sharedLines({ steps, sharing }: Plan, ids: IdSource): Lines {
  const extent = Math.ceil(product(steps) / product(sharing.map(extentOf)));
  const own = extent > 1 ? [{ var: variable(ids, "p"), extent }] : [];
  const turn = [...sharing.map((l) => ({ var: sub(l.var, l.min), extent: extentOf(l) })), ...own];
  let rest = turn.reduce<Expr>((sum, l) => add(mul(sum, l.extent), l.var), index(0));
  const at: (Expr | undefined)[] = steps.map(() => undefined);
  const outermost = steps.findIndex((n) => n > 1);
  for (let d = steps.length - 1; d >= 0; d--) {
    if (steps[d]! === 1) continue;
    at[d] = d === outermost ? rest : floormod(rest, index(steps[d]!));
    rest = floordiv(rest, index(steps[d]!));
  }
  return { loops: own, at };
}

/** The primitive. */
export const prefetch = definePrimitive({
  name: "prefetch",
  doc: "Asks the caches, at the start of each iteration of a loop, for what a block reads of a buffer some iterations later.",
  before: "for i in 0..64:\n  C[i] = A[i]",
  after: "for i in 0..64:\n  evaluate prefetch(A[min(i + 8, 63)])\n  C[i] = A[i]",
  rules: {
    found: "the block and the loop are part of the program",
    "reads-buffer": "the block reads a buffer of that name",
    "loop-around-block": "the loop is around the block",
    "ahead-around-loop": "`ahead` is around the loop",
    "positive-distance": "the distance is a positive integer",
    "scalar-loop": "neither the loop nor one around it is vectorized",
    "known-region": "what an iteration reads of the buffer is a box of constant extents",
    "few-lines": `an iteration reads at most ${maxLines} cache lines of the buffer`,
  },
  check: (program: Program, args: PrefetchArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite,
});
