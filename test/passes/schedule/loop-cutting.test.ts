/** fission, cutLoop, peel, loopPartition, skew: what they make, values on awkward extents. */
import { describe, expect, test } from "vitest";
import type { Program } from "../../../ir/loop/program.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { keepsValues, outline } from "./fixtures.ts";
import * as programs from "./loop-programs.ts";
import { merged, padded, wavefront } from "./must-fail/loop-cutting.ts";

const { matmul, scale } = programs;

describe("before ⇒ after", () => {
  const cases: Record<string, { program: Program; steps: (s: Schedule) => unknown }> = {
    cutLoop: { program: scale(13, 1), steps: (s) => s.cutLoop(s.loop("i"), 8) },
    "cutLoop of a reduction": { program: matmul(1, 1, 13), steps: (s) => s.cutLoop(s.loop("k"), 8) },
    "cutLoop of an inner loop": {
      program: scale(12, 1),
      steps: (s) => s.cutLoop(s.split(s.loop("i"), { factor: 4 })[1], 3),
    },
    peel: { program: scale(7, 1), steps: (s) => s.peel(s.loop("i"), 1, 2) },
    loopPartition: { program: padded(8), steps: (s) => s.loopPartition(s.loopAt("P", 0)) },
    fission: {
      program: programs.centre(3, 4),
      steps: (s) => {
        s.computeAt(s.block("M"), s.loopAt("D", 0));
        s.fission(s.loopAt("D", 0), s.block("M"));
      },
    },
    "split with a peeled tail": {
      program: matmul(1, 1, 13),
      steps: (s) => s.split(s.loop("k"), { factor: 4, tail: "peel" }),
    },
    skew: { program: wavefront(4, 8), steps: (s) => s.skew(s.loop("i"), s.loop("j"), 1) },
  };
  for (const [name, c] of Object.entries(cases))
    test(name, () => {
      const s = new Schedule(c.program);
      c.steps(s);
      expect(outline(s.program)).toMatchSnapshot();
      keepsValues(c.program, s);
    });
});

describe("values stay", () => {
  for (const n of [2, 3, 7, 8, 12, 13]) {
    for (const at of [1, n >> 1, n - 1])
      test(`loops of extent ${n} cut at ${at}`, () => {
        const program = matmul(n, n, n);
        const s = new Schedule(program);
        const loops = s.loops("C");
        for (const l of loops.reverse()) s.cutLoop(l, Math.max(1, at));
        expect(s.blocks().length).toBe(8);
        for (const b of s.blocks()) s.split(s.loopAt(b, 0), { factor: 3 });
        keepsValues(program, s, n);
      });
    test(`pieces of extent ${n} in caches of their own`, () => {
      const program = scale(n, 3);
      const s = new Schedule(program);
      s.cutLoop(s.loop("i"), 1);
      s.cacheWrite(s.block("B_rest"), "B", "stack");
      s.parallel(s.loopAt("B_rest", 0));
      s.cacheWrite(s.block("B"), "B", "stack");
      keepsValues(program, s);
    });
    test(`the border of a padded row of extent ${n}`, () => {
      const program = padded(n);
      const s = new Schedule(program);
      const loops = s.loopPartition(s.loopAt("P", 0));
      expect(loops.map((l) => s.extent(l))).toEqual([1, n, 1]);
      expect(s.print().match(/select/g)).toBe(null);
      s.vectorize(loops[1]!);
      keepsValues(program, s);
    });
    test(`a guarded tile of extent ${n} partitioned`, () => {
      const program = scale(n, 3);
      const s = new Schedule(program);
      const [o] = s.split(s.loop("i"), { factor: 4 });
      const refused = s.probe("loopPartition", { loop: o });
      if (refused) expect(n % 4 === 0 || n < 4 ? "guard-vanishes" : "").toBe(refused.rule);
      else s.loopPartition(o);
      keepsValues(program, s);
    });
    for (const factor of [1, -1, 2])
      test(`${n} rows skewed by ${factor}`, () => {
        const program = wavefront(n, 5);
        const s = new Schedule(program);
        const inner = s.skew(s.loop("i"), s.loop("j"), factor);
        const turned = s.probe("reorder", { loops: [inner, s.loop("i")] })?.rule;
        if (factor < 0) expect(turned).toBe("keeps-dependences");
        if (turned === undefined) s.reorder(inner, s.loop("i"));
        keepsValues(program, s);
      });
    test(`distributed loops of extent ${n}`, () => {
      const s = merged(n);
      const [first, second] = s.fission(s.loopAt("D", 0), s.block("M"));
      s.parallel(first);
      s.parallel(second);
      keepsValues(programs.centre(n, 4), s);
    });
    for (const factor of [3, 4])
      test(`a matmul of extent ${n} in tiles of ${factor}, the rest in loops of its own`, () => {
        const program = matmul(n, n, n);
        const s = new Schedule(program);
        for (const l of s.loops("C").reverse()) {
          const args = { loop: l, factor, tail: "peel" } as const;
          if (n < factor) expect(s.probe("split", args)?.rule).toBe("peel-extent");
          else expect(s.split(l, args).length).toBe(n % factor === 0 ? 2 : 3);
        }
        s.parallel(s.loopAt("C", 0));
        keepsValues(program, s, n);
      });
    if (n < 3) continue;
    test(`an inner loop of extent ${n} cut after a split`, () => {
      const program = scale(n, 3);
      const s = new Schedule(program);
      const [, inner] = s.split(s.loop("i"), { factor: 3 });
      s.cutLoop(inner, 2);
      s.parallel(s.loopAt("B", 0));
      keepsValues(program, s);
    });
  }
});
