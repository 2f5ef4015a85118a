/** setScope: an intermediate buffer moves to another memory scope. */
import { constantValue } from "../../../ir/expr/build.ts";
import { bytesOf } from "../../../ir/expr/dtype.ts";
import type { Buffer, Scope } from "../../../ir/expr/expr.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { compactShape, registerBytes } from "../../lower/compact-buffers.ts";
import { type BlockRef, definePrimitive, remembered, type Violation } from "../primitive.ts";
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

const plan = remembered((program: Program, args: SetScopeArgs): Buffer | Refusal => {
  const at = args.block;
  const path = pathToBlock(program, at.id);
  const block = path?.stmts.at(-1);
  if (!path || block?.kind !== "block") return { rule: "found", because: `there is no block ${at.name}`, at };
  const buffer = bufferNamed(block, args.buffer, "store") ?? bufferNamed(block, args.buffer, "load");
  if (!buffer) return { rule: "uses-buffer", because: `${block.name} does not use ${args.buffer}`, at };
  if (roleOf(path.func, buffer.id)) return { rule: "not-parameter", because: `${buffer.name} is a parameter`, at };
  if (args.scope === "register") {
    const bytes = bytesWhenCompact(program, buffer);
    if (bytes === undefined || bytes > registerBytes)
      return {
        rule: "register-bytes",
        because: `${buffer.name} takes ${bytes ?? "an unknown number of"} bytes`,
        instead: "move its producer and consumers under inner loops first, or use scope stack",
        at,
      };
  }
  return buffer;
});
/** The bytes of a buffer after compaction; undefined when they are not constant. */
function bytesWhenCompact(program: Program, buffer: Buffer): number | undefined {
  const extents = compactShape(program, buffer.id)?.map(constantValue);
  if (!extents?.every((n) => n !== undefined)) return undefined;
  return extents.reduce((a, n) => a * n, bytesOf(buffer.dtype.scalar));
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
