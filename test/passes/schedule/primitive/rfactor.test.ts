import { describe, expect, it } from "vitest";
import { max, mul } from "../../../../ir/expr/build.ts";
import { reduce, sum } from "../../../../ir/loop/compute.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { computeAt } from "../../../../passes/schedule/primitive/compute-at.ts";
import { decomposeReduction } from "../../../../passes/schedule/primitive/decompose-reduction.ts";
import { fuse } from "../../../../passes/schedule/primitive/fuse.ts";
import { reverseComputeAt } from "../../../../passes/schedule/primitive/reverse-compute-at.ts";
import { rfactor } from "../../../../passes/schedule/primitive/rfactor.ts";
import { split } from "../../../../passes/schedule/primitive/split.ts";
import { apply, build, deadLoop, expectRefused, expectTwins, loopOf, matmul, named } from "./block-fixtures.ts";

const rowSum = (m: number, k: number, math: "strict" | "default" = "default"): Program =>
  build((b) => {
    const x = b.param("x", "float32", [m, k], "input");
    const axis = b.reduceAxis("k", k);
    return b.compute("y", "float32", [m], (i) => sum(x.at(i!, axis.var), axis));
  }, math);
const halves = (p: Program, factor: number): Program =>
  apply(split, p, { loop: loopOf(p, "y", 1), factor, tail: "guard" }).program;

describe("rfactor", () => {
  it.each([
    [3, 12, 4, 0],
    [3, 13, 4, 1],
    [1, 1, 1, 0],
    [5, 7, 3, 0],
  ])("factors the outer half of a sum of %i x %i by %i", (m, k, factor, factorAxis) => {
    const p = rowSum(m, k);
    const q = halves(p, factor);
    const { program, result } = apply(rfactor, q, { loop: loopOf(q, "y", 1), factorAxis });
    expect(result.name).toBe("y_rf");
    const parts = Math.ceil(k / factor);
    expect(printProgram(program)).toContain(
      `allocate y_rf: float32[${factorAxis === 0 ? [parts, m] : [m, parts]}]`.replace(",", ", "),
    );
    expectTwins(p, program);
  });
  it("factors the inner half, for vector lanes", () => {
    const p = rowSum(3, 13);
    const q = halves(p, 4);
    const { program } = apply(rfactor, q, { loop: loopOf(q, "y", 2), factorAxis: 1 });
    expect(printProgram(program)).toContain("allocate y_rf: float32[3, 4]");
    expectTwins(p, program);
  });
  it("keeps other reduction axes and takes fused ones", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [3, 4, 5], "input");
      const [k, l] = [b.reduceAxis("k", 4), b.reduceAxis("l", 5)];
      return b.compute("y", "float32", [3], (i) => reduce("max", x.at(i!, k.var, l.var), [k, l]));
    });
    expectTwins(p, apply(rfactor, p, { loop: loopOf(p, "y", 2), factorAxis: 0 }).program);
    const fused = apply(fuse, p, { loops: [loopOf(p, "y", 1), loopOf(p, "y", 2)] }).program;
    expectTwins(p, apply(rfactor, fused, { loop: loopOf(fused, "y", 1), factorAxis: 0 }).program);
  });
  it("starts partial results from the neutral element, not from the given start", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [3, 8], "input");
      const start = b.param("start", "float32", [3], "input");
      const k = b.reduceAxis("k", 8);
      return b.compute("y", "float32", [3], (i) => reduce("add", x.at(i!, k.var), [k], start.at(i!)));
    });
    expectTwins(p, apply(rfactor, p, { loop: loopOf(p, "y", 1), factorAxis: 1 }).program);
  });
  it("lets the partial block move under the combining one", () => {
    const p = rowSum(4, 12);
    const q = halves(p, 3);
    const { program, result } = apply(rfactor, q, { loop: loopOf(q, "y", 1), factorAxis: 0 });
    expectTwins(p, apply(computeAt, program, { block: result, loop: loopOf(program, "y", 0) }).program);
  });

  it("refuses a loop that is gone", () => {
    expectRefused(rfactor, rowSum(2, 3), { loop: deadLoop, factorAxis: 0 }, { rule: "found", at: "gone" });
  });
  it("refuses a nest with several blocks", () => {
    const p = matmul(2, 3, 4);
    const { program } = apply(reverseComputeAt, p, { block: named(p, "z"), loop: loopOf(p, "y", 1) });
    expectRefused(rfactor, program, { loop: loopOf(program, "y", 2), factorAxis: 0 }, { rule: "alone", at: "k" });
  });
  it("refuses a spatial loop", () => {
    const p = matmul(2, 3, 4);
    expectRefused(rfactor, p, { loop: loopOf(p, "y", 0), factorAxis: 0 }, { rule: "reduction-loop", at: "i" });
  });
  it("refuses a decomposed reduction", () => {
    const p = rowSum(2, 3);
    const { program } = apply(decomposeReduction, p, { block: named(p, "y"), loop: loopOf(p, "y", 0) });
    const update = ["y", "y_update"].find((name) => printProgram(program).includes(`block ${name}(`))!;
    expectRefused(
      rfactor,
      program,
      { loop: loopOf(program, update, 1), factorAxis: 0 },
      { rule: "has-init", at: update },
    );
  });
  it("refuses a joint reduction that states no combiner", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [2, 5], "input");
      const k = b.reduceAxis("k", 5);
      const [y] = b.computeTuple(["y", "t"], ["float32", "float32"], [2], (i) => ({
        kind: "tupleReduction",
        axes: [k],
        init: [x.at(i!, 0), x.at(i!, 0)],
        update: ([a, c]) => [max(a!, x.at(i!, k.var)), mul(c!, 1)],
      }));
      return y!;
    });
    const violation = rfactor.check(p, { loop: loopOf(p, "y_t", 1), factorAxis: 0 });
    expect(violation?.rule).toBe("associative");
  });
  it("refuses an update that is not associative", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [2, 5], "input");
      const k = b.reduceAxis("k", 5);
      const y = b.declare("y", "float32", [2]);
      b.computeTuple(["t"], ["float32"], [2], (i) => ({
        kind: "tupleReduction",
        axes: [k],
        init: [x.at(i!, 0)],
        update: ([a]) => [max(mul(a!, 2), x.at(i!, k.var))],
      }));
      b.computeInto(y, "y", (i) => x.at(i!, 0));
      return y;
    });
    expectRefused(rfactor, p, { loop: loopOf(p, "t", 1), factorAxis: 0 }, { rule: "associative", at: "t" });
  });
  it("refuses floats under strict math", () => {
    const p = rowSum(2, 3, "strict");
    expectRefused(rfactor, p, { loop: loopOf(p, "y", 1), factorAxis: 0 }, { rule: "reassociation-allowed", at: "y" });
  });
  it("refuses partial results that a guard would leave unset", () => {
    const p = rowSum(2, 3);
    const q = apply(split, p, { loop: loopOf(p, "y", 1), factor: 4, tail: "guard" }).program;
    expectRefused(rfactor, q, { loop: loopOf(q, "y", 2), factorAxis: 0 }, { rule: "guard", at: "y" });
  });
  it("refuses an axis beyond the rank", () => {
    const p = rowSum(2, 3);
    expectRefused(rfactor, p, { loop: loopOf(p, "y", 1), factorAxis: 2 }, { rule: "axis-range", at: "k" });
  });
});
