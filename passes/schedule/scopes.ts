/** The rule that all primitives share: an allocation stays around every use of its buffer. */
import type { Buffer } from "../../ir/expr/expr.ts";
import { visit } from "../../ir/expr/traverse.ts";
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { childExprs, childStmts } from "../../ir/loop/traverse.ts";
import type { BufferId } from "../../ir/support/ids.ts";

/** Whether a buffer is allocated inside a loop: only then can moving a block take it out of a buffer's scope. */
export function allocatesInLoops(program: Program): boolean {
  const inside = (s: Stmt, looped: boolean): boolean =>
    (looped && s.kind === "allocate") ||
    (s.kind !== "block" && childStmts(s).some((c) => inside(c, looped || s.kind === "for")));
  return program.functions.some((f) => inside(f.body, false));
}

/** A buffer that is used where it is neither a parameter nor allocated around. */
export function strayBuffer(program: Program): Buffer | undefined {
  for (const f of program.functions) {
    const found = strayIn(f.body, new Set(f.params.map((p) => p.buffer.id)));
    if (found) return found;
  }
  return undefined;
}
function strayIn(s: Stmt, known: ReadonlySet<BufferId>): Buffer | undefined {
  const inner = s.kind === "allocate" ? new Set(known).add(s.buffer.id) : known;
  const used = usedBy(s).find((b) => !known.has(b.id));
  if (used) return used;
  for (const c of childStmts(s)) {
    const found = strayIn(c, inner);
    if (found) return found;
  }
  return undefined;
}
function usedBy(s: Stmt): Buffer[] {
  const used: Buffer[] = s.kind === "store" ? [s.buffer] : s.kind === "parallelCall" ? [...s.buffers] : [];
  if (s.kind === "block") used.push(...[...s.reads, ...s.writes].map((r) => r.buffer));
  for (const e of childExprs(s))
    visit(e, (n) => {
      if (n.kind === "load") used.push(n.buffer);
    });
  return used;
}
