import { describe, expect, it } from "vitest";
import { add, compare, mul } from "../../../../ir/expr/build.ts";
import { parseProgram } from "../../../../ir/text/parser.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { cacheWrite } from "../../../../passes/schedule/primitive/cache-write.ts";
import { decomposeReduction } from "../../../../passes/schedule/primitive/decompose-reduction.ts";
import { reverseComputeAt } from "../../../../passes/schedule/primitive/reverse-compute-at.ts";
import { reverseComputeInline } from "../../../../passes/schedule/primitive/reverse-compute-inline.ts";
import {
  apply,
  build,
  chain,
  convolution,
  deadBlock,
  editBlock,
  expectRefused,
  expectTwins,
  loopOf,
  matmul,
  named,
} from "./block-fixtures.ts";

describe("cacheWrite", () => {
  it("copies the whole result after the outermost loop", () => {
    const p = chain(2, 3);
    const { program, result } = apply(cacheWrite, p, { block: named(p, "y"), buffer: "y", scope: "stack" });
    expect(result.name).toBe("y_stack_copy");
    const text = printProgram(program);
    expect(text).toContain("y_stack[vi, vj] = x[vi, vj] * 2.0");
    expect(text).toContain("y[vd0, vd1] = y_stack[vd0, vd1]");
    expectTwins(p, program);
  });
  it.each([
    [1, 1, 1],
    [7, 5, 3],
    [4, 13, 8],
  ])("keeps the values of a %i x %i x %i matmul", (m, n, k) => {
    const p = matmul(m, n, k);
    expectTwins(p, apply(cacheWrite, p, { block: named(p, "y"), buffer: "y", scope: "register" }).program);
    expectTwins(p, apply(cacheWrite, p, { block: named(p, "z"), buffer: "z", scope: "stack" }).program);
  });
  it("leaves the halo of a haloed buffer to its own blocks", () => {
    const p = convolution({ ci: 3, co: 5, h: 2, w: 3, middle: "halo" });
    const { program } = apply(cacheWrite, p, { block: named(p, "conv"), buffer: "conv", scope: "stack" });
    expect(printProgram(program)).toContain(
      "block conv_stack_copy(vd0: spatial 1 = d0, vd1: spatial 2 = d1, vd2: spatial 2 = d2",
    );
    expectTwins(p, program);
  });

  it("refuses a block that is gone", () => {
    expectRefused(
      cacheWrite,
      chain(2, 2),
      { block: deadBlock, buffer: "y", scope: "stack" },
      { rule: "found", at: "gone" },
    );
  });
  it("refuses a buffer that the block does not write", () => {
    const p = chain(2, 2);
    expectRefused(
      cacheWrite,
      p,
      { block: named(p, "y"), buffer: "x", scope: "stack" },
      { rule: "writes-buffer", at: "y" },
    );
  });
  it("refuses writes with gaps", () => {
    const p = build((b) => {
      const x = b.param("x", "float32", [4], "input");
      const y = b.declare("y", "float32", [8]);
      b.write(y, "even", [4], (i) => ({ at: [mul(i!, 2)], value: x.at(i!) }));
      return y;
    });
    expectRefused(
      cacheWrite,
      p,
      { block: named(p, "even"), buffer: "y", scope: "stack" },
      { rule: "exact-writes", at: "even" },
    );
  });
  it("refuses writes that a predicate thins out", () => {
    const p = chain(4, 4);
    const cut = editBlock(p, "y", (b) => ({ ...b, predicate: compare("lt", b.bindings[0]!, 3) }));
    expectRefused(
      cacheWrite,
      cut,
      { block: named(cut, "y"), buffer: "y", scope: "stack" },
      { rule: "exact-writes", at: "y" },
    );
    const folded = build((b) => {
      const x = b.param("x", "float32", [9], "input");
      const y = b.compute("y", "float32", [9], (i) => mul(x.at(i!), 2));
      return b.compute("z", "float32", [5], (i) => y.at(add(i!, 2)));
    });
    const { program } = apply(reverseComputeInline, folded, { block: named(folded, "z") });
    expectRefused(
      cacheWrite,
      program,
      { block: named(program, "y"), buffer: "z", scope: "stack" },
      { rule: "exact-writes", at: "y" },
    );
  });
  it("refuses a second writer of the same elements", () => {
    const p = matmul(3, 4, 5);
    const { program } = apply(decomposeReduction, p, { block: named(p, "y"), loop: loopOf(p, "y", 2) });
    const violation = cacheWrite.check(program, { block: named(program, "y"), buffer: "y", scope: "stack" });
    expect(violation?.rule).toBe("sole-writer");
    expect(violation?.at?.name).toBe("y_init");
  });
  it("refuses to read what another block wrote", () => {
    const p = parseProgram(`program f(A: float32[8], S: output float32[8]):
  for i in 0..2:
    block S(v: ordered 2 = i):
      reads A[v]
      writes S[v]
      S[v] = A[v]
  for j in 0..6:
    block S_tail(w: ordered 6 = j):
      reads S[w], S[w + 1]
      writes S[w + 2]
      S[w + 2] = S[w] + S[w + 1]
`);
    const args = { block: named(p, "S_tail"), buffer: "S", scope: "stack" } as const;
    expectRefused(cacheWrite, p, args, { rule: "reads-own", at: "S_tail" });
  });
  it("refuses when a reader stands in the same nest", () => {
    const p = chain(4, 4);
    const { program } = apply(reverseComputeAt, p, { block: named(p, "z"), loop: loopOf(p, "y", 0) });
    expectRefused(
      cacheWrite,
      program,
      { block: named(program, "y"), buffer: "y", scope: "stack" },
      { rule: "readers-outside", at: "z" },
    );
  });
});
