/** Pipelines: passes in an order that fits, checked by the compiler, and their runner. */
import type { Graph } from "../../ir/graph/graph.ts";
import type { Program } from "../../ir/loop/program.ts";
import { InternalError, TilewrightError, UsageError } from "../../ir/support/errors.ts";
import { nearest } from "../../ir/support/nearest.ts";
import { factsAfter, missingFact } from "./facts.ts";
import { PipelineStopped, printIr } from "./instrument.ts";
import {
  type AnyPass,
  type FromOf,
  type Pass,
  plainContext,
  type Representation,
  type Representations,
  type ToOf,
} from "./pass.ts";

/** Shown by the compiler where one pass cannot follow another. */
export interface OutOfOrder<Given, Wanted> {
  readonly "the pass before gives": Given;
  readonly "this pass takes": Wanted;
}
/** `Passes` itself when each takes what the one before gives; otherwise the misplaced one becomes OutOfOrder. */
export type Chained<Passes extends readonly AnyPass[]> = Passes extends readonly [infer A, infer B, ...infer Rest]
  ? Rest extends readonly AnyPass[]
    ? B extends AnyPass
      ? ToOf<A> extends FromOf<B>
        ? readonly [A, ...Chained<readonly [B, ...Rest]>]
        : readonly [A, OutOfOrder<ToOf<A>, FromOf<B>>, ...Rest]
      : never
    : never
  : Passes;
type Last<Passes extends readonly AnyPass[]> = Passes extends readonly [...AnyPass[], infer P] ? P : Passes[number];

/** Passes in an order that fits. */
export interface Pipeline<From extends Representation, To extends Representation> {
  readonly passes: readonly AnyPass[];
  /** Facts that hold before the first pass. */
  readonly given: readonly string[];
  /**
   * Runs every pass in order.
   * @throws InternalError `pass/<name>` with the IR before (and after) when a pass or a verification fails
   * @throws PipelineStopped when an instrument ends it
   */
  readonly run: (input: Representations[From], context?: Parameters<Pass<From, To>["run"]>[1]) => Representations[To];
}

/**
 * A pipeline of passes. Each must take the representation that the one before gives (a type error otherwise), and must
 * find what it requires among what earlier ones ensure, or in `given`.
 */
export function pipeline<const Passes extends readonly [AnyPass, ...AnyPass[]]>(
  ...passes: Passes & Chained<Passes>
): Pipeline<FromOf<Passes[0]>, ToOf<Last<Passes>>> {
  return pipelineOf<FromOf<Passes[0]>, ToOf<Last<Passes>>>(passes);
}
/** A pipeline from a list whose order is only known at run time (custom passes); facts are still checked. */
export function pipelineOf<From extends Representation, To extends Representation>(
  passes: readonly AnyPass[],
  given: readonly string[] = [],
): Pipeline<From, To> {
  const problem = missingFact(passes, given);
  if (problem) {
    const { message, pass, missing } = problem;
    throw new UsageError("pipeline/missing-fact", message, { pass, missing });
  }
  const run = (input: Representations[From], context = plainContext) =>
    runPasses(passes, given, input, context) as Representations[To];
  return { passes, given, run };
}

/** Where a pass goes: before or after the pass of this name. */
export type PassPlace = { readonly before: string } | { readonly after: string };

/**
 * The pipeline with one more pass, which takes and gives the representation at its place, or with another pass in the
 * place of one. Facts are checked anew.
 * @throws UsageError `usage/unknown-pass` when no pass has that name, `pipeline/missing-fact` for a pass that stands
 * where something it requires does not hold
 */
export function insertPass<From extends Representation, To extends Representation, At extends Representation>(
  into: Pipeline<From, To>,
  pass: Pass<At, At>,
  place: PassPlace,
): Pipeline<From, To>;
export function insertPass<
  From extends Representation,
  To extends Representation,
  A extends Representation,
  B extends Representation,
>(into: Pipeline<From, To>, pass: Pass<A, B>, place: { readonly replace: string }): Pipeline<From, To>;
export function insertPass<From extends Representation, To extends Representation>(
  into: Pipeline<From, To>,
  pass: AnyPass,
  place: PassPlace | { readonly replace: string },
): Pipeline<From, To> {
  const name = "before" in place ? place.before : "after" in place ? place.after : place.replace;
  const names = into.passes.map((p) => p.name);
  const at = names.indexOf(name);
  if (at < 0)
    throw new UsageError("usage/unknown-pass", `there is no pass ${name}; the passes are ${names.join(", ")}`, {
      pass: name,
      nearest: nearest(name, names),
    });
  const passes: AnyPass[] = [...into.passes];
  passes.splice("after" in place ? at + 1 : at, "replace" in place ? 1 : 0, pass);
  return pipelineOf<From, To>(passes, into.given);
}

type Context = Parameters<AnyPass["run"]>[1];

function runPasses(
  passes: readonly AnyPass[],
  given: readonly string[],
  input: Graph | Program,
  context: Context,
): Graph | Program {
  let current = input;
  let facts: ReadonlySet<string> = new Set(given);
  for (const p of passes) {
    facts = factsAfter(facts, p);
    current = runPass(p, current, facts, context);
  }
  for (const i of context.instruments) i.afterPipeline?.();
  return current;
}
function runPass(p: AnyPass, before: Graph | Program, facts: ReadonlySet<string>, context: Context): Graph | Program {
  let after: Graph | Program | undefined;
  try {
    for (const i of context.instruments) i.beforePass?.(p.name, before);
    after = p.run(before as never, context);
    for (const i of context.instruments) i.afterPass?.({ pass: p.name, before, after, facts });
    return after;
  } catch (error) {
    throw explain(error, p, before, after);
  }
}
/** What the user did wrong, and a stop, go through as they are; anything else is our bug in this pass. */
function explain(error: unknown, p: AnyPass, before: Graph | Program, after: Graph | Program | undefined): unknown {
  if (error instanceof PipelineStopped) return error;
  if (error instanceof TilewrightError && !(error instanceof InternalError)) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof TilewrightError ? error.code : undefined;
  const wrapped = new InternalError(`pass/${p.name}`, `pass ${p.name} failed: ${message}`, {
    pass: p.name,
    ...(code ? { code } : {}),
    before: printed(before),
    ...(after ? { after: printed(after) } : {}),
  });
  wrapped.cause = error;
  return wrapped;
}
/** Ill-formed IR may not even print. */
function printed(ir: Graph | Program): string {
  try {
    return printIr(ir);
  } catch (error) {
    return `(cannot be printed: ${error instanceof Error ? error.message : String(error)})`;
  }
}
