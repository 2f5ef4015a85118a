/** Folds element-wise stages into the stages that read them. */
import type { Block } from "../../../ir/loop/program.ts";
import type { Schedule } from "../schedule.ts";
import { isCostly, isParam, type Stage, stagesOf } from "./structure.ts";

/** Inlines every element-wise stage that writes an intermediate, unless it is kept or that would repeat costly work. */
export function inlineStages(s: Schedule, keeps: (b: Block) => boolean = () => false): void {
  for (const stage of stagesOf(s.program)) {
    if (stage.kind !== "elementwise" || keeps(stage.block) || !worthInlining(s, stage)) continue;
    const ref = s.block(stage.block.name);
    if (s.probe("computeInline", { block: ref }) === undefined) s.computeInline(ref);
  }
}
function worthInlining(s: Schedule, stage: Stage): boolean {
  const f = s.func;
  if (stage.writes.some((b) => isParam(f, b))) return false;
  const readers = stagesOf(s.program).filter(
    (r) => r.block.id !== stage.block.id && r.reads.some((b) => stage.writes.includes(b)),
  );
  if (readers.length === 0) return false;
  // Each step of an ordered reader would do the work again; what reads an ordered stage runs along with it.
  const ordered = stagesOf(s.program).filter((t) => t.kind === "ordered");
  if (ordered.some((t) => readers.some((r) => r.block.id === t.block.id))) return false;
  if (ordered.some((t) => t.writes.some((b) => stage.reads.includes(b)))) return false;
  const repeated =
    readers.length > 1 ||
    readers.some((r) => r.kind === "reduction" && r.block.iterVars.some((v) => v.kind === "spatial"));
  return !repeated || !isCostly(stage.block);
}
