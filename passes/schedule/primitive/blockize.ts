/** blockize: the loops from one inward, with the block they hold, become one block. */
import { compare, constantValue, index, variable } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { freeVars, substitute } from "../../../ir/expr/traverse.ts";
import { forLoop, iterVar, block as makeBlock } from "../../../ir/loop/build.ts";
import type { Block, For, IterVar, Program, Stmt } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { keyOf } from "../../analysis/order.ts";
import { coversAccesses, overlappingBlock } from "../contracts.ts";
import { bindingsOf, dependsOn, nestOf, toldApart } from "../legality.ts";
import { derived, withRegions } from "../nested.ts";
import { type BlockRef, definePrimitive, type LoopRef, remembered, type Violation } from "../primitive.ts";
import { loopOf, loopsOutside, substituteStmt } from "../rebuild.ts";
import { blockRef, loopRef, pathToLoop } from "../tree.ts";
import { iterRanges, merged, rangesOf } from "./support-access.ts";
import { spanOf } from "./support-box.ts";
import {
  addLinear,
  asInequalities,
  conjoin,
  conjuncts,
  decide,
  exprOf,
  type Linear,
  linearOf,
  type Ranges,
  scaleLinear,
} from "./support-linear.ts";
import { freshName, rewriteAt, soleNest } from "./support-nest.ts";

export interface BlockizeArgs {
  /** The outermost loop of the new block's inside. */
  readonly loop: LoopRef;
}
const rules = {
  "one-block": "the loop's nest holds one block and nothing else",
  "serial-loops": "the loops of the nest are serial or unrolled, start at 0 and have constant extents",
  "scalar-around": "no loop around is vectorized or tensorized",
  "whole-tiles":
    "each iteration variable is a multiple of what the loops of the nest add to it, plus that: tiles side by side",
  "starts-once":
    "a block with an init runs no instance twice within the nest: the init of the new block comes before all",
  "separable-guard":
    "each term of the block's predicate concerns loops outside, or loops of the nest, or bounds one iteration variable",
  proven: "the regions of the new block provably cover what it touches, and its variables tell its elements apart",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;

/** One iteration variable, outside and inside of the new block. */
interface Axis {
  /** The variable of the new block and what it is bound to; absent when the loops outside do not move the axis. */
  readonly outer?: { readonly iter: IterVar; readonly binding: Expr };
  /** The binding of the inner block's variable, over the new block's variables and the loops inside. */
  readonly binding: Expr;
}
interface Plan {
  readonly made: Program;
  readonly result: BlockRef;
}

const plan = remembered((program: Program, { loop: at }: BlockizeArgs): Plan | Refusal => {
  const loop = loopOf(program, at);
  const nest = soleNest(loop);
  if (!nest)
    return { rule: "one-block", because: `${at.name} holds several blocks, or statements beside its block`, at };
  const { block, loops } = nest;
  const odd = loops.find((l) => (l.loopKind !== "serial" && l.loopKind !== "unrolled") || !hasConstantBounds(l));
  if (odd)
    return {
      rule: "serial-loops",
      because: hasConstantBounds(odd) ? `${odd.var.name} is ${odd.loopKind}` : `the bounds of ${odd.var.name} move`,
      instead: "blockize first",
      at: loopRef(odd),
    };
  const outside = loopsOutside(program, at);
  const lanes = outside.find((l) => l.loopKind === "vectorized" || l.loopKind === "tensorized");
  if (lanes) return { rule: "scalar-around", because: `${lanes.var.name} is ${lanes.loopKind}`, at: loopRef(lanes) };
  const repeated = block.init && repeatedIn(block, loop, outside);
  if (repeated)
    return {
      rule: "starts-once",
      because: `${repeated.var.name} may run an instance of ${block.name} twice`,
      instead: 'split it with tail: "guard"',
      at: loopRef(repeated),
    };
  const ids = new IdSource(program.nextId);
  const around = pathToLoop(program, at.id)!.stmts.flatMap((s) => (s.kind === "block" ? [iterRanges(s)] : []));
  const [inner, outer] = [rangesOf(loops), merged(rangesOf(outside), ...around)];
  const axes: Axis[] = [];
  for (const [k, v] of block.iterVars.entries()) {
    const axis = axisOf(v, block.bindings[k]!, ids, inner, outer);
    if (!axis)
      return {
        rule: "whole-tiles",
        because: `what the loops from ${at.name} on add to ${v.var.name} of ${block.name} is no tile of it`,
        instead: "split exactly and reorder, so that the inner loops of each axis stand inside",
        at,
      };
    axes.push(axis);
  }
  const guards = guardsOf(block, axes, inner, outer);
  if ("stray" in guards)
    return {
      rule: "separable-guard",
      because: `the predicate of ${block.name} ties loops outside and inside of ${at.name} together`,
      at: blockRef(block),
    };
  const names = { outer: freshName(program, `${block.name}_o`), init: freshName(program, `${block.name}_init`) };
  const made = outerBlock({ block, loops, axes, guards, ids, names });
  const next = { ...withRegions(rewriteAt(program, new Map([[loop, made]]))), nextId: ids.next };
  if (!coversAccesses(made) || overlappingBlock(next))
    return {
      rule: "proven",
      because: `cannot prove which elements ${block.name} touches under ${at.name}, or that no other iteration around touches them`,
      at,
    };
  return { made: next, result: blockRef(made) };
});
/** A loop from `loop` on that meets an instance of the block again. */
function repeatedIn(block: Block, loop: For, outside: readonly For[]): For | undefined {
  const nest = nestOf(loop, outside);
  const own = nest.instances.find((i) => i.stmt === block);
  invariant(own, `${block.name} stands under ${loop.var.name}`);
  const told = toldApart(nest, own, ["spatial", "ordered", "reduction"]);
  return own.loops.find((l) => !told.has(l.var.id));
}
const hasConstantBounds = (l: For): boolean => constantValue(l.min) === 0 && constantValue(l.extent) !== undefined;

/** Splits a binding into c·outside + inside, the inside in [0, c); undefined where it is no such sum. */
function axisOf(v: IterVar, binding: Expr, ids: IdSource, inner: Ranges, outer: Ranges): Axis | undefined {
  const ranges = new Map([...outer, ...inner]);
  const l = linearOf(binding, ranges);
  const within = termsOver(l, inner);
  const rest = addLinear(l, within, -1);
  if ([...rest.terms.values()].some((t) => [...freeVars(t.atom)].some((x) => inner.has(x)))) return undefined;
  if (rest.terms.size === 0) return { binding: exprOf(l) };
  if (within.terms.size === 0) {
    const whole = { ...v, var: variable(ids, v.var.name) };
    return { outer: { iter: whole, binding: exprOf(l) }, binding: whole.var };
  }
  const span = spanOf(within, inner, ranges);
  const extent = constantValue(v.extent);
  if (!span || span.min.terms.size > 0 || extent === undefined) return undefined;
  const start = addLinear(rest, span.min);
  const c = span.extent;
  if (start.constant % c !== 0 || [...start.terms.values()].some((t) => t.coefficient % c !== 0)) return undefined;
  const tile = iterVar(variable(ids, `${v.var.name}_o`), Math.ceil(extent / c), v.kind);
  const scaled: Linear = {
    terms: new Map([...start.terms].map(([k, t]) => [k, { atom: t.atom, coefficient: t.coefficient / c }])),
    constant: start.constant / c,
  };
  const offset = addLinear(within, span.min, -1);
  const place = addLinear(scaleLinear(linearOf(tile.var, new Map()), c), offset);
  return { outer: { iter: tile, binding: exprOf(scaled) }, binding: exprOf(place) };
}
/** The terms of a sum that only these variables move. */
const termsOver = (l: Linear, vars: Ranges): Linear => ({
  terms: new Map([...l.terms].filter(([, t]) => [...freeVars(t.atom)].every((v) => vars.has(v)))),
  constant: 0,
});

interface Guards {
  readonly outer: readonly Expr[];
  readonly inner: readonly Expr[];
}
/** The terms of the predicate, each where its variables are known; in the inner block bounds are of its bindings. */
function guardsOf(b: Block, axes: readonly Axis[], inner: Ranges, outer: Ranges): Guards | { readonly stray: Expr } {
  const found = { outer: [] as Expr[], inner: [] as Expr[] };
  const ranges = new Map([...outer, ...inner]);
  const units = new Map<VarId, Expr>(
    [...ranges].flatMap(([v, r]) => (r.min === r.max ? [[v, index(r.min)] as const] : [])),
  );
  for (const given of conjuncts(b.predicate)) {
    const c = substitute(given, units);
    const used = [...freeVars(c)];
    if (!used.some((v) => inner.has(v))) found.outer.push(c);
    else if (used.every((v) => inner.has(v))) found.inner.push(c);
    else {
      const moved = boundOfAxis(c, b, axes, ranges);
      if (!moved) return { stray: c };
      found.inner.push(moved);
    }
  }
  for (const { outer: own } of axes) {
    if (!own) continue;
    for (const c of [compare("ge", own.binding, 0), compare("lt", own.binding, own.iter.extent)])
      if (decide(c, outer) !== 1 && !found.outer.some((o) => keyOf(o) === keyOf(c))) found.outer.push(c);
  }
  return found;
}
/** A comparison ±binding + constant ≤ 0 in terms of the inner block's new binding. */
function boundOfAxis(c: Expr, b: Block, axes: readonly Axis[], ranges: Ranges): Expr | undefined {
  const forms = asInequalities(c, ranges);
  if (forms?.length !== 1) return undefined;
  for (const [k, binding] of b.bindings.entries())
    for (const sign of [1, -1]) {
      const rest = addLinear(forms[0]!, linearOf(binding, ranges), -sign);
      if (rest.terms.size > 0) continue;
      // sign · binding + constant ≤ 0
      return sign === 1
        ? compare("lt", axes[k]!.binding, index(1 - rest.constant))
        : compare("ge", axes[k]!.binding, index(rest.constant));
    }
  return undefined;
}

interface Parts {
  readonly block: Block;
  readonly loops: readonly For[];
  readonly axes: readonly Axis[];
  readonly guards: Guards;
  readonly ids: IdSource;
  readonly names: { readonly outer: string; readonly init: string };
}
// Note [Where a blockized reduction starts]
// The init of the new block is the old one's over the nest. It runs where the new block's reduction variables are 0; where
// all of the reduction lies inside there are none, and every instance starts with it.
function outerBlock(p: Parts): Block {
  const { block, loops, axes, guards, ids, names } = p;
  const own = axes.flatMap((a) => (a.outer ? [a.outer] : []));
  const { predicate: _, init, ...bare } = block;
  const predicate = conjoin(guards.inner);
  const inner: Block = {
    ...bare,
    bindings: axes.map((a) => a.binding),
    ...(predicate ? { predicate } : {}),
  };
  const body = loops.reduceRight<Stmt>((s, l) => ({ ...l, body: s }), inner);
  const around = conjoin(guards.outer);
  return derived(
    makeBlock(ids, {
      name: names.outer,
      iterVars: own.map((o) => o.iter),
      bindings: own.map((o) => o.binding),
      body,
      ...(around ? { predicate: around } : {}),
      ...(init ? { init: initNest(p, inner, init) } : {}),
    }),
  );
}
/** The init of the inner block over its spatial axes, in loops of its own. */
function initNest({ loops, ids, names }: Parts, inner: Block, init: Stmt): Stmt {
  const spatial = bindingsOf(inner, ["spatial", "ordered"]);
  const copied = loops.filter((l) => dependsOn(spatial, l.var.id));
  const map = new Map<VarId, Expr>();
  for (const l of loops) map.set(l.var.id, copied.includes(l) ? variable(ids, l.var.name) : index(0));
  const kept = inner.iterVars.filter((v) => v.kind !== "reduction");
  const fresh = kept.map((v) => ({ ...v, var: variable(ids, v.var.name) }));
  const rename = new Map<VarId, Expr>(kept.map((v, k) => [v.var.id, fresh[k]!.var]));
  for (const v of inner.iterVars) if (v.kind === "reduction") rename.set(v.var.id, index(0));
  const guards = conjoin(
    conjuncts(inner.predicate)
      .map((c) => substitute(c, map))
      .filter((c) => constantValue(c) !== 1),
  );
  const start = derived(
    makeBlock(ids, {
      name: names.init,
      iterVars: fresh,
      bindings: spatial.map((e) => substitute(e, map)),
      body: substituteStmt(init, rename),
      ...(guards ? { predicate: guards } : {}),
    }),
  );
  return copied.reduceRight<Stmt>((s, l) => {
    const v = map.get(l.var.id)!;
    invariant(v.kind === "var", "copied loops have variables of their own");
    return forLoop(v, l.extent, s, { min: l.min });
  }, start);
}

/** The primitive. */
export const blockize = definePrimitive({
  name: "blockize",
  doc: "Makes the loops from one inward, with the block they hold, one block over tiles; the loops outside work on it as on any block.",
  before: "for i_o, j_o:\n  for i_i, j_i:\n    C[i_o * 8 + i_i, j_o * 8 + j_i]",
  after:
    "for i_o, j_o:\n  block C_o[i_o * 8 .. + 8, j_o * 8 .. + 8]:\n    for i_i, j_i:\n      C[vi_o * 8 + i_i, vj_o * 8 + j_i]",
  rules,
  check: (program: Program, args: BlockizeArgs): Refusal | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: BlockizeArgs) => {
    const p = plan(program, args);
    invariant(!("rule" in p), "blockize was checked");
    return { program: p.made, result: p.result };
  },
});
