/** What a pass is: a value with a name, the representations it takes and gives, and what it needs and promises. */
import type { Graph } from "../../ir/graph/graph.ts";
import type { MathPolicy, Program } from "../../ir/loop/program.ts";
import type { Target } from "../../ir/target/target.ts";
import type { Instrument } from "./instrument.ts";

/**
 * The data of each representation. `graph`: operators. `loops`: blocks and n-d buffers, what schedules rewrite.
 * `flat`: no blocks, 1-d accesses, explicit vectors. `tasks`: parallel loops outlined, what codegen takes.
 */
export interface Representations {
  readonly graph: Graph;
  readonly loops: Program;
  readonly flat: Program;
  readonly tasks: Program;
}
/** The name of a representation. */
export type Representation = keyof Representations;

/** What passes may ask for; no pass reads anything else. */
export interface PassOptions {
  /** Overrides the math policy of the functions. */
  readonly math?: MathPolicy;
  /** Threads that parallel loops run on. */
  readonly threads?: number;
}
/** What a pass and its runner are told besides the program. */
export interface PassContext {
  readonly target?: Target;
  readonly options: PassOptions;
  readonly instruments: readonly Instrument[];
}
/** A context without instruments. */
export const plainContext: PassContext = { options: {}, instruments: [] };

/** Only in types: keeps the representations of a pass apart though their data may be alike. */
declare const signature: unique symbol;

/** A pass: takes a program of one representation, gives one of another (or the same). */
export interface Pass<From extends Representation, To extends Representation> {
  /** Kebab-case. */
  readonly name: string;
  /** One sentence. */
  readonly doc: string;
  /** Facts that an earlier pass must have established. */
  readonly requires: readonly string[];
  /** Facts that hold afterwards. */
  readonly ensures: readonly string[];
  /** Facts that may no longer hold afterwards. */
  readonly invalidates: readonly string[];
  readonly run: (input: Representations[From], context: PassContext) => Representations[To];
  readonly [signature]?: readonly [From, To];
}
/** A pass of unknown representations. */
export type AnyPass = Omit<Pass<Representation, Representation>, "run" | typeof signature> & {
  readonly run: (input: never, context: PassContext) => Graph | Program;
  readonly [signature]?: readonly [Representation, Representation];
};
export type FromOf<P> = P extends { readonly [signature]?: readonly [infer From, Representation] } ? From : never;
export type ToOf<P> = P extends { readonly [signature]?: readonly [Representation, infer To] } ? To : never;

/** A pass from its parts; what it requires and ensures defaults to nothing. */
export function definePass<From extends Representation, To extends Representation>(
  parts: Pick<Pass<From, To>, "name" | "doc" | "run"> &
    Partial<Pick<Pass<From, To>, "requires" | "ensures" | "invalidates">>,
): Pass<From, To> {
  return { requires: [], ensures: [], invalidates: [], ...parts };
}
