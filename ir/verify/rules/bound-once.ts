import type { Var } from "../../expr/expr.ts";
import type { PrimFunc, Stmt } from "../../loop/program.ts";
import { visitStmt } from "../../loop/traverse.ts";
import type { VerifyRule } from "../issue.ts";
import { walkProgram } from "../walk.ts";

/** In lowered functions (without blocks) copies side by side, as unrolling makes them, may share variables. */
export const boundOnce: VerifyRule = {
  name: "bound-once",
  doc: "A variable, buffer or block is bound at one place of its function; lowered copies side by side may share.",
  check: (program, report) => {
    walkProgram(program, {
      stmt: (s, place) => {
        for (const v of binders(s)) {
          if (place.scope.vars.has(v.id) || place.scope.hidden.has(v.id))
            report(`${v.name} is bound within itself`, place);
        }
        if (s.kind === "allocate" && place.scope.buffers.has(s.buffer.id)) {
          report(`buffer ${s.buffer.name} is allocated within itself`, place);
        }
      },
    });
    for (const f of program.functions) if (hasBlocks(f)) checkOnce(f, report);
  },
};
function binders(s: Stmt): readonly Var[] {
  if (s.kind === "for" || s.kind === "let") return [s.var];
  return s.kind === "block" ? s.iterVars.map((v) => v.var) : [];
}
function hasBlocks(f: PrimFunc): boolean {
  let found = false;
  visitStmt(f.body, (s) => {
    if (s.kind === "block") found = true;
    return !found;
  });
  return found;
}
function checkOnce(f: PrimFunc, report: (message: string, at: Stmt) => void): void {
  const seen = new Set<number>();
  const buffers = new Set<number>();
  const blocks = new Set<number>();
  const once = (set: Set<number>, id: number, what: string, s: Stmt): void => {
    if (set.has(id)) report(`${what} is bound twice`, s);
    set.add(id);
  };
  visitStmt(f.body, (s) => {
    for (const v of binders(s)) once(seen, v.id, `variable ${v.name} (#${v.id})`, s);
    if (s.kind === "allocate") once(buffers, s.buffer.id, `buffer ${s.buffer.name} (#${s.buffer.id})`, s);
    if (s.kind === "block") once(blocks, s.id, `the id of block ${s.name} (#${s.id})`, s);
  });
}
