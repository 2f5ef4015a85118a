/** fuse: perfectly nested loops become one. */
import { add, constantValue, floordiv, floormod, mul } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import { forLoop } from "../../../ir/loop/build.ts";
import type { For, Program } from "../../../ir/loop/program.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { freshVar, idsOf, loopOf, loopsOutside, substituteStmt, tidy, withLoop } from "../rebuild.ts";
import { loopRef } from "../tree.ts";

/** Loops to fuse, outermost first. */
export interface FuseArgs {
  readonly loops: readonly LoopRef[];
}
type Rule = "two-loops" | "serial-loops" | "perfect-nest" | "known-extents" | "independent-bounds";

function check(program: Program, { loops: refs }: FuseArgs): Violation<Rule> | undefined {
  if (refs.length < 2) return { rule: "two-loops", because: `${refs.length} given`, at: refs[0] };
  const loops = refs.map((r) => loopOf(program, r));
  const other = loops.find((l) => l.loopKind !== "serial");
  if (other) return { rule: "serial-loops", because: `${other.var.name} is ${other.loopKind}`, at: loopRef(other) };
  for (const [k, inner] of loops.entries()) {
    const outer = loops[k - 1];
    if (!outer) continue;
    if (outer.body !== inner)
      return {
        rule: "perfect-nest",
        because: `${inner.var.name} is not the whole body of ${outer.var.name}`,
        instead: "reorder, or move what stands between them",
        at: loopRef(inner),
      };
    if (constantValue(inner.extent) === undefined)
      return {
        rule: "known-extents",
        because: `the extent of ${inner.var.name} is not a constant`,
        at: loopRef(inner),
      };
    const used = freeVars(inner.min);
    const on = loops.slice(0, k).find((l) => used.has(l.var.id));
    if (on)
      return {
        rule: "independent-bounds",
        because: `${inner.var.name} starts at a value of ${on.var.name}`,
        at: loopRef(inner),
      };
  }
  return undefined;
}

function rewrite(program: Program, { loops: refs }: FuseArgs) {
  const loops = refs.map((r) => loopOf(program, r));
  const [outer, inner] = [loops[0]!, loops.at(-1)!];
  const ids = idsOf(program);
  const fused = freshVar(ids, outer.var, `${loops.map((l) => l.var.name).join("_")}_f`);
  const map = new Map<VarId, Expr>();
  loops.forEach((l, k) => {
    const below = loops.slice(k + 1).reduce((p, x) => p * constantValue(x.extent)!, 1);
    const digit = floordiv(fused, below);
    map.set(l.var.id, add(l.min, k === 0 ? digit : floormod(digit, l.extent)));
  });
  const extent = loops.map((l) => l.extent).reduce(mul);
  const nest = forLoop(fused, extent, substituteStmt(inner.body, map), { annotations: annotationsOf(loops) });
  return { program: withLoop(program, outer, tidy(nest, loopsOutside(program, refs[0]!)), ids), result: loopRef(nest) };
}
function annotationsOf(loops: readonly For[]) {
  const merged = Object.assign({}, ...loops.map((l) => l.annotations ?? {}));
  return Object.keys(merged).length > 0 ? merged : undefined;
}

/** The primitive. */
export const fuse = definePrimitive({
  name: "fuse",
  doc: "Fuses perfectly nested serial loops into one that walks the same iterations in the same order.",
  before: "for i in 0..4:\n  for j in 0..8:\n    C[i, j]",
  after: "for i_j_f in 0..32:\n  C[i_j_f // 8, i_j_f % 8]",
  rules: {
    "two-loops": "at least two loops are given",
    "serial-loops": "the loops are serial",
    "perfect-nest": "each loop is the whole body of the one before",
    "known-extents": "all but the outermost have constant extents",
    "independent-bounds": "no bound depends on another of the loops",
  },
  check,
  rewrite,
});
