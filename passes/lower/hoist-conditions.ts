/**
 * Moves conditions out of loops that they do not depend on, so that they are tested once and the loop within, which may
 * become vectors or be written out, has none.
 */
import { freeVars, some } from "../../ir/expr/traverse.ts";
import { ifThen } from "../../ir/loop/build.ts";
import type { For, If, Seq, Stmt } from "../../ir/loop/program.ts";
import { mapChildStmts } from "../../ir/loop/traverse.ts";
import { conjoin, conjuncts } from "../schedule/primitive/support-linear.ts";
import { exprKey } from "./linear.ts";

/** Hoists the conditions of `s` as far as they hold for whole loops; neighbours under one condition share it. */
export function hoistConditions(s: Stmt): Stmt {
  const inside = mapChildStmts(s, hoistConditions);
  if (inside.kind === "for") return hoistedFrom(inside);
  return inside.kind === "seq" ? shared(inside) : inside;
}
function hoistedFrom(loop: For): Stmt {
  const inOrder = loop.loopKind === "serial" || loop.loopKind === "unrolled" || loop.loopKind === "vectorized";
  if (!inOrder || !isPlainIf(loop.body)) return loop;
  const all = conjuncts(loop.body.condition);
  const fixed = all.filter((c) => !freeVars(c).has(loop.var.id));
  if (fixed.length === 0) return loop;
  const rest = conjoin(all.filter((c) => !fixed.includes(c)));
  const { then } = loop.body;
  return ifThen(conjoin(fixed)!, { ...loop, body: rest ? ifThen(rest, then) : then });
}
/** A condition over loop variables alone, which no statement changes. */
const isPlainIf = (s: Stmt): s is If =>
  s.kind === "if" && s.otherwise === undefined && !some(s.condition, (e) => e.kind === "load");

/** Joins neighbours that stand under the same condition. */
function shared(s: Seq): Stmt {
  const body: Stmt[] = [];
  for (const next of s.body) {
    const last = body.at(-1);
    if (last && isPlainIf(last) && isPlainIf(next) && exprKey(last.condition) === exprKey(next.condition))
      body[body.length - 1] = { ...last, then: { kind: "seq", body: [last.then, next.then] } };
    else body.push(next);
  }
  if (body.length === s.body.length) return s;
  return body.length === 1 ? body[0]! : { ...s, body };
}
