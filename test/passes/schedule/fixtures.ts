/** What the tests of primitives share: outlines, numeric twins, and one refusal for every rule. */
import { describe, expect, test } from "vitest";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { ScheduleError } from "../../../ir/support/errors.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { assertWellFormed } from "../../../ir/verify/verify.ts";
import { type PrimitiveName, primitives } from "../../../passes/schedule/apply.ts";
import { replay, Schedule } from "../../../passes/schedule/schedule.ts";
import { difference, randomInputs, run, scrambled } from "../../property/support/judge.ts";
import { Random } from "../../property/support/random.ts";

/** The loop, block, allocation and init headers of a program. */
export function outline(p: Program): string {
  const lines = printProgram(p).split("\n").slice(1);
  const kept = lines.filter((l) => /^\s*((parallel |vectorized |unrolled )?for|block|allocate|init)\b/.test(l));
  return kept.map((l) => l.replace(/^ {2}/, "")).join("\n");
}
/** Asserts that a schedule is well-formed, prints, parses, is made again by its trace, and computes what the program does. */
export function keepsValues(before: Program, s: Schedule, roundings = 32): void {
  assertWellFormed(s.program);
  const text = printProgram(s.program);
  expect(printProgram(parseProgram(text))).toBe(text);
  expect(structurallyEqual(replay(before, s.trace).program, s.program)).toBe(true);
  const again = new Schedule(before);
  new Function("s", s.trace.toSource())(again);
  expect(structurallyEqual(again.program, s.program)).toBe(true);
  const inputs = randomInputs(before, new Random(7));
  const expected = run(before, inputs);
  expect(difference(expected, run(s.program, inputs), roundings)).toBe(undefined);
  expect(difference(expected, run(scrambled(s.program, new Random(3)), inputs), roundings)).toBe(undefined);
}

/** One step that must be refused; its title is `primitive/rule`, or `primitive/rule: what is hard about it`. */
export interface Refused {
  readonly program: () => Program;
  /** Applies legal steps, then the one that must be refused. */
  readonly steps: (s: Schedule) => unknown;
  /** Name of the loop or block that the error underlines. */
  readonly at: string | undefined;
  /** A neighbour that must be accepted and keep its values: the same but for what stands here. */
  readonly twin?: { readonly program?: () => Program; readonly steps?: (s: Schedule) => unknown };
}
export const codeOf = (title: string): string => title.split(":")[0]!;

/** The error of the last step, which leaves the schedule as the steps before made it. */
export function refusal(f: Refused): ScheduleError {
  const program = f.program();
  const schedule = new Schedule(program);
  try {
    f.steps(schedule);
  } catch (error) {
    if (!(error instanceof ScheduleError)) throw error;
    expect(error.details.step).toBe(schedule.trace.steps.length + 1);
    expect(structurallyEqual(replay(program, schedule.trace).program, schedule.program)).toBe(true);
    return error;
  }
  throw new Error(`nothing was refused:\n${schedule.trace.toSource()}`);
}
/** Asserts that the neighbour of a refused step is accepted and keeps the values. */
export function twinOf({ program, steps, twin = {} }: Refused): void {
  const before = (twin.program ?? program)();
  const s = new Schedule(before);
  (twin.steps ?? steps)(s);
  keepsValues(before, s);
}

/** A test for each fixture, and one that every rule of these primitives has a fixture. */
export function refusals(
  names: readonly PrimitiveName[],
  fixtures: Readonly<Record<string, Refused>>,
  /** Rules that others test for all primitives. */
  elsewhere: readonly string[] = [],
): void {
  describe("every rule refuses", () => {
    for (const [code, fixture] of Object.entries(fixtures))
      test(code, () => {
        const error = refusal(fixture);
        const at = error.details.at as { name: string } | undefined;
        expect([error.code, at?.name], error.message).toEqual([code, fixture.at]);
      });
    test("and has a fixture", () => {
      const wanted = names.flatMap((n) => Object.keys(primitives[n].primitive.rules).map((r) => `${n}/${r}`));
      expect(wanted.filter((code) => !(code in fixtures) && !elsewhere.includes(code.split("/")[1]!))).toEqual([]);
    });
  });
}
