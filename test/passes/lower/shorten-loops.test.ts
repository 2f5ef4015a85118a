import { describe, expect, test } from "vitest";
import { add, and, buffer, compare, constant, constantValue, mul, variable } from "../../../ir/expr/build.ts";
import { float32 } from "../../../ir/expr/dtype.ts";
import type { Expr } from "../../../ir/expr/expr.ts";
import { forLoop, ifThen, seq, store } from "../../../ir/loop/build.ts";
import type { LoopKind, Stmt } from "../../../ir/loop/program.ts";
import { visitStmt } from "../../../ir/loop/traverse.ts";
import { IdSource } from "../../../ir/support/ids.ts";
import { shortenLoops } from "../../../passes/lower/shorten-loops.ts";

const ids = new IdSource();
const out = buffer(ids, "C", "float32", [1000]);
const [o, i] = [variable(ids, "o"), variable(ids, "i")];
const at = add(mul(o, 16), i);
const set = (index: Expr): Stmt => store(out, [index], constant(float32, 1));
/** o in 0..4 around i in 0..16 around `body`. */
const nest = (body: Stmt, loopKind: LoopKind = "unrolled"): Stmt =>
  forLoop(o, 4, forLoop(i, 16, body, { loopKind: "vectorized" }), { loopKind });
function extents(s: Stmt): (number | undefined)[] {
  const found: (number | undefined)[] = [];
  visitStmt(shortenLoops(s), (n) => {
    if (n.kind === "for") found.push(constantValue(n.extent));
  });
  return found;
}

describe("shorten-loops", () => {
  test.each([
    [64, [4, 16]],
    [63, [4, 16]],
    [48, [3, 16]],
    [33, [3, 16]],
    [16, [1, 16]],
    [7, [1, 7]],
    [1, [1, 1]],
  ])("of 64 iterations %i run", (count, expected) => {
    expect(extents(nest(ifThen(compare("lt", at, count), set(at))))).toEqual(expected);
  });
  test("loops that never run keep an iteration", () => {
    expect(extents(nest(ifThen(compare("lt", at, 0), set(at))))).toEqual([1, 1]);
  });
  test("conditions of several parts, and several statements", () => {
    const both = (limit: number): Stmt => ifThen(and(compare("lt", at, limit), compare("lt", i, 9)), set(at));
    expect(extents(nest(seq([both(20), both(40)])))).toEqual([3, 9]);
  });
  test("a statement without a condition keeps all iterations", () => {
    expect(extents(nest(seq([ifThen(compare("lt", at, 7), set(at)), set(at)])))).toEqual([4, 16]);
  });
  test("what happens otherwise counts", () => {
    expect(extents(nest(ifThen(compare("lt", at, 7), set(at), set(i))))).toEqual([4, 16]);
  });
  test("a gap in the middle stays", () => {
    expect(extents(forLoop(i, 16, ifThen(compare("ne", i, 8), set(i))))).toEqual([16]);
  });
  test("loops of GPU threads keep their size", () => {
    const launch = forLoop(i, 16, ifThen(compare("lt", i, 7), set(i)), {
      loopKind: "thread",
      axis: "threadIdx.x",
    });
    expect(extents(launch)).toEqual([16]);
  });
});
