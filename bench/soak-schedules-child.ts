/** A child of the soak of schedules: runs cases, and is expected to die of what is wrong with some. */
import type { PoolHandle } from "../native/addon.ts";
import { poolCreate, serial } from "../native/addon.ts";
import type { TraceJson } from "../passes/schedule/trace.ts";
import { type Case, drawCase } from "../test/property/support/cases.ts";
import { checkTraces, type Outcome, runCases } from "../test/property/support/soak.ts";

/** What a child is asked. */
export type Request =
  | { readonly kind: "run"; readonly seeds: readonly number[]; readonly build: number; readonly threads: number }
  | { readonly kind: "draw"; readonly seed: number }
  | { readonly kind: "check"; readonly seed: number; readonly traces: readonly TraceJson[]; readonly build: number };
/** What it answers: an outcome, what a seed draws, or why a case fails. */
export type Answer =
  | { readonly outcome: Outcome }
  | { readonly kind: string; readonly traces: readonly TraceJson[] }
  | { readonly why: string | undefined };

let pool: PoolHandle | undefined;
let last: Case | undefined;

process.on("message", (request: Request) => process.send?.(answerTo(request)));
process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => {});

function answerTo(request: Request): Answer {
  switch (request.kind) {
    case "run":
      return { outcome: run(request) };
    case "draw": {
      const { kind, traces } = drawn(request.seed);
      return { kind, traces };
    }
    case "check":
      return { why: checkTraces(drawn(request.seed), request.traces, request.build) };
  }
}
function run({ seeds, build, threads }: Request & { kind: "run" }): Outcome {
  if (threads > 1) pool ??= poolCreate(threads);
  return runCases(seeds, build, threads > 1 ? pool : serial);
}
function drawn(seed: number): Case {
  if (last?.seed !== seed) last = drawCase(seed);
  return last;
}
