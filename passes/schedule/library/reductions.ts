/** Kernels with reductions: slice by slice where a last stage uses the results, else one stage after the other. */
import type { Schedule } from "../schedule.ts";
import { vectorizeHalos } from "./common.ts";
import { scheduleElementwiseBlock } from "./elementwise.ts";
import type { Recipe, RecipeContext } from "./recipe.ts";
import { reduction } from "./reduction.ts";
import { softmax } from "./rows.ts";
import { isParam, stagesOf } from "./structure.ts";

export const scheduleSlices: Recipe = {
  name: "slices",
  applies: (s) => {
    const stages = stagesOf(s.program).filter((t) => t.kind !== "halo");
    const f = s.func;
    const kept = stages.slice(0, -1).every((t) => !t.writes.some((b) => isParam(f, b)));
    return applies(s) && kept && stages.at(-1)!.kind === "elementwise";
  },
  schedule: (s, context) => {
    const last = stagesOf(s.program)
      .filter((t) => t.kind !== "halo")
      .at(-1)!;
    if (softmax(s, s.block(last.block.name), context) === 0) scheduleApart(s, context);
    vectorizeHalos(s, context.machine);
  },
};
export const scheduleReductions: Recipe = {
  name: "reductions",
  applies,
  schedule: (s, context) => {
    scheduleApart(s, context);
    vectorizeHalos(s, context.machine);
  },
};

function applies(s: Schedule): boolean {
  const stages = stagesOf(s.program);
  return stages.some((t) => t.kind === "reduction") && stages.every((t) => t.kind !== "ordered");
}
function scheduleApart(s: Schedule, context: RecipeContext): void {
  for (const { kind, block } of stagesOf(s.program)) {
    if (kind === "reduction") reduction(s, block.name, context);
    else if (kind === "elementwise") scheduleElementwiseBlock(s, s.block(block.name), context);
  }
}
