/** vectorize: a loop's iterations become the lanes of vectors. */
import { constantValue } from "../../../ir/expr/build.ts";
import { freeVars } from "../../../ir/expr/traverse.ts";
import type { For, Program } from "../../../ir/loop/program.ts";
import { carriedMeetings } from "../dependences.ts";
import { accumulates } from "../independence.ts";
import { describeMeeting, keepsOrder, loopsIn, type Nest, nestOf } from "../legality.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { funcOfLoop, loopOf, loopsOutside, withKind } from "../rebuild.ts";
import { loopRef } from "../tree.ts";

export interface VectorizeArgs {
  readonly loop: LoopRef;
}
type Rule =
  | "serial-loop"
  | "constant-extent"
  | "not-nested"
  | "inner-bounds"
  | "no-allocation"
  | "independent-iterations"
  | "init-not-decomposed"
  | "keeps-order";

function check(program: Program, { loop: ref }: VectorizeArgs): Violation<Rule> | undefined {
  const loop = loopOf(program, ref);
  const refuse = (rule: Rule, because: string, instead?: string, at: For = loop): Violation<Rule> => ({
    rule,
    because,
    instead,
    at: loopRef(at),
  });
  if (loop.loopKind !== "serial") return refuse("serial-loop", `${ref.name} is ${loop.loopKind}`);
  if (constantValue(loop.extent) === undefined)
    return refuse("constant-extent", `the extent of ${ref.name} is not a constant`, "split it by the number of lanes");
  const inside = loopsIn(loop.body);
  const nested =
    loopsOutside(program, ref).find((l) => l.loopKind === "vectorized") ??
    inside.find((l) => l.loopKind !== "serial" && l.loopKind !== "unrolled");
  if (nested) return refuse("not-nested", `${nested.var.name} is ${nested.loopKind}`, undefined, nested);
  const bent = inside.find((l) => [l.min, l.extent].some((e) => freeVars(e).has(ref.id)));
  if (bent) return refuse("inner-bounds", `the bounds of ${bent.var.name} use ${ref.name}`, undefined, bent);
  const nest = nestOf(loop, loopsOutside(program, ref));
  if (nest.own.size > 0) return refuse("no-allocation", "a buffer is allocated in its body", "move it outside first");
  return carriedViolation(nest, loop, program, refuse);
}
function carriedViolation(
  nest: Nest,
  loop: For,
  program: Program,
  refuse: (rule: Rule, because: string, instead?: string) => Violation<Rule>,
): Violation<Rule> | undefined {
  for (const m of carriedMeetings(nest, loop)) {
    const b = accumulates(m, loop);
    if (!b) return refuse("independent-iterations", describeMeeting(m, loop.var.name), "vectorize another loop");
    if (b.init)
      return refuse("init-not-decomposed", `${b.name} has its init inside`, "decompose the reduction at this loop");
    if (keepsOrder(b, funcOfLoop(program, loopRef(loop)).math))
      return refuse(
        "keeps-order",
        `${b.name} adds up floats and the math policy is strict`,
        "vectorize a spatial loop",
      );
  }
  return undefined;
}
/** The primitive. */
export const vectorize = definePrimitive({
  name: "vectorize",
  doc: "Runs the iterations of a loop as the lanes of vectors; lanes of a reduction are combined in any order.",
  before: "for i in 0..16:\n  C[i]",
  after: "vectorize i in 0..16:\n  C[i]",
  rules: {
    "serial-loop": "the loop is serial",
    "constant-extent": "the extent is a constant",
    "not-nested": "no loop around is vectorized, and those within are serial or unrolled",
    "inner-bounds": "bounds of loops within do not use the loop's variable",
    "no-allocation": "no buffer is allocated within",
    "independent-iterations":
      "no iteration touches an element that another one writes, but for one block that accumulates",
    "init-not-decomposed": "an accumulation along the loop has its init outside of the loop",
    "keeps-order": "floats are not accumulated along the loop where the math policy is strict",
  },
  check,
  rewrite: (program: Program, { loop }: VectorizeArgs) => ({
    program: withKind(program, loop, "vectorized"),
    result: undefined,
  }),
});
