/** Observers of a running pipeline: printing, timing, verifying, stopping. They come from the caller; passes know none. */
import type { Expr } from "../../ir/expr/expr.ts";
import type { Graph } from "../../ir/graph/graph.ts";
import type { Program } from "../../ir/loop/program.ts";
import { InternalError, UsageError } from "../../ir/support/errors.ts";
import type { DiagnosticPlace } from "../../ir/text/diagnostic.ts";
import { printGraph } from "../../ir/text/print-graph.ts";
import { printProgram } from "../../ir/text/printer.ts";
import { verifyGraph } from "../../ir/verify/graph.ts";
import { rules, verifyProgram } from "../../ir/verify/verify.ts";
import { brokenFact, facts } from "./facts.ts";
import { graphPicture, programPicture } from "./picture.ts";

/** What the runner tells of one finished pass. */
export interface PassEvent {
  readonly pass: string;
  readonly before: Graph | Program;
  readonly after: Graph | Program;
  /** What earlier passes, and this one, ensured, and none invalidated. */
  readonly facts: ReadonlySet<string>;
}
/** An observer of a running pipeline. */
export interface Instrument {
  readonly name: string;
  readonly beforePass?: (pass: string, input: Graph | Program) => void;
  readonly afterPass?: (event: PassEvent) => void;
  /** Called once the last pass is done. */
  readonly afterPipeline?: () => void;
}
/** Where instruments write and what time it is. */
export interface InstrumentOutput {
  readonly write: (text: string) => void;
  readonly nowMs: () => number;
}

/** Thrown to end a pipeline early, because the user asked for it; `output` is what the last pass gave. */
export class PipelineStopped extends UsageError {
  readonly output: Graph | Program;
  constructor(pass: string, output: Graph | Program) {
    super("pipeline/stopped-after", `stopped after ${pass}`, { pass });
    this.output = output;
  }
}

/** The text of either kind of IR. */
export const printIr = (ir: Graph | Program): string => (isProgram(ir) ? printProgram(ir) : printGraph(ir));
const isProgram = (ir: Graph | Program): ir is Program => ir.kind === "program";

/**
 * Verifies what every pass gives: the rules of well-formedness, and the facts that hold by what the passes declare.
 * @throws InternalError `verify/<rule>` or `fact/<name>` with a picture of the place after and before the pass
 */
export const verifying: Instrument = { name: "verify", afterPass: verifyPass };
function verifyPass(e: PassEvent): void {
  const broken = isProgram(e.after) ? programIssues(e, e.after) : graphIssues(e, e.after);
  const first = broken[0];
  if (!first) return;
  const shown = broken
    .slice(0, 3)
    .map((b) => `[${b.rule}]: ${b.message}\n${b.picture()}${b.doc ? `\n  rule:    ${b.doc}` : ""}`);
  const more = broken.length > 3 ? [`and ${broken.length - 3} more`] : [];
  const issues = broken.map(({ rule, message }) => ({ rule, message }));
  const kind = isProgram(e.after) ? "program" : "graph";
  throw new InternalError(first.code, [`it gives an ill-formed ${kind}`, ...shown, ...more].join("\n"), { issues });
}
/** What is wrong after a pass; the picture is drawn only when it is shown. */
interface Broken {
  readonly code: string;
  readonly rule: string;
  readonly message: string;
  readonly doc?: string;
  readonly picture: () => string;
}
function programIssues(e: PassEvent, after: Program): readonly Broken[] {
  const draw = (at: DiagnosticPlace, reason: string, expr?: Expr) => (): string =>
    isProgram(e.before) ? programPicture(e.pass, e.before, after, { at, reason, ...(expr ? { expr } : {}) }) : "";
  const found = verifyProgram(after).map(
    (i): Broken => ({
      code: `verify/${i.rule}`,
      rule: i.rule,
      message: i.message,
      doc: rules.find((r) => r.name === i.rule)!.doc,
      picture: draw(i.at, i.rule, i.expr),
    }),
  );
  const fact = brokenFact(e.facts, after);
  if (!fact?.issue.at) return found;
  return [...found, { ...factBroken(fact), picture: draw(fact.issue.at, fact.fact, fact.issue.expr) }];
}
function graphIssues(e: PassEvent, after: Graph): readonly Broken[] {
  const draw = (name: string, reason: string) => (): string =>
    isProgram(e.before) ? "" : graphPicture(e.pass, e.before, after, name, reason);
  const found = verifyGraph(after).map(
    (i): Broken => ({ code: `verify/${i.rule}`, rule: i.rule, message: i.message, picture: draw(i.at, i.rule) }),
  );
  const fact = brokenFact(e.facts, after);
  if (fact?.issue.name === undefined) return found;
  return [...found, { ...factBroken(fact), picture: draw(fact.issue.name, fact.fact) }];
}
const factBroken = ({ fact, issue }: NonNullable<ReturnType<typeof brokenFact>>) => ({
  code: `fact/${fact}`,
  rule: fact,
  message: `${issue.message}, but by what the passes so far declare: ${facts[fact]!.doc}`,
});
/** Prints the IR after passes: after those that changed it, after all, or after the named ones. */
export function printing(which: "changed" | "all" | readonly string[], output: InstrumentOutput): Instrument {
  const wanted = (e: PassEvent): boolean =>
    which === "all" || (which === "changed" ? e.before !== e.after : which.includes(e.pass));
  return {
    name: "print",
    afterPass: (e) => {
      if (wanted(e)) output.write(`// after ${e.pass}\n${printIr(e.after)}\n`);
    },
  };
}
/** Prints the time of each pass once the pipeline is done. */
export function timing(output: InstrumentOutput): Instrument {
  const times: { readonly pass: string; readonly ms: number }[] = [];
  let start = 0;
  return {
    name: "time",
    beforePass: () => {
      start = output.nowMs();
    },
    afterPass: ({ pass }) => times.push({ pass, ms: output.nowMs() - start }),
    afterPipeline: () => {
      const width = Math.max(0, ...times.map((t) => t.pass.length));
      for (const t of times) output.write(`${t.pass.padEnd(width)} ${t.ms.toFixed(2).padStart(9)} ms\n`);
      const whole = times.reduce((sum, t) => sum + t.ms, 0);
      output.write(`${"all passes".padEnd(width)} ${whole.toFixed(2).padStart(9)} ms\n`);
      times.length = 0;
    },
  };
}
/** Ends the pipeline after a pass by throwing PipelineStopped. */
export const stoppingAfter = (pass: string): Instrument => ({
  name: "stop-after",
  afterPass: (e) => {
    if (e.pass === pass) throw new PipelineStopped(pass, e.after);
  },
});

/**
 * The instruments that variables ask for: `TILEWRIGHT_VERIFY=1`, `TILEWRIGHT_PRINT=changed|all|<pass>,…`,
 * `TILEWRIGHT_TIME=1`, `TILEWRIGHT_STOP_AFTER=<pass>`. Printing comes before verification, so that what is wrong is seen; stopping is last.
 * @throws UsageError when a switch is neither 0 nor 1
 */
export function instrumentsFrom(
  env: Readonly<Record<string, string | undefined>>,
  output: InstrumentOutput,
): readonly Instrument[] {
  const print = env.TILEWRIGHT_PRINT;
  const stop = env.TILEWRIGHT_STOP_AFTER;
  const list: Instrument[] = [];
  if (isOn(env, "TILEWRIGHT_TIME")) list.push(timing(output));
  if (print) list.push(printing(print === "changed" || print === "all" ? print : print.split(","), output));
  if (isOn(env, "TILEWRIGHT_VERIFY")) list.push(verifying);
  if (stop) list.push(stoppingAfter(stop));
  return list;
}
/** Whether a variable is `1`. @throws UsageError when it is neither 0 nor 1 */
export function isOn(env: Readonly<Record<string, string | undefined>>, name: string): boolean {
  const value = env[name] ?? "";
  if (value === "1") return true;
  if (value === "" || value === "0") return false;
  throw new UsageError("usage/debug-variable", `${name} is 0 or 1, not ${JSON.stringify(value)}`);
}
