/**
 * Steps that must be refused, as tables: the rule and the place, for every rule of every primitive, and for hard cases
 * with neighbours that must be accepted. What the refusals say stands in `fixtures/must-fail.txt`; `UPDATE_FIXTURES=1`
 * rewrites it.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { primitives } from "../../../../passes/schedule/apply.ts";
import { commonRules } from "../../../../passes/schedule/schedule.ts";
import { codeOf, type Refused, refusal, twinOf } from "../fixtures.ts";
import { fixtures as blockize, borders } from "./blockize.ts";
import { fixtures as blocks } from "./blocks.ts";
import { fixtures as buffers } from "./buffers.ts";
import { fixtures as common, direct } from "./common.ts";
import { fixtures as inlining } from "./inlining.ts";
import { fixtures as kernels } from "./kernels.ts";
import { fixtures as loopCutting } from "./loop-cutting.ts";
import { fixtures as loopRules } from "./loop-rules.ts";
import { fixtures as moves } from "./moves.ts";
import { fixtures as orders } from "./orders.ts";
import { fixtures as pipelining } from "./pipelining.ts";
import { fixtures as races } from "./races.ts";
import { fixtures as reshaping } from "./reshaping.ts";
import { fixtures as sampling } from "./sampling.ts";
import { fixtures as staging } from "./staging.ts";
import { fixtures as storage } from "./storage.ts";
import { fixtures as tails } from "./tails.ts";
import { fixtures as tensorize } from "./tensorize.ts";

const tables: Readonly<Record<string, Readonly<Record<string, Refused>>>> = {
  "loop rules": loopRules,
  "loop cutting": loopCutting,
  "block rules": blocks,
  "buffer rules": buffers,
  blockize,
  borders,
  staging,
  storage,
  pipelining,
  reshaping,
  sampling,
  tensorize,
  "common rules": common,
  races,
  orders,
  tails,
  moves,
  inlining,
  kernels,
};
const all = Object.values(tables).flatMap((t) => Object.entries(t));
const update = process.env.UPDATE_FIXTURES === "1";
const file = new URL("../../../fixtures/must-fail.txt", import.meta.url);
/** What each said, by its title. */
const recorded = new Map(
  (existsSync(file) ? readFileSync(file, "utf8") : "")
    .split(/\n(?=\S)/)
    .map((entry) => [entry.split("\n", 1)[0]!, entry.trimEnd()]),
);
const said: string[] = [];

for (const [name, table] of Object.entries(tables))
  describe(name, () => {
    for (const [title, fixture] of Object.entries(table))
      test(`${title} is refused`, () => {
        const error = refusal(fixture);
        const at = error.details.at as { name: string } | undefined;
        expect([error.code, at?.name], error.message).toEqual([codeOf(title), fixture.at]);
        const { because, instead } = error.details as { because: string; instead?: string };
        const text = `${title}\n  because: ${because}${instead ? `\n  instead: ${instead}` : ""}`;
        said.push(`${text}\n`);
        if (!update) expect(text).toBe(recorded.get(title));
      });
    for (const [title, fixture] of Object.entries(table))
      if (fixture.twin) test(`${title} has a legal neighbour`, () => twinOf(fixture));
  });

describe("primitives asked directly", () => {
  for (const [code, { primitive, args, at }] of Object.entries(direct))
    test(code, () => {
      const { name, check } = primitives[primitive].primitive as unknown as Checked;
      const violation = check(args.program, args.of);
      expect([`${name}/${violation?.rule}`, violation?.at?.name]).toEqual([code, at]);
    });
});
interface Checked {
  readonly name: string;
  check(program: unknown, args: object): { readonly rule: string; readonly at?: { readonly name: string } } | undefined;
}

test("nothing is recorded but what the refusals say", () => {
  if (update) writeFileSync(file, said.join(""));
  else expect([...recorded.keys()]).toEqual(all.map(([title]) => title));
});
test("there are at least 200, each with its own title", () => {
  expect(all.length).toBeGreaterThanOrEqual(200);
  expect(new Set(all.map(([title]) => title)).size).toBe(all.length);
});
test("every rule of every primitive has one", () => {
  const covered = new Set([...all.map(([title]) => codeOf(title)), ...Object.keys(direct)]);
  const wanted = Object.entries(primitives).flatMap(([name, row]) =>
    Object.keys(row.primitive.rules).map((rule) => `${name}/${rule}`),
  );
  expect(wanted.filter((code) => !covered.has(code))).toEqual([]);
});
test("every rule that all primitives share has one", () => {
  const covered = new Set(all.map(([title]) => codeOf(title).split("/")[1]));
  expect(Object.keys(commonRules).filter((rule) => !covered.has(rule))).toEqual([]);
});
