/** padEinsum: a contraction over extents that are multiples of given numbers, on zero-padded copies. */
import { compare, constantValue, scalarLike } from "../../../ir/expr/build.ts";
import { isFloat } from "../../../ir/expr/dtype.ts";
import type { Buffer, Expr } from "../../../ir/expr/expr.ts";
import { iterVar, seq } from "../../../ir/loop/build.ts";
import type { Block, IterVar, Program, Stmt, Store } from "../../../ir/loop/program.ts";
import { IdSource, type VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { keyOf } from "../../analysis/order.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { blockRef } from "../tree.ts";
import { allocateIn, cacheOf, freshBufferName, remapBuffer } from "./support-buffer.ts";

import { freshName, rewriteAt } from "./support-nest.ts";
import { copyBlock, freshNest, type WholeBlock, wholeBlock } from "./support-whole.ts";

export interface PadEinsumArgs {
  readonly block: BlockRef;
  /** For each iteration variable the number whose multiple its extent becomes. */
  readonly multiples: readonly number[];
}
type Rule = "alone" | "multiples" | "einsum" | "zero-absorbs" | "signed-zero";
interface Plan extends WholeBlock {
  readonly store: Store;
  /** The buffers of the product, with the variables that index them. */
  readonly operands: ReadonlyMap<Buffer, readonly Expr[]>;
  readonly padded: readonly IterVar[];
}

function plan(program: Program, { block: at, multiples }: PadEinsumArgs): Plan | Violation<Rule> {
  const whole = wholeBlock(program, at.id);
  if (!whole) return { rule: "alone", because: `${at.name} shares its nest, or a guard skips some of it`, at };
  const { block } = whole;
  const extents = block.iterVars.map((v) => constantValue(v.extent));
  if (multiples.length !== block.iterVars.length || multiples.some((m) => m < 1))
    return { rule: "multiples", because: `${multiples.length} are given for ${extents.length} variables`, at };
  const found = einsumOf(block);
  if (!found || extents.some((n) => n === undefined))
    return { rule: "einsum", because: `${at.name} is not C[…] += product of loads at variables, from 0`, at };
  const padded = block.iterVars.map((v, k) =>
    iterVar(v.var, Math.ceil(extents[k]! / multiples[k]!) * multiples[k]!, v.kind),
  );
  const grown = padded.filter((v, k) => v.kind === "reduction" && constantValue(v.extent) !== extents[k]);
  const float = isFloat(found.store.buffer.dtype.scalar);
  const uses = (indices: readonly Expr[], id: VarId): boolean => indices.some((e) => e.kind === "var" && e.id === id);
  const loose = grown.find((v) => {
    const with_ = [...found.operands.values()].filter((o) => uses(o, v.var.id)).length;
    return float ? with_ < found.operands.size : with_ === 0;
  });
  if (loose)
    return { rule: "zero-absorbs", because: `a factor that may be infinite does not depend on ${loose.var.name}`, at };
  if (grown.length > 0 && float && whole.path.func.math === "strict")
    return { rule: "signed-zero", because: `adding zeros turns -0 to 0, and ${whole.path.func.name} is strict`, at };
  return { ...whole, ...found, padded };
}
/** The update of a block that adds products of loads, each indexed by distinct variables, to an element set to 0. */
function einsumOf(b: Block): Pick<Plan, "store" | "operands"> | undefined {
  const s = b.body;
  if (s.kind !== "store" || s.predicate || s.value.kind !== "binary" || s.value.op !== "add") return undefined;
  const { a: old, b: term } = s.value;
  const place = s.indices.map(keyOf).join();
  if (old.kind !== "load" || old.buffer.id !== s.buffer.id || old.indices.map(keyOf).join() !== place) return undefined;
  const zeroed = b.init?.kind === "store" && b.init.value.kind === "const" && Number(b.init.value.value) === 0;
  if (!zeroed || b.init?.kind !== "store" || b.init.indices.map(keyOf).join() !== place) return undefined;
  const operands = new Map<Buffer, readonly Expr[]>();
  const isProduct = (e: Expr): boolean => {
    if (e.kind === "cast") return isProduct(e.value);
    if (e.kind === "binary" && e.op === "mul") return isProduct(e.a) && isProduct(e.b);
    if (e.kind !== "load" || e.predicate || operands.has(e.buffer) || e.buffer.id === s.buffer.id) return false;
    operands.set(e.buffer, e.indices);
    return true;
  };
  const own = new Map(b.iterVars.map((v) => [v.var.id, v]));
  const plain = (list: readonly Expr[]): boolean =>
    new Set(list.map(keyOf)).size === list.length && list.every((e) => e.kind === "var" && own.has(e.id));
  if (!isProduct(term) || ![...operands.values(), s.indices].every(plain)) return undefined;
  const written = new Set(s.indices.flatMap((e) => (e.kind === "var" ? [e.id] : [])));
  const kinds = b.iterVars.every((v) => v.kind === (written.has(v.var.id) ? "spatial" : "reduction"));
  return kinds ? { store: s, operands } : undefined;
}

function rewrite(program: Program, args: PadEinsumArgs) {
  const p = plan(program, args);
  invariant(!("rule" in p), "padEinsum was checked");
  const ids = new IdSource(program.nextId);
  const old = new Map(p.block.iterVars.map((v) => [v.var.id, v]));
  const wide = new Map(p.padded.map((v) => [v.var.id, v]));
  const of = (m: ReadonlyMap<VarId, IterVar>, list: readonly Expr[]): IterVar[] =>
    list.flatMap((e) => (e.kind === "var" ? [m.get(e.id)!] : []));
  const grows = (list: readonly Expr[]): boolean =>
    of(wide, list).some((v) => constantValue(v.extent) !== constantValue(old.get(v.var.id)!.extent));
  let next: Program = program;
  let compute: Stmt = { ...p.block, iterVars: p.padded };
  const before: Stmt[] = [];
  const after: Stmt[] = [];
  const widened = (b: Buffer, list: readonly Expr[]): Buffer => {
    const like = cacheOf(ids, b, "global", freshBufferName(next, `${b.name}_pad`));
    const to: Buffer = { ...like, shape: of(wide, list).map((v) => v.extent) };
    next = allocateIn(next, p.path.func, to);
    compute = remapBuffer(compute, { from: b.id, to });
    return to;
  };
  for (const [b, list] of p.operands) {
    if (!grows(list)) continue;
    const to = widened(b, list);
    const conditions = of(old, list).flatMap((v) =>
      constantValue(wide.get(v.var.id)!.extent) === constantValue(v.extent) ? [] : [compare("lt", v.var, v.extent)],
    );
    const guard = { conditions, otherwise: scalarLike(b.dtype, 0) };
    const name = freshName(program, `${to.name}_copy`);
    before.push(freshNest(ids, copyBlock(ids, name, of(wide, list), [to, list], [b, list], guard)));
  }
  const { buffer, indices } = p.store;
  if (grows(indices)) {
    const from = widened(buffer, indices);
    const name = freshName(program, `${from.name}_copy`);
    after.push(freshNest(ids, copyBlock(ids, name, of(old, indices), [buffer, indices], [from, indices])));
  }
  invariant(compute.kind === "block", "a block stays a block");
  const made = seq([...before, freshNest(ids, compute), ...after]);
  const placed = rewriteAt(next, new Map([[p.top, made]]));
  return { program: { ...placed, nextId: ids.next }, result: blockRef(p.block) };
}

/** The primitive. */
export const padEinsum = definePrimitive({
  name: "padEinsum",
  doc: "Runs a contraction over extents rounded up to multiples, on copies padded with zeros, and copies the result back.",
  before: "for i in 0..6, j in 0..6, k in 0..5: C[i, j] += A[i, k] * B[k, j]",
  after:
    "A_pad[i, k] = select(i < 6 && k < 5, A[i, k], 0)\n…\nfor i in 0..8, j in 0..8, k in 0..8: C_pad[i, j] += A_pad[i, k] * B_pad[k, j]\nC[i, j] = C_pad[i, j]",
  rules: {
    alone: "the block's nest is serial and holds nothing else, and no guard skips instances",
    multiples: "there is a positive number for each iteration variable",
    einsum: "the block adds a product of loads, indexed by distinct variables, to elements set to 0",
    "zero-absorbs": "a padded reduction variable indexes every factor where factors are floats, else one",
    "signed-zero": "float reductions are not padded where the math policy is strict",
  },
  check: (program: Program, args: PadEinsumArgs): Violation<Rule> | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite,
});
