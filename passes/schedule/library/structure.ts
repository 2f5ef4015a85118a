import type { Expr } from "../../../ir/expr/expr.ts";
import { freeVars, visit } from "../../../ir/expr/traverse.ts";
import type { Block, For, PrimFunc, Program } from "../../../ir/loop/program.ts";
import { childExprs, visitStmt } from "../../../ir/loop/traverse.ts";
import type { BufferId } from "../../../ir/support/ids.ts";
import { blocksIn, loopsAround } from "../tree.ts";

export type StageKind = "halo" | "elementwise" | "reduction" | "ordered";

/** A block with what decides how it is scheduled. */
export interface Stage {
  readonly block: Block;
  readonly kind: StageKind;
  /** The buffers it writes. */
  readonly writes: readonly BufferId[];
  readonly reads: readonly BufferId[];
}

/** The blocks of a program in execution order. */
export function stagesOf(program: Program): Stage[] {
  return blocksIn(program).map((block) => ({
    block,
    kind: kindOf(block),
    writes: [...new Set(block.writes.map((r) => r.buffer.id))],
    reads: [...new Set(block.reads.map((r) => r.buffer.id))],
  }));
}
function kindOf(b: Block): StageKind {
  if (b.annotations?.halo === true) return "halo";
  if (b.iterVars.some((v) => v.kind === "ordered")) return "ordered";
  return b.iterVars.some((v) => v.kind === "reduction") ? "reduction" : "elementwise";
}

/** Whether a buffer is a parameter of the function. */
export const isParam = (f: PrimFunc, b: BufferId): boolean => f.params.some((p) => p.buffer.id === b);
/** Whether a buffer holds weights. */
export const isConstant = (f: PrimFunc, b: BufferId): boolean =>
  f.params.some((p) => p.buffer.id === b && p.role === "constant");

/** The innermost loop that drives iteration variable `axis` of a block, among the loops around it. */
export function loopOfAxis(program: Program, block: Block, axis: number): For | undefined {
  const used = freeVars(block.bindings[axis]!);
  return loopsAround(program, block.id).findLast((l) => used.has(l.var.id));
}

const costly: ReadonlySet<string> = new Set([
  "exp",
  "log",
  "erf",
  "tanh",
  "sin",
  "cos",
  "tan",
  "sinh",
  "cosh",
  "asin",
  "acos",
  "atan",
  "asinh",
  "acosh",
  "atanh",
  "sqrt",
]);
/** Whether evaluating the block's body costs more than a few cycles an element. */
export function isCostly(b: Block): boolean {
  let found = false;
  const look = (e: Expr): void =>
    visit(e, (n) => {
      if (
        (n.kind === "unary" && costly.has(n.op)) ||
        (n.kind === "binary" && (n.op === "pow" || n.op === "div" || n.op === "mod"))
      )
        found = true;
    });
  visitStmt(b.body, (s) => childExprs(s).forEach(look));
  return found;
}
