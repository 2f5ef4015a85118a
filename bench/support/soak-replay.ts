/** One seed of the soak of schedules, with every stage printed. */
import { emitLlvm } from "../../codegen/llvm/index.ts";
import { runProgram } from "../../ir/interp/run.ts";
import { printProgram } from "../../ir/text/printer.ts";
import { lowerProgram } from "../../passes/lower/index.ts";
import { Trace } from "../../passes/schedule/trace.ts";
import { hostTarget } from "../../test/codegen/host.ts";
import { type Case, drawCase, primitivesOf } from "../../test/property/support/cases.ts";
import { mismatch } from "../../test/property/support/expected.ts";
import { shrink } from "../../test/property/support/shrink.ts";
import { builds, isAlike } from "../../test/property/support/soak.ts";
import { SoakChild } from "./soak-child.ts";

const say = (title: string, text: string): void => {
  process.stdout.write(`──── ${title}\n${text.trimEnd()}\n`);
};
const textOf = (e: unknown): string => (e instanceof Error ? (e.stack ?? e.message) : String(e));

/** Prints a case: program, trace, nest, flat program, LLVM IR; then which stage goes wrong, and the smallest schedule. */
export async function replaySeed(seed: number): Promise<void> {
  const c = drawCase(seed);
  say(`program (${c.kind})`, printProgram(c.program));
  for (const t of c.traces) say(`trace of ${t.func}`, new Trace(t.func, t.steps).toSource());
  say("scheduled", printProgram(c.scheduled));
  stage("the scheduled program, interpreted", () => interpreted(c, c.scheduled));
  const child = new SoakChild();
  for (const [k, build] of builds.entries()) {
    if (builds.findIndex((b) => b.name === build.name) !== k) continue;
    const why = await child.check(seed, c.traces, k);
    say(`compiled, ${build.name}`, why ?? "as expected");
    if (why === undefined) continue;
    const small = await shrink(c.traces, async (t) => isAlike(why, await child.check(seed, t, k)));
    for (const t of small) say(`smallest schedule of ${t.func}`, new Trace(t.func, t.steps).toSource());
  }
  child.end();
  stage("lowered", () => printProgram(lowerProgram(c.scheduled, hostTarget())));
  stage("the lowered program, interpreted", () => interpreted(c, lowerProgram(c.scheduled, hostTarget())));
  stage("LLVM IR", () => emitLlvm(lowerProgram(c.scheduled, hostTarget()), hostTarget()).text);
}
function stage(title: string, make: () => string): void {
  try {
    say(title, make());
  } catch (e) {
    say(title, textOf(e));
  }
}
function interpreted(c: Case, program: Case["program"]): string {
  const faults = c.expected.flatMap((want) => {
    const { name } = want.func;
    const outputs = runProgram(program, want.inputs, { func: name, checkUninitialized: true });
    return mismatch(want, outputs, primitivesOf(c.traces)) ?? [];
  });
  return faults.length === 0 ? "as expected" : faults.join("\n");
}
