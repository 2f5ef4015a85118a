/** setScope: an intermediate buffer moves to another memory scope. */
import { constantValue } from "../../../ir/expr/build.ts";
import { bytesOf } from "../../../ir/expr/dtype.ts";
import type { Buffer, Scope } from "../../../ir/expr/expr.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { visitStmt } from "../../../ir/loop/traverse.ts";
import type { BufferId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { compactBuffers, registerBytes } from "../../lower/compact-buffers.ts";
import { type BlockRef, definePrimitive, type Violation } from "../primitive.ts";
import { pathToBlock } from "../tree.ts";
import { bufferNamed, remapProgram, roleOf } from "./support-buffer.ts";

export interface SetScopeArgs {
  readonly block: BlockRef;
  /** Name of a buffer the block reads or writes. */
  readonly buffer: string;
  readonly scope: Scope;
}
const rules = {
  found: "the block is part of the program",
  "uses-buffer": "the block reads or writes a buffer of that name",
  "not-parameter": "the buffer is no parameter of the function",
  "register-bytes":
    "a buffer in registers has a constant size of at most 16 KiB once it holds only what is live at a time",
};
type Rule = keyof typeof rules;
type Refusal = Violation<Rule>;

function plan(program: Program, args: SetScopeArgs): Buffer | Refusal {
  const at = args.block;
  const path = pathToBlock(program, at.id);
  const block = path?.stmts.at(-1);
  if (!path || block?.kind !== "block") return { rule: "found", because: `there is no block ${at.name}`, at };
  const buffer = bufferNamed(block, args.buffer, "store") ?? bufferNamed(block, args.buffer, "load");
  if (!buffer) return { rule: "uses-buffer", because: `${block.name} does not use ${args.buffer}`, at };
  if (roleOf(path.func, buffer.id)) return { rule: "not-parameter", because: `${buffer.name} is a parameter`, at };
  if (args.scope === "register") {
    const bytes = bytesWhenCompact(program, buffer.id);
    if (bytes === undefined || bytes > registerBytes)
      return {
        rule: "register-bytes",
        because: `${buffer.name} takes ${bytes ?? "an unknown number of"} bytes`,
        instead: "move its producer and consumers under inner loops first, or use scope stack",
        at,
      };
  }
  return buffer;
}
/** The bytes of a buffer after compaction; undefined when they are not constant. */
function bytesWhenCompact(program: Program, id: BufferId): number | undefined {
  let bytes: number | undefined;
  for (const f of compactBuffers(program).functions)
    visitStmt(f.body, (s) => {
      if (s.kind !== "allocate" || s.buffer.id !== id) return;
      const extents = s.buffer.shape.map(constantValue);
      const isConstant = extents.every((n) => n !== undefined);
      bytes = isConstant ? extents.reduce((a, n) => a * n, bytesOf(s.buffer.dtype.scalar)) : undefined;
    });
  return bytes;
}

export const setScope = definePrimitive({
  name: "setScope",
  doc: "Moves an intermediate buffer to another memory scope.",
  before: "allocate B: float32[16] in global",
  after: "allocate B: float32[16] in register",
  rules,
  check: (program: Program, args: SetScopeArgs): Refusal | undefined => {
    const p = plan(program, args);
    return "rule" in p ? p : undefined;
  },
  rewrite: (program: Program, args: SetScopeArgs) => {
    const buffer = plan(program, args);
    invariant(!("rule" in buffer), "setScope was checked");
    return {
      program: remapProgram(program, { from: buffer.id, to: { ...buffer, scope: args.scope } }),
      result: undefined,
    };
  },
});
