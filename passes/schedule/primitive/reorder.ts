/** reorder: loops of one nest change places. */
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { Block, For, MathPolicy, Program, Stmt } from "../../../ir/loop/program.ts";
import { turnedAround } from "../dependences.ts";
import {
  describeDependence,
  hasKind,
  keepsOrder,
  type Meeting,
  meetings,
  meetingsOf,
  type Nest,
  nameOf,
  nestOf,
  reductionsGrow,
  toldApart,
} from "../legality.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { funcOfLoop, loopOf, loopsOutside } from "../rebuild.ts";
import { loopRef, replaceStmt } from "../tree.ts";

/** Loops of one nest in the wanted order, outermost first; they share out the places they hold now. */
export interface ReorderArgs {
  readonly loops: readonly LoopRef[];
}
type Rule = "distinct-loops" | "perfect-nest" | "serial-loops" | "independent-bounds" | "keeps-dependences";

/** The loops from the outermost to the innermost given, as they stand and as wanted. */
interface Band {
  readonly before: readonly For[];
  readonly after: readonly For[];
}
function bandOf(program: Program, refs: readonly LoopRef[]): Band | { readonly broken: For } {
  const wanted = refs.map((r) => loopOf(program, r));
  const outer = wanted.find((w) => reachable(w, wanted));
  if (!outer) return { broken: wanted[0]! };
  const chain: For[] = [];
  const open = new Set(wanted);
  for (let s: Stmt = outer; ; s = s.body) {
    if (s.kind !== "for") return { broken: [...open][0]! };
    chain.push(s);
    open.delete(s);
    if (open.size === 0) break;
  }
  const queue = [...wanted];
  return { before: chain, after: chain.map((l) => (wanted.includes(l) ? queue.shift()! : l)) };
}
/** Whether all of `wanted` stand in the perfect nest that starts at `outer`. */
function reachable(outer: For, wanted: readonly For[]): boolean {
  const open = new Set(wanted);
  for (let s: Stmt = outer; s.kind === "for"; s = s.body) open.delete(s);
  return open.size === 0;
}

function check(program: Program, { loops: refs }: ReorderArgs): Violation<Rule> | undefined {
  const first = refs[0];
  if (!first || new Set(refs.map((r) => r.id)).size < refs.length)
    return { rule: "distinct-loops", because: first ? "a loop is given twice" : "none is given", at: first };
  const band = bandOf(program, refs);
  if ("broken" in band)
    return {
      rule: "perfect-nest",
      because: `${band.broken.var.name} is not in one perfect nest with the others`,
      instead: "move what stands between the loops away, or decompose the reduction",
      at: loopRef(band.broken),
    };
  const { before, after } = band;
  if (before.every((l, i) => l === after[i])) return undefined;
  const kind = before.find((l) => l.loopKind !== "serial" && l.loopKind !== "unrolled");
  if (kind)
    return {
      rule: "serial-loops",
      because: `${kind.var.name} is ${kind.loopKind}`,
      instead: "reorder first",
      at: loopRef(kind),
    };
  return boundsViolation(after) ?? orderViolation(program, band);
}
function boundsViolation(after: readonly For[]): Violation<Rule> | undefined {
  for (const [i, l] of after.entries()) {
    const used = new Set([...freeVars(l.min), ...freeVars(l.extent)]);
    const on = after.slice(i + 1).find((x) => used.has(x.var.id));
    if (on)
      return { rule: "independent-bounds", because: `the bounds of ${l.var.name} use ${on.var.name}`, at: loopRef(l) };
  }
  return undefined;
}

// Note [Reordering]
// Two runs of statements that share an element are at the same iteration of the loops in `same`; along the others, which
// of the two runs first is decided by the outermost loop where they differ. So the order is kept when the loops outside
// of `same` keep their relative order. Where only the outermost of them keeps its place, runs that differ there keep
// their order, and what is left to show is about runs at one iteration of that loop: it is held, and the question asked
// again. A block with itself may do more: spatial instances on one element are the same instance, and a reduction may
// run in any order if no instance runs twice and the first one (all reduction variables 0) stays first.
// What is still open is decided by the directions of every dependence: none may turn around.
function orderViolation(program: Program, band: Band): Violation<Rule> | undefined {
  const outermost = loopRef(band.before[0]!);
  const { math } = funcOfLoop(program, outermost);
  const nest = nestOf(band.before[0]!, loopsOutside(program, outermost));
  for (const m of meetings(nest)) {
    const swapped = swappedIn(nest, m, band, math);
    const turned = swapped && turnedAround(nest, m, band, math);
    if (!swapped || !turned) continue;
    const what = m.first === m.second ? nameOf(m.first) : `${nameOf(m.first)} and ${nameOf(m.second)}`;
    return {
      rule: "keeps-dependences",
      because: `${what} would touch ${turned.source.buffer.name} in another order${describeDependence(turned)}`,
      ...(math === "strict" ? { instead: "allow reassociation with the math policy default" } : {}),
      at: loopRef(swapped),
    };
  }
  return undefined;
}
/** A loop whose new place changes the order of two runs that share an element. */
function swappedIn(nest: Nest, m: Meeting, band: Band, math: MathPolicy): For | undefined {
  const apart = (l: For): boolean => !m.same.has(l.var.id) && !nest.held.has(l.var.id);
  const was = band.before.filter(apart);
  const is = band.after.filter(apart);
  const swapped = is.find((l, i) => l !== was[i]);
  if (!swapped || anyOrder(nest, m, band, math)) return undefined;
  if (was[0] !== is[0]) return swapped;
  const inner: Nest = { ...nest, held: new Set([...nest.held, was[0]!.var.id]) };
  for (const again of meetingsOf(inner, m.first, m.second)) {
    const found = swappedIn(inner, again, band, math);
    if (found) return found;
  }
  return undefined;
}
function anyOrder(nest: Nest, m: Meeting, band: Band, math: MathPolicy): boolean {
  if (m.first !== m.second || m.first.stmt.kind !== "block") return false;
  const b: Block = m.first.stmt;
  if (hasKind(b, "ordered")) return false;
  if (!hasKind(b, "reduction")) return !readsItself(b);
  if (keepsOrder(b, math)) return false;
  const told = toldApart(nest, m.first, ["spatial", "reduction"]);
  const once = band.before.every((l) => told.has(l.var.id) || nest.held.has(l.var.id));
  return once && (b.init === undefined || reductionsGrow(nest, m.first));
}
const readsItself = (b: Block): boolean => b.reads.some((r) => b.writes.some((w) => w.buffer.id === r.buffer.id));

function rewrite(program: Program, { loops: refs }: ReorderArgs) {
  const band = bandOf(program, refs);
  if ("broken" in band || band.before.length === 0) return { program, result: undefined };
  const innermost = band.before.at(-1)!.body;
  const nest = band.after.reduceRight<Stmt>((body, l) => ({ ...l, body }), innermost);
  return { program: replaceStmt(program, band.before[0]!, nest), result: undefined };
}

/** The primitive. */
export const reorder = definePrimitive({
  name: "reorder",
  doc: "Puts loops of one perfect nest into the given order.",
  before: "for i in 0..4:\n  for j in 0..8:\n    C[i, j]",
  after: "for j in 0..8:\n  for i in 0..4:\n    C[i, j]",
  rules: {
    "distinct-loops": "every loop is given once",
    "perfect-nest": "from the outermost to the innermost given, each loop is the whole body of the one around it",
    "serial-loops": "the loops between are serial or unrolled",
    "independent-bounds": "no loop's bounds use a loop that comes inside it",
    "keeps-dependences": "accesses of one element keep their order, except within a reduction that may be reassociated",
  },
  check,
  rewrite,
});
