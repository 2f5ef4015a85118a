/** why: the rule and the legal alternatives, as data and as text. */
import { describe, expect, test } from "vitest";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import type { Alternative } from "../../../passes/schedule/why.ts";
import { matmul, scale, stencil } from "./loop-programs.ts";

const named = (list: readonly Alternative[]) =>
  Object.fromEntries(list.map((a) => [a.argument, a.values.map((v) => (typeof v === "object" ? v.name : v))] as const));

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
  test("nothing changes", () => {
    const s = new Schedule(matmul(4, 4, 4));
    s.why("vectorize", { loop: s.loop("j") });
    expect(s.trace.steps).toEqual([]);
  });
});
