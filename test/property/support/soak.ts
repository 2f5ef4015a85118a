/** Runs cases: their scheduled programs as machine code, against what the interpreter gave for the unscheduled ones. */
import { defaultPassPipeline } from "../../../codegen/llvm/index.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { InputError, ScheduleError } from "../../../ir/support/errors.ts";
import { assertWellFormed } from "../../../ir/verify/verify.ts";
import { type PoolHandle, serial } from "../../../native/addon.ts";
import type { TraceJson } from "../../../passes/schedule/trace.ts";
import { type Case, drawCase, primitivesOf, replayed, type Tally } from "./cases.ts";
import { Batch, type Build, type Lowered, lowered } from "./compiled.ts";
import { type Expected, mismatch } from "./expected.ts";

/** How batches are built in turn: what kernels are built with, what LLVM adds to it, and what compiles fast. */
export const builds: readonly Build[] = [
  { name: "product", vectorBits: 512, options: { passes: defaultPassPipeline } },
  { name: "quick 256", vectorBits: 256, options: { passes: defaultPassPipeline, optLevel: 0 } },
  { name: "quick 512", vectorBits: 512, options: { passes: defaultPassPipeline, optLevel: 0 } },
  { name: "quick 128", vectorBits: 128, options: { passes: defaultPassPipeline, optLevel: 0 } },
  { name: "quick 512", vectorBits: 512, options: { passes: defaultPassPipeline, optLevel: 0 } },
  { name: "optimized", vectorBits: 256, options: { passes: "default<O1>", optLevel: 1 } },
  { name: "quick 512", vectorBits: 512, options: { passes: defaultPassPipeline, optLevel: 0 } },
  { name: "quick 256", vectorBits: 256, options: { passes: defaultPassPipeline, optLevel: 0 } },
  { name: "quick 512", vectorBits: 512, options: { passes: defaultPassPipeline, optLevel: 0 } },
  { name: "quick 128", vectorBits: 128, options: { passes: defaultPassPipeline, optLevel: 0 } },
];

/** What went wrong with a case. */
export interface Finding {
  readonly seed: number;
  readonly kind: string;
  /** The index of the build. */
  readonly build: number;
  readonly why: string;
  /** Absent where drawing the schedule failed. */
  readonly traces?: readonly TraceJson[];
}
/** What came of some cases. */
export interface Outcome {
  readonly programs: number;
  readonly steps: number;
  /** Steps that could reorder sums; comparisons with a bound; all comparisons of outputs of floats. */
  readonly bounded: number;
  readonly findings: readonly Finding[];
  readonly tally: Tally;
  readonly kinds: Readonly<Record<string, number>>;
  readonly types: Readonly<Record<string, number>>;
  /** Milliseconds by what they were spent on. */
  readonly times: Readonly<Record<string, number>>;
}

/** A case that is lowered. */
interface Ready {
  readonly case: Case;
  readonly lowered: Lowered;
}

/** Draws and runs the cases of some seeds in one module. */
export function runCases(seeds: readonly number[], build: number, pool: PoolHandle = serial): Outcome {
  const findings: Finding[] = [];
  const times: Record<string, number> = {};
  const timed = <T>(what: string, run: () => T): T => {
    const start = performance.now();
    const result = run();
    times[what] = (times[what] ?? 0) + performance.now() - start;
    return result;
  };
  const cases: Case[] = [];
  const ready: Ready[] = [];
  for (const seed of seeds) {
    let drawn: Case | undefined;
    try {
      const c = timed("draw", () => drawCase(seed));
      drawn = c;
      cases.push(c);
      ready.push({ case: c, lowered: timed("lower", () => checkedLowering(c.scheduled, `p${seed}.`, build)) });
    } catch (e) {
      findings.push({
        seed,
        kind: drawn?.kind ?? "",
        build,
        why: textOf(e),
        ...(drawn ? { traces: drawn.traces } : {}),
      });
    }
  }
  for (const r of timed("run", () => judge(ready, build, pool, (run) => timed("compile", run))))
    findings.push({ ...located(r.case, build), why: r.why });
  return { ...summary(cases), programs: seeds.length, findings, times };
}
const located = (c: Case, build: number) => ({ seed: c.seed, kind: c.kind, build, traces: c.traces });
function checkedLowering(program: Program, prefix: string, build: number): Lowered {
  assertWellFormed(program);
  return lowered(program, prefix, builds[build]!);
}
/** The cases whose outputs are wrong, and why. A module that LLVM refuses is tried case by case. */
function judge(
  ready: readonly Ready[],
  build: number,
  pool: PoolHandle,
  timed: (run: () => Batch) => Batch,
): { readonly case: Case; readonly why: string }[] {
  if (ready.length === 0) return [];
  let batch: Batch;
  try {
    batch = timed(
      () =>
        new Batch(
          ready.map((r) => r.lowered),
          builds[build]!,
        ),
    );
  } catch (e) {
    if (ready.length === 1) return [{ case: ready[0]!.case, why: textOf(e) }];
    return ready.flatMap((r) => judge([r], build, pool, timed));
  }
  try {
    return ready.flatMap((r) => {
      const { traces, expected } = r.case;
      const why = wrong(batch, r.lowered.prefix, { traces, expected }, pool);
      return why === undefined ? [] : [{ case: r.case, why }];
    });
  } finally {
    batch[Symbol.dispose]();
  }
}
interface Judged {
  readonly traces: readonly TraceJson[];
  readonly expected: readonly Expected[];
}
function wrong(batch: Batch, prefix: string, { traces, expected }: Judged, pool: PoolHandle): string | undefined {
  for (const [k, want] of expected.entries()) {
    try {
      const why = mismatch(want, batch.run(prefix + want.func.name, want.inputs, pool), primitivesOf([traces[k]!]));
      if (why !== undefined) return expected.length > 1 ? `${want.func.name}: ${why}` : why;
    } catch (e) {
      return textOf(e);
    }
  }
  return undefined;
}
/** What is wrong with other traces on the program of a case; undefined when nothing is, or they do not apply to it. */
export function checkTraces(c: Case, traces: readonly TraceJson[], build: number): string | undefined {
  let scheduled: Program;
  try {
    scheduled = replayed(c.program, traces);
  } catch (e) {
    if (e instanceof ScheduleError || e instanceof InputError) return undefined;
    return textOf(e);
  }
  try {
    const made = checkedLowering(scheduled, `p${c.seed}.`, build);
    using batch = new Batch([made], builds[build]!);
    return wrong(batch, made.prefix, { traces, expected: c.expected }, serial);
  } catch (e) {
    return textOf(e);
  }
}
/** Whether two reasons are of one sort: they differ in names and numbers at most. */
export function isAlike(a: string, b: string | undefined): boolean {
  const sort = (why: string): string => {
    if (/ is \S+, not \S+/.test(why)) return "wrong value";
    return why.split("\n")[0]!.replace(/\w*[\d_]\w*/g, "");
  };
  return b !== undefined && sort(a) === sort(b);
}
const textOf = (e: unknown): string => {
  const message = e instanceof Error ? e.message : String(e);
  const place = e instanceof TypeError || e instanceof RangeError ? `\n${e.stack}` : "";
  return message + place;
};

function summary(cases: readonly Case[]) {
  const tally: Tally = {};
  const kinds: Record<string, number> = {};
  const types: Record<string, number> = {};
  let steps = 0;
  let bounded = 0;
  for (const c of cases) {
    addTally(tally, c.tally);
    for (const kind of c.kind.split("+")) kinds[kind] = (kinds[kind] ?? 0) + 1;
    steps += primitivesOf(c.traces).length;
    for (const { func, bounds, outputs } of c.expected)
      for (const { buffer } of func.params) {
        if (outputs[buffer.name] === undefined) continue;
        types[buffer.dtype.scalar] = (types[buffer.dtype.scalar] ?? 0) + 1;
        if (bounds[buffer.name]) bounded++;
      }
  }
  return { tally, kinds, types, steps, bounded };
}
/** Adds counts to those of `into`. */
export function addTally(into: Tally, more: Tally): void {
  for (const [name, { tried, accepted, rules }] of Object.entries(more)) {
    const count = (into[name] ??= { tried: 0, accepted: 0, rules: {} });
    count.tried += tried;
    count.accepted += accepted;
    for (const [rule, n] of Object.entries(rules)) count.rules[rule] = (count.rules[rule] ?? 0) + n;
  }
}
