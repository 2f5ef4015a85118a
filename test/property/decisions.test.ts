/**
 * What is accepted and refused, said and made, on random programs, as recorded in `fixtures/decisions.txt`. Wrong values
 * are found by the other tests of this folder; this one notices an analysis that refuses more than it did, a reason that
 * changed, a footprint or a dependence counted otherwise. What changes on purpose is recorded anew: `UPDATE_FIXTURES=1`.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseTarget } from "../../ir/target/parse.ts";
import { dependences } from "../../passes/analysis/dependence.ts";
import { Schedule } from "../../passes/schedule/schedule.ts";
import { drawPrimitive, proposers } from "./support/actions.ts";
import { randomProgram } from "./support/programs.ts";
import { Random } from "./support/random.ts";

const seeds = 240;
const together = 8;
const wanted = 7;
const file = new URL("../fixtures/decisions.txt", import.meta.url);
const update = process.env.UPDATE_FIXTURES === "1";
const target = parseTarget("znver4");
const costs = { extents: true, footprints: true, intensity: true, target } as const;

/** One line: the steps tried, each with its rule where it was refused, and a hash of all that was said of them. */
function decisions(seed: number): string {
  const r = new Random(seed * 15_485_863);
  const sample = randomProgram(r);
  const s = new Schedule(sample.program);
  const steps: string[] = [];
  const said: unknown[] = [];
  for (let tries = 0; tries < 3 * wanted && s.trace.steps.length < wanted; tries++) {
    const name = drawPrimitive(r);
    const args = proposers[name](r, s);
    if (!args) continue;
    const refusal = s.probe(name, args as never);
    if (refusal === undefined) s.apply(name, args);
    else said.push(refusal.because, refusal.instead, refusal.at?.name);
    if (refusal !== undefined && r.chance(0.3)) said.push(s.why(name, args as never).text);
    steps.push(refusal === undefined ? name : `${name}/${refusal.rule}`);
  }
  said.push(s.print(costs), s.trace.toSource(), s.trace.toJSON(), dependencesIn(s));
  return `${seed} ${sample.kind}: ${steps.join(" ")} ${digest(said)}`;
}
const dependencesIn = (s: Schedule): unknown[] =>
  dependences(s.func.body)
    .slice(0, 200)
    .map((d) => [d.kind, d.source.buffer.name, d.directions, d.distances, d.exact, d.reduction]);
const digest = (said: readonly unknown[]): string =>
  createHash("sha256")
    .update(JSON.stringify(said, (_, v: unknown) => (typeof v === "bigint" ? `${v}n` : v)))
    .digest("hex")
    .slice(0, 12);

describe("decisions on random programs", () => {
  const recorded = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  const made: string[] = [];
  for (let first = 1; first <= seeds; first += together)
    test(`seeds ${first} to ${first + together - 1} are as recorded`, () => {
      const lines = Array.from({ length: together }, (_, k) => decisions(first + k));
      made.push(...lines);
      if (!update) expect(lines).toEqual(recorded.slice(first - 1, first - 1 + together));
      else if (made.length === seeds) writeFileSync(file, made.join("\n") + "\n");
    });
});
