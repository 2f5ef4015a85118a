/** peel: the first and last iterations of a loop become loops of their own. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopOf } from "../rebuild.ts";
import { blockRef } from "../tree.ts";
import { cutLoop, type Piece } from "./support-pieces.ts";

export interface PeelArgs {
  readonly loop: LoopRef;
  /** Iterations taken from the start. */
  readonly first: number;
  /** Iterations taken from the end. */
  readonly last: number;
}
type Rule = "serial-loop" | "constant-extent" | "leaves-iterations" | "known-domain";

const pieces = (extent: number, { first, last }: PeelArgs): Piece[] => [
  { from: 0, extent: first, suffix: "head" },
  { from: first, extent: extent - first - last },
  { from: extent - last, extent: last, suffix: "tail" },
];
function check(program: Program, args: PeelArgs): Violation<Rule> | undefined {
  const { loop: ref, first, last } = args;
  const loop = loopOf(program, ref);
  const refuse = (rule: Rule, because: string, instead?: string): Violation<Rule> => ({
    rule,
    because,
    instead,
    at: ref,
  });
  if (loop.loopKind !== "serial") return refuse("serial-loop", `${ref.name} is ${loop.loopKind}`, "peel first");
  const extent = constantValue(loop.extent);
  if (extent === undefined) return refuse("constant-extent", `the extent of ${ref.name} is not a constant`);
  const counts = [first, last].every((n) => Number.isSafeInteger(n) && n >= 0);
  if (!counts || first + last < 1 || first + last >= extent)
    return refuse("leaves-iterations", `${first} + ${last} of ${extent} iterations are taken`);
  const cut = cutLoop(program, ref, pieces(extent, args));
  if (!("unknown" in cut)) return undefined;
  return {
    rule: "known-domain",
    because: `the part of ${cut.unknown.name} that each loop would run is no box`,
    instead: "peel before splitting or fusing",
    at: blockRef(cut.unknown),
  };
}

/** The primitive. */
export const peel = definePrimitive({
  name: "peel",
  doc: "Takes the first and the last iterations of a loop out of it, before and after; gives the loops in this order.",
  before: "for i in 0..13:\n  C[i]",
  after:
    "for i_head in 0..1:\n  C_head[i_head]\nfor i in 0..11:\n  C[i + 1]\nfor i_tail in 0..1:\n  C_tail[i_tail + 12]",
  rules: {
    "serial-loop": "the loop is serial",
    "constant-extent": "the extent is a constant",
    "leaves-iterations": "at least one iteration is taken, and at least one stays",
    "known-domain": "what each block runs in each loop is a box of its iteration variables",
  },
  check,
  rewrite: (program: Program, args: PeelArgs) => {
    const extent = constantValue(loopOf(program, args.loop).extent)!;
    const cut = cutLoop(program, args.loop, pieces(extent, args));
    invariant(!("unknown" in cut), "peel was checked");
    return { program: cut.program, result: cut.loops };
  },
});
