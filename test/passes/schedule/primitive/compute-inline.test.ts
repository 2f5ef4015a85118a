import { describe, expect, it } from "vitest";
import { add, compare, load, max, mul, select, sub } from "../../../../ir/expr/build.ts";
import { channelBlocked, plainLayout } from "../../../../ir/graph/layout.ts";
import { inRange, sum } from "../../../../ir/loop/compute.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { computeInline } from "../../../../passes/schedule/primitive/compute-inline.ts";
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

/** relu into a haloed, blocked buffer, read by a 3x3 depthwise convolution (stride 1) or by its interior alone. */
function depthwise(c: number, h: number, w: number, blocked: boolean): Program {
  const layout = (haloed: boolean) =>
    blocked ? channelBlocked(4, 4, haloed ? halo : undefined) : { ...plainLayout(4), ...(haloed ? { halo } : {}) };
  return build((b) => {
    const x = b.param("x", "float32", [1, c, h, w], "input", layout(false));
    const weight = b.param("weight", "float32", [3, 3], "constant");
    const y = b.compute("relu", "float32", [1, c, h, w], (n, k, i, j) => max(x.at(n!, k!, i!, j!), 0), {
      layout: layout(true),
    });
    const [kh, kw] = [b.reduceAxis("kh", 3), b.reduceAxis("kw", 3)];
    return b.compute(
      "dw",
      "float32",
      [1, c, h, w],
      (n, k, i, j) =>
        sum(mul(y.at(n!, k!, sub(add(i!, kh.var), 1), sub(add(j!, kw.var), 1)), weight.at(kh.var, kw.var)), kh, kw),
      { layout: layout(false) },
    );
  });
}

describe("computeInline", () => {
  it("substitutes into every reader and removes block and buffer", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [3, 9], "input");
      const y = b.compute("y", "float32", [3, 9], (i, j) => mul(x.at(i!, j!), 2));
      const z = b.compute("z", "float32", [3, 4], (i, j) => add(y.at(i!, mul(j!, 2)), y.at(i!, add(j!, 5))));
      return [z, b.compute("t", "float32", [9, 3], (j, i) => y.at(i!, j!))];
    });
    const { program } = apply(computeInline, p, { block: named(p, "y") });
    const text = printProgram(program);
    expect(text).not.toContain("allocate");
    expect(text).toContain("z[vi, vj] = x[vi, vj * 2] * 2.0 + x[vi, vj + 5] * 2.0");
    expectTwins(p, program);
  });
  it.each([
    [1, 1, 1, true],
    [5, 3, 7, true],
    [3, 2, 5, false],
  ])("gives the halo its value (%i channels, %i x %i, blocked %s)", (c, h, w, blocked) => {
    const p = depthwise(c, h, w, blocked);
    const { program } = apply(computeInline, p, { block: named(p, "relu") });
    expect(printProgram(program)).not.toContain("relu");
    expect(printProgram(program)).toContain("select(");
    expectTwins(p, program);
  });
  it("needs no select where only the interior is read", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [1, 3, 2, 5], "input");
      const y = b.compute("y", "float32", [1, 3, 2, 5], (n, c, h, w) => mul(x.at(n!, c!, h!, w!), 3), {
        layout: { ...plainLayout(4), halo },
      });
      return b.compute("z", "float32", [1, 3, 2, 5], (n, c, h, w) => add(y.at(n!, c!, h!, w!), 1));
    });
    const { program } = apply(computeInline, p, { block: named(p, "y") });
    expect(printProgram(program)).not.toContain("select(");
    expectTwins(p, program);
  });
  it("keeps lazily guarded reads guarded", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [5], "input");
      const y = b.compute("y", "float32", [5], (i) => mul(x.at(i!), 2));
      return b.compute("z", "float32", [7], (i) => select(inRange(sub(i!, 1), 5), y.at(sub(i!, 1)), 0));
    });
    expectTwins(p, apply(computeInline, p, { block: named(p, "y") }).program);
  });
  it("ignores how the producer was split", () => {
    const p = chain(3, 7);
    const { program } = apply(split, p, { loop: loopOf(p, "y", 1), factor: 4, tail: "guard" });
    expectTwins(p, apply(computeInline, program, { block: named(program, "y") }).program);
  });

  it("refuses a block that is gone", () => {
    expectRefused(computeInline, chain(2, 2), { block: deadBlock }, { rule: "found", at: "gone" });
  });
  it("refuses a reduction", () => {
    const p = matmul(2, 3, 4);
    expectRefused(computeInline, p, { block: named(p, "y") }, { rule: "spatial", at: "y" });
  });
  it("refuses an output", () => {
    const p = chain(2, 3);
    expectRefused(computeInline, p, { block: named(p, "z") }, { rule: "intermediate", at: "z" });
  });
  it("refuses writes that cannot be inverted", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.declare("y", "float32", [8]);
      b.write(y, "even", [4], (i) => ({ at: [mul(i!, 2)], value: x.at(i!) }));
      return b.compute("z", "float32", [4], (i) => y.at(mul(i!, 2)));
    });
    expectRefused(computeInline, p, { block: named(p, "even") }, { rule: "point-write", at: "even" });
  });
  it("refuses a predicate that is no tail", () => {
    const p = chain(4, 4);
    const cut = editBlock(p, "y", (b) => ({ ...b, predicate: compare("lt", b.bindings[0]!, 3) }));
    expectRefused(computeInline, cut, { block: named(cut, "y") }, { rule: "guard", at: "y" });
  });
  it("refuses when nothing reads the buffer", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      b.compute("y", "float32", [4], (i) => x.at(i!));
      return b.compute("z", "float32", [4], (i) => x.at(i!));
    });
    expectRefused(computeInline, p, { block: named(p, "y") }, { rule: "consumed", at: "y" });
  });
  it("refuses when an input changes later", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const t = b.compute("t", "float32", [4], (i) => x.at(i!));
      const y = b.compute("y", "float32", [4], (i) => mul(t.at(i!), 2));
      b.write(t, "clear", [4], (i) => ({ at: [i!], value: load(x.buffer, [i!]) }));
      return b.compute("z", "float32", [4], (i) => y.at(i!));
    });
    expectRefused(computeInline, p, { block: named(p, "y") }, { rule: "inputs-unchanged", at: "clear" });
  });
});
