import { describe, expect, it } from "vitest";
import { add, and, buffer, compare, constant, load, mul, variable } from "../../../ir/expr/build.ts";
import { float32 } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { forLoop, ifThen, seq, store } from "../../../ir/loop/build.ts";
import type { LoopKind, Stmt } from "../../../ir/loop/program.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { printStmt } from "../../../ir/text/printer.ts";
import { hoistConditions } from "../../../passes/lower/hoist-conditions.ts";

const ids = new IdSource();
const out = buffer(ids, "C", "float32", [64]);
const flags = buffer(ids, "F", "int32", [4]);
const [o, i, j] = [variable(ids, "o"), variable(ids, "i"), variable(ids, "j")];
const set = (value = 1): Stmt => store(out, [add(mul(o, 16), i)], constant(float32, value));
const inner = (body: Stmt, loopKind: LoopKind = "vectorized"): Stmt => forLoop(i, 16, body, { loopKind });
const outer = (body: Stmt): Stmt => forLoop(o, 4, body);
const lines = (s: Stmt): string[] => printStmt(s).trimEnd().split("\n");
const above: Expr = compare("ge", o, 1);

describe("hoist-conditions", () => {
  it.each(["serial", "unrolled", "vectorized"] as const)("leaves %s loops that do not change the condition", (kind) => {
    const before = outer(inner(ifThen(above, set()), kind));
    expect(lines(hoistConditions(before))).toEqual(lines(outer(ifThen(above, inner(set(), kind)))));
  });
  it("leaves every such loop", () => {
    const before = outer(forLoop(j, 3, inner(ifThen(above, set()))));
    expect(lines(hoistConditions(before))).toEqual(lines(outer(ifThen(above, forLoop(j, 3, inner(set()))))));
  });
  it("keeps the part that depends on the loop inside", () => {
    const tail = compare("lt", i, 9);
    const before = outer(inner(ifThen(and(above, tail), set())));
    expect(lines(hoistConditions(before))).toEqual(lines(outer(ifThen(above, inner(ifThen(tail, set()))))));
  });
  it("joins neighbours under one condition", () => {
    const before = outer(seq([inner(ifThen(above, set(0))), inner(ifThen(above, set(1)))]));
    expect(lines(hoistConditions(before))).toEqual(lines(outer(ifThen(above, seq([inner(set(0)), inner(set(1))])))));
  });
  it("keeps apart what stands under several conditions", () => {
    const before = outer(seq([ifThen(above, inner(set(0))), ifThen(compare("ge", o, 2), inner(set(1)))]));
    expect(hoistConditions(before)).toBe(before);
  });
  it.each([
    ["depends on the loop", inner(ifThen(compare("lt", i, 9), set()))],
    ["reads memory", inner(ifThen(compare("ge", load(flags, [o]), 1), set()))],
    ["has another branch", inner(ifThen(above, set(0), set(1)))],
    ["stands in a parallel loop", inner(ifThen(above, set()), "parallel")],
  ])("stays where it is when it %s", (_, nest) => {
    const before = outer(nest);
    expect(hoistConditions(before)).toBe(before);
  });
});
