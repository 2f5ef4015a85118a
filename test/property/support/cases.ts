/** A case of the soak: from a seed a program, its inputs and outputs, and a random schedule of each of its functions. */
import type { Program } from "../../../ir/loop/program.ts";
import { type PrimitiveName, rowNamed } from "../../../passes/schedule/apply.ts";
import { commonRules, replay, Schedule } from "../../../passes/schedule/schedule.ts";
import type { TraceJson } from "../../../passes/schedule/trace.ts";
import { blocksIn } from "../../../passes/schedule/tree.ts";
import { drawPrimitive, proposers } from "./actions.ts";
import { type Expected, prepared } from "./expected.ts";
import { writtenOut } from "./nest.ts";
import { randomFunctions } from "./programs.ts";
import { Random } from "./random.ts";
import { type Proposal, scriptFor } from "./scripts.ts";

/** How often a primitive was tried and accepted, and which rules refused it. */
export interface Count {
  tried: number;
  accepted: number;
  readonly rules: Record<string, number>;
}
export type Tally = Record<string, Count>;

/** A program and what became of it. */
export interface Case {
  readonly seed: number;
  readonly kind: string;
  readonly program: Program;
  readonly expected: readonly Expected[];
  readonly scheduled: Program;
  /** One trace a function. */
  readonly traces: readonly TraceJson[];
  readonly tally: Tally;
}
/** The most steps of one case. */
export const mostSteps = 12;
const mostBlocks = 48;
const mostStatements = 2500;

/** Makes the case of a seed. @throws what a primitive throws where it should refuse, or an error about its refusal */
export function drawCase(seed: number): Case {
  const r = new Random(seed);
  const sample = randomFunctions(r);
  const { program, expected } = prepared(sample.program, sample.roundings, r);
  const tally: Tally = {};
  const kinds = sample.kind.split("+");
  let scheduled = program;
  const traces = program.functions.map((f, k) => {
    const s = new Schedule(scheduled, { func: f.name });
    schedule(r, s, kinds[k]!, Math.ceil(r.int(1, mostSteps) / kinds.length), tally);
    scheduled = s.program;
    return s.trace.toJSON();
  });
  return { seed, kind: sample.kind, program, expected, scheduled, traces, tally };
}
/** The names of the primitives in some traces. */
export const primitivesOf = (traces: readonly TraceJson[]): string[] =>
  traces.flatMap((t) => t.steps.map((s) => s.primitive));
/** The program that traces make. */
export const replayed = (program: Program, traces: readonly TraceJson[]): Program =>
  traces.reduce((p, t) => replay(p, t).program, program);

/** Applies up to `wanted` steps. */
function schedule(r: Random, s: Schedule, kind: string, wanted: number, tally: Tally): void {
  const script = scriptFor(r, kind, s);
  for (let given: unknown, next = script?.next(); next && !next.done; next = script?.next(given)) {
    const before = s.trace.steps.length;
    given = attempt(s, next.value, tally);
    if (s.trace.steps.length === before) break;
  }
  for (let tries = 0; s.trace.steps.length < wanted && tries < 3 * wanted && !isLarge(s); tries++) {
    const name = drawPrimitive(r, undefined, s.trace.steps.at(-1)?.primitive as PrimitiveName | undefined);
    const args = proposers[name](r, s);
    if (!args) continue;
    const before = s.trace.steps.length;
    attempt(s, [name, args] as unknown as Proposal, tally);
    if (s.trace.steps.length === before && r.chance(0.05)) retry(r, s, name, args, tally);
  }
}
/** Whether more steps would only make it long to compile. */
const isLarge = (s: Schedule): boolean =>
  blocksIn(s.func.body).length > mostBlocks || writtenOut(s.func.body) > mostStatements;
/** What a user does next: ask why, and take another argument that would be legal. */
function retry(r: Random, s: Schedule, name: PrimitiveName, args: object, tally: Tally): void {
  const { alternatives } = s.why(name, args as never);
  if (alternatives.length === 0) return;
  const { argument, values } = r.pick(alternatives);
  attempt(s, [name, { ...args, [argument]: r.pick(values) }] as unknown as Proposal, tally);
}
/** Applies a primitive if it is legal, and counts. */
function attempt(s: Schedule, [name, args]: Proposal, tally: Tally): unknown {
  const count = (tally[name] ??= { tried: 0, accepted: 0, rules: {} });
  count.tried++;
  const refusal = s.probe(name, args as never);
  if (refusal) {
    if (!isRule(name, refusal.rule)) throw new Error(`${name} refuses by ${refusal.rule}, which is no rule of it`);
    count.rules[refusal.rule] = (count.rules[refusal.rule] ?? 0) + 1;
    return undefined;
  }
  count.accepted++;
  return s.apply(name, args);
}
const isRule = (name: string, rule: string): boolean =>
  [commonRules, rowNamed(name)?.primitive.rules ?? {}].some((rules) => Object.hasOwn(rules, rule));
