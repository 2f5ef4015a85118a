/** Running a schedule beside what it was made from: the same inputs, the outputs compared, both timed. */
import { constantValue } from "../../ir/expr/build.ts";
import { bytesOf, isFloat } from "../../ir/expr/dtype.ts";
import type { Buffer } from "../../ir/expr/expr.ts";
import type { TypedArray } from "../../ir/graph/tensor-value.ts";
import { runProgram } from "../../ir/interp/run.ts";
import type { Block, PrimFunc, Program } from "../../ir/loop/program.ts";
import { visitStmt } from "../../ir/loop/traverse.ts";
import { BoundsError, InputError, UsageError } from "../../ir/support/errors.ts";
import { byteText } from "../../ir/text/units.ts";
import { operationsOf } from "../../passes/analysis/operations.ts";
import type { Schedule } from "../../passes/schedule/schedule.ts";
import { blocksIn } from "../../passes/schedule/tree.ts";
import { build, type NativeFunction } from "../runtime/function.ts";
import { Tensor } from "../tensor.ts";
import { type Difference, difference } from "./compare.ts";
import { filler } from "./feeds.ts";
import { spread } from "./table.ts";

/** How to run. */
export interface TrialOptions {
  readonly target: string;
  readonly threads: number;
  readonly seed: number;
}
/** What came out. */
export interface Trial {
  readonly ok: boolean;
  /** `interpreter` where that takes seconds at most, else the compiled unscheduled loops. */
  readonly against: "interpreter" | "unscheduled";
  /** Allowed difference, relative to the largest output: one rounding for each term of the longest reduction. */
  readonly rtol: number;
  readonly outputs: readonly Difference[];
  readonly operations: number;
  /** Nanoseconds of a run: the median of repeated ones. */
  readonly ns: number;
  readonly gflops: number;
  readonly unscheduledNs: number;
}

/** Runs that the interpreter does in a few seconds. */
const mostInterpreted = 5e6;

/**
 * @throws UsageError `usage/run` for programs of open extents or several functions; InputError
 * `bounds/…` for those that leave a buffer
 */
export async function trialRun(before: Program, s: Schedule, options: TrialOptions): Promise<Trial> {
  const func = checked(before, s.func.name);
  const make = filler("random", options.seed);
  const ports = func.params.map(({ buffer, role }) => ({
    name: buffer.name,
    type: buffer.dtype.scalar,
    dims: buffer.shape.map((n) => constantValue(n)!),
    role,
  }));
  const inputs = new Map(ports.filter((p) => isGiven(p.role)).map((p) => [p.name, make(p)] as const));
  const zero = filler("zeros", 0);
  const feed = (): Record<string, TypedArray> =>
    Object.fromEntries(ports.map((p) => [p.name, (inputs.get(p.name) ?? zero(p)).data as TypedArray]));
  await runChecked(before, feed(), options);
  const both = await Promise.all([s.program, before].map((p) => build(p, options)));
  try {
    const [scheduled, plain] = both.map((f) => timed(f, feed()));
    const instances = blocksIn(func.body).reduce((n, b) => n + instancesOf(b), 0);
    const against = instances <= mostInterpreted ? "interpreter" : "unscheduled";
    const reference = against === "interpreter" ? runProgram(before, feed(), { func: func.name }) : plain!.arrays;
    const rtol = tolerance(func);
    const outputs = ports
      .filter((p) => p.role === "output")
      .map((p) => {
        const tensor = (data: TypedArray): Tensor => Tensor.from({ type: p.type, dims: p.dims, data });
        return difference(p.name, tensor(scheduled!.arrays[p.name]!), tensor(reference[p.name]!), rtol);
      });
    const operations = operationsOf(func.body).count;
    const { ns } = scheduled!;
    const ok = outputs.every((o) => o.within);
    return { ok, against, rtol, outputs, operations, ns, gflops: operations / ns, unscheduledNs: plain!.ns };
  } finally {
    for (const f of both) f.dispose();
  }
}
const isGiven = (role: string): boolean => role === "input" || role === "constant";
function checked(program: Program, name: string): PrimFunc {
  const [func, ...others] = program.functions;
  if (!func || others.length > 0 || func.name !== name)
    throw new UsageError("usage/run", "--run takes a file with one function");
  const open = func.scalars[0]?.name ?? func.params.find(({ buffer }) => isOpen(buffer))?.buffer.name;
  if (open !== undefined) throw new UsageError("usage/run", `--run takes constant extents; ${open} leaves some open`);
  const bytes = func.params.reduce((n, { buffer }) => n + sizeOf(buffer), 0);
  if (!(bytes <= mostBytes))
    throw new UsageError(
      "usage/run",
      `the arguments take ${byteText(bytes)}; --run takes at most ${byteText(mostBytes)}`,
    );
  return func;
}
const sizeOf = (b: Buffer): number => b.shape.reduce((n, e) => n * (constantValue(e) ?? 0), bytesOf(b.dtype.scalar));
/** The most that the arguments of a run may take, in bytes. */
const mostBytes = 2 ** 33;
const isOpen = (b: Buffer): boolean => b.shape.some((n) => constantValue(n) === undefined);
/** A file may say anything: what leaves its buffers is found before it runs unchecked. @throws InputError `bounds/…` */
async function runChecked(program: Program, arrays: Record<string, TypedArray>, options: TrialOptions): Promise<void> {
  const inBounds = await build(program, { ...options, checks: "bounds" });
  try {
    inBounds.run(arrays);
  } catch (error) {
    // Here it is the file that is wrong.
    throw error instanceof BoundsError ? new InputError(error.code, error.message, error.details) : error;
  } finally {
    inBounds.dispose();
  }
}
function timed(
  f: NativeFunction,
  arrays: Record<string, TypedArray>,
): { arrays: Record<string, TypedArray>; ns: number } {
  f.run(arrays);
  const kept = Object.fromEntries(Object.entries(arrays).map(([name, a]) => [name, a.slice()]));
  const ns = spread(f.time(arrays, { repeats: 10, minTimeMs: 100, maxTimeMs: 2000 })).median;
  return { arrays: kept, ns };
}
const instancesOf = (b: Block): number => b.iterVars.reduce((n, v) => n * (constantValue(v.extent) ?? 1), 1);
/** One rounding for each term of the longest reduction; integers agree exactly. */
function tolerance(func: PrimFunc): number {
  const floats = func.params.filter((p) => p.role === "output" && isFloat(p.buffer.dtype.scalar));
  if (floats.length === 0) return 0;
  const digits = { float64: 52, float32: 23, float16: 10, bfloat16: 7 } as const;
  const least = Math.min(...floats.map((p) => digits[p.buffer.dtype.scalar as keyof typeof digits]));
  let longest = 1;
  visitStmt(func.body, (s) => {
    if (s.kind !== "block") return;
    const reductions = s.iterVars.filter((v) => v.kind !== "spatial");
    longest = Math.max(
      longest,
      reductions.reduce((n, v) => n * (constantValue(v.extent) ?? 1), 1),
    );
  });
  return 2 ** -least * (longest + 4);
}
