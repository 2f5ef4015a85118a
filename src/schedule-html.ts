/** A trace as a page to look at. */
import type { Program } from "../ir/loop/program.ts";
import { replay } from "../passes/schedule/schedule.ts";
import type { Trace, TraceJson } from "../passes/schedule/trace.ts";

/**
 * One HTML page, complete in itself, with the nest before and after each step of a trace:
 * `writeFileSync("schedule.html", scheduleHtml(program, trace))`.
 * @throws InputError `trace/…` when the trace does not fit the program
 */
export function scheduleHtml(program: Program, trace: Trace | TraceJson, title?: string): string {
  return replay(program, trace).toHtml(title);
}
