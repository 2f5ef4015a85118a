/** Notes on every store where the scheduled program says it, so that what compiled code reports can be found in the text. */
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { mapBodies, mapChildStmts } from "../../ir/loop/traverse.ts";
import { type PrintedProgram, printWithPlaces } from "../../ir/text/printer.ts";

/** Gives every store its origin: block, line and text of the printed program. */
export function locateAccesses(program: Program): Program {
  const printed = printWithPlaces(program);
  return mapBodies(program, (body) => locate(body, printed, undefined));
}

function locate(s: Stmt, printed: PrintedProgram, block: string | undefined): Stmt {
  if (s.kind !== "store") {
    const inside = s.kind === "block" ? s.name : block;
    return mapChildStmts(s, (c) => locate(c, printed, inside));
  }
  const span = printed.statements.get(s);
  if (!span) return s;
  const text = printed.lines[span.line]!.trim();
  return { ...s, origin: { ...(block === undefined ? {} : { block }), line: span.line + 1, text } };
}
