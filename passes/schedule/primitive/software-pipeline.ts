/** softwarePipeline: statements of a loop run some iterations apart, so that one overlaps with the next. */
import { add, and, compare, constantValue, index, sub } from "../../../ir/expr/build.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { seq } from "../../../ir/loop/build.ts";
import type { Block, For, Program, Stmt } from "../../../ir/loop/program.ts";
import type { VarId } from "../../../ir/support/ids.ts";
import { invariant } from "../../../ir/support/invariant.ts";
import { type Dependence, dependences } from "../../analysis/dependence.ts";
import { bindingsOf, dependsOn } from "../legality.ts";
import { definePrimitive, type LoopRef, type Violation } from "../primitive.ts";
import { freshVar, guard, idsOf, loopOf, loopsOutside, substituteStmt, tidy, withLoop } from "../rebuild.ts";
import { blockRef, blocksIn, loopRef } from "../tree.ts";
import { narrowDomains } from "./support-domain.ts";
import { BlockNames, duplicate } from "./support-duplicate.ts";

/** `peeled`: a prologue, the steady state, an epilogue. `guarded`: one loop whose statements are guarded. */
export type PipelineMode = "peeled" | "guarded";
export interface SoftwarePipelineArgs {
  readonly loop: LoopRef;
  /** For each statement of the loop's body, how many iterations late it runs. */
  readonly stages: readonly number[];
  readonly mode: PipelineMode;
}
type Rule =
  | "serial-loop"
  | "constant-bounds"
  | "statements"
  | "whole-stages"
  | "long-enough"
  | "keeps-dependences"
  | "reduction-start"
  | "known-domain";

const statementsOf = (loop: For): readonly Stmt[] => (loop.body.kind === "seq" ? loop.body.body : [loop.body]);
const depthOf = (stages: readonly number[]): number => Math.max(...stages);

function check(program: Program, args: SoftwarePipelineArgs): Violation<Rule> | undefined {
  const { loop: at, stages, mode } = args;
  const loop = loopOf(program, at);
  const refuse = (rule: Rule, because: string, instead?: string): Violation<Rule> => ({ rule, because, instead, at });
  if (loop.loopKind !== "serial") return refuse("serial-loop", `${at.name} is ${loop.loopKind}`, "pipeline first");
  const extent = constantValue(loop.extent);
  if (extent === undefined || constantValue(loop.min) === undefined)
    return refuse("constant-bounds", `the bounds of ${at.name} are not constants`);
  const list = statementsOf(loop);
  if (list.length < 2 || list.some((s) => s.kind === "allocate" || s.kind === "let"))
    return refuse("statements", `the body of ${at.name} is not a sequence of loops and blocks`, "hoist storage first");
  const whole = stages.every((s) => Number.isInteger(s) && s >= 0);
  if (stages.length !== list.length || !whole || Math.min(...stages) !== 0)
    return refuse("whole-stages", `stages ${stages.join(", ")} are given for ${list.length} statements`);
  if (extent <= depthOf(stages))
    return refuse("long-enough", `${extent} iterations do not fill ${depthOf(stages) + 1} stages`);
  const turned = turnedAround(loop, stages, loopsOutside(program, at));
  if (turned)
    return refuse(
      "keeps-dependences",
      `${nameOf(turned.sink)} would run before ${nameOf(turned.source)}, which touches ${turned.source.buffer.name} first`,
      "give later users later stages",
    );
  const late =
    mode === "guarded" && blocksIn(loop).find((b) => b.init && dependsOn(bindingsOf(b, ["reduction"]), at.id));
  if (late)
    return {
      rule: "reduction-start",
      because: `${late.name} reduces over ${at.name} from its own init`,
      instead: "decompose the reduction first",
      at: blockRef(late),
    };
  if (mode === "guarded") return undefined;
  const built = peeled(program, args);
  return "unknown" in built
    ? {
        rule: "known-domain",
        because: `the part of ${built.unknown.name} in the steady state is no box`,
        instead: 'use mode "guarded"',
        at: blockRef(built.unknown),
      }
    : undefined;
}
const nameOf = (a: Dependence["source"]): string => a.block?.name ?? "a statement";
/** A dependence whose sink would come before its source. */
function turnedAround(loop: For, stages: readonly number[], around: readonly For[]): Dependence | undefined {
  const list = statementsOf(loop);
  const place = (a: Dependence["source"]): number => list.findIndex((s) => a.path.includes(s));
  return dependences(loop, { around }).find((d) => {
    const [from, to] = [place(d.source), place(d.sink)];
    if (from === to) return false;
    const direction = d.directions[0];
    const least = d.distances[0] ?? (direction === "<" ? 1 : 0);
    const apart = least + stages[to]! - stages[from]!;
    return direction === ">" || apart < 0 || (apart === 0 && to < from);
  });
}

/** One loop over times: statement k runs iteration t - stage, where that is one. */
function guardedLoop(program: Program, { loop: at, stages }: SoftwarePipelineArgs) {
  const loop = loopOf(program, at);
  const ids = idsOf(program);
  const v = freshVar(ids, loop.var, `${loop.var.name}_p`);
  const body = statementsOf(loop).map((s, k) => {
    const iteration = sub(v, stages[k]!);
    const moved = substituteStmt(s, new Map<VarId, Expr>([[loop.var.id, add(loop.min, iteration)]]));
    return guard(moved, and(compare("ge", iteration, 0), compare("lt", iteration, loop.extent)));
  });
  const times = add(loop.extent, depthOf(stages));
  const next: For = { ...loop, var: v, min: index(0), extent: times, body: seq(body) };
  const made = tidy(next, loopsOutside(program, at));
  return { program: withLoop(program, loop, made, ids), result: loopRef(next) };
}
/** Prologue, steady state and epilogue. */
function peeled(
  program: Program,
  { loop: at, stages }: SoftwarePipelineArgs,
): { readonly program: Program; readonly result: LoopRef } | { readonly unknown: Block } {
  const loop = loopOf(program, at);
  const around = loopsOutside(program, at);
  const ids = idsOf(program);
  const copying = { program, ids, names: new BlockNames(program) };
  const list = statementsOf(loop);
  const depth = depthOf(stages);
  const extent = constantValue(loop.extent)!;
  let unknown: Block | undefined;
  /** Statement k alone at one iteration, or under the steady loop. */
  const narrowed = (l: For): For => {
    const result = narrowDomains(l, around, new Set([l.var.id]), ids);
    if ("unknown" in result) unknown ??= result.unknown;
    return "unknown" in result ? l : (result.stmt as For);
  };
  const once = (s: Stmt, iteration: number, suffix: string): Stmt => {
    const v = freshVar(ids, loop.var, `${loop.var.name}_${suffix}`);
    const body = duplicate(s, copying, suffix, new Map<VarId, Expr>([[loop.var.id, add(loop.min, add(v, iteration))]]));
    return narrowed({ kind: "for", var: v, min: index(0), extent: index(1), loopKind: "serial", body });
  };
  const prologue: Stmt[] = [];
  for (let t = 0; t < depth; t++)
    for (const [k, s] of list.entries()) if (stages[k]! <= t) prologue.push(once(s, t - stages[k]!, "prologue"));
  const epilogue: Stmt[] = [];
  for (let t = extent; t < extent + depth; t++)
    for (const [k, s] of list.entries())
      if (t - stages[k]! < extent) epilogue.push(once(s, t - stages[k]!, "epilogue"));
  const steady = list.map((s, k) =>
    substituteStmt(s, new Map<VarId, Expr>([[loop.var.id, add(loop.var, depth - stages[k]!)]])),
  );
  const core = narrowed({ ...loop, extent: index(extent - depth), body: seq(steady) });
  if (unknown) return { unknown };
  const all = seq([...prologue, core, ...epilogue].map((s) => tidy(s, around)));
  return { program: withLoop(program, loop, all, ids), result: loopRef(core) };
}

/** The primitive. */
export const softwarePipeline = definePrimitive({
  name: "softwarePipeline",
  doc: "Runs each statement of a loop as many iterations late as its stage says; gives the loop of the steady state.",
  before: "for i in 0..8:\n  B[i]\n  C[i]",
  after: "B[0]\nfor i in 0..7:\n  B[i + 1]\n  C[i]\nC[7]",
  rules: {
    "serial-loop": "the loop is serial",
    "constant-bounds": "the loop's bounds are constants",
    statements: "the loop's body is a sequence of at least two loops or blocks",
    "whole-stages": "there is a stage for each statement, an integer from 0, which one of them has",
    "long-enough": "the loop has more iterations than the last stage",
    "keeps-dependences": "no statement comes before one that it shares an element with and that came first",
    "reduction-start": 'in mode "guarded", no block with an init reduces over the loop',
    "known-domain": 'in mode "peeled", what each block runs in each part is a box of its iteration variables',
  },
  check,
  rewrite: (program: Program, args: SoftwarePipelineArgs) => {
    if (args.mode === "guarded") return guardedLoop(program, args);
    const built = peeled(program, args);
    invariant(!("unknown" in built), "softwarePipeline was checked");
    return built;
  },
});
