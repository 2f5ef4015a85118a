/** A schedule step by step as data: the nest before and after each, and what moved, came, went or changed. */
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { childStmts } from "../../ir/loop/traverse.ts";
import { type PrintedProgram, printWithPlaces, type Span } from "../../ir/text/printer.ts";
import { rowNamed } from "./apply.ts";
import { callText, type TraceStep } from "./trace.ts";

/** What a step did to a box: in the nest before it, `removed`; in the one after it, `created`; in both, the others. */
export type Mark = "created" | "removed" | "moved" | "changed";
/** A loop, block or allocation with what stands inside. */
export interface Box {
  /** Stays the same from step to step. */
  readonly key: string;
  readonly kind: "loop" | "block" | "allocation";
  /** Its line of the printed program. */
  readonly text: string;
  readonly name: string;
  /** The lines of a block below its first. */
  readonly lines: readonly string[];
  /** `parallel`, `vectorized` …; of loops. */
  readonly loopKind?: string;
  readonly marks: readonly Mark[];
  readonly inside: readonly Box[];
}
/** One step. */
export interface StepView {
  /** From 1. */
  readonly step: number;
  readonly call: string;
  /** What the primitive does, in a sentence. */
  readonly doc: string;
  readonly before: readonly Box[];
  readonly after: readonly Box[];
}
/** A schedule: the function's head, the nest at the start, the steps. */
export interface ScheduleView {
  readonly name: string;
  readonly head: string;
  readonly start: readonly Box[];
  readonly steps: readonly StepView[];
}

/** The view of a schedule of `func`; `states` are the program before the first step and after each. */
export function viewOf(func: string, states: readonly Program[], steps: readonly TraceStep[]): ScheduleView {
  const nests = states.map((p) => nestOf(p, func));
  const first = printWithPlaces(states[0]!);
  return {
    name: func,
    head: lineAt(first, first.functions.get(func)!),
    start: nests[0]!,
    steps: steps.map((s, k) => ({
      step: k + 1,
      call: callText(s),
      doc: rowNamed(s.primitive)?.primitive.doc ?? "",
      ...compared(nests[k]!, nests[k + 1]!),
    })),
  };
}
const lineAt = (p: PrintedProgram, at: Span): string => p.lines[at.line]!.slice(at.begin, at.end);

function nestOf(program: Program, name: string): readonly Box[] {
  const func = program.functions.find((f) => f.name === name);
  const printed = printWithPlaces({ ...program, functions: program.functions.filter((f) => f === func) });
  return func ? boxesIn(func.body, printed) : [];
}
function boxesIn(s: Stmt, printed: PrintedProgram): Box[] {
  const inside = childStmts(s).flatMap((c) => boxesIn(c, printed));
  const at = printed.statements.get(s);
  const text = at ? lineAt(printed, at) : "";
  if (s.kind === "for") {
    const { id, name } = s.var;
    return [{ key: `loop ${id}`, kind: "loop", name, text, lines: [], loopKind: s.loopKind, marks: [], inside }];
  }
  if (s.kind === "block") {
    const lines = at && inside.length === 0 ? linesBelow(printed, at) : [];
    return [{ key: `block ${s.id}`, kind: "block", name: s.name, text, lines, marks: [], inside }];
  }
  if (s.kind !== "allocate") return inside;
  const { id, name } = s.buffer;
  const buffer: Box = { key: `buffer ${id}`, kind: "allocation", name, text, lines: [], marks: [], inside: [] };
  return [buffer, ...inside];
}
/** The lines that are indented below one, without that indentation. */
function linesBelow({ lines }: PrintedProgram, at: Span): string[] {
  const rest = lines.slice(at.line + 1);
  const end = rest.findIndex((l) => l.length - l.trimStart().length <= at.begin);
  return rest.slice(0, end < 0 ? rest.length : end).map((l) => l.slice(at.begin + 2));
}

interface Placed {
  readonly box: Box;
  /** Keys of the boxes around, outermost first. */
  readonly around: readonly string[];
}
function placesIn(
  list: readonly Box[],
  around: readonly string[] = [],
  all = new Map<string, Placed>(),
): Map<string, Placed> {
  for (const box of list) {
    all.set(box.key, { box, around });
    placesIn(box.inside, [...around, box.key], all);
  }
  return all;
}
/** Both nests with marks. A box moved when other boxes of those that stay are around it. */
function compared(before: readonly Box[], after: readonly Box[]): Pick<StepView, "before" | "after"> {
  const [old, next] = [placesIn(before), placesIn(after)];
  const stays = (key: string): boolean => old.has(key) && next.has(key);
  const place = (p: Placed): string => p.around.filter(stays).join("/");
  const shared = (key: string): Mark[] => {
    const [a, b] = [old.get(key)!, next.get(key)!];
    const changed = a.box.text !== b.box.text || a.box.lines.join("\n") !== b.box.lines.join("\n");
    return [...(place(a) === place(b) ? [] : ["moved" as const]), ...(changed ? ["changed" as const] : [])];
  };
  const marked = (list: readonly Box[], otherwise: Mark): Box[] =>
    list.map((b) => ({ ...b, marks: stays(b.key) ? shared(b.key) : [otherwise], inside: marked(b.inside, otherwise) }));
  return { before: marked(before, "removed"), after: marked(after, "created") };
}
