import { describe, expect, it } from "vitest";
import { add, buffer, load, mul, sub, variable } from "../../../../ir/expr/build.ts";
import {
  block,
  forLoop,
  iterVar,
  program as makeProgram,
  pointRegion,
  primFunc,
  store,
} from "../../../../ir/loop/build.ts";
import { IdSource } from "../../../../ir/support/ids.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { compactBuffers } from "../../../../passes/lower/compact-buffers.ts";
import { cacheRead } from "../../../../passes/schedule/primitive/cache-read.ts";
import { computeAt } from "../../../../passes/schedule/primitive/compute-at.ts";
import { split } from "../../../../passes/schedule/primitive/split.ts";
import {
  apply,
  build,
  chain,
  convolution,
  deadBlock,
  expectRefused,
  expectTwins,
  loopOf,
  matmul,
  named,
} from "./block-fixtures.ts";

describe("cacheRead", () => {
  it("copies what the block reads, before its outermost loop", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [6, 10], "input");
      return b.compute("y", "float32", [6, 7], (i, j) => mul(x.at(i!, add(j!, 2)), 3));
    });
    const { program, result } = apply(cacheRead, p, { block: named(p, "y"), buffer: "x", scope: "stack" });
    expect(result.name).toBe("x_stack_copy");
    expect(printProgram(program)).toContain("x_stack[vd0, vd1 + 2] = x[vd0, vd1 + 2]");
    expect(printProgram(program)).toContain("y[vi, vj] = x_stack[vi, vj + 2] * 3.0");
    expectTwins(p, program);
  });
  it.each([1, 3, 4])("goes under a tile of width %i and shrinks to it", (factor) => {
    const p = matmul(5, 11, 7);
    const read = apply(cacheRead, p, { block: named(p, "y"), buffer: "w", scope: "stack" });
    const tiled = apply(split, read.program, { loop: loopOf(read.program, "y", 1), factor, tail: "guard" });
    const outer = loopOf(tiled.program, "y", 1);
    const { program } = apply(computeAt, tiled.program, { block: read.result, loop: outer });
    const shape = factor === 1 ? "[7]" : `[7, ${factor}]`;
    expect(printProgram(compactBuffers(program))).toContain(`allocate w_stack: float32${shape}`);
    expectTwins(p, program);
  });
  it("reads a blocked, haloed input", () => {
    const p = convolution({ ci: 5, co: 3, h: 1, w: 3 });
    expectTwins(p, apply(cacheRead, p, { block: named(p, "conv"), buffer: "x", scope: "stack" }).program);
  });

  it("refuses a block that is gone", () => {
    expectRefused(
      cacheRead,
      chain(2, 2),
      { block: deadBlock, buffer: "y", scope: "stack" },
      { rule: "found", at: "gone" },
    );
  });
  it("refuses a buffer that the block does not read", () => {
    const p = chain(2, 2);
    expectRefused(
      cacheRead,
      p,
      { block: named(p, "y"), buffer: "z", scope: "stack" },
      { rule: "reads-buffer", at: "y" },
    );
  });
  it("refuses a symbolic shape", () => {
    const ids = new IdSource();
    const n = variable(ids, "n");
    const [x, y] = [buffer(ids, "x", "float32", [n]), buffer(ids, "y", "float32", [n])];
    const [i, v] = [variable(ids, "i"), variable(ids, "vi")];
    const body = block(ids, {
      name: "y",
      iterVars: [iterVar(v, n)],
      bindings: [i],
      reads: [pointRegion(x, [v])],
      writes: [pointRegion(y, [v])],
      body: store(y, [v], load(x, [v])),
    });
    const params = [
      { buffer: x, role: "input" as const },
      { buffer: y, role: "output" as const },
    ];
    const p = makeProgram([primFunc({ name: "f", params, scalars: [n], body: forLoop(i, n, body) })], ids);
    expectRefused(
      cacheRead,
      p,
      { block: named(p, "y"), buffer: "x", scope: "stack" },
      { rule: "static-shape", at: "y" },
    );
  });
  it("refuses a buffer that the same nest writes", () => {
    const p = chain(4, 4);
    const { program } = apply(computeAt, p, { block: named(p, "y"), loop: loopOf(p, "z", 0) });
    expectRefused(
      cacheRead,
      program,
      { block: named(program, "z"), buffer: "y", scope: "stack" },
      { rule: "written-before", at: "y" },
    );
  });
  it("refuses to copy elements that nothing writes", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.declare("y", "float32", [8]);
      b.write(y, "even", [4], (i) => ({ at: [mul(i!, 2)], value: x.at(i!) }));
      return b.compute("z", "float32", [3], (i) => sub(y.at(mul(i!, 2)), 1));
    });
    expectRefused(
      cacheRead,
      p,
      { block: named(p, "z"), buffer: "y", scope: "stack" },
      { rule: "read-defined", at: "z" },
    );
  });
});
