import { describe, expect, it } from "vitest";
import { add, compare, constantValue, load, max, mul, sub } from "../../../../ir/expr/build.ts";
import { channelBlocked } from "../../../../ir/graph/layout.ts";
import { sum } from "../../../../ir/loop/compute.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { compactBuffers } from "../../../../passes/lower/compact-buffers.ts";
import { computeAt } from "../../../../passes/schedule/primitive/compute-at.ts";
import { decomposeReduction } from "../../../../passes/schedule/primitive/decompose-reduction.ts";
import { parallel } from "../../../../passes/schedule/primitive/parallel.ts";
import { reorder } from "../../../../passes/schedule/primitive/reorder.ts";
import { split } from "../../../../passes/schedule/primitive/split.ts";
import { storageFold } from "../../../../passes/schedule/primitive/storage-fold.ts";
import { loopsAround } from "../../../../passes/schedule/tree.ts";
import {
  apply,
  build,
  chain,
  deadBlock,
  deadLoop,
  editBlock,
  expectRefused,
  expectTwins,
  halo,
  loopOf,
  matmul,
  named,
  running,
} from "./block-fixtures.ts";

/** y = 2x, z[i] = y[i] + y[i + 1] + y[i + 2]. */
const stencil = (n: number): Program =>
  build((b) => {
    const x = b.param("x", "float32", [n + 2], "input");
    const y = b.compute("y", "float32", [n + 2], (i) => mul(x.at(i!), 2));
    return b.compute("z", "float32", [n], (i) => add(add(y.at(i!), y.at(add(i!, 1))), y.at(add(i!, 2))));
  });

describe("computeAt", () => {
  it.each([
    [1, 1],
    [12, 4],
    [13, 4],
    [7, 10],
  ])("recomputes the overlap of a stencil of %i by tiles of %i", (n, factor) => {
    const p = stencil(n);
    const q = apply(split, p, { loop: loopOf(p, "z", 0), factor, tail: "guard" }).program;
    const { program } = apply(computeAt, q, { block: named(q, "y"), loop: loopOf(q, "z", 0) });
    const width = Math.min(factor, n) + 2;
    if (n > factor) expect(printProgram(compactBuffers(program))).toContain(`allocate y: float32[${width}]`);
    expectTwins(p, program);
  });
  it.each([
    [1, 1, 1],
    [7, 11, 5],
    [8, 8, 8],
  ])("computes a reduction under its consumer's tile (%i x %i x %i)", (m, n, k) => {
    const p = matmul(m, n, k);
    const rows = apply(split, p, { loop: loopOf(p, "z", 0), factor: 3, tail: "guard" }).program;
    const columns = apply(split, rows, { loop: loopOf(rows, "z", 2), factor: 4, tail: "guard" }).program;
    const loops = [0, 2, 1, 3].map((i) => loopOf(columns, "z", i));
    const q = apply(reorder, columns, { loops }).program;
    const { program } = apply(computeAt, q, { block: named(q, "y"), loop: loopOf(q, "z", 1) });
    if (m > 3) expect(printProgram(compactBuffers(program))).toContain("allocate y: float32[3, 4]");
    expectTwins(p, program);
  });
  it("moves a haloed, blocked producer and the zeroing of its halo", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [1, 5, 4, 7], "input", channelBlocked(4, 4));
      const w = b.param("w", "float32", [3, 3], "constant");
      const y = b.compute("y", "float32", [1, 5, 4, 7], (n, c, h, v) => max(x.at(n!, c!, h!, v!), 0), {
        layout: channelBlocked(4, 4, halo),
      });
      const [kh, kw] = [b.reduceAxis("kh", 3), b.reduceAxis("kw", 3)];
      return b.compute(
        "z",
        "float32",
        [1, 5, 4, 7],
        (n, c, h, v) =>
          sum(mul(y.at(n!, c!, sub(add(h!, kh.var), 1), sub(add(v!, kw.var), 1)), w.at(kh.var, kw.var)), kh, kw),
        { layout: channelBlocked(4, 4) },
      );
    });
    let q = p;
    for (const name of ["y", "y_halo", "y_halo_1", "y_halo_2", "y_halo_3"]) {
      q = apply(computeAt, q, { block: named(q, name), loop: loopOf(q, "z", 2) }).program;
      expectTwins(p, q);
    }
  });
  it("inverts a producer that writes quotient and remainder", () => {
    const dims = [
      { axis: 1, divisor: 4 },
      { axis: 0, divisor: 1 },
      { axis: 1, divisor: 1, modulus: 4 },
    ];
    const p = build((b) => {
      const x = b.param("x", "float32", [3, 10], "input");
      const y = b.declare("y", "float32", [3, 12], { name: "b", rank: 2, dims });
      b.write(y, "fill", [3, 10], (i, j) => ({ at: [i!, j!], value: x.at(i!, j!) }));
      return b.compute("z", "float32", [3, 10], (i, j) => add(y.at(i!, j!), 1));
    });
    expectTwins(p, apply(computeAt, p, { block: named(p, "fill"), loop: loopOf(p, "z", 0) }).program);
  });

  it("gives each parallel iteration a buffer of its own", () => {
    const p = stencil(12);
    const q = apply(split, p, { loop: loopOf(p, "z", 0), factor: 4, tail: "guard" }).program;
    const loops = apply(parallel, q, { loop: loopOf(q, "z", 0) }).program;
    const { program } = apply(computeAt, loops, { block: named(loops, "y"), loop: loopOf(loops, "z", 0) });
    const text = printProgram(program);
    expect(text.indexOf("allocate y")).toBeGreaterThan(text.indexOf("parallel"));
    expectTwins(p, program);
  });
  it("refuses a buffer that is also written outside a parallel loop", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [1, 2, 4, 5], "input");
      const y = b.compute("y", "float32", [1, 2, 4, 5], (n, c, h, w) => mul(x.at(n!, c!, h!, w!), 2), {
        layout: channelBlocked(4, 2, halo),
      });
      return b.compute("z", "float32", [1, 2, 4, 5], (n, c, h, w) => y.at(n!, c!, add(h!, 1), w!));
    });
    const q = apply(parallel, p, { loop: loopOf(p, "z", 2) }).program;
    expectRefused(
      computeAt,
      q,
      { block: named(q, "y"), loop: loopOf(q, "z", 2) },
      { rule: "private-buffer", at: "y_halo" },
    );
  });

  it.each([
    [1, 1],
    [2, 1],
    [7, 1],
    [8, 3],
  ])("runs an ordered block of %i instances along with its consumer, %i back", (n, back) => {
    const p = running(n, back);
    const q = apply(reorder, p, { loops: [loopOf(p, "z", 1), loopOf(p, "z", 0)] }).program;
    const { program } = apply(computeAt, q, { block: named(q, "y"), loop: loopOf(q, "z", 0) });
    expectTwins(p, program);
    if (n <= back + 1) return;
    // One new instance for each row.
    expect(loopsAround(program, named(program, "y").id).map((l) => constantValue(l.extent))).toEqual([n, 3]);
    const folded = apply(storageFold, program, { block: named(program, "y"), buffer: "y", dim: 1, factor: back + 1 });
    expectTwins(p, folded.program);
  });
  it("runs an ordered block whole where its consumer's rows need it", () => {
    const p = running(7);
    const { program } = apply(computeAt, p, { block: named(p, "y"), loop: loopOf(p, "z", 0) });
    expect(printProgram(compactBuffers(program))).toContain("allocate y: float32[7]");
    expectTwins(p, program);
    const parted = apply(parallel, program, { loop: loopOf(program, "z", 0) }).program;
    expectTwins(p, parted);
  });
  it("refuses an ordered block in a loop that does not follow its instances", () => {
    const p = running(8);
    const q = apply(split, p, { loop: loopOf(p, "z", 1), factor: 4, tail: "exact" }).program;
    const late = apply(reorder, q, { loops: [loopOf(q, "z", 2), loopOf(q, "z", 1)] }).program;
    const args = { block: named(late, "y"), loop: loopOf(late, "z", 2) };
    expectRefused(computeAt, late, args, { rule: "in-order", at: "y" });
    const along = apply(parallel, p, { loop: loopOf(p, "z", 1) }).program;
    expectRefused(computeAt, along, { block: named(p, "y"), loop: loopOf(p, "z", 1) }, { rule: "in-order", at: "y" });
  });

  it("refuses a block or a loop that is gone", () => {
    const p = chain(2, 2);
    expectRefused(computeAt, p, { block: deadBlock, loop: loopOf(p, "z", 0) }, { rule: "found", at: "gone" });
    expectRefused(computeAt, p, { block: named(p, "y"), loop: deadLoop }, { rule: "found", at: "gone" });
  });
  it("refuses a loop before the block", () => {
    const p = chain(2, 2);
    expectRefused(computeAt, p, { block: named(p, "z"), loop: loopOf(p, "y", 0) }, { rule: "before-loop", at: "z" });
  });
  it("refuses half of a decomposed reduction", () => {
    const p = matmul(3, 4, 5);
    const { program } = apply(decomposeReduction, p, { block: named(p, "y"), loop: loopOf(p, "y", 0) });
    const args = { block: named(program, "y"), loop: loopOf(program, "z", 0) };
    expect(computeAt.check(program, args)?.rule).toBe("pure");
    expect(computeAt.check(program, args)?.at?.name).toBe(args.block.name);
  });
  it("refuses a predicate that is no tail", () => {
    const p = chain(4, 4);
    const cut = editBlock(p, "y", (b) => ({ ...b, predicate: compare("lt", b.bindings[0]!, 3) }));
    expectRefused(computeAt, cut, { block: named(cut, "y"), loop: loopOf(cut, "z", 0) }, { rule: "complete", at: "y" });
  });
  it("refuses an output", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.compute("y", "float32", [4], (i) => x.at(i!));
      return [y, b.compute("z", "float32", [4], (i) => y.at(i!))];
    });
    expectRefused(computeAt, p, { block: named(p, "y"), loop: loopOf(p, "z", 0) }, { rule: "not-output", at: "y" });
  });
  it("refuses a loop that reads nothing of it", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      b.compute("y", "float32", [4], (i) => x.at(i!));
      return b.compute("z", "float32", [4], (i) => x.at(i!));
    });
    expectRefused(computeAt, p, { block: named(p, "y"), loop: loopOf(p, "z", 0) }, { rule: "consumer", at: "i0" });
  });
  it("refuses a reader elsewhere", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.compute("y", "float32", [4], (i) => x.at(i!));
      return [b.compute("z", "float32", [4], (i) => y.at(i!)), b.compute("t", "float32", [4], (i) => y.at(i!))];
    });
    expectRefused(
      computeAt,
      p,
      { block: named(p, "y"), loop: loopOf(p, "z", 0) },
      { rule: "consumers-in-loop", at: "t" },
    );
  });
  it("refuses writes that cannot be inverted", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.declare("y", "float32", [8]);
      b.write(y, "even", [4], (i) => ({ at: [mul(i!, 2)], value: x.at(i!) }));
      return b.compute("z", "float32", [4], (i) => y.at(mul(i!, 2)));
    });
    expectRefused(
      computeAt,
      p,
      { block: named(p, "even"), loop: loopOf(p, "z", 0) },
      { rule: "point-access", at: "even" },
    );
  });
  it("refuses when an input changes in between", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const t = b.compute("t", "float32", [4], (i) => x.at(i!));
      const y = b.compute("y", "float32", [4], (i) => mul(t.at(i!), 2));
      b.write(t, "clear", [4], (i) => ({ at: [i!], value: load(x.buffer, [i!]) }));
      return b.compute("z", "float32", [4], (i) => y.at(i!));
    });
    expectRefused(
      computeAt,
      p,
      { block: named(p, "y"), loop: loopOf(p, "z", 0) },
      { rule: "inputs-unchanged", at: "clear" },
    );
  });
  it("refuses when its elements are overwritten in between", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.compute("y", "float32", [4], (i) => mul(x.at(i!), 2));
      b.write(y, "first", [2], (i) => ({ at: [i!], value: x.at(i!) }));
      return b.compute("z", "float32", [4], (i) => y.at(i!));
    });
    expectRefused(
      computeAt,
      p,
      { block: named(p, "y"), loop: loopOf(p, "z", 0) },
      { rule: "no-conflict", at: "first" },
    );
  });
});
