/** why: the rule and the legal alternatives, as data and as text. */
import { describe, expect, test } from "vitest";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import type { Alternative } from "../../../passes/schedule/why.ts";
import { drawPrimitive, proposers } from "../../property/support/actions.ts";
import { randomProgram } from "../../property/support/programs.ts";
import { Random } from "../../property/support/random.ts";
import { centre, matmul, scale, scan, stencil } from "./loop-programs.ts";

type Value = Alternative["values"][number];
/** Values with handles as names. */
const plain = (v: Value): unknown =>
  Array.isArray(v) ? v.map((x) => plain(x as Value)) : typeof v === "object" && v !== null && "name" in v ? v.name : v;
const named = (list: readonly Alternative[]) =>
  Object.fromEntries(list.map((a) => [a.argument, a.values.map(plain)] as const));

describe("why", () => {
  test("a block cannot be computed at a loop, and where it could be", () => {
    const s = new Schedule(stencil(12));
    s.split(s.loopAt("C", 0), { factor: 4 });
    const answer = s.why("computeAt", { block: s.block("B"), loop: s.loopAt("B", 0) });
    expect(answer.legal).toBe(false);
    expect(named(answer.alternatives).loop).toEqual(["i0_o", "i0_i"]);
    expect(answer.text).toContain("loop may be: i0_o, i0_i");
    expect(answer.text).toContain(`computeAt/${answer.violation?.rule}`);
  });
  test("a factor does not divide, and which do", () => {
    const s = new Schedule(scale(12, 8));
    const answer = s.why("split", { loop: s.loop("i"), factor: 5, tail: "exact" });
    expect(answer.violation?.rule).toBe("exact-tail");
    expect(answer.demand).toContain("provably divide");
    expect(named(answer.alternatives)).toMatchObject({
      factor: [1, 2, 3, 4, 6, 12],
      tail: ["guard", "peel", "shift-inwards"],
    });
  });
  test("a loop cannot run in parallel, and which can", () => {
    const s = new Schedule(matmul(4, 4, 4));
    const answer = s.why("parallel", { loop: s.loop("k") });
    expect(answer.violation?.at?.name).toBe("k");
    expect(named(answer.alternatives)).toEqual({ loop: ["i", "j"] });
  });
  test("a legal step is said to be", () => {
    const s = new Schedule(matmul(4, 4, 4));
    const answer = s.why("unroll", { loop: s.loop("k") });
    expect(answer).toMatchObject({ legal: true });
    expect(answer.text.split("\n")[0]).toBe("unroll(k) is legal");
  });
  test("an order is not legal, and which are", () => {
    const s = new Schedule(scan(4, 8));
    const [o, i] = s.split(s.loop("j"), { factor: 4 });
    const answer = s.why("reorder", { loops: [i, o] });
    expect(answer.legal).toBe(false);
    expect(named(answer.alternatives)).toEqual({ loops: [["j_o", "j_i"]] });
    const free = new Schedule(scale(4, 4));
    const orders = free.why("reorder", { loops: [free.loop("j"), free.loop("i")] });
    expect(named(orders.alternatives)).toEqual({ loops: [["i", "j"]] });
  });
  test("loops that are not nested cannot be fused, and which can", () => {
    const s = new Schedule(matmul(4, 4, 4));
    const answer = s.why("fuse", { loops: [s.loop("i"), s.loop("k")] });
    expect(named(answer.alternatives).loops).toEqual([
      ["i", "j"],
      ["i", "j", "k"],
      ["j", "k"],
    ]);
  });
  test("several factors leave a rest, and which do not", () => {
    const s = new Schedule(scale(12, 8));
    const answer = s.why("split", { loop: s.loop("i"), factors: [null, 5, 2], tail: "exact" });
    const { factors } = named(answer.alternatives);
    expect(factors).toContainEqual([null, 3, 2]);
    expect(factors).toContainEqual([null, 1, 12]);
    expect(factors?.every((f) => 12 % (f as number[]).slice(1).reduce((a, b) => a * b) === 0)).toBe(true);
  });
  test("layouts in other orders, stages of a pipeline, axes of partial results", () => {
    const s = new Schedule(centre(4, 8));
    const layout = s.why("transformLayout", { block: s.block("M"), buffer: "M", dims: [] });
    expect(named(layout.alternatives).dims).toEqual([[{ axis: 0, divisor: 1 }]]);
    const t = new Schedule(stencil(12));
    t.computeAt(t.block("B"), t.loopAt("C", 0));
    const stages = t.why("softwarePipeline", { loop: t.loopAt("C", 0), stages: [0], mode: "peeled" });
    expect(named(stages.alternatives).stages).toContainEqual([0, 0]);
    const axes = new Schedule(matmul(4, 4, 8)).why("rfactor", {
      loop: new Schedule(matmul(4, 4, 8)).loop("k"),
      factorAxis: 9,
    });
    expect(named(axes.alternatives).factorAxis).toEqual([0, 1, 2]);
  });
  test("loops of one name are told apart", () => {
    const s = new Schedule(matmul(4, 4, 4));
    s.decomposeReduction(s.block("C"), s.loop("k"));
    const answer = s.why("parallel", { loop: s.loop("k") });
    expect(answer.text).toContain("loop may be: i, j");
    const t = new Schedule(matmul(4, 4, 4));
    t.decomposeReduction(t.block("C"), t.loop("i"));
    expect(t.why("parallel", { loop: t.loop("k") }).text).toContain(
      "loop may be: i (outermost), j (in i), i (outermost), j (in i)",
    );
  });
  test("the legal values of an argument that is not given", () => {
    const s = new Schedule(stencil(12));
    s.split(s.loopAt("C", 0), { factor: 4 });
    const values = (a: Alternative) => a.values.map(plain);
    expect(values(s.choices("computeAt", "loop", { block: s.block("B") }))).toEqual(["i0_o", "i0_i"]);
    expect(values(s.choices("computeInline", "block", {}))).toEqual(["B"]);
    expect(values(s.choices("cutLoop", "at", { loop: s.loop("i0_o") }))).toEqual([1, 2]);
    expect(values(new Schedule(matmul(4, 4, 4)).choices("parallel", "loop", {}))).toEqual(["i", "j"]);
    const big = new Schedule(scale(4, 720720));
    expect(big.choices("split", "factor", { loop: big.loop("j"), tail: "exact" })).toMatchObject({ more: true });
  });
  test("whatever is offered is legal, for every primitive", () => {
    const offered = new Map<string, number>();
    for (let seed = 1; seed <= 60; seed++) {
      const r = new Random(seed);
      const s = new Schedule(randomProgram(r).program);
      for (let k = 0; k < 4; k++) {
        const name = drawPrimitive(r);
        const args = proposers[name](r, s);
        if (!args) continue;
        const answer = s.why(name, args as never);
        expect(answer.legal).toBe(s.probe(name, args as never) === undefined);
        for (const { argument, values } of answer.alternatives)
          for (const v of values) {
            expect(s.probe(name, { ...args, [argument]: v } as never), `seed ${seed}: ${name} ${argument}`).toBe(
              undefined,
            );
            offered.set(name, (offered.get(name) ?? 0) + 1);
          }
        if (answer.legal) s.apply(name, args);
      }
    }
    expect(offered.size).toBeGreaterThan(15);
  });
  test("nothing changes", () => {
    const s = new Schedule(matmul(4, 4, 4));
    s.why("vectorize", { loop: s.loop("j") });
    expect(s.trace.steps).toEqual([]);
  });
});
