/** Pipelines: passes in an order that fits, checked by the compiler, and their runner. */
import type { Graph } from "../../ir/graph/graph.ts";
import type { Program } from "../../ir/loop/program.ts";
import { InternalError, TilewrightError, UsageError } from "../../ir/support/errors.ts";
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
  checkFacts(passes, given);
  return { passes, run: (input, context = plainContext) => runPasses(passes, input, context) as Representations[To] };
}

/** Where a pass goes: before or after the pass of this name. */
export type PassPlace = { readonly before: string } | { readonly after: string };

/**
 * The pipeline with one more pass, which takes and gives the representation at its place; facts are checked anew.
 * @throws UsageError `usage/unknown-pass` when no pass has that name
 */
export function insertPass<From extends Representation, To extends Representation, At extends Representation>(
  into: Pipeline<From, To>,
  pass: Pass<At, At>,
  place: PassPlace,
): Pipeline<From, To> {
  const name = "before" in place ? place.before : place.after;
  const at = into.passes.findIndex((p) => p.name === name);
  if (at < 0) {
    const names = into.passes.map((p) => p.name);
    throw new UsageError("usage/unknown-pass", `there is no pass ${name}; the passes are ${names.join(", ")}`);
  }
  const passes: AnyPass[] = [...into.passes];
  passes.splice("before" in place ? at : at + 1, 0, pass);
  return pipelineOf<From, To>(passes);
}

/** Every required fact is ensured before, and not invalidated since. */
function checkFacts(passes: readonly AnyPass[], given: readonly string[]): void {
  const facts = new Set(given);
  for (const p of passes) {
    const missing = p.requires.filter((f) => !facts.has(f));
    if (missing.length > 0)
      throw new InternalError(
        "pass/missing-fact",
        `pass ${p.name} requires ${missing.join(", ")}, which no pass before it ensures`,
        { pass: p.name, missing },
      );
    for (const f of p.invalidates) facts.delete(f);
    for (const f of p.ensures) facts.add(f);
  }
}

type Context = Parameters<AnyPass["run"]>[1];

function runPasses(passes: readonly AnyPass[], input: Graph | Program, context: Context): Graph | Program {
  let current = input;
  for (const p of passes) current = runPass(p, current, context);
  for (const i of context.instruments) i.afterPipeline?.();
  return current;
}
function runPass(p: AnyPass, before: Graph | Program, context: Context): Graph | Program {
  let after: Graph | Program | undefined;
  try {
    for (const i of context.instruments) i.beforePass?.(p.name, before);
    after = p.run(before as never, context);
    for (const i of context.instruments) i.afterPass?.({ pass: p.name, before, after });
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
