/** skew: an inner loop starts later with each iteration of an outer one, so that diagonals become rows. */
import { add, and, compare, constantValue, index, mul, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import type { For, Program, Stmt } from "../../../ir/loop/program.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { bindingsOf, dependsOn } from "../legality.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { freshVar, guard, idsOf, loopOf, loopsOutside, substituteStmt, tidy, withLoop } from "../rebuild.ts";
import { blockRef, blocksIn, loopRef } from "../tree.ts";

export interface SkewArgs {
  readonly outer: LoopRef;
  readonly inner: LoopRef;
  /** The inner loop's new variable is the old one + factor · outer. */
  readonly factor: number;
}
type Rule = "serial-loops" | "whole-factor" | "perfect-nest" | "constant-bounds" | "reduction-start";

function check(program: Program, { outer: o, inner: i, factor }: SkewArgs): Violation<Rule> | undefined {
  const [outer, inner] = [loopOf(program, o), loopOf(program, i)];
  const other = [outer, inner].find((l) => l.loopKind !== "serial");
  if (other) return { rule: "serial-loops", because: `${other.var.name} is ${other.loopKind}`, at: loopRef(other) };
  if (!Number.isSafeInteger(factor) || factor === 0)
    return { rule: "whole-factor", because: `the factor is ${factor}`, at: i };
  const chain: For[] = [];
  for (let s: Stmt = outer; s.kind === "for"; s = s.body) chain.push(s);
  if (outer === inner || !chain.includes(inner))
    return {
      rule: "perfect-nest",
      because: `${i.name} is not in one perfect nest inside ${o.name}`,
      instead: "move what stands between the loops away",
      at: i,
    };
  const bent = [outer, inner].find((l) => [l.min, l.extent].some((e) => constantValue(e) === undefined));
  if (bent)
    return { rule: "constant-bounds", because: `the bounds of ${bent.var.name} are not constants`, at: loopRef(bent) };
  const late = blocksIn(inner).find((b) => b.init && dependsOn(bindingsOf(b, ["reduction"]), inner.var.id));
  return (
    late && {
      rule: "reduction-start",
      because: `the rows of the reduction ${late.name} over ${i.name} would not start where the loop does`,
      instead: "decompose the reduction first",
      at: blockRef(late),
    }
  );
}

// Note [Skewed loops]
// The nest still runs in the old order: a dependence of distance (a, b) becomes (a, b + factor·a), which is
// lexicographically positive as before. What is gained is that with a large enough factor b + factor·a > 0 wherever
// a > 0, so that the loops may change places and the outer one may run in parallel. The inner loop walks the whole
// parallelogram's width, with a guard, so that its bounds do not keep the loops from changing places.
function rewrite(program: Program, { outer: o, inner: i, factor }: SkewArgs) {
  const [outer, inner] = [loopOf(program, o), loopOf(program, i)];
  const ids = idsOf(program);
  const v = freshVar(ids, inner.var, `${inner.var.name}_s`);
  const rows = constantValue(outer.extent)!;
  const width = constantValue(inner.extent)!;
  const first = constantValue(outer.min)!;
  // Shift so that the least start of a row is 0.
  const start = factor > 0 ? mul(sub(outer.var, first), factor) : mul(sub(first + rows - 1, outer.var), -factor);
  const old = sub(v, start);
  const condition = and(compare("ge", old, 0), compare("lt", old, width));
  const map = new Map<VarId, Expr>([[inner.var.id, add(inner.min, old)]]);
  const body = guard(substituteStmt(inner.body, map), condition);
  const skewed: For = { ...inner, var: v, min: index(0), extent: index(width + Math.abs(factor) * (rows - 1)), body };
  const rebuild = (s: Stmt): Stmt => (s === inner ? skewed : s.kind === "for" ? { ...s, body: rebuild(s.body) } : s);
  const nest = tidy(rebuild(outer), loopsOutside(program, o));
  return { program: withLoop(program, outer, nest, ids), result: loopRef(skewed) };
}

/** The primitive. */
export const skew = definePrimitive({
  name: "skew",
  doc: "Makes an inner loop run over inner + factor · outer, guarded; the order of iterations stays.",
  before: "for i in 0..4:\n  for j in 0..8:\n    C[i, j]",
  after: "for i in 0..4:\n  for j_s in 0..11:\n    if 0 <= j_s - i && j_s - i < 8: C[i, j_s - i]",
  rules: {
    "serial-loops": "both loops are serial",
    "whole-factor": "the factor is an integer other than 0",
    "perfect-nest": "from the outer to the inner loop each is the whole body of the one around it",
    "constant-bounds": "the bounds of both loops are constants",
    "reduction-start": "no block with an init reduces over the inner loop",
  },
  check,
  rewrite,
});
