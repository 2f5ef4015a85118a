/** cutLoop: one loop becomes two, the first iterations and the others. */
import { constantValue } from "../../../ir/expr/build.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { loopOf } from "../rebuild.ts";
import { blockRef } from "../tree.ts";
import { cutLoop as cutIntoPieces } from "./support-pieces.ts";

export interface CutLoopArgs {
  readonly loop: LoopRef;
  /** The number of iterations of the first loop. */
  readonly at: number;
}
type Rule = "serial-loop" | "constant-extent" | "within-extent" | "known-domain";

const pieces = (extent: number, at: number) => [
  { from: 0, extent: at },
  { from: at, extent: extent - at, suffix: "rest" },
];
function check(program: Program, { loop: ref, at }: CutLoopArgs): Violation<Rule> | undefined {
  const loop = loopOf(program, ref);
  const refuse = (rule: Rule, because: string, instead?: string): Violation<Rule> => ({
    rule,
    because,
    instead,
    at: ref,
  });
  if (loop.loopKind !== "serial") return refuse("serial-loop", `${ref.name} is ${loop.loopKind}`, "cut first");
  const extent = constantValue(loop.extent);
  if (extent === undefined) return refuse("constant-extent", `the extent of ${ref.name} is not a constant`);
  if (!Number.isSafeInteger(at) || at < 1 || at >= extent)
    return refuse("within-extent", `${at} does not cut 0..${extent}`, `a number from 1 to ${extent - 1}`);
  const cut = cutIntoPieces(program, ref, pieces(extent, at));
  if (!("unknown" in cut)) return undefined;
  const { unknown } = cut;
  return {
    rule: "known-domain",
    because: `the part of ${unknown.name} that each loop would run is no box`,
    instead: "cut before splitting or fusing",
    at: blockRef(unknown),
  };
}

/** The primitive. */
export const cutLoop = definePrimitive({
  name: "cutLoop",
  doc: "Cuts a loop at an iteration into two loops that run one after the other; the first keeps the blocks.",
  before: "for i in 0..13:\n  C[i]",
  after: "for i in 0..8:\n  C[i]\nfor i_rest in 0..5:\n  C_rest[i_rest + 8]",
  rules: {
    "serial-loop": "the loop is serial",
    "constant-extent": "the extent is a constant",
    "within-extent": "both loops have an iteration",
    "known-domain": "what each block runs in either loop is a box of its iteration variables",
  },
  check,
  rewrite: (program: Program, { loop, at }: CutLoopArgs) => {
    const extent = constantValue(loopOf(program, loop).extent)!;
    const cut = cutIntoPieces(program, loop, pieces(extent, at));
    invariant(!("unknown" in cut), "cutLoop was checked");
    const [first, rest] = cut.loops;
    invariant(first && rest, "both parts have iterations");
    const result: [LoopRef, LoopRef] = [first, rest];
    return { program: cut.program, result };
  },
});
