/**
 * What is accepted and refused, said and made, on random programs, as recorded in `fixtures/decisions.txt`. Wrong values
 * are found by the other tests of this folder; this one notices an analysis that refuses more than it did, a reason that
 * changed, a footprint or a dependence counted otherwise. What changes on purpose is recorded anew: `UPDATE_FIXTURES=1`.
 * `scripts/choose-decisions.ts` has chosen the seeds: each does something that those before it do not.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decisions } from "./support/decisions.ts";

const together = 8;
const file = new URL("../fixtures/decisions.txt", import.meta.url);
const update = process.env.UPDATE_FIXTURES === "1";

describe("decisions on random programs", () => {
  const recorded = readFileSync(file, "utf8").trimEnd().split("\n");
  const made: string[] = [];
  for (let first = 0; first < recorded.length; first += together) {
    const known = recorded.slice(first, first + together);
    const seeds = known.map((line) => Number.parseInt(line, 10));
    test(`seeds ${seeds[0]} to ${seeds.at(-1)} are as recorded`, () => {
      const lines = seeds.map(decisions);
      made.push(...lines);
      if (!update) expect(lines).toEqual(known);
      else if (made.length === recorded.length) writeFileSync(file, `${made.join("\n")}\n`);
    });
  }
});
