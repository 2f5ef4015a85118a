import { constantValue } from "../../expr/build.ts";
import type { Buffer, Expr } from "../../expr/expr.ts";
import type { Block, Region } from "../../loop/program.ts";
import type { BufferId } from "../../support/ids.ts";
import type { VerifyRule } from "../issue.ts";
import { constantDifference } from "../linear.ts";
import { type Place, walkProgram } from "../walk.ts";

/** Reports only what is certain: an unlisted buffer, or an index at a constant distance outside every region. */
export const regionsCover: VerifyRule = {
  name: "regions-cover",
  doc: "A block's read and write regions name the buffers it accesses and cover the elements.",
  check: (program, report) => {
    const local = new Map<Block, Set<BufferId>>();
    const check = (access: Access, place: Place): void => {
      const block = place.scope.blocks.at(-1);
      if (!block || place.stmt === block || localsOf(local, block).has(access.buffer.id)) return;
      const wrong = uncovered(access, block);
      if (wrong !== undefined) report(wrong, place);
    };
    walkProgram(program, {
      stmt: (s, place) => {
        if (s.kind === "allocate") for (const b of place.scope.blocks) localsOf(local, b).add(s.buffer.id);
        if (s.kind === "store") check({ what: "writes", buffer: s.buffer, indices: s.indices }, place);
      },
      expr: (e, place) => {
        if (e.kind === "load") check({ what: "reads", buffer: e.buffer, indices: e.indices }, place);
      },
    });
  },
};
interface Access {
  readonly what: "reads" | "writes";
  readonly buffer: Buffer;
  readonly indices: readonly Expr[];
}
/** Buffers allocated inside each block: its regions do not speak of them. */
function localsOf(local: Map<Block, Set<BufferId>>, b: Block): Set<BufferId> {
  const known = local.get(b) ?? new Set<BufferId>();
  local.set(b, known);
  return known;
}
function uncovered({ what, buffer, indices }: Access, block: Block): string | undefined {
  const regions = block[what].filter((r) => r.buffer.id === buffer.id);
  if (regions.length === 0) return `block ${block.name} ${what} ${buffer.name}, which is not among its ${what}`;
  if (!regions.every((r) => outside(r, indices))) return undefined;
  return `block ${block.name} ${what} an element of ${buffer.name} outside its ${what}`;
}
/** Whether some index certainly lies outside the region. */
function outside(r: Region, indices: readonly Expr[]): boolean {
  return r.ranges.some((q, k) => {
    const at = indices[k];
    const distance = at && constantDifference(at, q.min);
    if (distance === undefined) return false;
    const extent = constantValue(q.extent);
    return distance < 0 || (extent !== undefined && distance >= extent);
  });
}
