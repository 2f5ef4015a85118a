/**
 * Checks of bounds on random programs under random schedules: what is right runs clean, and where one index is made wrong
 * the checks of the lowered program fail exactly when the interpreter of the scheduled one leaves a buffer.
 */
import { expect, test } from "vitest";
import { add } from "../../ir/expr/build.ts";
import type { Buffer, Expr } from "../../ir/expr/expr.ts";
import { rewrite } from "../../ir/expr/traverse.ts";
import { arrayFor, runProgram } from "../../ir/interp/run.ts";
import type { Program, Stmt } from "../../ir/loop/program.ts";
import { mapBodies, mapChildExprs, rewriteStmt } from "../../ir/loop/traverse.ts";
import { TilewrightError } from "../../ir/support/errors.ts";
import { plainContext, verifying } from "../../passes/core/index.ts";
import { loweringPipeline, withBoundsChecks } from "../../passes/lower/index.ts";
import { type Case, drawCase, primitivesOf } from "./support/cases.ts";
import { type Expected, mismatch } from "./support/expected.ts";
import { Random } from "./support/random.ts";

const cases = 60;
const passes = (seed: number) => withBoundsChecks(loweringPipeline({ vectorBits: seed % 2 ? 256 : 512 }));
const lower = (p: Program, seed: number): Program => passes(seed).run(p, { ...plainContext, instruments: [verifying] });

/** What a function gives on the inputs of the case. */
function run(p: Program, want: Expected) {
  const func = p.functions.find((f) => f.name === want.func.name)!;
  const workspaces = func.params.filter((q) => q.role === "workspace");
  const scratch = Object.fromEntries(workspaces.map((q) => [q.buffer.name, arrayFor(q.buffer)]));
  return runProgram(p, { ...want.inputs, ...scratch }, { func: want.func.name });
}
/** The code of the error that ends a function; undefined when none does. */
function codeOf(p: Program, want: Expected): string | undefined {
  try {
    run(p, want);
    return undefined;
  } catch (error) {
    if (error instanceof TilewrightError) return error.code;
    throw error;
  }
}

/** The program with one index of one access of a parameter moved by up to three elements; undefined when there is none. */
function withWrongIndex({ scheduled, seed }: Case): Program | undefined {
  const r = new Random(7 * seed + 1);
  const params = new Set(scheduled.functions.flatMap((f) => f.params.map((p) => p.buffer.id)));
  const map = (visit: (indices: readonly Expr[]) => readonly Expr[]): Program => {
    const at = (b: Buffer, i: readonly Expr[]): readonly Expr[] => (params.has(b.id) && i.length > 0 ? visit(i) : i);
    const stmt = (s: Stmt): Stmt => {
      const own = mapChildExprs(s, (e) =>
        rewrite(e, (n) => (n.kind === "load" ? { ...n, indices: at(n.buffer, n.indices) } : n)),
      );
      return own.kind === "store" ? { ...own, indices: at(own.buffer, own.indices) } : own;
    };
    return mapBodies(scheduled, (body) => rewriteStmt(body, stmt));
  };
  let count = 0;
  map((i) => {
    count++;
    return i;
  });
  if (count === 0) return undefined;
  const [picked, distance] = [r.int(0, count - 1), r.int(1, 3) * (r.int(0, 1) === 0 ? 1 : -1)];
  let k = 0;
  return map((indices) => {
    if (k++ !== picked) return indices;
    const wrong = r.int(0, indices.length - 1);
    return indices.map((i, d) => (d === wrong ? add(i, distance) : i));
  });
}

test(`${cases} random schedules run clean with checks, and give the same values`, () => {
  for (let seed = 1; seed <= cases; seed++) {
    const c = drawCase(seed);
    const lowered = lower(c.scheduled, seed);
    for (const want of c.expected)
      expect(mismatch(want, run(lowered, want), [...primitivesOf(c.traces), "reorder"]), `seed ${seed}`).toBe(
        undefined,
      );
  }
});

test("a wrong index is found exactly where it leaves a buffer", () => {
  const found = { both: 0, neither: 0 };
  for (let seed = 1; seed <= cases; seed++) {
    const c = drawCase(seed);
    const wrong = withWrongIndex(c);
    if (wrong === undefined) continue;
    const lowered = passes(seed).run(wrong);
    for (const want of c.expected) {
      const left = codeOf(wrong, want) !== undefined;
      expect(codeOf(lowered, want), `seed ${seed}`).toBe(left ? "interp/bounds" : undefined);
      found[left ? "both" : "neither"]++;
    }
  }
  expect(found.both).toBeGreaterThan(found.neither);
});
