/** slideAt: a producer moves under a loop of its consumers, and each iteration computes only what is new. */
import { constantValue } from "../../../ir/expr/build.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { Block, For, Program, Stmt } from "../../../ir/loop/program.ts";
import { type BufferId, IdSource, type VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type BlockRef, definePrimitive, type LoopRef, remembered, type Violation } from "../primitive.ts";
import { blockRef, blocksIn, findLoop, pathToLoop } from "../tree.ts";
import { allocateUnder, type ProducerMove, planProducer, producerRules, type Site, solveDomain } from "./compute-at.ts";
import { type Access, collectAccesses, rangesOf } from "./support-access.ts";
import { unionSpan } from "./support-box.ts";
import { BlockNames, duplicate } from "./support-duplicate.ts";
import { addLinear, constantLinear, type Linear, type Ranges } from "./support-linear.ts";
import { axisOver, type DomainAxis, loopsOf, regenerate, rewriteAt } from "./support-nest.ts";

export interface SlideAtArgs {
  readonly block: BlockRef;
  readonly loop: LoopRef;
  /** The outermost loop over whose iterations the window slides, around `loop`; `loop` itself when absent. */
  readonly over?: LoopRef;
}
const rules = {
  ...producerRules,
  "in-order": "no iteration variable of the block is ordered",
  "sliding-loops":
    "`over` is the loop or around it, in the nest that follows the block; both and those between run in order, always",
  "moving-window":
    "one iteration variable of the block moves on by constant steps as the loops run, and the others stand still",
  "windows-overlap": "an iteration needs more than its step",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;
const isRefusal = (x: object): x is Refusal => "rule" in x;

// Note [Sliding windows]
// Iteration t of the loops needs the instances [c·t + lo, c·t + lo + w) along one axis, c > 0, w > c, and the same box
// along all others. The head computes the first w - c of them before the loops; iteration t computes the last c of its
// window, [c·t + lo + w - c, c·t + lo + w). Head and iterations 0 … t are [lo, c·t + lo + w) without a gap: all of the
// window t, and every instance once. Readers between the block and the loops (heads of windows that slide over this
// one) are served by a head that is as much larger.
interface Plan extends ProducerMove {
  readonly head: readonly DomainAxis[];
  readonly steady: readonly DomainAxis[];
  /** The statement before which the head stands. */
  readonly first: Stmt;
  /** Bounds of the loops around the head. */
  readonly around: Ranges;
}

const plan = remembered((program: Program, args: SlideAtArgs): Plan | Refusal => {
  const band = bandOf(program, args);
  const move = planProducer(program, args, (_, buffer) => (band ? earlyReads(band, buffer) : []));
  if (isRefusal(move)) return move;
  if (move.producer.iterVars.some((v) => v.kind === "ordered"))
    return {
      rule: "in-order",
      because: `${move.producer.name} runs in order`,
      instead: "computeAt: each iteration runs the instances that follow",
      at: args.block,
    };
  if (!band || !move.below.includes(band.loops[0]!))
    return {
      rule: "sliding-loops",
      because: `what ${(args.over ?? args.loop).name} runs does not always run all of ${args.loop.name}, in order`,
      at: args.over ?? args.loop,
    };
  const at = args.block;
  const found = windowOf(move, band.loops);
  if (!found)
    return {
      rule: "moving-window",
      because: `what ${args.loop.name} needs of ${move.producer.name} is no window that moves on by constant steps`,
      at,
    };
  const { axis, step } = found;
  if (axis.extent <= step)
    return {
      rule: "windows-overlap",
      because: `an iteration needs ${axis.extent} and moves on by ${step}`,
      instead: "computeAt: nothing is computed twice",
      at,
    };
  const early = earlyReads(band, move.buffer.id);
  const around = rangesOf(band.around);
  const needed = early.length > 0 ? solveDomain(move.producer, move.buffer.id, early, around) : [];
  const head = needed && headOf(move, { ...found, band: band.loops }, needed, around);
  if (!head)
    return {
      rule: "consumers-in-loop",
      because: `cannot tell what ${early[0]?.block?.name ?? "a statement"} needs of ${move.producer.name} before the loops`,
      at,
    };
  const rest = axis.extent - step;
  const steady = move.axes.map((a) =>
    a === axis ? { ...a, min: addLinear(a.min, constantLinear(rest)), extent: step } : a,
  );
  return { ...move, head, steady, around, first: firstOf(band, move.buffer.id) };
});

/** The loops that a window slides over, outermost first, and what stands around and before them. */
interface Band {
  readonly loops: readonly For[];
  readonly around: readonly For[];
  /** What follows the block in the sequence of the outermost loop, up to and with that loop. */
  readonly siblings: readonly Stmt[];
}
function bandOf(program: Program, args: SlideAtArgs): Band | undefined {
  const stmts = pathToLoop(program, args.loop.id)?.stmts ?? [];
  const top = stmts.findIndex((s) => s.kind === "for" && s.var.id === (args.over ?? args.loop).id);
  if (top < 0) return undefined;
  const between = stmts.slice(top);
  const loops = loopsOf(between);
  const always = between.every((s) => s.kind === "for" || s.kind === "seq" || s.kind === "allocate");
  const inOrder = loops.every((l) => l.loopKind === "serial" || l.loopKind === "unrolled");
  if (!always || !inOrder || rangesOf(loops).size < loops.length) return undefined;
  const parent = stmts[top - 1];
  const all = parent?.kind === "seq" ? parent.body.slice(0, parent.body.indexOf(stmts[top]!) + 1) : [stmts[top]!];
  const own = all.findIndex((s) => blocksIn(s).some((b) => b.id === args.block.id));
  return { loops, around: loopsOf(stmts.slice(0, top)), siblings: all.slice(own + 1) };
}
/** Reads of what the block writes that stand before the loops, by blocks that only read it. */
const earlyReads = (band: Band, buffer: BufferId): Access[] =>
  band.siblings.slice(0, -1).flatMap((s) => readsOf(s, buffer));
function readsOf(s: Stmt, buffer: BufferId): Access[] {
  const reads = (a: Access): boolean => a.kind === "load" && !!a.block && !writes(a.block, buffer);
  return collectAccesses(s, (id) => id === buffer).filter(reads);
}
const writes = (b: Block, buffer: BufferId): boolean => b.writes.some((r) => r.buffer.id === buffer);

/** The statement before which the head stands. */
const firstOf = (band: Band, buffer: BufferId): Stmt =>
  band.siblings.find((s) => readsOf(s, buffer).length > 0) ?? band.siblings.at(-1)!;

interface Window {
  readonly axis: DomainAxis;
  /** How far an iteration of the innermost loop moves it. */
  readonly step: number;
}
/** The axis that moves with the loops; undefined unless the others stand and it moves evenly over all of them. */
function windowOf(move: Site & { readonly axes: readonly DomainAxis[] }, band: readonly For[]): Window | undefined {
  const ids = new Set<VarId>(band.map((l) => l.var.id));
  const moving = move.axes.filter((a) => [...a.min.terms.values()].some((t) => meets(freeVars(t.atom), ids)));
  const [axis] = moving;
  if (moving.length !== 1 || !axis) return undefined;
  const coefficients = new Map<VarId, number>();
  for (const t of axis.min.terms.values()) {
    if (!meets(freeVars(t.atom), ids)) continue;
    if (t.atom.kind !== "var") return undefined;
    coefficients.set(t.atom.id, t.coefficient);
  }
  const step = coefficients.get(band.at(-1)!.var.id) ?? 0;
  let expected = step;
  for (const l of [...band].reverse()) {
    const extent = constantValue(l.extent)!;
    if (extent > 1 && coefficients.get(l.var.id) !== expected) return undefined;
    expected *= extent;
  }
  return step > 0 ? { axis, step } : undefined;
}
const meets = (a: ReadonlySet<VarId>, b: ReadonlySet<VarId>): boolean => [...a].some((v) => b.has(v));

/** What is computed before the loops: the first window but for its step, and what stands before them needs. */
function headOf(
  move: ProducerMove,
  { axis, step, band }: Window & { readonly band: readonly For[] },
  needed: readonly DomainAxis[],
  around: Ranges,
): DomainAxis[] | undefined {
  const head: DomainAxis[] = [];
  for (const [k, a] of move.axes.entries()) {
    const own = a === axis ? { ...a, min: atStart(a.min, band), extent: a.extent - step } : a;
    const more = needed[k];
    const span = more && unionSpan({ ...own, exact: true }, { ...more, exact: true }, around);
    const whole = more ? span && axisOver(a.iter, span) : own;
    if (!whole) return undefined;
    head.push(whole);
  }
  return head;
}
/** The value at the first iteration of the loops. */
function atStart(l: Linear, band: readonly For[]): Linear {
  const starts = new Map(band.map((b) => [b.var.id, constantValue(b.min)!]));
  const terms = new Map(l.terms);
  let { constant } = l;
  for (const [key, t] of l.terms) {
    const start = t.atom.kind === "var" ? starts.get(t.atom.id) : undefined;
    if (start === undefined) continue;
    terms.delete(key);
    constant += t.coefficient * start;
  }
  return { terms, constant };
}

function rewrite(program: Program, args: SlideAtArgs) {
  const p = plan(program, args);
  invariant(!isRefusal(p), "slideAt was checked");
  const ids = new IdSource(program.nextId);
  const steady = regenerate(ids, p.producer, p.steady, p.outer);
  const copying = { program, ids, names: new BlockNames(program) };
  const head = duplicate(regenerate(ids, p.producer, p.head, p.around), copying, "head");
  const changes = new Map<Stmt, Stmt | undefined>([
    [p.loop, { ...p.loop, body: seq([steady, p.loop.body]) }],
    [p.fork.seq.body[p.fork.first]!, undefined],
  ]);
  const moved = { ...rewriteAt(program, changes), nextId: ids.next };
  const first = p.first.kind === "for" ? findLoop(moved, p.first.var.id)! : p.first;
  const whole = rewriteAt(moved, new Map([[first, seq([head, first])]]));
  const result = blockRef(blocksIn(head)[0]!);
  return { program: p.parallel ? allocateUnder(whole, p.buffer, p.parallel) : whole, result };
}

/** The primitive; gives the block that computes the start of the first window. */
export const slideAt = definePrimitive({
  name: "slideAt",
  doc: "Moves a producer under a loop of its consumers whose windows overlap: each iteration computes what is new in its own.",
  before: "for i in 0..66: B[i] = …\nfor i in 0..64: C[i] = B[i] + B[i + 1] + B[i + 2]",
  after: "for h in 0..2: B[h] = …\nfor i in 0..64:\n  B[i + 2] = …\n  C[i] = B[i] + B[i + 1] + B[i + 2]",
  rules,
  check: (program: Program, args: SlideAtArgs): Refusal | undefined => {
    const p = plan(program, args);
    return isRefusal(p) ? p : undefined;
  },
  rewrite,
});
