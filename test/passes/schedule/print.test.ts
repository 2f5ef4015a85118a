/** What `print` shows beside the nest, word for word. */
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { parseTarget } from "../../../ir/target/parse.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { centre, matmul, scale, stencil, triangular } from "./loop-programs.ts";

const target = parseTarget("znver4");
const all = { extents: true, footprints: true, intensity: true, target } as const;
function tiled(): Schedule {
  const s = new Schedule(matmul(512, 512, 512));
  const copy = s.cacheWrite(s.block("C"), "C", "register");
  const { inner } = s.tile([s.loopAt("C", 0), s.loopAt("C", 1)], [8, 32], "exact");
  s.reorder(s.loop("k"), ...inner);
  s.reverseComputeAt(copy, s.loopAt("C", 1));
  s.decomposeReduction(s.block("C"), s.loop("k"));
  s.parallel(s.loopAt("C", 0));
  s.vectorize(s.loops("C").at(-1)!);
  return s;
}
const withSteps = (p: Program, steps: (s: Schedule) => void): Schedule => {
  const s = new Schedule(p);
  steps(s);
  return s;
};

describe("print", () => {
  test("is the program alone when nothing is asked for", () => {
    expect(tiled().print()).toMatchSnapshot();
  });
  const shown: Readonly<Record<string, () => Schedule>> = {
    "a matmul in register tiles": tiled,
    "a guarded tail": () => withSteps(scale(13, 8), (s) => s.split(s.loop("i"), { factor: 4 })),
    "two stages": () => withSteps(centre(16, 16), () => {}),
    "neighbours that share elements": () => withSteps(stencil(64), (s) => s.computeInline(s.block("B"))),
    "a triangle": () => new Schedule(triangular()),
  };
  for (const [name, make] of Object.entries(shown))
    test(`shows all of ${name}, and reads back`, () => {
      const s = make();
      const text = s.print(all);
      expect(text).toMatchSnapshot();
      expect(structurallyEqual(parseProgram(text), s.program)).toBe(true);
    });
  for (const option of ["extents", "footprints", "intensity"] as const)
    test(`shows ${option} alone`, () => {
      expect(tiled().print({ [option]: true })).toMatchSnapshot();
    });
  test("colours on request only", () => {
    const s = withSteps(scale(4, 4), (t) => t.vectorize(t.loop("j")));
    expect(s.print(all)).not.toContain("\u001b");
    expect(s.print({ ...all, colour: true })).toMatchSnapshot();
    const plain = stripVTControlCharacters(s.print({ colour: true }));
    expect(plain).toBe(s.print());
  });
});

describe("levels", () => {
  test("are data", () => {
    const levels = new Schedule(matmul(64, 32, 16)).levels(target.caches);
    expect(levels.map((l) => [l.loop.name, l.depth, l.extent, l.bytes, l.operations, l.fits])).toEqual([
      ["i", 0, 64, 4 * (64 * 16 + 16 * 32 + 64 * 32), 2 * 64 * 32 * 16, "L1"],
      ["j", 1, 32, 4 * (16 + 16 * 32 + 32), 2 * 32 * 16, "L1"],
      ["k", 2, 16, 4 * (16 + 16 + 1), 2 * 16, "L1"],
    ]);
    expect(levels.every((l) => l.exact)).toBe(true);
  });
  test("name the nearest memory that holds the footprint", () => {
    const { l1dBytes, l2Bytes, l3Bytes } = target.caches;
    const fits = (bytes: number) => new Schedule(scale(1, bytes / 8)).levels(target.caches)[0]!.fits;
    expect([l1dBytes, l1dBytes + 8, l2Bytes, l2Bytes + 8, l3Bytes, l3Bytes + 8].map(fits)).toEqual([
      "L1",
      "L2",
      "L2",
      "L3",
      "L3",
      "memory",
    ]);
  });
});
