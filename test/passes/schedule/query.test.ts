/** Cursors, patterns, and what becomes of handles. */
import { describe, expect, test } from "vitest";
import { InputError, ScheduleError } from "../../../ir/support/errors.ts";
import type { BlockRef, LoopRef } from "../../../passes/schedule/primitive.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { drawPrimitive, proposers } from "../../property/support/actions.ts";
import { randomProgram } from "../../property/support/programs.ts";
import { Random } from "../../property/support/random.ts";
import { centre, matmul, scale, stencil } from "./loop-programs.ts";

type Named = { readonly name: string } | undefined;
const names = (list: readonly Named[]): string => list.map((c) => c?.name ?? "-").join(" ");
const errorOf = (f: () => unknown): ScheduleError | InputError => {
  try {
    f();
  } catch (e) {
    if (e instanceof ScheduleError || e instanceof InputError) return e;
    throw e;
  }
  throw new Error("nothing was thrown");
};
/** A matmul in tiles with its init apart. */
function tiled(): Schedule {
  const s = new Schedule(matmul(16, 32, 8));
  const { inner } = s.tile([s.loop("i"), s.loop("j")], [4, 8], "exact");
  s.reorder(s.loop("k"), ...inner);
  s.decomposeReduction(s.block("C"), s.loop("k"));
  s.vectorize(s.loops("C").at(-1)!);
  return s;
}

describe("cursors", () => {
  const s = tiled();
  const C = s.block("C");
  test("walk up, down and sideways", () => {
    expect(names(s.findAll("*"))).toBe("i_o j_o i_i j_i C_init k i_i j_i C");
    expect(C.parent()?.name).toBe("j_i");
    expect(C.parent()?.parent()?.parent()?.name).toBe("k");
    expect(s.loop("i_o").parent()).toBe(undefined);
    expect(names(C.enclosing())).toBe("i_o j_o k i_i j_i");
    expect(names(s.loop("j_o").body())).toBe("i_i k");
    expect(names(s.loop("k").inside())).toBe("i_i j_i C");
    expect(names(s.loop("j_o").blocks())).toBe("C_init C");
    const k = s.loop("k");
    expect(k.prev()).toEqual(s.loops("C_init")[2]);
    expect(k.prev()?.next()).toEqual(k);
    expect(k.next()).toBe(undefined);
    expect(s.loop("i_o").prev()).toBe(undefined);
    expect(C.body()).toEqual([]);
  });
  test("know loops and blocks", () => {
    const j = C.enclosing().at(-1)!;
    expect([j.extent, j.loopKind, [...j.drives()]]).toEqual([8, "vectorized", ["spatial"]]);
    expect([...s.loop("k").drives()]).toEqual(["reduction"]);
    expect([C.reads(), C.writes()]).toEqual([["C", "A", "B"], ["C"]]);
    expect(C.reductionLoop()?.name).toBe("k");
    expect(s.block("C_init").reductionLoop()).toBe(undefined);
    expect(C.sharedLoop(s.block("C_init"))?.name).toBe("j_o");
    expect(s.loop("k").contains(C)).toBe(true);
    expect(s.loop("k").contains(s.block("C_init"))).toBe(false);
  });
  test("follow buffers", () => {
    const two = new Schedule(centre(4, 4));
    expect(names(two.block("M").consumers())).toBe("D");
    expect(names(two.block("D").producers())).toBe("M");
    expect(two.block("M").sharedLoop(two.block("D"))).toBe(undefined);
  });
  test("are handles, equal to plain ones, and plain data in JSON", () => {
    const [o, i] = s.fork().split(s.loop("i_o"), { factor: 2 });
    expect([o.extent, i.extent, i.parent()?.name]).toEqual([2, 2, "i_o_o"]);
    expect(s.cursor({ kind: "block", id: C.id, name: "C" })).toEqual(C);
    expect(JSON.parse(JSON.stringify(C))).toEqual({ kind: "block", id: C.id, name: "C" });
  });
  test("walk the program as it is when they are asked", () => {
    const t = new Schedule(matmul(8, 8, 8));
    const k = t.loop("k");
    expect(k.parent()?.name).toBe("j");
    t.reorder(k, t.loop("i"));
    expect(k.parent()).toBe(undefined);
    expect(names(k.body())).toBe("j");
    t.unroll(k);
    expect(k.loopKind).toBe("unrolled");
  });
  test("of a fork walk in it", () => {
    const t = new Schedule(matmul(8, 8, 8));
    const f = t.fork();
    f.reorder(f.loop("k"), f.loop("i"));
    const k = t.loop("k");
    expect([k.parent()?.name, f.cursor(k).parent()]).toEqual(["j", undefined]);
  });
});

describe("patterns", () => {
  const s = tiled();
  s.annotate(s.loop("k"), "hint", 1);
  const found: readonly (readonly [Parameters<typeof s.findAll>[0], string])[] = [
    ["k", "k"],
    ["C", "C"],
    ["C*", "C_init C"],
    ["block *", "C_init C"],
    ["block C_*", "C_init"],
    ["for k", "k"],
    ["for _", "i_o j_o i_i j_i k i_i j_i"],
    ["for *_i", "i_i j_i i_i j_i"],
    ["for _ in 0..8", "j_i k j_i"],
    ["for j_i in _", "j_i j_i"],
    ["vectorized for _", "j_i"],
    ["parallel for _ in 0.._", ""],
    [{ loop: /^i/ }, "i_o i_i i_i"],
    [{ loop: "*", extent: 4 }, "i_o j_o i_i i_i"],
    [{ loop: "*", kind: "vectorized" }, "j_i"],
    [{ loop: "*", around: "C_init" }, "i_o j_o i_i j_i"],
    [{ loop: "*", around: s.block("C") }, "i_o j_o k i_i j_i"],
    [{ loop: "*", drives: "reduction" }, "k"],
    [{ loop: "*", drives: "reduction", around: "C_init" }, ""],
    [{ loop: "*", innermost: true }, "j_i j_i"],
    [{ loop: "i*", innermost: true }, "i_i i_i"],
    [{ loop: "*", annotated: "hint" }, "k"],
    [{ loop: "*", where: (l) => l.blocks().length === 2 }, "i_o j_o"],
    [{ block: "*", reads: "A" }, "C"],
    [{ block: "*", writes: "C" }, "C_init C"],
    [{ block: "*", has: "reduction" }, "C"],
    [{ block: "_", where: (b) => b.enclosing().length === 4 }, "C_init"],
  ];
  for (const [pattern, result] of found)
    test(typeof pattern === "string" ? pattern : Object.keys(pattern).join(", "), () => {
      expect(names(s.findAll(pattern))).toBe(result);
    });
  test("search inside a cursor, the first match first", () => {
    expect(names([s.loop("k").find("for j_i"), s.find("for j_i").next()])).toBe("j_i -");
    expect(s.loop("k").find("for j_i").loopKind).toBe("vectorized");
    expect(s.find("for j_i").loopKind).toBe("serial");
    expect(names(s.loop("k").findAll({ block: "*" }))).toBe("C");
  });
  test("that match nothing say what there is", () => {
    const e = errorOf(() => s.find({ loop: "x*", extent: 3 }));
    expect(e.code).toBe("schedule/unknown-name");
    expect(e.message).toContain('there is no match of { loop: "x*", extent: 3 }');
    expect(e.message).toContain("one of i_o, j_o");
    expect(errorOf(() => s.find("block D")).message).toContain('"block D"');
  });
  test("that are none are refused", () => {
    for (const bad of ["fast for i", "for i in 3..4", "block a b", "", "if i"])
      expect(errorOf(() => s.find(bad)).code).toBe("schedule/pattern");
  });
});

describe("a dead handle", () => {
  const fates: Readonly<Record<string, () => readonly [Schedule, LoopRef | BlockRef, string]>> = {
    "of a loop that was split": () => {
      const s = new Schedule(scale(8, 8));
      const i = s.loop("i");
      s.split(i, { factors: [2, 2, 2] });
      return [s, i, "loop i was split into i_0, i_1, i_2 by step 1"];
    },
    "of a loop whose halves went on": () => {
      const s = new Schedule(scale(8, 8));
      const [i, j] = [s.loop("i"), s.loop("j")];
      const [, inner] = s.split(i, { factor: 2 });
      s.fuse(inner, j);
      return [s, i, "loop i was split into i_o, i_i by step 1 (now i_o, i_i_j_f)"];
    },
    "of a loop that was fused": () => {
      const s = new Schedule(scale(8, 8));
      const j = s.loop("j");
      s.fuse(s.loop("i"), j);
      return [s, j, "loop j was fused into i_j_f by step 1"];
    },
    "of a loop that was skewed": () => {
      const s = new Schedule(scale(8, 8));
      const j = s.loop("j");
      s.skew(s.loop("i"), j, 1);
      return [s, j, "loop j was skewed into j_s by step 1"];
    },
    "of a loop around a block that moved": () => {
      const s = new Schedule(stencil(12));
      const i = s.loopAt("B", 0);
      const [o] = s.split(s.loopAt("C", 0), { factor: 4 });
      s.computeAt(s.block("B"), o);
      return [s, i, "loop i0 went when step 2, computeAt(B, i0_o), moved block B, which has i0 instead"];
    },
    "of a block that was inlined": () => {
      const s = new Schedule(stencil(12));
      const b = s.block("B");
      s.computeInline(b);
      return [s, b, "block B was inlined into C by step 1"];
    },
    "of the loop around a block that was inlined": () => {
      const s = new Schedule(stencil(12));
      const i = s.loopAt("B", 0);
      s.computeInline(s.block("B"));
      return [s, i, "loop i0 went with block B, which was inlined into C by step 1"];
    },
    "of another schedule": () => {
      const s = new Schedule(scale(8, 8));
      return [new Schedule(scale(8, 8)), s.split(s.loop("i"), { factor: 2 })[0], "i_o is not of this schedule"];
    },
  };
  for (const [what, make] of Object.entries(fates))
    test(what, () => {
      const [s, handle, text] = make();
      const fate = s.fate(handle);
      expect(fate?.text).toBe(text);
      expect(s.cursor(handle).alive).toBe(false);
      const e = errorOf(() => s.alive(handle));
      expect([e.code, e.details.because]).toEqual(["schedule/live-handle", text]);
      expect(errorOf(() => s.cursor(handle).parent()).code).toBe("schedule/live-handle");
      for (const h of fate?.now ?? []) expect(s.cursor(h).alive).toBe(true);
    });
  test("says it as data, and to whom handles that live in its place belong", () => {
    const s = new Schedule(scale(8, 8));
    const i = s.loop("i");
    const [o, inner] = s.split(i, { factor: 2 });
    const f = s.fuse(inner, s.loop("j"));
    expect(s.fate(i)).toMatchObject({ step: 1, primitive: "split", into: [o, inner], now: [o, f] });
    expect(i.fate()?.call).toBe("split(i, factor: 2)");
    expect(s.fate(o)).toBe(undefined);
    expect(errorOf(() => s.unroll(i)).message).toContain("instead: use i_o or i_i_j_f");
  });
});

/** Every handle of a schedule: all loops and blocks. */
const handlesOf = (s: Schedule) => s.findAll("*");

test("whatever a step consumes has a fate, and every other handle survives it", () => {
  const consumed = new Map<string, number>();
  for (let seed = 1; seed <= 400; seed++) {
    const r = new Random(seed);
    const s = new Schedule(randomProgram(r).program);
    const known = new Map<string, LoopRef | BlockRef>();
    for (let k = 0; k < 10; k++) {
      const name = drawPrimitive(r);
      const args = proposers[name](r, s);
      if (!args || s.probe(name, args as never) !== undefined) continue;
      for (const h of handlesOf(s)) known.set(`${h.kind}${h.id}`, h);
      s.apply(name, args);
      const alive = new Set(handlesOf(s).map((h) => `${h.kind}${h.id}`));
      for (const [key, h] of known) {
        const fate = s.fate(h);
        expect(fate === undefined, `seed ${seed}, ${name}: ${key}`).toBe(alive.has(key));
        if (!fate) continue;
        consumed.set(fate.primitive, (consumed.get(fate.primitive) ?? 0) + 1);
        expect(fate.text).toMatch(/^(loop|block) \S+ (was|went) .* step \d+/);
        expect(s.trace.steps[fate.step - 1]!.primitive).toBe(fate.primitive);
        for (const x of fate.now) expect(alive.has(`${x.kind}${x.id}`)).toBe(true);
        if (fate.now.length === 0) expect(fate.text).toMatch(/removed|nothing|moved/);
      }
    }
  }
  const often = ["split", "fuse", "skew", "computeAt", "reverseComputeAt", "computeInline", "padEinsum"];
  expect(often.filter((n) => !consumed.has(n))).toEqual([]);
  // What only changes loops and blocks in place consumes none.
  const inPlace = ["reorder", "parallel", "vectorize", "unroll", "annotate", "setScope", "cacheRead", "cacheWrite"];
  const adding = ["decomposeReduction", "transformLayout", "rfactor", "fission", "cutLoop", "peel", "reindex"];
  expect([...inPlace, ...adding].filter((n) => consumed.has(n))).toEqual([]);
});
