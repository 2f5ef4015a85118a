/** What a recipe is, and what it is told. */
import type { Schedule } from "../schedule.ts";
import type { Machine } from "./plan.ts";

export interface RecipeContext {
  readonly machine: Machine;
  readonly threads: number;
  /** Hears of a recipe that refused a program, and why; the next simpler one takes over. */
  readonly onRefusal?: (recipe: string, reason: string) => void;
}

/** Whether a recipe applies; `schedule` may throw a ScheduleError, after which the next recipe starts afresh. */
export interface Recipe {
  readonly name: string;
  readonly applies: (s: Schedule) => boolean;
  readonly schedule: (s: Schedule, context: RecipeContext) => void;
}
