/**
 * The default schedules: for each kind of kernel a recipe built from public primitives only, with tile sizes from the
 * analytical model in `plan.ts`. Recipes take a freshly built program: a sequence of stages, each one block in a plain nest.
 */

import type { Program } from "../../../ir/loop/program.ts";
import { ScheduleError } from "../../../ir/support/errors.ts";
import { Schedule } from "../schedule.ts";
import { scheduleAttention } from "./attention.ts";
import { schedulePlanar } from "./contraction.ts";
import { scheduleConvBlock } from "./conv-block.ts";
import { scheduleConvolution } from "./convolution.ts";
import { scheduleDotProducts } from "./dot-products.ts";
import { scheduleElementwise } from "./elementwise.ts";
import { inlineStages } from "./inline.ts";
import { scheduleMatmul } from "./matmul.ts";
import { scheduleOrdered } from "./ordered.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { scheduleReductions, scheduleSlices } from "./reductions.ts";
import { stagesOf } from "./structure.ts";
import { scheduleTranspose } from "./transpose.ts";
import { scheduleWinograd } from "./winograd.ts";

const recipes: readonly Recipe[] = [
  scheduleWinograd,
  scheduleAttention,
  scheduleConvBlock,
  scheduleConvolution,
  schedulePlanar,
  scheduleDotProducts,
  scheduleMatmul,
  scheduleSlices,
  scheduleReductions,
  scheduleOrdered,
  scheduleTranspose,
  scheduleElementwise,
];

/** Schedules a freshly built program for a machine. Never fails: a program that no recipe takes keeps its plain loops. */
export function defaultSchedule(program: Program, context: RecipeContext): Schedule {
  if (stagesOf(program).length === 0) return new Schedule(program);
  for (const recipe of recipes) {
    const s = new Schedule(program);
    try {
      if (recipe.inlines !== false) inlineStages(s);
      if (!recipe.applies(s)) continue;
      recipe.schedule(s, context);
      return s;
    } catch (error) {
      // A refusal is expected; anything else is a bug of the recipe, reported as such. Plain loops are right either way.
      const reason =
        error instanceof ScheduleError
          ? `${error.code}: ${error.details.because ?? error.message}`
          : `bug: ${String(error)}`;
      context.onRefusal?.({ recipe: recipe.name, reason });
    }
  }
  return new Schedule(program);
}
