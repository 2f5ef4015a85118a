/** cacheReadAt and cacheWriteAt: what they make, values, what works on the copies; refusals stand in `must-fail/`. */
import { describe, expect, test } from "vitest";
import { add, mul } from "../../../ir/expr/build.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { compactBuffers } from "../../../passes/lower/compact-buffers.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues } from "./fixtures.ts";
import { matmul } from "./loop-programs.ts";
import { build } from "./primitive/block-fixtures.ts";

/** Tiles of rows and columns, k between. */
function tiles(program: Program, rows: number, columns: number): Schedule {
  const s = new Schedule(program);
  const [i, j, k] = s.loops("C");
  const { outer, inner } = s.tile([i!, j!], [rows, columns]);
  s.reorder(...outer, k!, ...inner);
  return s;
}

describe("cacheReadAt and cacheWriteAt", () => {
  test("stage the region of a tile where it is used", () => {
    const program = matmul(8, 8, 6);
    const s = tiles(program, 4, 4);
    s.cacheReadAt(s.loopAt("C", 1), s.block("C"), "A", "stack");
    s.cacheReadAt(s.loopAt("C", 2), s.block("C"), "B", "register");
    s.cacheWriteAt(s.loopAt("C", 1), s.block("C"), "C", "register");
    expect(s.print()).toMatchSnapshot();
    keepsValues(program, s, 6);
    const compact = printProgram(compactBuffers(s.program));
    for (const shape of ["A_stack: float32[4, 6]", "B_register: float32[4]", "C_register: float32[4, 4]"])
      expect(compact).toContain(`allocate ${shape}`);
  });
  test("are one step each", () => {
    const s = tiles(matmul(8, 8, 6), 4, 4);
    const before = s.trace.steps.length;
    const copy = s.cacheWriteAt(s.loopAt("C", 1), s.block("C"), "C", "stack");
    expect(s.trace.steps).toHaveLength(before + 1);
    expect(s.trace.toSource()).toContain('const C_stack_copy = s.cacheWriteAt(j_o, s.block("C"), "C", "stack");');
    s.vectorize(s.loops(copy).at(-1)!);
  });
  for (const n of [1, 2, 5, 12, 13])
    test(`tiles of ${n} keep their values`, () => {
      const program = matmul(n, n + 3, n + 1);
      for (const depth of [0, 1, 2]) {
        const s = tiles(program, 4, 5);
        s.cacheReadAt(s.loopAt("C", depth), s.block("C"), "A", "stack");
        s.cacheReadAt(s.loopAt("C", 1), s.block("C"), "B", "stack");
        if (depth < 2) s.cacheWriteAt(s.loopAt("C", depth), s.block("C"), "C", "stack");
        keepsValues(program, s, n);
      }
    });
  test("each iteration of a parallel loop has its own copy, made before or after", () => {
    const program = matmul(13, 9, 7);
    const s = tiles(program, 4, 3);
    s.parallel(s.loopAt("C", 0));
    s.cacheReadAt(s.loopAt("C", 0), s.block("C"), "A", "stack");
    s.cacheWriteAt(s.loopAt("C", 1), s.block("C"), "C", "stack");
    keepsValues(program, s, 7);
    const after = tiles(program, 4, 3);
    after.cacheReadAt(after.loopAt("C", 0), after.block("C"), "A", "stack");
    after.cacheWriteAt(after.loopAt("C", 1), after.block("C"), "C", "stack");
    after.parallel(after.loopAt("C", 0));
    keepsValues(program, after, 7);
  });
  test("take what an init block and an update block under the loop use together", () => {
    const program = matmul(9, 8, 6);
    const s = tiles(program, 4, 4);
    s.decomposeReduction(s.block("C"), s.loopAt("C", 2));
    s.cacheWriteAt(s.loopAt("C", 1), s.block("C"), "C", "register");
    keepsValues(program, s, 6);
    expect(s.describe(s.block("C_init")).writes[0]!.buffer.name).toBe("C_register");
  });
  test("stage an intermediate that is made in the same nest, with its overlaps", () => {
    const program = build((b) => {
      const x = b.param("x", "float32", [13, 6], "input");
      const y = b.compute("y", "float32", [13, 6], (i, j) => mul(x.at(i!, j!), 2));
      return b.compute("z", "float32", [11, 6], (i, j) => add(y.at(i!, j!), y.at(add(i!, 2), j!)));
    });
    const s = new Schedule(program);
    const [o] = s.split(s.loopAt("z", 0), { factor: 4 });
    s.computeAt(s.block("y"), o);
    s.cacheReadAt(s.loopAt("z", 2), s.block("z"), "y", "register");
    keepsValues(program, s);
  });
  test("stage what a block over tiles uses", () => {
    const program = matmul(12, 8, 5);
    const s = new Schedule(program);
    const { inner } = s.tile(s.loops("C").slice(0, 2), [4, 4]);
    const tile = s.blockize(inner[0]!);
    s.cacheReadAt(s.loops(tile)[0]!, tile, "A", "stack");
    s.cacheWriteAt(s.loops(tile)[1]!, tile, "C", "stack");
    keepsValues(program, s, 5);
  });
});
