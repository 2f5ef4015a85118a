import { describe, expect, test } from "vitest";
import { add, buffer, compare, constant, index, load, select, variable } from "../../../ir/expr/build.ts";
import { float32 } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { forLoop, store } from "../../../ir/loop/build.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { predicateLoads } from "../../../passes/lower/predicate-loads.ts";

const ids = new IdSource();
const from = buffer(ids, "A", "float32", [16]);
const to = buffer(ids, "C", "float32", [16]);
/** The predicate of a load of A[i + shift], i in 0..16, chosen where i ≥ 3. */
function predicateAt(shift: number): Expr | undefined {
  const i = variable(ids, "i");
  const value = select(compare("ge", i, 3), load(from, [add(i, shift)]), constant(float32, 0));
  const loop = predicateLoads(forLoop(i, index(16), store(to, [i], value)));
  const stored = loop.kind === "for" && loop.body.kind === "store" ? loop.body.value : undefined;
  return stored?.kind === "select" && stored.then.kind === "load" ? stored.then.predicate : undefined;
}

describe("predicate-loads", () => {
  test("an element that may not exist is read where it is chosen", () => {
    expect(predicateAt(-3)?.kind).toBe("compare");
    expect(predicateAt(1)?.kind).toBe("compare");
  });
  test("an element that always exists is read in any case", () => {
    expect(predicateAt(0)).toBeUndefined();
  });
});
