/** Which checks stand in lowered programs, and that programs with them are well-formed and print. */
import { describe, expect, test } from "vitest";
import { InterpreterError } from "../../../ir/interp/error.ts";
import { runProgram } from "../../../ir/interp/run.ts";
import { checkSitesOf } from "../../../ir/loop/check-site.ts";
import type { Program } from "../../../ir/loop/program.ts";
import { parseProgram } from "../../../ir/text/parser.ts";
import { printProgram } from "../../../ir/text/printer.ts";
import { plainContext, verifying } from "../../../passes/core/index.ts";
import { loweringPipeline, withBoundsChecks } from "../../../passes/lower/index.ts";
import { fmaOuterProduct } from "../../../passes/schedule/library/intrinsics.ts";
import { compute, placeholder, reduceAxis, Schedule, schedule, sum, where } from "../../../src/index.ts";

const passes = withBoundsChecks(loweringPipeline({ vectorBits: 256 }));
const lower = (s: Schedule): Program => passes.run(s.program, { ...plainContext, instruments: [verifying] });
const checksIn = (p: Program): number => printProgram(p).match(/checkBounds\(/g)?.length ?? 0;

function matmul(m: number, n: number, k: number): Schedule {
  const [A, B] = [placeholder("A", [m, k]), placeholder("B", [k, n])];
  const r = reduceAxis("k", k);
  return schedule(compute("C", [m, n], (i, j) => sum(A.at(i, r).mul(B.at(r, j)), r)));
}

describe("checks", () => {
  test("are left out where the loops around keep every index inside", () => {
    const s = matmul(8, 24, 5);
    s.vectorize(s.split(s.loop("j"), { factor: 8 })[1]);
    expect(checksIn(lower(s))).toBe(0);
  });
  test("stand in front of an access whose index is data, once for equal accesses", () => {
    const [A, N] = [placeholder("A", [10]), placeholder("N", [40], "int64")];
    const p = lower(schedule(compute("B", [40], (i) => A.at(N.at(i)).mul(A.at(N.at(i))))));
    expect(checksIn(p)).toBe(1);
    expect(checkSitesOf(p.functions[0]!)).toEqual([
      {
        access: "load",
        buffer: "A",
        dtype: "float32",
        origin: { block: "B", line: 6, text: "B[vi0] = A[N[vi0]] * A[N[vi0]]" },
      },
    ]);
  });
  test("of an index of an index follow the check of the inner one, under the condition that both have", () => {
    const [A, M, N] = [placeholder("A", [10]), placeholder("M", [20], "int64"), placeholder("N", [40], "int64")];
    const B = compute("B", [40], (i) => where(N.at(i).lt(20), A.at(M.at(N.at(i))), 0));
    const p = lower(schedule(B));
    expect(checkSitesOf(p.functions[0]!).map((s) => s.buffer)).toEqual(["M", "A"]);
    const [A0, M0] = [new Float32Array(10), new BigInt64Array(20)];
    const run = (n: bigint, m: bigint) =>
      runProgram(p, { A: A0, M: M0.fill(m), N: new BigInt64Array(40).fill(n), B: new Float32Array(40) });
    run(3n, 9n);
    // Not chosen: M is not read, A not either.
    run(1000n, 1000n);
    expect(() => run(-1n, 0n)).toThrow(InterpreterError);
    expect(() => run(3n, 10n)).toThrow(InterpreterError);
  });
  test("leave a tensorized nest as it is", () => {
    const s = matmul(6, 32, 3);
    const [i, j, k] = s.loops("C");
    const { inner } = s.tile([i!, j!], [2, 16], "exact");
    s.reorder(k!, ...inner);
    s.decomposeReduction(s.block("C"), k!);
    s.tensorize(s.loopAt("C", 3), fmaOuterProduct(2));
    const { functions } = lower(s);
    expect(printProgram({ ...s.program, functions })).toContain("tensorized for");
  });
  test("of a tensorized nest run in a copy of it, in front", () => {
    const s = new Schedule(
      parseProgram(`program f(A: float32[2, 1], B: float32[10], C: output float32[2, 10]):
  for i in 0..2:
    for j in 0..16:
      block C(vi: spatial 2 = i, vj: spatial 16 = j):
        reads C[vi, vj], A[vi, 0], B[vj]
        writes C[vi, vj]
        C[vi, vj] = C[vi, vj] + A[vi, 0] * B[vj]
`),
    );
    s.tensorize(s.loopAt("C", 0), fmaOuterProduct(2));
    const lowered = lower(s);
    const text = printProgram(lowered);
    expect(checkSitesOf(lowered.functions[0]!)[0]!.origin).toMatchObject({ block: "C", line: 7 });
    expect(text).toMatch(/for i in 0\.\.2:\n +for j in 0\.\.16:\n +evaluate checkBounds\(bool, 0, j >= 10, /);
    expect(text.indexOf("checkBounds")).toBeLessThan(text.indexOf("tensorized for"));
  });
  test("of an element that is read in any case stand once, whatever else reads it", () => {
    const [A, N] = [placeholder("A", [10]), placeholder("N", [40], "int64")];
    const B = compute("B", [40], (i) => A.at(N.at(i)).add(where(N.at(i).lt(3), A.at(N.at(i)), 0)));
    expect(checksIn(lower(schedule(B)))).toBe(1);
  });
  test("print and parse", () => {
    const [A, N] = [placeholder("A", [10]), placeholder("N", [40], "int64")];
    const p = lower(schedule(compute("B", [40], (i) => A.at(N.at(i)))));
    expect(printProgram(parseProgram(printProgram(p)))).toBe(printProgram(p));
  });
});
