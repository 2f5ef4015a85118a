import { describe, expect, it } from "vitest";
import { add, compare, load, max, mul, select } from "../../../../ir/expr/build.ts";
import { channelBlocked } from "../../../../ir/graph/layout.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { reverseComputeInline } from "../../../../passes/schedule/primitive/reverse-compute-inline.ts";
import { split } from "../../../../passes/schedule/primitive/split.ts";
import {
  apply,
  build,
  chain,
  deadBlock,
  editBlock,
  expectRefused,
  expectTwins,
  halo,
  loopOf,
  matmul,
  named,
} from "./block-fixtures.ts";

describe("reverseComputeInline", () => {
  it.each([
    [1, 1],
    [3, 7],
  ])("folds the consumer into the producer's store (%i x %i)", (m, n) => {
    const p = chain(m, n);
    const { program } = apply(reverseComputeInline, p, { block: named(p, "z") });
    expect(printProgram(program)).not.toContain("allocate");
    expect(printProgram(program)).toContain("= x[vi, vj] * 2.0 + 1.0");
    expectTwins(p, program);
  });
  it("keeps the producer's loops and guards what the consumer does not read", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [3, 9], "input");
      const y = b.compute("y", "float32", [3, 9], (i, j) => mul(x.at(i!, j!), 2));
      return b.compute("z", "float32", [3, 5], (i, j) => add(y.at(i!, add(j!, 2)), 1));
    });
    const tiled = apply(split, p, { loop: loopOf(p, "y", 1), factor: 4, tail: "guard" }).program;
    const { program } = apply(reverseComputeInline, tiled, { block: named(tiled, "z") });
    expect(printProgram(program)).toContain("if ");
    expectTwins(p, program);
  });
  it("reaches through blocked channels and a halo on the way out", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [1, 5, 2, 3], "input", channelBlocked(4, 4));
      const y = b.compute("y", "float32", [1, 5, 2, 3], (n, c, h, w) => mul(x.at(n!, c!, h!, w!), 2), {
        layout: channelBlocked(4, 4),
      });
      return b.compute("z", "float32", [1, 5, 2, 3], (n, c, h, w) => max(y.at(n!, c!, h!, w!), 0), {
        layout: channelBlocked(4, 4, halo),
      });
    });
    expectTwins(p, apply(reverseComputeInline, p, { block: named(p, "z") }).program);
  });

  it("refuses a block that is gone", () => {
    expectRefused(reverseComputeInline, chain(2, 2), { block: deadBlock }, { rule: "found", at: "gone" });
  });
  it("refuses a reduction as consumer", () => {
    const p = matmul(2, 3, 4);
    expectRefused(reverseComputeInline, p, { block: named(p, "y") }, { rule: "spatial", at: "y" });
  });
  it("refuses a block without a producer", () => {
    const p = chain(2, 3);
    expectRefused(reverseComputeInline, p, { block: named(p, "y") }, { rule: "single-producer", at: "y" });
  });
  it("refuses a reduction as producer", () => {
    const p = matmul(2, 3, 4);
    expectRefused(reverseComputeInline, p, { block: named(p, "z") }, { rule: "producer-spatial", at: "y" });
  });
  it("refuses a second consumer", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.compute("y", "float32", [4], (i) => mul(x.at(i!), 2));
      return [b.compute("z", "float32", [4], (i) => y.at(i!)), b.compute("t", "float32", [4], (i) => y.at(i!))];
    });
    expectRefused(reverseComputeInline, p, { block: named(p, "z") }, { rule: "sole-consumer", at: "t" });
  });
  it("refuses a read that cannot be inverted", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [8], "input");
      const y = b.compute("y", "float32", [8], (i) => mul(x.at(i!), 2));
      return b.compute("z", "float32", [4], (i) => y.at(mul(i!, 2)));
    });
    expectRefused(reverseComputeInline, p, { block: named(p, "z") }, { rule: "point-access", at: "z" });
  });
  it("refuses a producer that leaves out elements", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.declare("y", "float32", [6]);
      b.write(y, "some", [4], (i) => ({ at: [i!], value: x.at(i!) }));
      return b.compute("z", "float32", [6], (i) => select(compare("lt", i!, 4), y.at(i!), 0));
    });
    expectRefused(reverseComputeInline, p, { block: named(p, "z") }, { rule: "covered", at: "z" });
  });
  it("refuses a predicate that is no tail", () => {
    const p = chain(4, 4);
    const cut = editBlock(p, "z", (b) => ({ ...b, predicate: compare("lt", b.bindings[0]!, 3) }));
    expectRefused(reverseComputeInline, cut, { block: named(cut, "z") }, { rule: "guard", at: "z" });
  });
  it("refuses when another input is not ready", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.compute("y", "float32", [4], (i) => mul(x.at(i!), 2));
      const t = b.declare("t", "float32", [4]);
      b.write(t, "fill", [4], (i) => ({ at: [i!], value: load(x.buffer, [i!]) }));
      b.write(t, "refill", [4], (i) => ({ at: [i!], value: load(x.buffer, [i!]) }));
      return b.compute("z", "float32", [4], (i) => add(y.at(i!), t.at(i!)));
    });
    expectRefused(reverseComputeInline, p, { block: named(p, "z") }, { rule: "inputs-ready", at: "fill" });
  });
});
