/** What a recipe is, and what it is told. */
import type { Schedule } from "../schedule.ts";
import { genericMachine, type Machine } from "./plan.ts";

/** What the caller of a recipe may say; the default is one thread of a processor with 16 lanes (`genericMachine`). */
export interface RecipeOptions {
  readonly machine?: Machine;
  readonly threads?: number;
}
/** A recipe that could not schedule a program, and why. */
export interface Refusal {
  readonly recipe: string;
  /** The rule that refused a step, and because of what; after `bug:`, what broke. */
  readonly reason: string;
}
/** What a recipe goes by. */
export interface RecipeContext extends RecipeOptions {
  readonly machine: Machine;
  readonly threads: number;
  /** Hears of a recipe that refused a program, and why; the next simpler one takes over. */
  readonly onRefusal?: (refusal: Refusal) => void;
}
export const contextOf = ({ machine = genericMachine, threads = 1 }: RecipeOptions): RecipeContext => ({
  machine,
  threads,
});

/** Whether a recipe applies; `schedule` may throw a ScheduleError, after which the next recipe starts afresh. */
export interface Recipe {
  readonly name: string;
  /** Whether element-wise stages are inlined before (`inlineStages`); default true. */
  readonly inlines?: boolean;
  readonly applies: (s: Schedule) => boolean;
  readonly schedule: (s: Schedule, context: RecipeContext) => void;
}
