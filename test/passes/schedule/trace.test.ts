import { describe, expect, test } from "vitest";
import { structurallyEqual } from "../../../ir/loop/equality.ts";
import { InputError, ScheduleError } from "../../../ir/support/errors.ts";
import { replay, Schedule } from "../../../passes/schedule/schedule.ts";
import { centre, matmul, scale } from "./loop-programs.ts";

/** A schedule with every kind of argument. */
function busy(): Schedule {
  const s = new Schedule(matmul(13, 17, 5));
  const [i, j, k] = s.loops("C");
  const { outer, inner } = s.tile([i!, j!], [4, 8]);
  s.reorder(...outer, k!, ...inner);
  s.decomposeReduction(s.block("C"), k!);
  s.parallel(s.fuse(...outer));
  s.split(s.loop("j_i", "C"), { factors: [null, 2, 2], tail: "exact" });
  s.annotate(s.block("C_init"), "hint", [1, 2]);
  return s;
}
const codeOf = (f: () => unknown): string => {
  try {
    f();
  } catch (e) {
    if (e instanceof ScheduleError || e instanceof InputError) return e.code;
    throw e;
  }
  return "nothing was thrown";
};

describe("traces", () => {
  test("print as TypeScript", () => {
    expect(busy().trace.toSource()).toBe(`const [i_o, i_i] = s.split(s.loopAt("C", 0), { factor: 4 });
const [j_o, j_i] = s.split(s.loopAt("C", 2), { factor: 8 });
s.reorder(i_o, j_o, i_i, j_i);
s.reorder(i_o, j_o, s.loopAt("C", 4), i_i, j_i);
const C_init = s.decomposeReduction(s.block("C"), s.loopAt("C", 2));
const i_o_j_o_f = s.fuse(i_o, j_o);
s.parallel(i_o_j_o_f);
const [j_i_0, j_i_1, j_i_2] = s.split(j_i, { factors: [null, 2, 2], tail: "exact" });
s.annotate(C_init, "hint", [1, 2]);`);
  });
  test("the source makes the schedule again", () => {
    const first = busy();
    const again = new Schedule(matmul(13, 17, 5));
    new Function("s", first.trace.toSource())(again);
    expect(structurallyEqual(again.program, first.program)).toBe(true);
    expect(again.trace.toJSON()).toEqual(first.trace.toJSON());
  });
  test("replay from JSON to an equal program and an equal trace", () => {
    const first = busy();
    const again = replay(matmul(13, 17, 5), JSON.parse(JSON.stringify(first.trace)));
    expect(structurallyEqual(again.program, first.program)).toBe(true);
    expect(again.trace.toJSON()).toEqual(first.trace.toJSON());
  });
  test("fit programs of other extents, or are refused with the rule", () => {
    const json = busy().trace.toJSON();
    const other = replay(matmul(3, 40, 9), json);
    expect(other.trace.toJSON()).toEqual(json);
    const s = new Schedule(scale(12, 8));
    s.split(s.loop("i"), { factor: 4, tail: "exact" });
    expect(codeOf(() => replay(scale(13, 8), s.trace))).toBe("split/exact-tail");
  });
  test("are refused when they are not traces", () => {
    const program = matmul(4, 4, 4);
    const bad = (json: unknown) => codeOf(() => replay(program, json as never));
    expect(bad([])).toBe("trace/malformed");
    expect(bad({ version: 99, func: "matmul", steps: [] })).toBe("trace/version");
    expect(bad({ version: 1, func: "matmul", steps: [{}] })).toBe("trace/malformed");
    const step = (args: object, primitive = "parallel") => ({
      version: 1,
      func: "matmul",
      steps: [{ primitive, args, results: [] }],
    });
    expect(bad(step({ loop: { loop: "i", of: "D", depth: 0 } }))).toBe("trace/no-such-block");
    expect(bad(step({ loop: { loop: "i", of: "C", depth: 9 } }))).toBe("trace/no-such-loop");
    expect(bad(step({ loop: { loop: "i", step: 3, result: 0 } }))).toBe("trace/malformed");
    expect(bad(step({ loop: 5 }))).toBe("schedule/bad-argument");
    expect(bad(step({}))).toBe("schedule/bad-argument");
    expect(bad(step({ loop: { loop: "i", of: "C", depth: 0 }, x: 1 }))).toBe("schedule/bad-argument");
    expect(bad(step({ loop: { loop: "i", of: "C", depth: 0 } }, "constructor"))).toBe("schedule/no-primitive");
    expect(bad({ version: 1, func: "other", steps: [] })).toBe("schedule/no-function");
  });
});

describe("handles", () => {
  test("loops are found by name when the name is unique", () => {
    const s = new Schedule(centre(4, 4));
    expect(s.loop("k").name).toBe("k");
    expect(codeOf(() => s.loop("z"))).toBe("schedule/unknown-name");
    expect(codeOf(() => s.block("Z"))).toBe("schedule/unknown-name");
    s.decomposeReduction(s.block("M"), s.loop("k"));
    s.split(s.loop("j"), { factor: 2 });
    const twice = new Schedule(matmul(4, 4, 4));
    twice.decomposeReduction(twice.block("C"), twice.loopAt("C", 0));
    expect(codeOf(() => twice.loop("i"))).toBe("schedule/ambiguous-name");
    expect(twice.loop("i", "C_init").id).not.toBe(twice.loop("i", "C").id);
  });
  test("a dead one says what became of it", () => {
    const s = new Schedule(scale(8, 8));
    const [i, j] = s.loops("B");
    const [o, inner] = s.split(i!, { factor: 2 });
    s.annotate(j!, "hint", 1);
    s.fuse(inner, j!);
    expect(s.probe("unroll", { loop: i! })?.because).toBe(
      "loop i was split into i_o, i_i by step 1 (now i_o, i_i_j_f)",
    );
    expect(s.probe("unroll", { loop: j! })?.because).toBe("loop j was fused into i_i_j_f by step 3");
    expect(codeOf(() => s.extent(j!))).toBe("schedule/live-handle");
    expect(s.extent(o)).toBe(4);
    expect(new Schedule(scale(2, 2)).probe("unroll", { loop: inner })?.rule).toBe("live-handle");
  });
  test("producers and consumers follow buffers", () => {
    const s = new Schedule(centre(4, 4));
    expect(s.consumers("M").map((b) => b.name)).toEqual(["D"]);
    expect(s.producers("D").map((b) => b.name)).toEqual(["M"]);
    expect(s.producers("M")).toEqual([]);
  });
  test("a fork goes its own way", () => {
    const s = new Schedule(scale(8, 8));
    const [o] = s.split(s.loop("i"), { factor: 2 });
    const t = s.fork();
    t.parallel(o);
    expect([s.trace.steps.length, t.trace.steps.length]).toEqual([1, 2]);
    expect(s.probe("parallel", { loop: o })).toBe(undefined);
  });
});
