/**
 * Runs GPU kernels on a processor: loops bound to blocks and threads become serial loops, one after the other as the
 * statements stand, and what blocks share or threads have for themselves lives on the stack.
 */
import type { Buffer } from "../../ir/expr/expr.ts";
import type { For, Program, Stmt } from "../../ir/loop/program.ts";
import { mapBodies, rewriteStmt, visitStmt } from "../../ir/loop/traverse.ts";
import { remapProgram } from "../schedule/primitive/support-buffer.ts";

/** The program without bound loops and GPU scopes; the same program when it has none. */
export function serializeThreads(program: Program): Program {
  const serial = mapBodies(program, (body) => rewriteStmt(body, serialize));
  return gpuBuffers(serial).reduce((p, b) => remapProgram(p, { from: b.id, to: { ...b, scope: "stack" } }), serial);
}
function serialize(s: Stmt): Stmt {
  if (s.kind !== "for" || s.loopKind !== "thread") return s;
  const { axis: _, ...bare } = s;
  const serial: For = { ...bare, loopKind: "serial" };
  return serial;
}
function gpuBuffers(program: Program): Buffer[] {
  const found: Buffer[] = [];
  for (const f of program.functions)
    visitStmt(f.body, (s) => {
      if (s.kind === "allocate" && (s.buffer.scope === "shared" || s.buffer.scope === "local")) found.push(s.buffer);
    });
  return found;
}
