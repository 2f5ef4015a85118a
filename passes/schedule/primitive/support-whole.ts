/** Blocks that have a nest of their own, and nests made anew over a block's iteration variables. */
import { load, select, variable } from "../../../ir/expr/build.ts";
import type { Buffer, Expr, Var } from "../../../ir/expr/expr.ts";
import { substitute } from "../../../ir/expr/traverse.ts";
import { block, forLoop, iterVar, pointRegion, store } from "../../../ir/loop/build.ts";
import type { Block, IterVar, Program, Stmt } from "../../../ir/loop/program.ts";
import type { IdSource, VarId } from "../../../ir/support/ids.ts";
import { type Path, pathToBlock } from "../tree.ts";
import { runsWhole } from "./support-domain.ts";
import { strayGuard } from "./support-guard.ts";
import { conjoin } from "./support-linear.ts";
import { soleNest } from "./support-nest.ts";

/** A block alone in its nest, every instance of whose domain runs. */
export interface WholeBlock {
  readonly path: Path;
  readonly top: Stmt;
  readonly block: Block;
}
/** The nest of a block that is alone in it; undefined when it is not, or when instances are skipped. */
export function wholeBlock(program: Program, id: Block["id"]): WholeBlock | undefined {
  const path = pathToBlock(program, id);
  const top = path?.stmts.find((s) => s.kind === "for" || s.kind === "block");
  const nest = top && soleNest(top);
  if (!path || !top || nest?.block.id !== id) return undefined;
  if (nest.loops.some((l) => l.loopKind !== "serial") || strayGuard(nest.block, nest.loops, { outer: new Map() }))
    return undefined;
  if (!runsWhole(nest.block, nest.loops)) return undefined;
  return { path, top, block: nest.block };
}
/** A nest of fresh loops, one for each iteration variable. */
export function freshNest(ids: IdSource, b: Block): Stmt {
  const loops = b.iterVars.map((v) => ({ var: variable(ids, v.var.name), extent: v.extent }));
  const { predicate: _, ...bare } = b;
  const bound: Stmt = { ...bare, bindings: loops.map((l) => l.var) };
  return loops.reduceRight<Stmt>((inner, l) => forLoop(l.var, l.extent, inner), bound);
}
/** Fresh spatial variables like these. */
const freshVars = (ids: IdSource, vars: readonly IterVar[]): IterVar[] =>
  vars.map((v) => iterVar(variable(ids, v.var.name), v.extent));

/** A block `to[…] = from[…]` over variables like `vars`; indices are given in terms of `vars`. */
export function copyBlock(
  ids: IdSource,
  name: string,
  vars: readonly IterVar[],
  to: readonly [Buffer, readonly Expr[]],
  from: readonly [Buffer, readonly Expr[]],
  guard?: { readonly conditions: readonly Expr[]; readonly otherwise: Expr },
): Block {
  const own = freshVars(ids, vars);
  const map = new Map<VarId, Expr>(vars.map((v, k): [VarId, Var] => [v.var.id, own[k]!.var]));
  const at = (list: readonly Expr[]): Expr[] => list.map((e) => substitute(e, map));
  const value = load(from[0], at(from[1]));
  const condition = guard && conjoin(at(guard.conditions));
  return block(ids, {
    name,
    iterVars: own,
    bindings: own.map((v) => v.var),
    reads: [pointRegion(from[0], at(from[1]))],
    writes: [pointRegion(to[0], at(to[1]))],
    body: store(to[0], at(to[1]), condition ? select(condition, value, guard.otherwise) : value),
  });
}
