/** `.loop` files: programs as text, parsed and checked before anything else sees them. */
import type { Program } from "../../ir/loop/program.ts";
import { InputError, InternalError } from "../../ir/support/errors.ts";
import { renderDiagnostic } from "../../ir/text/diagnostic.ts";
import { parseProgram } from "../../ir/text/parser.ts";
import { rules, verifyProgram } from "../../ir/verify/verify.ts";
import { readWhole } from "../formats/read-file.ts";

/** The largest file that is read, in bytes. */
const mostBytes = 16 * 2 ** 20;

/**
 * The program that a file holds.
 * @throws InputError `file/unreadable`, `loop/too-large`, `parse/…` with line and column, `loop/…` with the broken rule
 */
export function readLoopFile(path: string): Program {
  const bytes = readWhole(path);
  if (bytes.length > mostBytes)
    throw new InputError("loop/too-large", `${path} has ${bytes.length} bytes; at most ${mostBytes} are read`, {
      path,
    });
  return understood(path, () => {
    const program = parseProgram(Buffer.from(bytes).toString("utf8"));
    if (program.functions.length === 0) throw new InputError("loop/empty", "the file holds no program");
    const issue = verifyProgram(program)[0];
    if (!issue) return program;
    const rule = rules.find((r) => r.name === issue.rule)?.doc;
    const text = renderDiagnostic({ program, at: issue.at, message: issue.message, ...(rule ? { rule } : {}) });
    throw new InputError(`loop/${issue.rule}`, text, { rule: issue.rule });
  });
}
/** What reading throws, as errors of the file's. */
function understood(path: string, read: () => Program): Program {
  try {
    return read();
  } catch (error) {
    if (error instanceof InputError)
      throw new InputError(error.code, `${path}: ${error.message}`, { ...error.details, path });
    // What the grammar allows and the builders of nodes do not; and nesting deeper than the stack.
    if (error instanceof InternalError) throw new InputError("parse/ill-formed", `${path}: ${error.message}`, { path });
    if (error instanceof RangeError) throw new InputError("parse/too-deep", `${path}: nested too deeply`, { path });
    throw error;
  }
}
