/** slideAt: what it makes, values over extents and windows, chains of windows, circular buffers, one refusal a rule. */
import { describe, expect, test } from "vitest";
import { add, floordiv, floormod, mul, sub } from "../../../../ir/expr/build.ts";
import type { Expr } from "../../../../ir/expr/expr.ts";
import { sum } from "../../../../ir/loop/compute.ts";
import type { Program } from "../../../../ir/loop/program.ts";
import { printProgram } from "../../../../ir/text/printer.ts";
import { compactBuffers } from "../../../../passes/lower/compact-buffers.ts";
import { slideAt } from "../../../../passes/schedule/primitive/slide-at.ts";
import { Schedule } from "../../../../passes/schedule/schedule.ts";
import { keepsValues, type Refused, refusal } from "../fixtures.ts";
import {
  build,
  deadBlock,
  deadLoop,
  editBlock,
  expectRefused,
  expectTwins,
  loopOf,
  named,
  running,
} from "./block-fixtures.ts";

/** y = 2x over rows and columns; z[i] = Σ y[step·i + 0 … step·i + width - 1]. */
const windows = (n: number, width: number, step = 1, columns = 3): Program =>
  build((b) => {
    const rows = step * (n - 1) + width;
    const x = b.param("x", "float32", [rows, columns], "input");
    const y = b.compute("y", "float32", [rows, columns], (i, j) => mul(x.at(i!, j!), 2));
    const k = b.reduceAxis("k", width);
    return b.compute("z", "float32", [n, columns], (i, j) => sum(y.at(add(mul(i!, step), k.var), j!), k));
  });
/** z[i] = y[i] + y[i + 2], y = 2x: no reduction. */
const pairs = (n: number): Program =>
  build((b) => {
    const x = b.param("x", "float32", [n + 2, 3], "input");
    const y = b.compute("y", "float32", [n + 2, 3], (i, j) => mul(x.at(i!, j!), 2));
    return b.compute("z", "float32", [n, 3], (i, j) => add(y.at(i!, j!), y.at(add(i!, 2), j!)));
  });
/** x → a → b → c, each a sum of three neighbours. */
const cascade = (n: number): Program =>
  build((b) => {
    const three = (t: { at: (...i: Expr[]) => Expr }, i: Expr) => add(add(t.at(i), t.at(add(i, 1))), t.at(add(i, 2)));
    const x = b.param("x", "float32", [n + 6], "input");
    const first = b.compute("a", "float32", [n + 4], (i) => three(x, i!));
    const second = b.compute("b", "float32", [n + 2], (i) => three(first, i!));
    return b.compute("c", "float32", [n], (i) => three(second, i!));
  });
/** A picture of 2n rows from one of n + 2 rows: even rows lean up, odd rows down. */
const upsampled = (n: number): Program =>
  build((b) => {
    const x = b.param("x", "float32", [n + 2], "input");
    const small = b.compute("small", "float32", [n + 2], (i) => mul(x.at(i!), 2));
    return b.compute("big", "float32", [2 * n], (i) => {
      const centre = add(floordiv(i!, 2), 1);
      return add(small.at(centre), small.at(add(sub(centre, 1), mul(floormod(i!, 2), 2))));
    });
  });

describe("before ⇒ after", () => {
  test("a window of three rows", () => {
    const p = windows(8, 3);
    const s = new Schedule(p);
    const head = s.slideAt(s.block("y"), s.loopAt("z", 0));
    expect(head).toEqual(s.block("y_head"));
    expect(printProgram(s.program)).toMatchSnapshot();
    s.storageFold(s.block("y"), "y", 0, 4);
    expect(printProgram(s.program)).toMatchSnapshot();
    keepsValues(p, s);
  });
});

describe("values stay", () => {
  test.each([
    [1, 2, 1],
    [2, 3, 1],
    [7, 3, 1],
    [13, 5, 2],
    [8, 4, 3],
    [5, 7, 1],
  ])("%i windows of %i, %i apart", (n, width, step) => {
    const p = windows(n, width, step);
    const s = new Schedule(p);
    // A single window is the whole domain: there is nothing to slide over.
    if (n === 1)
      expect(s.probe("slideAt", { block: s.block("y"), loop: s.loopAt("z", 0) })?.rule).toBe("moving-window");
    else s.slideAt(s.block("y"), s.loopAt("z", 0));
    expectTwins(p, s.program);
    if (n > 2) s.storageFold(s.block("y"), "y", 0, width);
    keepsValues(p, s);
    expectTwins(p, s.program);
  });
  test.each([
    [12, 4, "exact"],
    [13, 4, "guard"],
    [13, 4, "shift-inwards"],
  ] as const)("%i rows in strips of %i (%s), in parallel, each with a circular buffer", (n, factor, tail) => {
    const p = pairs(n);
    const s = new Schedule(p);
    const [strip, row] = s.split(s.loopAt("z", 0), { factor, tail });
    s.slideAt(s.block("y"), row);
    s.parallel(strip);
    s.storageFold(s.block("y"), "y", 0, 4);
    expect(printProgram(compactBuffers(s.program))).toContain("allocate y: float32[4, 3]");
    keepsValues(p, s);
    expectTwins(p, s.program);
  });
  test.each([1, 5, 8])("a cascade of windows over %i elements", (n) => {
    const p = cascade(n);
    const s = new Schedule(p);
    const row = s.loopAt("c", 0);
    for (const name of ["b", "a"]) {
      const block = s.block(name);
      if (s.probe("slideAt", { block, loop: row })) expect(n).toBe(1);
      else s.slideAt(block, row);
    }
    if (n > 1) {
      const before = printProgram(s.program).split(`for i0 in 0..${n}:`)[0]!;
      expect(before).toContain("a_head");
      for (const name of ["a", "b"]) if (n > 4) s.storageFold(s.block(name), name, 0, 4);
    }
    keepsValues(p, s);
    expectTwins(p, s.program);
  });
  test.each([4, 8])("two loops slide over %i rows that a picture twice as high reads", (n) => {
    const p = upsampled(n);
    const s = new Schedule(p);
    const [fours, four] = s.split(s.loopAt("big", 0), { factor: 4, tail: "exact" });
    const [rows] = s.split(four, { factor: 2, tail: "exact" });
    s.slideAt(s.block("small"), rows, fours);
    s.storageFold(s.block("small"), "small", 0, 4);
    keepsValues(p, s);
    expectTwins(p, s.program);
  });
});

const row = (s: Schedule) => s.loopAt("z", 0);
const slideRows = (s: Schedule) => s.slideAt(s.block("y"), row(s));
const line = (define: Parameters<typeof build>[0]) => () => build(define);
const fixtures: Record<string, Refused> = {
  "slideAt/before-loop": {
    program: () => windows(8, 3),
    steps: (s) => s.slideAt(s.block("z"), s.loopAt("y", 0)),
    at: "z",
  },
  "slideAt/pure": {
    program: () =>
      build((b) => {
        const x = b.param("x", "float32", [6, 4], "input");
        const k = b.reduceAxis("k", 4);
        const y = b.compute("y", "float32", [6], (i) => sum(x.at(i!, k.var), k));
        return b.compute("z", "float32", [4], (i) => add(y.at(i!), y.at(add(i!, 2))));
      }),
    steps: (s) => {
      s.decomposeReduction(s.block("y"), s.loopAt("y", 0));
      slideRows(s);
    },
    at: "y",
  },
  "slideAt/not-output": {
    program: line((b) => {
      const x = b.param("x", "float32", [6], "input");
      const y = b.compute("y", "float32", [6], (i) => x.at(i!));
      return [y, b.compute("z", "float32", [4], (i) => add(y.at(i!), y.at(add(i!, 2))))];
    }),
    steps: slideRows,
    at: "y",
  },
  "slideAt/consumer": {
    program: line((b) => {
      const x = b.param("x", "float32", [4], "input");
      b.compute("y", "float32", [4], (i) => x.at(i!));
      return b.compute("z", "float32", [4], (i) => x.at(i!));
    }),
    steps: slideRows,
    at: "i0",
  },
  "slideAt/consumers-in-loop": {
    program: line((b) => {
      const x = b.param("x", "float32", [6], "input");
      const y = b.compute("y", "float32", [6], (i) => x.at(i!));
      const z = b.compute("z", "float32", [4], (i) => add(y.at(i!), y.at(add(i!, 2))));
      return [z, b.compute("t", "float32", [4], (i) => y.at(i!))];
    }),
    steps: slideRows,
    at: "t",
  },
  "slideAt/point-access": {
    program: line((b) => {
      const x = b.param("x", "float32", [6], "input");
      const y = b.declare("y", "float32", [6]);
      b.write(y, "y", [6], (i) => ({ at: [floormod(mul(i!, 5), 6)], value: x.at(i!) }));
      return b.compute("z", "float32", [4], (i) => add(y.at(i!), y.at(add(i!, 2))));
    }),
    steps: slideRows,
    at: "y",
  },
  "slideAt/inputs-unchanged": {
    program: line((b) => {
      const x = b.param("x", "float32", [6], "input");
      const t = b.compute("t", "float32", [6], (i) => x.at(i!));
      const y = b.compute("y", "float32", [6], (i) => mul(t.at(i!), 2));
      b.write(t, "clear", [6], (i) => ({ at: [i!], value: x.at(i!) }));
      return b.compute("z", "float32", [4], (i) => add(y.at(i!), y.at(add(i!, 2))));
    }),
    steps: slideRows,
    at: "clear",
  },
  "slideAt/no-conflict": {
    program: line((b) => {
      const x = b.param("x", "float32", [6], "input");
      const y = b.compute("y", "float32", [6], (i) => mul(x.at(i!), 2));
      b.write(y, "first", [2], (i) => ({ at: [i!], value: x.at(i!) }));
      return b.compute("z", "float32", [4], (i) => add(y.at(i!), y.at(add(i!, 2))));
    }),
    steps: slideRows,
    at: "first",
  },
  "slideAt/private-buffer": {
    program: line((b) => {
      const x = b.param("x", "float32", [2, 6], "input");
      const y = b.declare("y", "float32", [2, 7]);
      b.write(y, "edge", [2], (i) => ({ at: [i!, 6], value: x.at(i!, 0) }));
      b.write(y, "y", [2, 6], (i, j) => ({ at: [i!, j!], value: x.at(i!, j!) }));
      return b.compute("z", "float32", [2, 4], (i, j) => add(y.at(i!, j!), y.at(i!, add(j!, 2))));
    }),
    steps: (s) => {
      s.parallel(s.loopAt("z", 0));
      s.slideAt(s.block("y"), s.loopAt("z", 1));
    },
    at: "edge",
  },
  "slideAt/sliding-loops": {
    program: () => windows(8, 3),
    steps: (s) => {
      s.parallel(row(s));
      slideRows(s);
    },
    at: "i",
  },
  "slideAt/moving-window": {
    program: () => upsampled(8),
    steps: (s) => s.slideAt(s.block("small"), s.loopAt("big", 0)),
    at: "small",
  },
  "slideAt/in-order": {
    program: () => running(8),
    steps: slideRows,
    at: "y",
  },
  "slideAt/windows-overlap": {
    program: () => windows(8, 2, 2),
    steps: slideRows,
    at: "y",
  },
};
describe("refuses with rule and place", () => {
  for (const [code, fixture] of Object.entries(fixtures))
    test(code, () => {
      const error = refusal(fixture);
      const at = error.details.at as { name: string } | undefined;
      expect([error.code, at?.name], error.message).toEqual([code, fixture.at]);
    });
});

describe("refuses", () => {
  const p = windows(8, 3);
  test("a block or a loop that is gone", () => {
    expectRefused(slideAt, p, { block: deadBlock, loop: loopOf(p, "z", 0) }, { rule: "found", at: "gone" });
    expectRefused(slideAt, p, { block: named(p, "y"), loop: deadLoop }, { rule: "found", at: "gone" });
  });
  test("a predicate that is no tail", () => {
    const cut = editBlock(p, "y", (b) => ({
      ...b,
      predicate: { kind: "compare", op: "lt", a: b.bindings[0]!, b: sub(3, 0), dtype: { scalar: "bool", lanes: 1 } },
    }));
    expectRefused(slideAt, cut, { block: named(cut, "y"), loop: loopOf(cut, "z", 0) }, { rule: "complete", at: "y" });
  });
  test("an outer loop that is not around the inner one", () => {
    const args = { block: named(p, "y"), loop: loopOf(p, "z", 0), over: loopOf(p, "z", 1) };
    expectRefused(slideAt, p, args, { rule: "sliding-loops", at: "j" });
  });
  test("loops whose windows do not follow each other", () => {
    const s = new Schedule(p);
    const [rows, inner] = s.split(s.loopAt("z", 0), { factor: 4 });
    s.reorder(inner, rows);
    const violation = s.probe("slideAt", { block: s.block("y"), loop: rows, over: inner });
    expect([violation?.rule, violation?.at?.name]).toEqual(["moving-window", "y"]);
  });
  test("circular buffers", () => {
    const s = new Schedule(cascade(8));
    s.slideAt(s.block("b"), s.loopAt("c", 0));
    s.storageFold(s.block("b"), "b", 0, 4);
    expect(s.probe("slideAt", { block: s.block("a"), loop: s.loopAt("c", 0) })?.rule).toBe("no-circular-buffer");
  });
});
