/** Errors as text: the program around the loop or block in question, underlined, and why. */
import type { Program, Stmt } from "../loop/program.ts";
import type { BlockId, VarId } from "../support/ids.ts";
import { colorize } from "./color.ts";
import { type PrintedProgram, printWithPlaces, type Span } from "./printer.ts";

/** The place an error speaks of: a statement, or a loop or block by id, or a function. */
export type DiagnosticPlace =
  | Stmt
  | { readonly kind: "loop"; readonly id: VarId }
  | { readonly kind: "block"; readonly id: BlockId }
  | { readonly kind: "function"; readonly name: string };

export interface Diagnostic {
  readonly program: Program;
  readonly at?: DiagnosticPlace;
  /** What is wrong, in one sentence. */
  readonly message: string;
  /** The error's family and code, such as `ScheduleError [split/exact-tail]`. */
  readonly title?: string;
  /** The step of a schedule, such as `in step 3: split(i, factor: 8)`. */
  readonly step?: string;
  readonly rule?: string;
  readonly because?: string;
  readonly instead?: string;
  /** Lines shown before and after the marked one. Default 2. */
  readonly context?: number;
  readonly colors?: boolean;
}

/** The text of an error, without a final line break. */
export function renderDiagnostic(d: Diagnostic): string {
  const lines = [d.title === undefined ? d.message : `${d.title}: ${d.message}`];
  if (d.step !== undefined) lines.push(`  ${d.step}`);
  if (d.at !== undefined) lines.push(...excerpt(printWithPlaces(d.program), d.at, d.context ?? 2, d.colors ?? false));
  const notes = { rule: d.rule, because: d.because, instead: d.instead };
  for (const [word, text] of Object.entries(notes))
    if (text !== undefined) lines.push(`  ${`${word}:`.padEnd(8)} ${text}`);
  return lines.join("\n");
}
/** Where `at` stands; undefined when it is not part of the program. */
function placeOf(printed: PrintedProgram, at: DiagnosticPlace): Span | undefined {
  if (at.kind === "loop") return printed.loops.get(at.id);
  if (at.kind === "function") return printed.functions.get(at.name);
  if (at.kind === "block") return printed.blocks.get(at.id);
  return printed.statements.get(at) ?? (at.kind === "for" ? printed.loops.get(at.var.id) : undefined);
}
function excerpt(printed: PrintedProgram, at: DiagnosticPlace, context: number, colors: boolean): string[] {
  const span = placeOf(printed, at);
  if (!span) return [];
  const header = printed.lines.findLastIndex((l, k) => k <= span.line && /^(program|task) /.test(l));
  const first = Math.max(header, span.line - context);
  const last = Math.min(printed.lines.length - 1, span.line + context);
  const width = Math.max(4, String(last + 1).length + 1);
  const numbered = (k: number): string => {
    const line = printed.lines[k]!;
    return `${String(k + 1).padStart(width)} │ ${colors ? colorize(line) : line}`;
  };
  const out: string[] = [];
  if (header >= 0 && header < first) out.push(numbered(header));
  if (header >= 0 && header + 1 < first) out.push(`${"".padStart(width)} ⋮`);
  for (let k = first; k <= last; k++) {
    if (k > span.line && printed.lines[k] === "") break;
    out.push(numbered(k));
    if (k === span.line)
      out.push(`${"".padStart(width)} │ ${" ".repeat(span.begin)}${"^".repeat(span.end - span.begin)}`);
  }
  return out;
}
