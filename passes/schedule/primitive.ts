/**
 * What a schedule primitive is: rules as data, a `check` that names the broken rule without throwing, and a `rewrite`
 * that may assume every rule holds. One primitive a file in `primitive/`; `schedule.ts` applies and records them.
 */
import type { Expr } from "../../ir/expr/expr.ts";
import type { Program } from "../../ir/loop/program.ts";
import type { BlockId, VarId } from "../../ir/support/ids.ts";

/** A handle to a loop: its variable's id survives unrelated rewrites. */
export interface LoopRef {
  readonly kind: "loop";
  readonly id: VarId;
  readonly name: string;
}
/** A handle to a block. */
export interface BlockRef {
  readonly kind: "block";
  readonly id: BlockId;
  readonly name: string;
}

/** Why a primitive refuses: the rule, what makes it false here, what to do instead, and where to point. */
export interface Violation<Rule extends string = string> {
  readonly rule: Rule;
  readonly because: string;
  readonly instead?: string;
  /** The loop or block to underline. */
  readonly at?: LoopRef | BlockRef;
  readonly expr?: Expr;
}

/** The outcome of a rewrite; `result` is what the Schedule method hands back (new handles). */
export interface Rewritten<Result> {
  readonly program: Program;
  readonly result: Result;
}

/**
 * `Args` is one plain object; loops and blocks stand in it as LoopRef/BlockRef (also in arrays), all else is JSON data, so
 * that a trace can record it. `Rule` are the keys of `rules`.
 */
export interface Primitive<Name extends string, Args extends object, Result, Rule extends string> {
  readonly name: Name;
  /** One sentence. */
  readonly doc: string;
  /** Loop nests as text, for the docs. */
  readonly before: string;
  readonly after: string;
  /** Rule name → what it demands. */
  readonly rules: Readonly<Record<Rule, string>>;
  readonly check: (program: Program, args: Args) => Violation<Rule> | undefined;
  readonly rewrite: (program: Program, args: Args) => Rewritten<Result>;
}

/**
 * `plan` that gives its last answer for the same argument object and program again: a check is followed by a rewrite
 * that asks what the check has just found out.
 */
export function remembered<Args extends object, Result>(
  plan: (program: Program, args: Args) => Result,
): (program: Program, args: Args) => Result {
  const answers = new WeakMap<Args, { readonly program: Program; readonly result: Result }>();
  return (program, args) => {
    const known = answers.get(args);
    if (known?.program === program) return known.result;
    const result = plan(program, args);
    answers.set(args, { program, result });
    return result;
  };
}

/** Fixes the type parameters of a primitive; a rule misspelt in `check` does not compile. */
export function definePrimitive<Name extends string, Args extends object, Result, Rule extends string>(
  p: Primitive<Name, Args, Result, Rule>,
): Primitive<Name, Args, Result, Rule> {
  return p;
}
