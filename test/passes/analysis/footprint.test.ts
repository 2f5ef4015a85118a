/** Footprints against brute force: exact where they say so, never too small. */
import { describe, expect, test } from "vitest";
import type { Expr } from "../../../ir/expr/expr.ts";
import { some, substitute } from "../../../ir/expr/traverse.ts";
import { evaluateExpr } from "../../../ir/interp/interpret.ts";
import type { For, Program } from "../../../ir/loop/program.ts";
import { rewriteExprs } from "../../../ir/loop/traverse.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { accessesIn } from "../../../passes/analysis/accesses.ts";
import { footprintsOf, middleOf, runsOf } from "../../../passes/analysis/footprint.ts";
import { Schedule } from "../../../passes/schedule/schedule.ts";
import { drawPrimitive, proposers } from "../../property/support/actions.ts";
import { eventsByElement } from "../../property/support/enumerate.ts";
import { randomProgram } from "../../property/support/programs.ts";
import { Random } from "../../property/support/random.ts";
import { matmul, scale, stencil } from "../schedule/loop-programs.ts";

/** Elements by buffer name that a loop touches, as text; `~` before a bound. */
function touched(l: For, around: readonly For[] = []): Record<string, string> {
  return Object.fromEntries(
    footprintsOf(l, around).map((f) => [f.buffer.name, `${f.exact ? "" : "~"}${f.elements}`] as const),
  );
}
function loopOf(p: Program, name: string): { loop: For; around: For[] } {
  const around: For[] = [];
  for (let s = p.functions[0]!.body; ; ) {
    if (s.kind === "allocate") s = s.body;
    else if (s.kind === "for") {
      if (s.var.name === name) return { loop: s, around };
      around.push(s);
      s = s.body;
    } else throw new Error(`no loop ${name}`);
  }
}
const of = (p: Program, name: string) => {
  const { loop, around } = loopOf(p, name);
  return touched(loop, around);
};

describe("footprints", () => {
  test("of a matmul at each level", () => {
    const p = matmul(8, 16, 32);
    expect(of(p, "i")).toEqual({ C: "128", A: "256", B: "512" });
    expect(of(p, "j")).toEqual({ C: "16", A: "32", B: "512" });
    expect(of(p, "k")).toEqual({ C: "1", A: "32", B: "32" });
  });
  test("of tiles with a guard, inside and over all", () => {
    const s = new Schedule(scale(13, 8));
    s.split(s.loop("i"), { factor: 4 });
    expect(of(s.program, "i_o")).toEqual({ A: "104", B: "104" });
    expect(of(s.program, "i_i")).toEqual({ A: "32", B: "32" });
  });
  test("of a fused loop, which indexes by quotient and remainder", () => {
    const s = new Schedule(scale(13, 8));
    const f = s.fuse(s.loop("i"), s.loop("j"));
    expect(of(s.program, f.name)).toEqual({ A: "104", B: "104" });
    s.split(f, { factor: 4, tail: "exact" });
    expect(of(s.program, `${f.name}_i`)).toEqual({ A: "4", B: "4" });
  });
  test("of neighbours that share elements", () => {
    const s = new Schedule(stencil(12));
    s.computeInline(s.block("B"));
    expect(of(s.program, "i0")).toEqual({ A: "13", C: "12" });
  });
  const text = (index: string) => `program p(A: float32[64, 64], B: output float32[16]):
  for i in 0..16:
    for j in 0..4:
      block b(x: spatial 16 = i, y: reduction 4 = j):
        reads A[0..64, 0..64]
        writes B[x]
        init:
          B[x] = 0.0
        B[x] = B[x] + A[${index}]`;
  const indices: readonly (readonly [string, string])[] = [
    ["x, x", "16"],
    ["x + y, y", "64"],
    ["x + y, x + y", "19"],
    ["x * 2 + y * 4, 0", "22"],
    ["x * 3, y", "64"],
    ["x // 4, x % 4", "16"],
    ["x // 4 * 4 + y, x % 4", "64"],
    ["63 - x - y, 5", "19"],
    ["(x + y) // 2, 0", "~10"],
    ["x // 3, x % 5", "~30"],
  ];
  for (const [index, count] of indices)
    test(`of A[${index}]`, () => {
      expect(of(parseProgram(text(index)), "i").A).toBe(count);
    });
  test("of a loop that never runs, and of one with an open extent", () => {
    const p = (n: string) =>
      parseProgram(`program p(n: int64, A: output float32[8]):\n  for i in 0..${n}:\n    A[i] = 1.0`);
    expect(of(p("0"), "i")).toEqual({ A: "0" });
    expect(of(p("n"), "i")).toEqual({ A: "~8" });
  });
  const vectors: readonly (readonly [string, string])[] = [
    ["broadcast(i, 4), ramp(0, 1, 4)", "32"],
    ["ramp(i, 1, 4), ramp(0, 1, 4)", "32"],
    ["ramp(i, 1, 4), broadcast(5, 4)", "11"],
    ["broadcast(0, 4), ramp(i * 4, 2, 4) + broadcast(i, 4)", "32"],
    ["ramp(i * 4, 1, 4) // broadcast(2, 4), broadcast(1, 4)", "16"],
    ["shuffle([ramp(0, 1, 4)], [3, 1, 2, 0]), broadcast(i, 4)", "~512"],
  ];
  for (const [index, count] of vectors)
    test(`of the vector A[${index}]`, () => {
      const p = parseProgram(`program p(A: float32[64, 64], B: output float32[8, 4]):
  for i in 0..8:
    B[broadcast(i, 4), ramp(0, 1, 4)] = A[${index}]`);
      expect(of(p, "i")).toEqual({ A: count, B: "32" });
    });
  test("of vectors where lanes are masked", () => {
    const p = parseProgram(`program p(A: float32[32], B: output float32[32]):
  for i in 0..8:
    B[ramp(i * 4, 1, 4)] = A[ramp(i * 4, 1, 4)] where ramp(i * 4, 1, 4) < broadcast(30, 4)`);
    expect(of(p, "i")).toEqual({ A: "32", B: "~32" });
  });
});

/** The loops of a program with those around each. */
function loopsOf(p: Program): { loop: For; around: For[] }[] {
  const found: { loop: For; around: For[] }[] = [];
  const go = (s: Parameters<typeof accessesIn>[0], around: For[]): void => {
    if (s.kind === "for") {
      found.push({ loop: s, around });
      go(s.body, [...around, s]);
    } else if (s.kind === "seq") for (const c of s.body) go(c, around);
    else if (s.kind === "allocate" || s.kind === "let") go(s.body, around);
    else if (s.kind === "if") go(s.then, around);
  };
  go(p.functions[0]!.body, []);
  return found;
}
test("exact footprints are the number of elements touched, others no less", () => {
  const tally = { exact: 0, bounds: 0 };
  for (let seed = 1; seed <= 240; seed++) {
    const r = new Random(seed);
    const s = new Schedule(randomProgram(r).program);
    for (let k = 0; k < 6; k++) {
      const name = drawPrimitive(r);
      const args = proposers[name](r, s);
      if (args && s.probe(name, args as never) === undefined) s.apply(name, args);
    }
    for (const { loop, around } of loopsOf(s.program)) {
      const byData = (e: Expr): boolean => some(e, (n) => n.kind === "load");
      if (accessesIn(loop).some((a) => a.indices.some(byData))) continue;
      const middle = middleOf(around);
      const fixed = rewriteExprs(loop, (e) => substitute(e, middle));
      const events = eventsByElement(fixed, 4000);
      if (!events) continue;
      const elements = new Map<number, Set<string>>();
      for (const list of events) {
        const x = list[0];
        const { access, values } = x!;
        // Copies of a buffer that each iteration has share their storage.
        const env = new Map(access.loops.map((l, k) => [l.var.id, values[k]!] as const));
        const at = access.indices.map((e) => evaluateExpr(e, env));
        const set = elements.get(access.buffer.id) ?? new Set();
        elements.set(access.buffer.id, set.add(at.join()));
      }
      for (const f of footprintsOf(loop, around)) {
        const seen = elements.get(f.buffer.id)?.size ?? 0;
        const where = `seed ${seed}, loop ${loop.var.name}, ${f.buffer.name}\n${s.print()}`;
        const isPrivate = accessesIn(loop).some((a) => a.buffer.id === f.buffer.id && a.privateLoops > 0);
        if (isPrivate) expect(f.elements, where).toBeLessThanOrEqual(seen);
        else if (f.exact) expect(f.elements, where).toBe(seen);
        else expect(f.elements, where).toBeGreaterThanOrEqual(seen);
        tally[f.exact ? "exact" : "bounds"]++;
      }
    }
  }
  // The others are shifted tiles, choices by data, and quotients whose divisors do not divide each other.
  expect(tally.exact).toBeGreaterThan(10 * tally.bounds);
});

test("runs count iterations, without those that guards leave out", () => {
  const s = new Schedule(scale(13, 8));
  const [o] = s.split(s.loop("i"), { factor: 4 });
  const access = accessesIn(s.program.functions[0]!.body).at(-1)!;
  expect(runsOf(access.loops, access.conditions, [])).toEqual({ count: 104, exact: true });
  expect(runsOf(access.loops.slice(1), access.conditions, [access.loops[0]!])).toEqual({ count: 32, exact: true });
  expect(o.extent).toBe(4);
});
