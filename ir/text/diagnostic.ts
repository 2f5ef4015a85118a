/** Errors as text: the program around the loop or block in question, underlined, and why. */
import type { Expr } from "../expr/expr.ts";
import { mapChildren } from "../expr/traverse.ts";
import type { Program, Stmt } from "../loop/program.ts";
import { mapBodies, mapChildExprs, mapChildStmts } from "../loop/traverse.ts";
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
  /** An expression of `at`, the very node: it is underlined instead of the whole. */
  readonly expr?: Expr;
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
  if (d.at !== undefined) lines.push(...excerpt(d, d.at));
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
/** The lines around a place, numbered, with what is meant underlined; nothing when it is not part of the program. */
export function excerpt(
  d: Pick<Diagnostic, "program" | "expr" | "context" | "colors">,
  at: DiagnosticPlace,
): readonly string[] {
  const { context = 2, colors = false } = d;
  const printed = printWithPlaces(d.program);
  const whole = placeOf(printed, at);
  if (!whole) return [];
  const span = (d.expr && spanOfExpr(d.program, printed, at, d.expr)) ?? whole;
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

/** A name that no program has. */
const marker = "\u00a7";
/** Where an expression stands in its statement's line: found by printing the statement with a marker in its place. */
function spanOfExpr(program: Program, printed: PrintedProgram, at: DiagnosticPlace, expr: Expr): Span | undefined {
  if (at.kind === "function" || !("body" in at || "value" in at || "condition" in at || "extent" in at))
    return undefined;
  const line = placeOf(printed, at);
  if (!line) return undefined;
  const hole: Expr = { kind: "var", id: -1 as VarId, name: marker, dtype: expr.dtype };
  let filled = false;
  const fill = (e: Expr): Expr => {
    if (filled || e !== expr) return filled ? e : mapChildren(e, fill);
    filled = true;
    return hole;
  };
  const marked = mapChildExprs(at, fill);
  if (!filled) return undefined;
  const replace = (s: Stmt): Stmt => (s === at ? marked : mapChildStmts(s, replace));
  const holed = printWithPlaces(mapBodies(program, replace)).lines[line.line] ?? "";
  const begin = holed.indexOf(`\`${marker}\``);
  const rest = holed.length - begin - marker.length - 2;
  const end = printed.lines[line.line]!.length - rest;
  return begin < 0 || end <= begin ? undefined : { line: line.line, begin, end };
}
