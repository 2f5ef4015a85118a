/** split: one loop becomes a nest that walks the same iterations tile by tile. */
import { add, compare, constantValue, floordiv, index, min, mul, sub } from "../../../ir/expr/build.ts";
import type { Expr, Var } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import { forLoop } from "../../../ir/loop/build.ts";
import type { For, Program, Stmt } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { proveDivides, proveTrue, rangesOfLoops } from "../../analysis/interval.ts";
import { carriedMeetings, dependencesOf } from "../dependences.ts";
import { describeMeeting, hasKind, type Instance, type Nest, nameOf, nestOf } from "../legality.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { freshVar, guard, idsOf, loopOf, loopsOutside, substituteStmt, tidy, withLoop } from "../rebuild.ts";
import { blockRef } from "../tree.ts";
import { cutLoop, type Piece } from "./support-pieces.ts";

/** What happens to iterations beyond the extent when the factors do not divide it. */
export type Tail = "guard" | "exact" | "shift-inwards" | "peel";

/** How a loop is cut: one inner extent, or all extents (outermost first, one may be null: what the others leave). */
export type SplitOptions =
  | { readonly factor: number; readonly tail?: Tail }
  | { readonly factors: readonly (number | null)[]; readonly tail?: Tail };
export type SplitArgs = { readonly loop: LoopRef } & SplitOptions;

const factorsOf = (args: SplitOptions): readonly (number | null)[] =>
  "factors" in args ? args.factors : [null, args.factor];

type Rule =
  | "positive-factors"
  | "one-inferred-factor"
  | "known-extent"
  | "covers-extent"
  | "exact-tail"
  | "shift-extent"
  | "shift-idempotent"
  | "peel-extent"
  | "peel-domain"
  | "serial-loop";

/** Extents of the new loops, and how far the loop's variable goes with one step of each. */
interface Plan {
  readonly extents: readonly Expr[];
  readonly strides: readonly Expr[];
}

function planOf(loop: For, factors: readonly (number | null)[]): Plan {
  const product = (from: readonly (number | null)[]): number => from.reduce<number>((p, f) => p * (f ?? 1), 1);
  const inferred = floordiv(add(loop.extent, product(factors) - 1), product(factors));
  const extents = factors.map((f) => (f === null ? inferred : index(f)));
  const strides = extents.map((_, k) => extents.slice(k + 1).reduce(mul, index(1)));
  return { extents, strides };
}
/** Iterations in one step of the outermost new loop. */
const tileOf = (p: Plan): Expr => p.strides[0]!;
const totalOf = (p: Plan): Expr => mul(p.extents[0]!, tileOf(p));

function check(program: Program, args: SplitArgs): Violation<Rule> | undefined {
  const { loop: ref, tail = "guard" } = args;
  const factors = factorsOf(args);
  const loop = loopOf(program, ref);
  const refuse = (rule: Rule, because: string, instead?: string): Violation<Rule> => ({
    rule,
    because,
    instead,
    at: ref,
  });
  if (loop.loopKind !== "serial") return refuse("serial-loop", `${ref.name} is ${loop.loopKind}`, "split first");
  const bad = factors.findIndex((f) => f !== null && !(Number.isSafeInteger(f) && f >= 1));
  if (bad >= 0 || factors.length < 1) return refuse("positive-factors", `a factor is ${factors[bad] ?? "missing"}`);
  if (factors.filter((f) => f === null).length > 1) return refuse("one-inferred-factor", "several factors are null");
  const known = constantValue(loop.extent);
  if (known === undefined && factors.indexOf(null) > 0)
    return refuse("known-extent", `the extent of ${ref.name} is not a constant`, "let the outermost factor be null");
  const plan = planOf(loop, factors);
  const ranges = rangesOfLoops(loopsOutside(program, ref));
  const holds = (c: Expr): boolean => proveTrue(c, ranges);
  if (!factors.includes(null) && !holds(compare("le", loop.extent, totalOf(plan))))
    return refuse("covers-extent", `${factors.join("·")} is less than the extent`, "let one factor be null");
  if (tail === "exact" && !isExact(program, ref, plan))
    return refuse("exact-tail", whyInexact(known, factors), 'use tail: "guard"');
  if (isExact(program, ref, plan)) return undefined;
  if (tail === "peel") return peelViolation(program, ref, plan);
  if (tail !== "shift-inwards") return undefined;
  if (!holds(compare("ge", loop.extent, tileOf(plan))))
    return refuse("shift-extent", "the extent may be less than a tile", 'use tail: "guard"');
  const because = whyNotTwice(nestOf(loop, loopsOutside(program, ref)), loop);
  return because === undefined ? undefined : refuse("shift-idempotent", because, 'use tail: "guard"');
}
function whyInexact(extent: number | undefined, factors: readonly (number | null)[]): string {
  const tile = factors.filter((f) => f !== null).join("·");
  return extent === undefined ? `cannot prove that ${tile} divides the extent` : `${tile} does not divide ${extent}`;
}
/** The iterations of whole tiles, and the rest. */
function peeledPieces(extent: number, plan: Plan): Piece[] | undefined {
  const tile = constantValue(tileOf(plan));
  const whole = tile === undefined ? 0 : Math.floor(extent / tile) * tile;
  if (whole === 0) return undefined;
  return [
    { from: 0, extent: whole },
    { from: whole, extent: extent - whole, suffix: "tail" },
  ];
}
function peelViolation(program: Program, ref: LoopRef, plan: Plan): Violation<Rule> | undefined {
  const extent = constantValue(loopOf(program, ref).extent);
  const pieces = extent === undefined ? undefined : peeledPieces(extent, plan);
  const instead = 'use tail: "guard"';
  if (!pieces) return { rule: "peel-extent", because: `${ref.name} may have no whole tile`, instead, at: ref };
  const cut = cutLoop(program, ref, pieces);
  if (!("unknown" in cut)) return undefined;
  const because = `the part of ${cut.unknown.name} that whole tiles run is no box`;
  return { rule: "peel-domain", because, instead, at: blockRef(cut.unknown) };
}
/** Whole tiles, split exactly, and the rest in a loop of its own. */
function peeled(program: Program, ref: LoopRef, factors: readonly (number | null)[], plan: Plan) {
  const pieces = peeledPieces(constantValue(loopOf(program, ref).extent)!, plan);
  invariant(pieces, "split was checked");
  const cut = cutLoop(program, ref, pieces);
  invariant(!("unknown" in cut), "split was checked");
  const inner = plan.extents.slice(1).map((e) => constantValue(e)!);
  const main = rewrite(cut.program, { loop: ref, factors: factors.length === 1 ? factors : [null, ...inner] });
  return { program: main.program, result: [...main.result, ...cut.loops.slice(1)] };
}
/** Whether the new loops provably walk exactly the old iterations. */
function isExact(program: Program, ref: LoopRef, plan: Plan): boolean {
  const loop = loopOf(program, ref);
  const ranges = rangesOfLoops(loopsOutside(program, ref));
  if (proveTrue(compare("eq", totalOf(plan), loop.extent), ranges)) return true;
  const tile = constantValue(tileOf(plan));
  const rounded = constantValue(plan.extents[0]!) === undefined;
  return rounded && tile !== undefined && proveDivides(tile, loop.extent, ranges);
}

/** Why an iteration of the loop cannot run twice: Note [Shifted tails]. */
function whyNotTwice(nest: Nest, loop: For): string | undefined {
  const [carried] = carriedMeetings(nest, loop);
  if (carried) return describeMeeting(carried, loop.var.name);
  for (const [i, x] of nest.instances.entries()) {
    const because = whyNotRepeatable(x, loop) ?? overwrittenLater(nest, x, nest.instances.slice(i + 1));
    if (because !== undefined) return because;
  }
  return undefined;
}
// Note [Shifted tails]
// The last tile starts early and recomputes elements of the one before. That is harmless when iterations share no
// element with one another, and when one iteration run a second time stores what it stored the first time: nothing it
// reads is written later in the same iteration, and an accumulation starts again from its own init.
function whyNotRepeatable(x: Instance, loop: For): string | undefined {
  if (x.stmt.kind !== "block")
    return x.touches.some((t) => t.write) ? `${nameOf(x)} stands outside of a block` : undefined;
  const b = x.stmt;
  const driven = b.iterVars.filter((_, i) => freeVars(b.bindings[i]!).has(loop.var.id));
  if (driven.some((v) => v.kind !== "spatial"))
    return `${loop.var.name} drives a reduction or ordered axis of ${b.name}`;
  const rereads = b.reads.some((r) => b.writes.some((w) => w.buffer.id === r.buffer.id));
  if (!rereads) return undefined;
  if (b.init === undefined || hasKind(b, "ordered")) return `${b.name} reads what it writes`;
  const inside = new Set(x.loops.map((l) => l.var.id));
  const outer = b.bindings.filter((_, i) => b.iterVars[i]!.kind === "reduction").flatMap((e) => [...freeVars(e)]);
  return outer.every((id) => inside.has(id)) ? undefined : `${b.name} reduces over a loop outside of ${loop.var.name}`;
}
function overwrittenLater(nest: Nest, x: Instance, later: readonly Instance[]): string | undefined {
  const reads = new Set(x.touches.filter((t) => !t.write && !nest.own.has(t.buffer.id)).map((t) => t.buffer.id));
  const writer = later.find((y) => {
    const shared = y.touches.filter((t) => t.write && reads.has(t.buffer.id));
    return shared.some((t) =>
      [...dependencesOf(nest, [x, y], { buffer: t.buffer.id })].some((d) => d.kind !== "output"),
    );
  });
  return writer && `${nameOf(writer)} overwrites what ${nameOf(x)} reads`;
}

function rewrite(program: Program, args: SplitArgs): { program: Program; result: LoopRef[] } {
  const { loop: ref, tail = "guard" } = args;
  const factors = factorsOf(args);
  const loop = loopOf(program, ref);
  const outside = loopsOutside(program, ref);
  const ids = idsOf(program);
  const plan = planOf(loop, factors);
  const exact = isExact(program, ref, plan);
  if (tail === "peel" && !exact) return peeled(program, ref, factors, plan);
  const vars = factors.map((_, k) => freshVar(ids, loop.var, `${loop.var.name}_${suffix(k, factors.length)}`));
  const start = startOf(vars, plan, !exact && tail === "shift-inwards" ? loop.extent : undefined);
  const body = substituteStmt(loop.body, new Map([[loop.var.id, add(loop.min, start)]]));
  const guarded = exact || tail === "shift-inwards" ? body : guard(body, compare("lt", start, loop.extent));
  const nest = vars.reduceRight<Stmt>((inner, v, k) => forLoop(v, plan.extents[k]!, inner), guarded);
  const annotated = nest.kind === "for" && loop.annotations ? { ...nest, annotations: loop.annotations } : nest;
  return { program: withLoop(program, loop, tidy(annotated, outside), ids), result: handles(vars) };
}
const handles = (vars: readonly Var[]): LoopRef[] => vars.map((v) => ({ kind: "loop", id: v.id, name: v.name }));
const suffix = (k: number, of: number): string => (of === 2 ? "oi"[k]! : `${k}`);
/** The old iteration in terms of the new variables; with `shiftedBelow` the last tile ends at that extent. */
function startOf(vars: readonly Var[], plan: Plan, shiftedBelow: Expr | undefined): Expr {
  const terms = vars.map((v, k) => mul(v, plan.strides[k]!));
  if (shiftedBelow) terms[0] = min(terms[0]!, sub(shiftedBelow, tileOf(plan)));
  return terms.reduce(add);
}

/** The primitive. */
export const split = definePrimitive({
  name: "split",
  doc: 'Splits a loop into a nest of loops with the given extents, outermost first; one null extent is inferred. Tail "peel" gives the loop of the rest last.',
  before: "for i in 0..n:\n  C[i]",
  after: "for i_o in 0..ceil(n / 8):\n  for i_i in 0..8:\n    if i_o * 8 + i_i < n: C[i_o * 8 + i_i]",
  rules: {
    "serial-loop": "the loop is serial",
    "positive-factors": "every factor is a positive integer",
    "one-inferred-factor": "at most one factor is null",
    "known-extent": "an inner factor is inferred only from a constant extent",
    "covers-extent": "factors that are all given reach the extent",
    "exact-tail": 'with tail "exact", the factors provably divide the extent',
    "shift-extent": 'with tail "shift-inwards", the extent is at least one tile',
    "shift-idempotent": 'with tail "shift-inwards", running an iteration twice changes nothing',
    "peel-extent": 'with tail "peel", the extent is a constant of at least one tile',
    "peel-domain": 'with tail "peel", what each block runs in whole tiles is a box of its iteration variables',
  },
  check,
  rewrite,
});
