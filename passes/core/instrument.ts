/** Observers of a running pipeline: printing, timing, verifying, stopping. They come from the caller; passes know none. */
import type { Graph } from "../../ir/graph/graph.ts";
import type { Program } from "../../ir/loop/program.ts";
import { UsageError } from "../../ir/support/errors.ts";
import { printGraph } from "../../ir/text/print-graph.ts";
import { printProgram } from "../../ir/text/printer.ts";
import { assertGraphWellFormed } from "../../ir/verify/graph.ts";
import { assertWellFormed } from "../../ir/verify/verify.ts";

/** What the runner tells of one finished pass. */
export interface PassEvent {
  readonly pass: string;
  readonly before: Graph | Program;
  readonly after: Graph | Program;
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

/** Verifies what every pass gives. @throws InternalError with the broken rule */
export const verifying: Instrument = {
  name: "verify",
  afterPass: ({ after }) => {
    if (isProgram(after)) assertWellFormed(after);
    else assertGraphWellFormed(after);
  },
};
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
