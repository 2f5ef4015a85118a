import fc from "fast-check";
import { expect, test } from "vitest";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import { structuralHash } from "../../../ir/loop/hash.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { verifyProgram } from "../../../ir/verify/verify.ts";
import { randomProgram } from "../generate.ts";

const seeds = fc.integer({ min: 1, max: 2 ** 31 - 1 });

test("parse(print(p)) is structurally equal to p, with an equal hash", () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const p = randomProgram(seed);
      const text = printProgram(p);
      const again = parseProgram(text);
      expect(printProgram(again)).toBe(text);
      expect(structurallyEqual(p, again)).toBe(true);
      expect(structuralHash(again)).toBe(structuralHash(p));
    }),
    { numRuns: 1500 },
  );
});

test("different programs have different hashes and are not equal", () => {
  const texts = new Map<string, string>();
  for (let seed = 1; seed <= 400; seed++) {
    const p = randomProgram(seed * 7919);
    const text = printProgram(parseProgram(printProgram(p)));
    const hash = structuralHash(p);
    expect(texts.get(hash) ?? text).toBe(text);
    texts.set(hash, text);
  }
  expect(texts.size).toBeGreaterThan(300);
});

test("generated programs break no rule about types, scopes and ids", () => {
  const loose = new Set(["constant-bounds", "regions-cover", "loop-kinds"]);
  fc.assert(
    fc.property(seeds, (seed) => {
      const issues = verifyProgram(randomProgram(seed)).filter((i) => !loose.has(i.rule));
      expect(issues.map((i) => `${i.rule}: ${i.message}`)).toEqual([]);
    }),
    { numRuns: 500 },
  );
});
