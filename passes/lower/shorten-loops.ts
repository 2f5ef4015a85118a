/**
 * Ends loops before the iterations in which every statement's condition fails: the last, partial tile of a guarded split
 * then is as short as what is left, so that vectors have as many lanes as elements exist.
 */
import { constantValue, index } from "../../ir/expr/build.ts";
import type { Expr } from "../../ir/expr/expr.ts";
import type { For, Stmt } from "../../ir/loop/program.ts";
import { mapChildStmts } from "../../ir/loop/traverse.ts";
import { loopInterval, type Ranges } from "../analysis/interval.ts";
import { simplify } from "../simplify/expression.ts";

/** Shortens every loop of constant bounds within `root` whose last iterations do nothing. */
export function shortenLoops(root: Stmt): Stmt {
  const go = (s: Stmt, ranges: Ranges): Stmt => {
    if (s.kind !== "for") return mapChildStmts(s, (c) => go(c, ranges));
    const loop = shortened(s, ranges);
    const inside = new Map(ranges).set(loop.var.id, loopInterval(loop, ranges));
    return mapChildStmts(loop, (c) => go(c, inside));
  };
  return go(root, new Map());
}

function shortened(loop: For, ranges: Ranges): For {
  const [min, extent] = [constantValue(loop.min), constantValue(loop.extent)];
  const fixed = loop.loopKind === "thread" || loop.loopKind === "tensorized";
  if (fixed || min === undefined || extent === undefined) return loop;
  const idleFrom = (start: number): boolean =>
    isIdle(loop.body, new Map(ranges).set(loop.var.id, { min: min + start, max: min + extent - 1 }));
  if (extent < 2 || !idleFrom(extent - 1)) return loop;
  // The first iteration stays: what never runs at all is for the simplifier.
  let [runs, idle] = [0, extent - 1];
  while (idle - runs > 1) {
    const middle = (runs + idle) >> 1;
    if (idleFrom(middle)) idle = middle;
    else runs = middle;
  }
  return { ...loop, extent: index(idle) };
}
/** Whether nothing happens in `s`, because all conditions fail for all values in `ranges`. */
function isIdle(s: Stmt, ranges: Ranges): boolean {
  switch (s.kind) {
    case "if":
      return fails(s.condition, ranges) && (s.otherwise === undefined || isIdle(s.otherwise, ranges));
    case "store":
      return s.predicate !== undefined && fails(s.predicate, ranges);
    case "seq":
      return s.body.every((c) => isIdle(c, ranges));
    case "for":
      return isIdle(s.body, new Map(ranges).set(s.var.id, loopInterval(s, ranges)));
    case "let":
    case "allocate":
      return isIdle(s.body, ranges);
    default:
      return false;
  }
}
const fails = (condition: Expr, ranges: Ranges): boolean => constantValue(simplify(condition, ranges, [])) === 0;
