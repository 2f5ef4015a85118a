/** Schedule errors: the rule, why it does not hold here, what to do instead, and the place, as data and as text. */
import type { Program } from "../../ir/loop/program.ts";
import { ScheduleError } from "../../ir/support/errors.ts";
import { renderDiagnostic } from "../../ir/text/diagnostic.ts";
import type { Violation } from "./primitive.ts";

/** A refused step. */
export interface Refusal {
  readonly primitive: string;
  /** The text of the call, as in a trace. */
  readonly call: string;
  readonly step: number;
  /** What the rule demands. */
  readonly demand: string;
  readonly violation: Violation;
  /** What the primitive was given. */
  readonly args: object;
}

/** The error for a primitive that refused; `code` is `primitive/rule`. */
export function refused(program: Program, r: Refusal): ScheduleError {
  const { rule, because, instead, at } = r.violation;
  const code = `${r.primitive}/${rule}`;
  const text = renderDiagnostic({
    program,
    ...(at ? { at } : {}),
    title: `ScheduleError [${code}]`,
    message: because,
    step: `in step ${r.step}: ${r.call}`,
    rule: r.demand,
    because,
    ...(instead === undefined ? {} : { instead }),
  });
  const { primitive, step, demand, args } = r;
  return new ScheduleError(code, text, { rule, because, instead, step, at, demand, primitive, args });
}
/** The error for a name or handle that stands for nothing, or for several things. */
export function unknownHandle(rule: string, because: string, instead: string | undefined, step: number): ScheduleError {
  const text = [`ScheduleError [schedule/${rule}]: ${because}`, ...(instead ? [`  instead: ${instead}`] : [])];
  return new ScheduleError(`schedule/${rule}`, text.join("\n"), { rule, because, instead, step });
}
